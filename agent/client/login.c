#define _GNU_SOURCE /* explicit_bzero */

#include "client/login.h"

#include "client/account.h"
#include "client/api.h"
#include "client/ask.h"
#include "client/enroll.h"
#include "client/prompt.h"
#include "client/qr.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* RFC 8628, section 3.5: seconds, where the server says none, and at most */
#define LOGIN_INTERVAL 5
#define LOGIN_INTERVAL_MAX 60
#define LOGIN_SLOWER 5
#define LOGIN_EXPIRES_MAX 3600


static volatile sig_atomic_t login_stopped;


/* What passes by itself: the server is asked again, after twice the time. */
static const char *const login_passing[] = {
    "dns",  "unreachable",          "timeout",         "closed",
    "busy", "database_unavailable", "outcome_unknown", "not_ready",
};


static int
login_passes(const err_t *err)
{
    size_t i;

    for (i = 0; i < sizeof(login_passing) / sizeof(login_passing[0]); i++) {
        if (strcmp(err->code, login_passing[i]) == 0) {
            return 1;
        }
    }

    return 0;
}


/* Waits for what the device joins by itself: the networks as they are then. */
static json_t *
login_join(client_t *client, const json_t *answer)
{
    const char *id, *name;
    err_t err;
    json_t *list = json_array(), *network, *reply;
    size_t i;

    json_array_foreach(json_object_get(answer, "networks"), i, network)
    {
        id = json_string_value(json_object_get(network, "id"));
        name = json_string_value(json_object_get(network, "name"));

        if (id == NULL || name == NULL) {
            continue;
        }

        reply = ask_daemon(client,
                           json_pack("{s:s, s:s, s:s}", "command", "join",
                                     "network_id", id, "name", name),
                           &err);
        if (reply == NULL) {
            reply = json_pack("{s:s, s:s, s:{s:s, s:s}}", "network_id", id,
                              "name", name, "join_error", "code", err.code,
                              "detail", err.text);
        }

        json_object_del(reply, "ok");
        json_array_append_new(list, reply);
    }

    return list;
}


static void
login_say_network(const json_t *network)
{
    const char *address, *why;

    address = json_string_value(json_object_get(network, "ip_address"));
    why = json_string_value(
        json_object_get(json_object_get(network, "join_error"), "detail"));

    printf("  ");
    client_print(json_string_value(json_object_get(network, "name")));
    printf("  ");
    client_print(why != NULL ? why : address != NULL ? address : "");
    printf("\n");
}


/* Gives the device what the server answered, and tells how it went. */
static int
login_done(client_t *client, const json_t *answer)
{
    const char *username;
    err_t err;
    json_t *networks, *network;
    size_t i;

    if (enroll_hand_over(client, answer, &err) == -1) {
        return client_fail(client, &err);
    }

    networks = login_join(client, answer);

    if (client_json(client,
                    json_pack("{s:s, s:O?, s:O?, s:b, s:O}", "server",
                              client->session.server.url.text, "user",
                              json_object_get(answer, "user"), "device",
                              json_object_get(answer, "device"),
                              "device_enrolled", 1, "networks", networks))) {
        json_decref(networks);
        return CLIENT_OK;
    }

    username = json_string_value(
        json_object_get(json_object_get(answer, "user"), "username"));
    printf("This device is logged in at %s as one of ",
           client->session.server.url.text);
    client_print(username != NULL ? username : "somebody");
    printf(".\n");

    json_array_foreach(networks, i, network)
    {
        login_say_network(network);
    }

    if (json_array_size(networks) == 0) {
        printf("No network was chosen for it.\n");
    }

    json_decref(networks);
    return CLIENT_OK;
}


/* 0: go on. Else the run ends with *code: it is logged in already, or failed.
 */
static int
login_begin(client_t *client, int *code)
{
    char whose[80];
    err_t err;
    int rc;

    rc = account_server(client, &err);
    if (rc == 0) {
        rc = enroll_is_free(client, whose, sizeof(whose), &err);
    }

    if (rc == -1) {
        *code = client_fail(client, &err);

    } else if (rc == 1) {
        *code = CLIENT_OK;

        if (!client_json(client,
                         json_pack("{s:s, s:{s:s}, s:b, s:b}", "server",
                                   client->session.server.url.text, "user",
                                   "username", whose, "device_enrolled", 1,
                                   "already", 1))) {
            printf("This device is logged in at %s already, as one of ",
                   client->session.server.url.text);
            client_print(whose);
            printf(".\n");
        }
    }

    return rc;
}


static int
login_key(client_t *client, char key[PROMPT_SIZE], err_t *err)
{
    if (client->key_file != NULL) {
        return prompt_file(client->key_file, key, err);
    }

    if (snprintf(key, PROMPT_SIZE, "%s", client->key) >= PROMPT_SIZE) {
        return err_set(err, "usage", "this is no enrolment key");
    }

    return 0;
}


int
login_by_key(client_t *client)
{
    char key[PROMPT_SIZE];
    err_t err;
    int code, rc;
    json_t *answer = NULL, *body;

    if (login_key(client, key, &err) == -1) {
        return client_fail(client, &err);
    }

    if (login_begin(client, &code) != 0) {
        explicit_bzero(key, sizeof(key));
        return code;
    }

    body = enroll_body(client, &err);

    if (body != NULL && json_object_set_new(body, "key", json_string(key))) {
        json_decref(body);
        body = NULL;
        err_set(&err, "usage", "this is no enrolment key");
    }

    explicit_bzero(key, sizeof(key));
    rc = body != NULL ? api_send(client, &client->session.server, NULL, "POST",
                                 "/v1/auth/enroll", body, &answer, &err)
                      : -1;
    json_decref(body);

    if (rc != 0) {
        return client_fail(client, &err);
    }

    code = login_done(client, answer);
    json_decref(answer);
    return code;
}


static void
login_stop(int signal)
{
    (void) signal;
    login_stopped = 1;
}


static void
login_on_stop(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}


static void
login_wait(int64_t ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};

    while (!login_stopped && nanosleep(&left, &left) == -1 && errno == EINTR) {
        /* void */
    }
}


static int
login_columns(void)
{
    const char *term = getenv("TERM");
    struct winsize size;

    if (!isatty(STDOUT_FILENO) || (term != NULL && strcmp(term, "dumb") == 0)) {
        return 0;
    }

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0
               ? size.ws_col
               : 80;
}


/* What the user is to do; with --json one line, before the document. */
static void
login_show(client_t *client, const json_t *asked, const char *user_code,
           const char *uri, int64_t minutes)
{
    const char *whole;
    json_t *line;

    whole =
        json_string_value(json_object_get(asked, "verification_uri_complete"));

    if (client->json) {
        line = json_copy((json_t *) asked);
        json_object_del(line, "device_code");
        json_dumpf(line, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        json_decref(line);
        printf("\n");
        fflush(stdout);
        return;
    }

    printf("To let this device in, open\n\n  ");
    client_print(uri);
    printf("\n\nand enter the code\n\n  ");
    client_print(user_code);
    printf("\n\n");

    if (whole != NULL && qr_print(stdout, whole, login_columns()) == 0) {
        printf("\n");
    }

    printf("Waiting, at most %d minutes. Ctrl-C stops.\n", (int) minutes);
    fflush(stdout);
}


/* Asks until the user has said something. 0 and the answer, or -1. */
static int
login_poll(client_t *client, const json_t *asked, json_t **answer, err_t *err)
{
    int64_t deadline, expires, interval;
    json_t *body;

    interval = json_integer_value(json_object_get(asked, "interval"));
    expires = json_integer_value(json_object_get(asked, "expires_in"));
    interval = interval < 1                    ? LOGIN_INTERVAL
               : interval > LOGIN_INTERVAL_MAX ? LOGIN_INTERVAL_MAX
                                               : interval;
    deadline = loop_now() + 1000 * (expires < 1 || expires > LOGIN_EXPIRES_MAX
                                        ? LOGIN_EXPIRES_MAX
                                        : expires);
    body = json_pack("{s:O?}", "device_code",
                     json_object_get(asked, "device_code"));

    for (;;) {
        login_wait(interval * 1000);

        if (login_stopped) {
            err_set(err, "cancelled",
                    "stopped; the code lets nobody in any more");
            break;
        }

        if (loop_now() >= deadline) {
            err_set(err, "expired_token",
                    "nobody approved this device in time; begin again");
            break;
        }

        if (api_send(client, &client->session.server, NULL, "POST",
                     "/v1/auth/device/token", body, answer, err) == 0) {
            json_decref(body);
            return 0;
        }

        if (strcmp(err->code, "slow_down") == 0) {
            interval += LOGIN_SLOWER;

        } else if (login_passes(err)) {
            interval *= 2;

        } else if (strcmp(err->code, "authorization_pending") != 0) {
            break;
        }

        if (interval > LOGIN_INTERVAL_MAX) {
            interval = LOGIN_INTERVAL_MAX;
        }
    }

    json_decref(body);
    return -1;
}


/* Asks for a code, shows it, and waits for what comes of it. */
static int
login_ask(client_t *client, json_t **answer, err_t *err)
{
    const char *uri, *user_code;
    int rc;
    json_t *asked = NULL, *body;

    body = enroll_body(client, err);
    if (body == NULL) {
        return -1;
    }

    rc = api_send(client, &client->session.server, NULL, "POST",
                  "/v1/auth/device/code", body, &asked, err);
    json_decref(body);

    if (rc != 0) {
        return -1;
    }

    user_code = json_string_value(json_object_get(asked, "user_code"));
    uri = json_string_value(json_object_get(asked, "verification_uri"));

    if (user_code == NULL || uri == NULL ||
        !json_is_string(json_object_get(asked, "device_code"))) {
        json_decref(asked);
        return err_set(err, "bad_answer", "the server sent no code");
    }

    login_on_stop(login_stop);
    login_show(client, asked, user_code, uri,
               json_integer_value(json_object_get(asked, "expires_in")) / 60);
    rc = login_poll(client, asked, answer, err);
    login_on_stop(SIG_DFL);

    json_decref(asked);
    return rc;
}


int
login_by_code(client_t *client)
{
    err_t err;
    int code;
    json_t *answer = NULL;

    if (login_begin(client, &code) != 0) {
        return code;
    }

    if (login_ask(client, &answer, &err) == -1) {
        return client_fail(client, &err);
    }

    code = login_done(client, answer);
    json_decref(answer);
    return code;
}
