/* Joining: a key of its own, told to the server, and whoever waits for it. */

#include "daemon/member.h"

#include "base/log.h"
#include "daemon/device.h"
#include "daemon/rotation.h"
#include "daemon/subnets.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"
#include "daemon/wire_local.h"

#include <stdio.h>


member_t *
member_join(daemon_t *daemon, const char *id, const char *name, err_t *err)
{
    member_t *member;
    struct error error;

    if (daemon->member_count == DAEMON_MEMBERS_MAX) {
        err_set(err, "busy", "a device can be in %d networks",
                DAEMON_MEMBERS_MAX);
        return NULL;
    }

    member = member_create(daemon, id);
    if (member == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    snprintf(member->name, sizeof(member->name), "%s", name);
    member_new_port(member);

    if (keys_generate(&member->private_key, &member->public_key, &error) != 0) {
        daemon_error(err, "failed", &error);
        member_free(member);
        return NULL;
    }

    /* on disk before the server learns of it: no key is lost by a crash */
    if (member_write(member, err) == -1) {
        member_free(member);
        return NULL;
    }

    member_post(member);
    return member;
}


static void
member_waiting_end(void *arg)
{
    err_t err;
    member_t *member = arg;
    control_call_t *call = member->waiting;

    if (call == NULL) {
        return;
    }

    member->waiting = NULL;

    if (member->state == MEMBER_JOINED) {
        err_set(&err, "interface",
                "joined, but the interface is not up yet: %s",
                member->problem[0] != '\0' ? member->problem
                                           : "see goconnect status");

    } else {
        err_set(&err, "timeout", "the server has not answered yet: %s",
                member->problem[0] != '\0' ? member->problem
                                           : "goconnectd goes on trying");
    }

    control_fail(call, &err);
}


void
member_joined(member_t *member)
{
    control_call_t *call = member->waiting;

    if (call == NULL) {
        return;
    }

    member->waiting = NULL;
    loop_timer_cancel(&member->waiting_end);
    control_reply(call, member_describe(member));
}


void
member_wait(member_t *member, control_call_t *call)
{
    member->waiting = call;
    member->waiting_end.fn = member_waiting_end;
    member->waiting_end.arg = member;
    loop_timer_set(member->daemon->loop, &member->waiting_end, MEMBER_JOIN_MS);
}


void
member_fail(member_t *member, const err_t *err)
{
    control_call_t *call = member->waiting;

    if (call == NULL) {
        return;
    }

    member->waiting = NULL;
    loop_timer_cancel(&member->waiting_end);
    control_fail(call, err);
}


static void
member_post_again(void *arg)
{
    member_post(arg);
}


/* The server's answer to POST peers. */
static void
member_posted(void *arg, const http_answer_t *answer)
{
    err_t err;
    int64_t delay;
    member_t *member = arg;
    json_t *peer;

    member->posting = NULL;

    if (answer->status == 200 || answer->status == 201) {
        peer = json_object_get(answer->json, "peer");
        (void) member_addresses(member,
                                json_is_object(peer) ? peer : answer->json);
        member->state = MEMBER_JOINED;
        member->joined_at = loop_now();
        member->problem[0] = '\0';
        backoff_reset(&member->backoff);

        if (member_write(member, &err) == -1) {
            log_error("network %s: %s", member->name, err.text);
        }

        /* `self` may have come before this answer and have done so */
        if (member->map == NULL && !member->awaiting) {
            uplink_subscribe_member(member);
        }

        wire_sync(member->daemon);
        return;
    }

    snprintf(member->problem, sizeof(member->problem), "%.319s",
             answer->err.text);

    if (answer->status >= 400 && answer->status < 500 &&
        answer->status != 401 && answer->status != 429) {
        log_warn("network %s: the server refused: %s", member->name,
                 answer->err.text);
        member_fail(member, &answer->err);

        if (member->state == MEMBER_JOINING) {
            member_forget(member);
        }

        return;
    }

    log_warn("network %s: cannot join yet: %s", member->name, answer->err.text);
    delay = (int64_t) backoff_failed(&member->backoff, daemon_random());

    if (delay < (int64_t) answer->retry_after_s * 1000) {
        delay = (int64_t) answer->retry_after_s * 1000;
    }

    member->again.fn = member_post_again;
    member->again.arg = member;
    loop_timer_set(member->daemon->loop, &member->again, delay);
}


void
member_post(member_t *member)
{
    char key[KEY_BASE64_SIZE], path[80];

    /* said now, the old key would take the place of one just committed */
    if (member->posting != NULL || rotation_is_committing(member)) {
        return;
    }

    loop_timer_cancel(&member->again);
    key_to_base64(&member->public_key, key);
    snprintf(path, sizeof(path), "/v1/networks/%s/peers", member->id);

    member->posting =
        device_call(member->daemon, "POST", path,
                    json_pack("{s:s, s:o, s:o}", "public_key", key, "endpoints",
                              wire_local_endpoints(member->daemon, member),
                              "subnets", subnets_list(member->daemon)),
                    member_posted, member);
}
