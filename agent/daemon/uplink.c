#define _GNU_SOURCE /* explicit_bzero */

#include "daemon/uplink.h"
#include "daemon/exits.h"

#include "base/log.h"
#include "daemon/device.h"
#include "daemon/frame.h"
#include "daemon/member.h"
#include "daemon/service.h"
#include "daemon/subnets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UPLINK_HELLO_MS 15000
#define UPLINK_FIRST_MS 1000
#define UPLINK_CAP_MS 30000
#define UPLINK_LASTED_MS 5000    /* a connection that lasted resets waiting */
#define UPLINK_RESTART_MS 2000   /* 1012: the server comes back */
#define UPLINK_TOLD_MAX 600      /* seconds that a server may have us wait */
#define UPLINK_REPLACED_MS 60000 /* 4009: somebody else is this device */

/* Close codes: docs/protocol.md, Limits and close codes. */
enum {
    UPLINK_CLOSE_RESTART = 1012,
    UPLINK_CLOSE_TOKEN = 4001,
    UPLINK_CLOSE_REVOKED = 4003,
    UPLINK_CLOSE_SLOW = 4008,
    UPLINK_CLOSE_REPLACED = 4009
};

static void uplink_connect(uplink_t *uplink);


static void
uplink_set_state(uplink_t *uplink, uplink_state_t state)
{
    if (uplink->state != state) {
        uplink->state = state;
        log_info("control connection: %s", uplink_state_name(uplink));
    }

    service_tell(uplink->daemon); /* the problem may be another one */
}


const char *
uplink_state_name(const uplink_t *uplink)
{
    switch (uplink->state) {
    case UPLINK_OFF:
        return "logged_out";
    case UPLINK_CONNECTING:
        return "connecting";
    case UPLINK_CONNECTED:
        return "connected";
    case UPLINK_WAITING:
        return "waiting";
    case UPLINK_REFUSED:
        return "refused";
    }

    return "";
}


static void
uplink_drop(uplink_t *uplink)
{
    loop_timer_cancel(&uplink->timer);
    loop_timer_cancel(&uplink->endpoints);
    loop_timer_cancel(&uplink->answer);
    loop_timer_cancel(&uplink->self);
    loop_timer_cancel(&uplink->paths);

    if (uplink->token != NULL) {
        device_call_cancel(uplink->token);
        uplink->token = NULL;
    }

    if (uplink->socket != NULL) {
        socket_close(uplink->socket);
        uplink->socket = NULL;
    }
}


/* What was told of others' presence is state of a connection. */
static void
uplink_forget_presence(daemon_t *daemon)
{
    member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        json_object_clear(member->online);
        member->endpoints[0] = '\0';
        member->awaiting = 0;
        member->resyncing = 0;
        loop_timer_cancel(&member->ask);
    }
}


void
uplink_stop(uplink_t *uplink, uplink_state_t state, const char *why)
{
    uplink_drop(uplink);
    uplink_forget_presence(uplink->daemon);
    snprintf(uplink->problem, sizeof(uplink->problem), "%s",
             why != NULL ? why : "");
    uplink_set_state(uplink, state);

    if (why != NULL) {
        log_warn("control connection: %s", why);
    }
}


static void
uplink_again(void *arg)
{
    uplink_connect(arg);
}


/* The first try after a connection that worked comes at once. */
static int64_t
uplink_delay(uplink_t *uplink, unsigned code)
{
    uint32_t random = daemon_random();

    if (uplink->connected_at != 0 &&
        loop_now() - uplink->connected_at > UPLINK_LASTED_MS) {
        backoff_reset(&uplink->backoff);
        uplink->failures = 0;
    }

    uplink->connected_at = 0;
    uplink->failures++;

    if (code == UPLINK_CLOSE_REPLACED) {
        return UPLINK_REPLACED_MS + random % UPLINK_REPLACED_MS;
    }

    /* seconds are coarse for thousands who were told the same */
    if (uplink->told_s >= 0) {
        return (int64_t) uplink->told_s * 1000 + random % 1000;
    }

    if (code == UPLINK_CLOSE_RESTART && uplink->failures == 1) {
        return UPLINK_RESTART_MS / 4 + random % UPLINK_RESTART_MS;
    }

    if (uplink->failures == 1) {
        return random % 200;
    }

    return (int64_t) backoff_failed(&uplink->backoff, random);
}


static void
uplink_lost_for(uplink_t *uplink, unsigned code, const char *why,
                int64_t at_least)
{
    int64_t delay;

    uplink_drop(uplink);
    uplink_forget_presence(uplink->daemon);
    snprintf(uplink->problem, sizeof(uplink->problem), "%s", why);

    delay = uplink_delay(uplink, code);

    if (delay < at_least) {
        delay = at_least;
    }

    log_info("control connection: %s; trying again in %lld ms", why,
             (long long) delay);

    uplink_set_state(uplink, UPLINK_WAITING);
    uplink->timer.fn = uplink_again;
    uplink->timer.arg = uplink;
    loop_timer_set(uplink->daemon->loop, &uplink->timer, delay);
}


void
uplink_lost(uplink_t *uplink, unsigned code, const char *why)
{
    uplink_lost_for(uplink, code, why, 0);
}


static void
uplink_opened(void *arg)
{
    (void) arg; /* hello is what counts */
}


static void
uplink_message(void *arg, const char *text, size_t len)
{
    frame_receive(arg, text, len);
}


static void
uplink_closed(void *arg, unsigned code, const err_t *err)
{
    uplink_t *uplink = arg;
    unsigned last = uplink->last_code;

    uplink->socket = NULL;
    uplink->last_code = code;

    if (code == UPLINK_CLOSE_REVOKED) {
        uplink_stop(uplink, UPLINK_REFUSED,
                    "the server has revoked this device: goconnect login");
        return;
    }

    if (code == UPLINK_CLOSE_TOKEN) {
        device_token_refused(uplink->daemon);

        /* a fresh token first, without waiting; a second time in a row waits */
        if (last != UPLINK_CLOSE_TOKEN) {
            uplink_forget_presence(uplink->daemon);
            uplink_connect(uplink);
            return;
        }
    }

    uplink_lost(uplink, code, err->text);
}


static const socket_callbacks_t uplink_callbacks = {
    uplink_opened, uplink_message, uplink_closed};


static void
uplink_hello_expired(void *arg)
{
    uplink_lost(arg, 0, "the server said no hello");
}


static void
uplink_token(void *arg, const http_answer_t *answer)
{
    char *path;
    size_t size;
    uplink_t *uplink = arg;
    daemon_t *daemon = uplink->daemon;

    uplink->token = NULL;

    if (answer->status == 401 ||
        (answer->status == 0 &&
         strcmp(answer->err.code, "not_logged_in") == 0)) {
        uplink_stop(
            uplink, UPLINK_REFUSED,
            "the server no longer accepts this device: goconnect login");
        return;
    }

    if (answer->status != 200) {
        uplink_lost_for(uplink, 0, answer->err.text,
                        (int64_t) answer->retry_after_s * 1000);
        return;
    }

    size = strlen(daemon->device.access_token) + 32;
    path = malloc(size);

    if (path != NULL) {
        snprintf(path, size, "/v1/ws?token=%s", daemon->device.access_token);
        uplink->socket = socket_open(daemon->loop, &daemon->device.server, path,
                                     &uplink_callbacks, uplink);
        explicit_bzero(path, size);
        free(path);
    }

    if (uplink->socket == NULL) {
        uplink_lost(uplink, 0, "out of memory");
        return;
    }

    uplink->timer.fn = uplink_hello_expired;
    uplink->timer.arg = uplink;
    loop_timer_set(daemon->loop, &uplink->timer,
                   SOCKET_CONNECT_MS + UPLINK_HELLO_MS);
}


static void
uplink_connect(uplink_t *uplink)
{
    uplink_drop(uplink);
    uplink->told_s = -1;
    uplink_set_state(uplink, UPLINK_CONNECTING);

    uplink->token =
        device_call(uplink->daemon, NULL, NULL, NULL, uplink_token, uplink);
    if (uplink->token == NULL) {
        uplink_lost(uplink, 0, "out of memory");
    }
}


void
uplink_start(uplink_t *uplink)
{
    err_t err;
    daemon_t *daemon = uplink->daemon;

    if (!daemon->device.enrolled) {
        uplink_stop(uplink, UPLINK_OFF, NULL);
        return;
    }

    if (url_check_secure(&daemon->device.server.url, daemon->config->insecure,
                         &err) == -1) {
        uplink_stop(uplink, UPLINK_REFUSED, err.text);
        return;
    }

    uplink->failures = 0;
    uplink->last_code = 0;
    backoff_reset(&uplink->backoff);
    uplink_connect(uplink);
}


void
uplink_told(uplink_t *uplink, json_int_t seconds)
{
    if (seconds >= 0) {
        uplink->told_s =
            seconds < UPLINK_TOLD_MAX ? (int) seconds : UPLINK_TOLD_MAX;
    }
}


void
uplink_nudge(uplink_t *uplink)
{
    if (uplink->socket != NULL && socket_stranded(uplink->socket)) {
        uplink_lost(uplink, 0, "the address that it came from is gone");

    } else if (uplink->state == UPLINK_CONNECTED) {
        uplink_endpoints(uplink);

    } else if (uplink->state == UPLINK_WAITING &&
               uplink->last_code != UPLINK_CLOSE_REPLACED &&
               uplink->told_s < 0) {
        loop_timer_set(uplink->daemon->loop, &uplink->timer,
                       500 + daemon_random() % 500);
    }
}


void
uplink_woke(uplink_t *uplink, int64_t slept_ms)
{
    if (uplink->state == UPLINK_CONNECTED && slept_ms > SOCKET_DEAD_S * 1000) {
        uplink_lost(uplink, 0, "this machine was asleep");

    } else {
        uplink_nudge(uplink);
    }
}


void
uplink_hello(uplink_t *uplink, const json_t *data)
{
    member_t *member;

    if (uplink->state == UPLINK_CONNECTED) {
        return;
    }

    loop_timer_cancel(&uplink->timer);
    uplink->connected_at = loop_now();
    uplink->problem[0] = '\0';
    snprintf(uplink->session_id, sizeof(uplink->session_id), "%s",
             daemon_text(data, "session_id"));
    snprintf(uplink->epoch, sizeof(uplink->epoch), "%s",
             daemon_text(data, "epoch"));

    if (json_is_integer(json_object_get(data, "epoch"))) {
        snprintf(uplink->epoch, sizeof(uplink->epoch), "%" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(data, "epoch")));
    }

    uplink_set_state(uplink, UPLINK_CONNECTED);
    exits_connected(uplink->daemon);
    uplink_subscribe_all(uplink);

    for (member = uplink->daemon->members; member != NULL;
         member = member->next) {
        if (member->state == MEMBER_JOINING) {
            member_post(member);
        }
    }

    uplink_endpoints(uplink);
    uplink_paths(uplink);
    subnets_tell(uplink->daemon);
}


static void
uplink_self_again(void *arg)
{
    uplink_subscribe_device(arg);
}


uplink_t *
uplink_create(daemon_t *daemon)
{
    uplink_t *uplink = calloc(1, sizeof(*uplink));

    if (uplink == NULL) {
        return NULL;
    }

    uplink->daemon = daemon;
    uplink->told_s = -1;
    uplink->self.fn = uplink_self_again;
    uplink->self.arg = uplink;
    backoff_init(&uplink->backoff, UPLINK_FIRST_MS, UPLINK_CAP_MS);
    return uplink;
}


void
uplink_destroy(uplink_t *uplink)
{
    uplink_drop(uplink);
    free(uplink);
}
