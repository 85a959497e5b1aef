#include "daemon/rotation_parts.h"

#include "base/log.h"
#include "daemon/device.h"
#include "daemon/member.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"
#include "os/keys.h"

#include <string.h>
#include <time.h>

#define ROTATION_SOON_S 60
#define ROTATION_DAY_S 86400
#define ROTATION_JITTER 10 /* up to a tenth more, so that not all rotate */


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


void
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


void
rotation_forget_next(struct member_rotation *rotation)
{
    key_wipe(&rotation->next_private, sizeof(rotation->next_private));
    rotation->has_next = 0;
}


void
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


int64_t
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


void
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
