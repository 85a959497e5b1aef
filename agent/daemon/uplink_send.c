/* What is said to the server: subscriptions and endpoints. */

#include "daemon/uplink.h"

#include "daemon/wire_local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPLINK_ANSWER_MS 20000
#define UPLINK_PACE_MS 100 /* 20 messages a second are allowed */


int
uplink_send(uplink_t *uplink, const char *type, const char *id, json_t *data)
{
    char *text;
    int rc = -1;
    json_t *frame;

    frame = json_pack("{s:s, s:s, s:o}", "type", type, "id", id, "data", data);

    if (frame != NULL && uplink->socket != NULL) {
        text = json_dumps(frame, JSON_COMPACT);

        if (text != NULL) {
            rc = socket_send(uplink->socket, text);
            free(text);
        }
    }

    json_decref(frame);
    return rc;
}


static void
uplink_answer_expired(void *arg)
{
    uplink_lost(arg, 0, "the server does not answer");
}


static void
uplink_subscribe(uplink_t *uplink, json_t *topics)
{
    if (uplink_send(uplink, "subscribe", "subscribe",
                    json_pack("{s:o}", "topics", topics)) == -1) {
        uplink_lost(uplink, 0, "cannot send to the server");
        return;
    }

    uplink->answer.fn = uplink_answer_expired;
    uplink->answer.arg = uplink;
    loop_timer_set(uplink->daemon->loop, &uplink->answer, UPLINK_ANSWER_MS);
}


void
uplink_answered(uplink_t *uplink)
{
    loop_timer_cancel(&uplink->answer);
}


static void
uplink_ask_again(void *arg)
{
    member_t *member = arg;

    uplink_subscribe_member(member);
}


/* {"topic", "seq"} for a network: from what is known, else its netmap. */
static json_t *
uplink_topic(uplink_t *uplink, member_t *member)
{
    char topic[64];

    snprintf(topic, sizeof(topic), "network:%s", member->id);

    if (member->map != NULL && member->seq > 0 &&
        strcmp(member->epoch, uplink->epoch) == 0) {
        return json_pack("{s:s, s:I}", "topic", topic, "seq",
                         (json_int_t) member->seq);
    }

    member->awaiting = 1;
    member->resyncing = 0;
    json_decref(member->held);
    member->held = NULL;
    netmap_destroy(member->assembly);
    member->assembly = NULL;

    member->ask.fn = uplink_ask_again;
    member->ask.arg = member;
    loop_timer_set(uplink->daemon->loop, &member->ask, UPLINK_NETMAP_MS);

    return json_pack("{s:s, s:n}", "topic", topic, "seq");
}


void
uplink_subscribe_member(member_t *member)
{
    uplink_t *uplink = member->daemon->uplink;

    if (uplink->state == UPLINK_CONNECTED && member->state == MEMBER_JOINED) {
        loop_timer_cancel(&member->ask);
        uplink_subscribe(uplink,
                         json_pack("[o]", uplink_topic(uplink, member)));
        uplink_endpoints(uplink);
    }
}


void
uplink_unsubscribe_member(member_t *member)
{
    char topic[64];
    uplink_t *uplink = member->daemon->uplink;

    loop_timer_cancel(&member->ask);

    if (uplink->state == UPLINK_CONNECTED) {
        snprintf(topic, sizeof(topic), "network:%s", member->id);
        (void) uplink_send(uplink, "unsubscribe", "unsubscribe",
                           json_pack("{s:[s]}", "topics", topic));
    }
}


void
uplink_resync(member_t *member)
{
    member->seq = 0;
    member->awaiting = 1;
    member->resyncing = 1; /* what comes meanwhile is of no use */
    member->ask.fn = uplink_ask_again;
    member->ask.arg = member;
    loop_timer_set(member->daemon->loop, &member->ask,
                   (int64_t) backoff_failed(&member->backoff, daemon_random()));
}


void
uplink_subscribe_device(uplink_t *uplink)
{
    char topic[64];

    if (uplink->state == UPLINK_CONNECTED) {
        snprintf(topic, sizeof(topic), "device:%s", uplink->daemon->device.id);
        uplink_subscribe(uplink,
                         json_pack("[{s:s, s:n}]", "topic", topic, "seq"));
    }
}


void
uplink_subscribe_all(uplink_t *uplink)
{
    char topic[64];
    json_t *topics;
    member_t *member;

    snprintf(topic, sizeof(topic), "device:%s", uplink->daemon->device.id);
    topics = json_pack("[{s:s, s:n}]", "topic", topic, "seq");

    for (member = uplink->daemon->members; member != NULL;
         member = member->next) {
        if (member->state == MEMBER_JOINED) {
            json_array_append_new(topics, uplink_topic(uplink, member));
        }
    }

    uplink_subscribe(uplink, topics);
}


/* One network's endpoints, if there is one to tell of; 1 if there was. */
static int
uplink_endpoints_next(uplink_t *uplink)
{
    char *text;
    json_t *list;
    member_t *member;

    for (member = uplink->daemon->members; member != NULL;
         member = member->next) {
        if (member->state != MEMBER_JOINED) {
            continue;
        }

        list = wire_local_endpoints(uplink->daemon, member);
        text = json_dumps(list, JSON_COMPACT);

        if (text == NULL || strcmp(text, member->endpoints) == 0) {
            free(text);
            json_decref(list);
            continue;
        }

        snprintf(member->endpoints, sizeof(member->endpoints), "%s", text);
        free(text);
        (void) uplink_send(uplink, "endpoints", "endpoints",
                           json_pack("{s:s, s:o}", "network_id", member->id,
                                     "endpoints", list));
        return 1;
    }

    return 0;
}


static void
uplink_endpoints_tick(void *arg)
{
    uplink_t *uplink = arg;

    if (uplink->state == UPLINK_CONNECTED && uplink_endpoints_next(uplink)) {
        uplink_endpoints(uplink);
    }
}


void
uplink_endpoints(uplink_t *uplink)
{
    if (uplink->state == UPLINK_CONNECTED) {
        uplink->endpoints.fn = uplink_endpoints_tick;
        uplink->endpoints.arg = uplink;
        loop_timer_set(uplink->daemon->loop, &uplink->endpoints,
                       UPLINK_PACE_MS);
    }
}
