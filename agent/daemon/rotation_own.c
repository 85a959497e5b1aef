/* This device's own key changes: announced, waited for, committed. */

#include "daemon/rotation_parts.h"

#include "base/log.h"
#include "daemon/device.h"
#include "daemon/member.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"
#include "os/keys.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROTATION_CALL_MS 30000

static void rotation_ask(member_t *member);


/* Every change of how far our own rotation is comes through this. */
static void
rotation_set_step(member_t *member, rotation_step_t step)
{
    struct member_rotation *rotation = &member->rotation;

    rotation->step = step;
    rotation->armed = 0;
    loop_timer_cancel(&rotation->timer);
    log_debug("network %s: rotation: %s", member->name, rotation_state(member));
}


static control_call_t *
rotation_end_call(member_t *member)
{
    control_call_t *call = member->rotation.call;

    loop_timer_cancel(&member->rotation.end);
    member->rotation.call = NULL;
    return call;
}


void
rotation_fail(member_t *member, const err_t *err)
{
    control_call_t *call = rotation_end_call(member);

    if (call != NULL) {
        control_fail(call, err);
    }
}


/* The server has the next key for ours: so have we, on disk first. */
static void
rotation_adopt(member_t *member)
{
    char key[KEY_BASE64_SIZE];
    control_call_t *call;
    err_t err;
    struct member_rotation *rotation = &member->rotation;

    rotation_cancel(member);
    rotation_set_step(member, ROTATION_NONE);
    member->private_key = rotation->next_private;
    member->public_key = rotation->next_public;
    rotation->keyed_at = time(NULL);
    rotation_forget_next(rotation);
    backoff_reset(&rotation->backoff);

    /* what is on disk still has it as the next one, which `self` corrects */
    if (member_write(member, &err) == -1) {
        log_error("network %s: %s", member->name, err.text);
    }

    log_info("network %s: this device has a new key", member->name);

    /* a new private key ends sending on the old sessions: begin new ones */
    wire_look(member->daemon);
    paths_wake(member->paths);
    (void) wire_sync_now(member->daemon, NULL);

    call = rotation_end_call(member);

    if (call != NULL) {
        key_to_base64(&member->public_key, key);
        control_reply(call, json_pack("{s:s, s:s, s:s, s:I}", "network_id",
                                      member->id, "name", member->name,
                                      "public_key", key, "keyed_at",
                                      (json_int_t) rotation->keyed_at));
    }
}


/* It is refused: the key stays what it is. */
static void
rotation_give_up(member_t *member, const err_t *why)
{
    err_t err;
    struct member_rotation *rotation = &member->rotation;

    log_warn("network %s: its key is not changed: %s", member->name, why->text);
    rotation_set_step(member, ROTATION_NONE);
    rotation_forget_next(rotation);
    backoff_reset(&rotation->backoff);

    if (member_write(member, &err) == -1) {
        log_error("network %s: %s", member->name, err.text);
    }

    rotation_fail(member, why);
    rotation_timer(member, (int64_t) ROTATION_LOOK_S * 1000);
}


/* Whether everybody is ready who is there. */
static int
rotation_all_ready(const member_t *member)
{
    const struct netmap_peer *peer;
    const char *online;
    size_t i;

    for (i = 0; member->map != NULL && i < member->map->peer_count; i++) {
        peer = &member->map->peers[i];

        if (peer->agentless || strcmp(peer->id, member->peer_id) == 0 ||
            json_object_get(member->rotation.ready, peer->id) != NULL) {
            continue;
        }

        online = json_string_value(json_object_get(member->online, peer->id));

        if (online != NULL ? strcmp(online, "online") == 0
                           : paths_active(member->paths, &peer->public_key)) {
            return 0;
        }
    }

    return 1;
}


static void
rotation_commit(member_t *member)
{
    rotation_set_step(member, ROTATION_COMMITTING);
    rotation_ask(member);
}


static void
rotation_wait(member_t *member)
{
    rotation_set_step(member, ROTATION_WAITING);

    if (rotation_all_ready(member)) {
        rotation_commit(member);
        return;
    }

    rotation_timer(member, ROTATION_READY_MS);
}


void
rotation_ready(member_t *member, const json_t *data)
{
    char key[KEY_BASE64_SIZE];
    const char *id = daemon_text(data, "from_peer_id");
    struct member_rotation *rotation = &member->rotation;

    /* the first may come before the answer to the announcement does */
    if (rotation->step == ROTATION_NONE || !rotation->has_next ||
        member->map == NULL || netmap_find(member->map, id) == NULL) {
        return;
    }

    key_to_base64(&rotation->next_public, key);

    if (strcmp(key, daemon_text(data, "next_public_key")) != 0) {
        return;
    }

    json_object_set_new(rotation->ready, id, json_true());

    if (rotation->step == ROTATION_WAITING && rotation_all_ready(member)) {
        rotation_commit(member);
    }
}


/* Refused for good; what may be otherwise in a while is asked again. */
static int
rotation_is_refused(const http_answer_t *answer)
{
    return answer->status >= 400 && answer->status < 500 &&
           answer->status != 401 && answer->status != 408 &&
           answer->status != 429;
}


static void
rotation_asked(void *arg, const http_answer_t *answer)
{
    int64_t delay;
    member_t *member = arg;
    struct member_rotation *rotation = &member->rotation;

    rotation->asking = NULL;

    if (answer->status == 200) {
        backoff_reset(&rotation->backoff);

        if (rotation->step == ROTATION_COMMITTING) {
            rotation_adopt(member);

        } else {
            rotation_wait(member);
        }

        return;
    }

    /* it may be in use by ourselves, by a commit whose answer was lost */
    if (rotation->step == ROTATION_ANNOUNCING && answer->status == 409 &&
        strcmp(answer->err.code, "key_in_use") == 0) {
        rotation_commit(member);
        return;
    }

    if (rotation_is_refused(answer)) {
        rotation_give_up(member, &answer->err);
        return;
    }

    log_warn("network %s: its key cannot be changed yet: %s", member->name,
             answer->err.text);
    delay = (int64_t) backoff_failed(&rotation->backoff, daemon_random());

    if (delay < (int64_t) answer->retry_after_s * 1000) {
        delay = (int64_t) answer->retry_after_s * 1000;
    }

    rotation_timer(member, delay);
}


/* Announces or commits, as the step is; either may be said again. */
static void
rotation_ask(member_t *member)
{
    char key[KEY_BASE64_SIZE], path[80];
    struct member_rotation *rotation = &member->rotation;

    key_to_base64(&rotation->next_public, key);
    snprintf(path, sizeof(path), "/v1/peers/%s/rotate%s", member->peer_id,
             rotation->step == ROTATION_COMMITTING ? "/commit" : "");
    rotation_cancel(member);
    rotation->asking = device_call(member->daemon, "POST", path,
                                   json_pack("{s:s}", "public_key", key),
                                   rotation_asked, member);

    if (rotation->asking == NULL) {
        rotation_timer(member, ROTATION_AGAIN_MS);
    }
}


static void
rotation_announce(member_t *member)
{
    json_object_clear(member->rotation.ready);
    rotation_set_step(member, ROTATION_ANNOUNCING);
    rotation_ask(member);
}


/* The next key is on disk before anybody hears of it. */
static int
rotation_begin(member_t *member, err_t *err)
{
    struct error error;
    struct member_rotation *rotation = &member->rotation;

    if (!rotation->has_next) {
        if (keys_generate(&rotation->next_private, &rotation->next_public,
                          &error) != 0) {
            return daemon_error(err, "failed", &error);
        }

        rotation->has_next = 1;

        if (member_write(member, err) == -1) {
            rotation_forget_next(rotation);
            return -1;
        }
    }

    rotation_announce(member);
    return 0;
}


/* Whether a rotation can begin: none without the control connection. */
static int
rotation_possible(const member_t *member, err_t *err)
{
    if (member->state != MEMBER_JOINED || member->map == NULL ||
        !member->live) {
        return err_set(err, "interface", "the network is not up: goconnect up");
    }

    if (member->daemon->uplink->state != UPLINK_CONNECTED) {
        return err_set(err, "unreachable",
                       "no key is changed without the server, which cannot be "
                       "reached: see goconnect status");
    }

    return 0;
}


void
rotation_tick(void *arg)
{
    err_t err;
    member_t *member = arg;

    member->rotation.armed = 0;

    switch (member->rotation.step) {
    case ROTATION_NONE:
        if (rotation_left(member) == 0 &&
            rotation_possible(member, &err) == 0 &&
            rotation_begin(member, &err) == -1) {
            log_error("network %s: %s", member->name, err.text);
        }

        rotation_arm(member);
        return;

    case ROTATION_ANNOUNCING:
    case ROTATION_COMMITTING:
        rotation_ask(member);
        return;

    case ROTATION_WAITING:
        log_info("network %s: not all are ready for the new key: going on",
                 member->name);
        rotation_commit(member);
        return;
    }
}


int
rotation_self(member_t *member, const char *public_key)
{
    char key[KEY_BASE64_SIZE];
    struct member_rotation *rotation = &member->rotation;

    if (rotation->has_next) {
        key_to_base64(&rotation->next_public, key);

        if (strcmp(key, public_key) == 0) {
            rotation_adopt(member);
            return 1;
        }
    }

    key_to_base64(&member->public_key, key);

    if (strcmp(key, public_key) != 0) {
        return 0;
    }

    /* killed between announcement and commit */
    if (rotation->has_next && rotation->step == ROTATION_NONE &&
        member->state == MEMBER_JOINED) {
        rotation_announce(member);
    }

    return 1;
}


static void
rotation_late(void *arg)
{
    err_t err;

    err_set(&err, "timeout",
            "the key is not changed yet; goconnectd goes on trying");
    rotation_fail(arg, &err);
}


void
rotation_rotate(member_t *member, control_call_t *call)
{
    err_t err;
    struct member_rotation *rotation = &member->rotation;

    if (rotation->call != NULL || rotation->step != ROTATION_NONE) {
        err_set(&err, "busy", "this key is being changed already");
        control_fail(call, &err);
        return;
    }

    if (rotation_possible(member, &err) == -1 ||
        rotation_begin(member, &err) == -1) {
        control_fail(call, &err);
        return;
    }

    rotation->call = call;
    rotation->end.fn = rotation_late;
    rotation->end.arg = member;
    loop_timer_set(member->daemon->loop, &rotation->end, ROTATION_CALL_MS);
}
