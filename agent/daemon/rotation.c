#include "daemon/rotation.h"

#include "base/log.h"
#include "daemon/device.h"
#include "daemon/member.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"
#include "os/keys.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROTATION_AGAIN_MS 2000
#define ROTATION_CALL_MS 30000
#define ROTATION_LOOK_S 3600 /* the clock may be set meanwhile */
#define ROTATION_SOON_S 60
#define ROTATION_DAY_S 86400
#define ROTATION_JITTER 10 /* up to a tenth more, so that not all rotate */

static void rotation_tick(void *arg);
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


const char *
rotation_state(const member_t *member)
{
    static const char *const names[] = {"none", "announcing", "waiting",
                                        "committing"};

    return names[member->rotation.step];
}


int64_t
rotation_keyed_at(const member_t *member)
{
    return member->rotation.keyed_at;
}


int
rotation_is_committing(const member_t *member)
{
    return member->rotation.step == ROTATION_COMMITTING;
}


static void
rotation_timer(member_t *member, int64_t ms)
{
    member->rotation.armed = 1;
    loop_timer_set(member->daemon->loop, &member->rotation.timer, ms);
}


int
rotation_open(member_t *member)
{
    struct member_rotation *rotation = &member->rotation;

    rotation->others = rotations_create();
    rotation->ready = json_object();
    rotation->timer.fn = rotation_tick;
    rotation->timer.arg = member;
    backoff_init(&rotation->backoff, ROTATION_AGAIN_MS, MEMBER_AGAIN_CAP_MS);

    return rotation->others != NULL && rotation->ready != NULL ? 0 : -1;
}


static void
rotation_forget_next(struct member_rotation *rotation)
{
    key_wipe(&rotation->next_private, sizeof(rotation->next_private));
    rotation->has_next = 0;
}


static void
rotation_cancel(member_t *member)
{
    struct member_rotation *rotation = &member->rotation;

    if (rotation->asking != NULL) {
        device_call_cancel(rotation->asking);
        rotation->asking = NULL;
    }
}


void
rotation_close(member_t *member)
{
    struct member_rotation *rotation = &member->rotation;

    loop_timer_cancel(&rotation->timer);
    loop_timer_cancel(&rotation->end);
    rotation_cancel(member);
    rotation_forget_next(rotation);
    rotation->call = NULL;
    json_decref(rotation->ready);
    rotation->ready = NULL;
    rotations_destroy(rotation->others);
    rotation->others = NULL;
}


int
rotation_to_json(const member_t *member, json_t *document)
{
    char key[KEY_BASE64_SIZE];
    const struct member_rotation *rotation = &member->rotation;

    if (rotation->has_next) {
        key_to_base64(&rotation->next_private, key);

        if (json_object_set_new(document, "next_private_key",
                                json_string(key)) == -1) {
            key_wipe(key, sizeof(key));
            return -1;
        }

        key_wipe(key, sizeof(key));
    }

    return json_object_set_new(document, "keyed_at",
                               json_integer((json_int_t) rotation->keyed_at));
}


int
rotation_from_json(member_t *member, const json_t *document)
{
    struct error error;
    struct member_rotation *rotation = &member->rotation;
    const char *next = daemon_text(document, "next_private_key");

    rotation->keyed_at =
        json_integer_value(json_object_get(document, "keyed_at"));

    if (*next == '\0') {
        return 0;
    }

    if (!key_from_base64(next, &rotation->next_private) ||
        keys_public(&rotation->next_private, &rotation->next_public, &error) !=
            0) {
        rotation_forget_next(rotation);
        return -1;
    }

    rotation->has_next = 1;
    return 0;
}


int
rotation_changed(member_t *member)
{
    return rotations_set_netmap(member->rotation.others, member->map,
                                member->peer_id, member->paths,
                                (uint64_t) loop_now());
}


static void
rotation_acknowledge(member_t *member, const struct actual *actual)
{
    char key[KEY_BASE64_SIZE];
    struct rotation_ready ready;
    uplink_t *uplink = member->daemon->uplink;

    while (uplink->state == UPLINK_CONNECTED &&
           rotations_ready(member->rotation.others,
                           actual_find(actual, member->id), &ready)) {
        key_to_base64(&ready.next_key, key);
        (void) uplink_send(uplink, "rotation_ack", "rotation_ack",
                           json_pack("{s:s, s:s}", "peer_id", ready.peer_id,
                                     "next_public_key", key));
    }
}


/* Seconds until the key is due; -1: never. */
static int64_t
rotation_left(const member_t *member)
{
    int64_t period, jitter, age;
    const uint8_t *bytes = member->public_key.bytes;

    period = (int64_t) member->daemon->config->rotate_days * ROTATION_DAY_S;

    if (period == 0) {
        return -1;
    }

    /* the key's own: the same after a restart */
    jitter = (((int64_t) bytes[0] << 8) + bytes[1]) *
             (period / ROTATION_JITTER) / 65536;
    age = (int64_t) time(NULL) - member->rotation.keyed_at;
    age = age < 0 ? 0 : age;

    return age >= period + jitter ? 0 : period + jitter - age;
}


/* Our own key: when to look whether it is due. */
static void
rotation_arm(member_t *member)
{
    err_t err;
    int64_t left;
    struct member_rotation *rotation = &member->rotation;

    if (rotation->step != ROTATION_NONE || rotation->armed) {
        return;
    }

    if (rotation->keyed_at == 0) {
        rotation->keyed_at = time(NULL);

        if (member_write(member, &err) == -1) {
            log_error("network %s: %s", member->name, err.text);
        }
    }

    left = rotation_left(member);

    if (left >= 0) {
        left = left < ROTATION_SOON_S ? ROTATION_SOON_S : left;
        left = left > ROTATION_LOOK_S ? ROTATION_LOOK_S : left;
        rotation_timer(member, left * 1000);
    }
}


void
rotation_period(daemon_t *daemon)
{
    member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (member->state == MEMBER_JOINED &&
            member->rotation.step == ROTATION_NONE) {
            loop_timer_cancel(&member->rotation.timer);
            member->rotation.armed = 0;
            rotation_arm(member);
        }
    }
}


void
rotation_sync(daemon_t *daemon, const struct actual *actual)
{
    member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (member->state == MEMBER_JOINED) {
            rotation_acknowledge(member, actual);
            rotation_arm(member);
        }
    }
}


uint64_t
rotation_deadline(const daemon_t *daemon)
{
    const member_t *member;
    uint64_t at, next = UINT64_MAX;

    for (member = daemon->members; member != NULL; member = member->next) {
        at = rotations_deadline(member->rotation.others);

        if (wire_buildable(member) && at < next) {
            next = at;
        }
    }

    return next;
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


static void
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
