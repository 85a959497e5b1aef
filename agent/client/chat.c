#include "client/api.h"
#include "client/ask.h"
#include "client/find.h"
#include "link/socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAT_MESSAGE_MAX 16000 /* 4,000 characters of UTF-8 */

typedef struct {
    client_t *client;
    char path[128]; /* of the channel's messages */
    char topic[64]; /* network:ID or tenant:ID */
    json_int_t seq; /* the last one shown */
    json_t *held;   /* live ones that came during a catch-up, or NULL */
    socket_link_t *socket;
    unsigned code; /* the socket's close code */
    err_t err;
    loop_timer_t again;
} chat_t;


static int
chat_channel_set(chat_t *chat, const char *kind, const char *id)
{
    snprintf(chat->path, sizeof(chat->path), "/v1/%ss/%.36s/messages", kind,
             id);
    snprintf(chat->topic, sizeof(chat->topic), "%s:%.36s", kind, id);
    return 0;
}


/* The operand, else the one network that this device is in. */
static int
chat_channel(chat_t *chat, err_t *err)
{
    client_t *client = chat->client;
    err_t other;
    find_t found;
    int rc;
    json_t *status;

    if (client->operands > 0) {
        if (find_network(client, client->operand[0], &found, err) == 0) {
            return chat_channel_set(chat, "network", found.id);
        }

        if (strcmp(err->code, "unknown_network") == 0 &&
            find_tenant(client, client->operand[0], &found, &other) == 0) {
            return chat_channel_set(chat, "tenant", found.id);
        }

        return -1;
    }

    status = ask_daemon(client, json_pack("{s:s}", "command", "status"), err);
    if (status == NULL) {
        return -1;
    }

    rc = find_joined(status, NULL, &found, err);
    json_decref(status);

    return rc == 0 ? chat_channel_set(chat, "network", found.id) : -1;
}


static void
chat_show(chat_t *chat, json_t *message, json_int_t seq)
{
    const char *content, *name, *time;

    if (seq != 0 && seq <= chat->seq) {
        return;
    }

    if (seq != 0) {
        chat->seq = seq;
    }

    if (chat->client->json) {
        char *line = json_dumps(message, JSON_COMPACT | JSON_SORT_KEYS);

        if (line != NULL) {
            puts(line);
            free(line);
        }

        fflush(stdout);
        return;
    }

    content = json_string_value(json_object_get(message, "content"));
    name = json_string_value(json_object_get(message, "username"));
    time = json_string_value(json_object_get(message, "timestamp"));

    printf("%.16s ", time != NULL ? time : "");
    client_print(name != NULL ? name : "somebody");
    printf(": ");

    if (json_is_true(json_object_get(message, "deleted"))) {
        printf("(deleted)");

    } else {
        client_print(content != NULL ? content : "");
    }

    printf("\n");
    fflush(stdout);
}


static json_int_t
chat_seq(const json_t *message)
{
    return json_integer_value(json_object_get(message, "seq"));
}


static int
chat_by_seq(const void *a, const void *b)
{
    json_int_t x = chat_seq(*(json_t *const *) a);
    json_int_t y = chat_seq(*(json_t *const *) b);

    return (x > y) - (x < y);
}


/* Oldest first, whichever way the server lists. */
static void
chat_show_sorted(chat_t *chat, const json_t *items)
{
    json_t *list[100];
    size_t i, count = json_array_size(items);

    if (count > 100) {
        count = 100;
    }

    for (i = 0; i < count; i++) {
        list[i] = json_array_get(items, i);
    }

    qsort(list, count, sizeof(list[0]), chat_by_seq);

    for (i = 0; i < count; i++) {
        chat_show(chat, list[i], chat_seq(list[i]));
    }
}


static int
chat_read(chat_t *chat, err_t *err)
{
    char path[200];
    json_t *answer = NULL;

    snprintf(path, sizeof(path), "%s?limit=%d", chat->path,
             chat->client->limit > 0 ? chat->client->limit : 20);

    if (api_call(chat->client, "GET", path, NULL, &answer, err) != 0) {
        return -1;
    }

    if (chat->client->json && !chat->client->follow) {
        client_json(chat->client, json_pack("{s:O?}", "messages",
                                            json_object_get(answer, "items")));

    } else {
        chat_show_sorted(chat, json_object_get(answer, "items"));
    }

    json_decref(answer);
    return 0;
}


static void
chat_release(chat_t *chat)
{
    json_t *frame;
    json_t *held = chat->held;
    size_t i;

    chat->held = NULL;

    json_array_foreach(held, i, frame)
    {
        chat_show(chat, json_object_get(frame, "data"), chat_seq(frame));
    }

    json_decref(held);
}


/* The server no longer has what came in between as events: all after the last
 * seen, from the list. */
static int
chat_catch_up(chat_t *chat, err_t *err)
{
    char path[200];
    int rc;
    json_t *answer, *items;
    size_t count;

    chat->held = json_array();

    do {
        snprintf(path, sizeof(path),
                 "%s?limit=100&after_seq=%" JSON_INTEGER_FORMAT, chat->path,
                 chat->seq);
        answer = NULL;
        rc = api_call(chat->client, "GET", path, NULL, &answer, err);

        items = json_object_get(answer, "items");
        count = json_array_size(items);
        chat_show_sorted(chat, items);
        json_decref(answer);
    } while (rc == 0 && count == 100);

    chat_release(chat);
    return rc;
}


static void
chat_opened(void *arg)
{
    (void) arg; /* hello comes first */
}


static void
chat_subscribe(chat_t *chat)
{
    char *text;
    json_t *frame;

    frame = json_pack("{s:s, s:s, s:{s:[{s:s, s:I}]}}", "type", "subscribe",
                      "id", "1", "data", "topics", "topic", chat->topic, "seq",
                      chat->seq);
    text = json_dumps(frame, JSON_COMPACT);
    json_decref(frame);

    if (text != NULL) {
        (void) socket_send(chat->socket, text);
        free(text);
    }
}


static void
chat_end(chat_t *chat, unsigned code)
{
    chat->code = code;
    loop_stop(chat->client->loop);
}


static void
chat_message(void *arg, const char *text, size_t len)
{
    chat_t *chat = arg;
    const char *type, *topic;
    json_t *frame = json_loadb(text, len, 0, NULL);
    json_t *data = json_object_get(frame, "data");

    type = json_string_value(json_object_get(frame, "type"));
    topic = json_string_value(json_object_get(frame, "topic"));

    if (type == NULL) {
        /* not for us */

    } else if (strcmp(type, "hello") == 0) {
        chat_subscribe(chat);

    } else if (strcmp(type, "ok") == 0 &&
               json_array_size(json_object_get(data, "refused")) > 0) {
        err_set(&chat->err, "forbidden", "the server refused the channel");
        chat_end(chat, 4003);

    } else if (strcmp(type, "chat_message") == 0 && topic != NULL &&
               strcmp(topic, chat->topic) == 0) {
        if (chat->held != NULL) {
            json_array_append(chat->held, frame);

        } else {
            chat_show(chat, data, chat_seq(frame));
        }

    } else if (strcmp(type, "resync") == 0) {
        chat_end(chat, 1);
    }

    json_decref(frame);
}


static void
chat_closed(void *arg, unsigned code, const err_t *err)
{
    chat_t *chat = arg;

    chat->socket = NULL;
    chat->err = *err;
    chat_end(chat, code != 0 ? code : 1006);
}


static const socket_callbacks_t chat_callbacks = {chat_opened, chat_message,
                                                  chat_closed};


static void
chat_wake(void *arg)
{
    chat_t *chat = arg;

    loop_stop(chat->client->loop);
}


static void
chat_pause(chat_t *chat, int64_t ms)
{
    chat->again.fn = chat_wake;
    chat->again.arg = chat;
    loop_timer_set(chat->client->loop, &chat->again, ms);
    (void) loop_run(chat->client->loop);
}


static int
chat_connect(chat_t *chat, err_t *err)
{
    char *path;
    size_t size;
    session_t *session = &chat->client->session;

    if (api_session(chat->client, err) == -1) {
        return -1;
    }

    size = strlen(session->access_token) + 32;
    path = malloc(size);

    if (path != NULL) {
        snprintf(path, size, "/v1/ws?token=%s", session->access_token);
        chat->socket = socket_open(chat->client->loop, &session->server, path,
                                   &chat_callbacks, chat);
        free(path);
    }

    return chat->socket != NULL ? 0
                                : err_set(err, "no_memory", "out of memory");
}


/* Until Ctrl-C, over lost connections. */
static int
chat_follow(chat_t *chat, err_t *err)
{
    for (;;) {
        if (chat_connect(chat, err) == -1) {
            return -1;
        }

        /* the loop stops at a resync (1) and when closed */
        do {
            chat->code = 0;

            if (loop_run(chat->client->loop) == -1) {
                return err_set(err, "failed", "the event loop failed");
            }

            if (chat->code == 1 && chat_catch_up(chat, err) == -1) {
                return -1;
            }
        } while (chat->socket != NULL && chat->code <= 1);

        if (chat->socket != NULL) {
            socket_close(chat->socket);
            chat->socket = NULL;
        }

        if (chat->code == 4003) {
            *err = chat->err;
            return -1;
        }

        if (chat->code == 4001) {
            chat->client->session.expires_at = 0;
        }

        fprintf(stderr, "goconnect: %s; trying again\n", chat->err.text);
        chat_pause(chat, 2000);
    }
}


static json_t *
chat_body(client_t *client, err_t *err)
{
    char text[CHAT_MESSAGE_MAX + 1];
    int i;
    json_t *body;
    size_t used = 0, len;

    for (i = 1; i < client->operands; i++) {
        len = strlen(client->operand[i]);

        if (used + len + 1 > CHAT_MESSAGE_MAX) {
            err_set(err, "usage", "a message has at most 4000 characters");
            return NULL;
        }

        if (i > 1) {
            text[used++] = ' ';
        }

        memcpy(text + used, client->operand[i], len);
        used += len;
    }

    text[used] = '\0';
    body = json_pack("{s:s}", "content", text);

    if (body == NULL) {
        err_set(err, "usage", "a message must be UTF-8");
    }

    return body;
}


static int
chat_send(chat_t *chat, err_t *err)
{
    int rc;
    json_t *body, *answer = NULL;

    body = chat_body(chat->client, err);
    if (body == NULL) {
        return -1;
    }

    rc = api_call(chat->client, "POST", chat->path, body, &answer, err);
    json_decref(body);

    if (rc != 0) {
        return -1;
    }

    if (chat->client->json) {
        client_json(chat->client, json_pack("{s:O?}", "message", answer));
    }

    json_decref(answer);
    return 0;
}


int
chat_run(client_t *client)
{
    chat_t chat = {.client = client};
    err_t err;
    int rc;

    if (api_session(client, &err) == -1 || chat_channel(&chat, &err) == -1) {
        return client_fail(client, &err);
    }

    if (client->operands > 1) {
        rc = chat_send(&chat, &err);

    } else {
        rc = chat_read(&chat, &err);
    }

    if (rc == 0 && client->follow) {
        rc = chat_follow(&chat, &err);
    }

    return rc == 0 ? CLIENT_OK : client_fail(client, &err);
}
