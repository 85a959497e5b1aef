#include "daemon/frame.h"
#include "daemon/routes.h"

#include "base/log.h"
#include "core/gc_json.h"
#include "core/gc_uuid.h"
#include "daemon/member.h"
#include "daemon/rotation.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"

#include <stdio.h>
#include <string.h>

#define FRAME_DEPTH 32

typedef void (*frame_handler_pt)(uplink_t *uplink, json_t *frame, json_t *data);

static void frame_hello(uplink_t *uplink, json_t *frame, json_t *data);
static void frame_ok(uplink_t *uplink, json_t *frame, json_t *data);
static void frame_error(uplink_t *uplink, json_t *frame, json_t *data);
static void frame_netmap(uplink_t *uplink, json_t *frame, json_t *data);
static void frame_event(uplink_t *uplink, json_t *frame, json_t *data);
static void frame_self(uplink_t *uplink, json_t *frame, json_t *data);
static void frame_peer_status(uplink_t *uplink, json_t *frame, json_t *data);
static void frame_rotation_ack(uplink_t *uplink, json_t *frame, json_t *data);
static void frame_revoked(uplink_t *uplink, json_t *frame, json_t *data);
static void frame_resync(uplink_t *uplink, json_t *frame, json_t *data);

static const struct {
    const char *type;
    frame_handler_pt handler;
} frame_types[] = {
    {"hello", frame_hello},
    {"ok", frame_ok},
    {"error", frame_error},
    {"netmap", frame_netmap},
    {"netmap_delta", frame_event},
    {"chat_message", frame_event},
    {"member", frame_event},
    {"network", frame_event},
    {"self", frame_self},
    {"peer_status", frame_peer_status},
    {"revoked", frame_revoked},
    {"resync", frame_resync},
    {"rotation_ack", frame_rotation_ack},
};


static json_int_t
frame_seq(const json_t *frame)
{
    return json_integer_value(json_object_get(frame, "seq"));
}


/* The member of the frame's topic network:ID, or NULL. */
static member_t *
frame_member(uplink_t *uplink, const json_t *frame)
{
    const char *topic = daemon_text(frame, "topic");

    if (strncmp(topic, "network:", 8) != 0) {
        return NULL;
    }

    return member_find(uplink->daemon, topic + 8);
}


static void
frame_hello(uplink_t *uplink, json_t *frame, json_t *data)
{
    json_int_t version;

    (void) frame;

    version = json_integer_value(json_object_get(data, "version"));

    if (version != 1) {
        log_warn("the server speaks version %lld of the protocol, not 1",
                 (long long) version);
    }

    uplink_hello(uplink, data);
}


static void
frame_ok(uplink_t *uplink, json_t *frame, json_t *data)
{
    json_t *refused;
    member_t *member;
    size_t i;

    if (strcmp(daemon_text(frame, "id"), "subscribe") != 0) {
        return;
    }

    uplink_answered(uplink);

    json_array_foreach(json_object_get(data, "refused"), i, refused)
    {
        log_warn("the server refused %s: %s", daemon_text(refused, "topic"),
                 daemon_text(refused, "code"));

        /* `self`, which follows, says whether we are still in it */
        member = frame_member(uplink, refused);

        if (member != NULL) {
            member->awaiting = 0;
            member->resyncing = 0;
            loop_timer_cancel(&member->ask);
            snprintf(member->problem, sizeof(member->problem),
                     "the server refuses this network: %s",
                     daemon_text(refused, "code"));
        }
    }
}


static void
frame_error(uplink_t *uplink, json_t *frame, json_t *data)
{
    log_warn("the server says: %s (%s)%s%s", daemon_text(data, "detail"),
             daemon_text(data, "code"),
             *daemon_text(frame, "id") != '\0' ? ", to " : "",
             daemon_text(frame, "id"));

    if (strcmp(daemon_text(frame, "id"), "subscribe") == 0) {
        uplink_answered(uplink);
    }

    if (*daemon_text(frame, "id") == '\0' &&
        json_is_integer(json_object_get(data, "retry_after"))) {
        uplink_told(uplink,
                    json_integer_value(json_object_get(data, "retry_after")));
    }
}


static void
frame_resync_member(member_t *member, const char *why)
{
    log_info("network %s: fetching the netmap afresh: %s", member->name, why);
    netmap_destroy(member->assembly);
    member->assembly = NULL;
    uplink_resync(member);
}


static void
frame_held(uplink_t *uplink, member_t *member)
{
    json_t *frame, *held = member->held;
    size_t i;

    member->held = NULL;

    json_array_foreach(held, i, frame)
    {
        frame_event(uplink, frame, json_object_get(frame, "data"));
    }

    json_decref(held);
}


static void
frame_netmap_done(uplink_t *uplink, member_t *member, json_int_t seq)
{
    netmap_destroy(member->map);
    member->map = member->assembly;
    member->assembly = NULL;
    member->seq = seq > 0 ? seq : member->map->version;
    snprintf(member->epoch, sizeof(member->epoch), "%s", uplink->epoch);
    member->awaiting = 0;
    member->problem[0] = '\0';
    loop_timer_cancel(&member->ask);
    backoff_reset(&member->backoff);

    log_info("network %s: netmap at version %lld, %zu peers", member->map->name,
             (long long) member->map->version, member->map->peer_count);

    member_changed(member);
    frame_held(uplink, member);
}


static void
frame_netmap(uplink_t *uplink, json_t *frame, json_t *data)
{
    member_t *member;
    struct error error = {.text = "parts do not fit together"};

    member = member_find(uplink->daemon, daemon_text(data, "network_id"));

    if (member == NULL || member->state != MEMBER_JOINED || member->resyncing) {
        return;
    }

    switch (netmap_part(&member->assembly, data, &error)) {
    case NETMAP_DONE:
        frame_netmap_done(uplink, member, frame_seq(frame));
        return;

    case NETMAP_MORE:
        member->awaiting = 1;
        loop_timer_set(uplink->daemon->loop, &member->ask, UPLINK_NETMAP_MS);
        return;

    case NETMAP_STALE:
        return;

    case NETMAP_RESYNC:
    case NETMAP_INVALID:
        snprintf(member->problem, sizeof(member->problem),
                 "the server's netmap: %.200s", error.text);
        frame_resync_member(member, error.text);
        return;
    }
}


static void
frame_delta(member_t *member, json_int_t seq, json_t *data)
{
    struct error error = {.text = "a change does not fit"};

    switch (netmap_delta(member->map, data, &error)) {
    case NETMAP_DONE:
        log_debug("network %s: version %lld", member->name,
                  (long long) member->map->version);
        member->seq = seq;
        member_changed(member);
        return;

    case NETMAP_MORE:
    case NETMAP_STALE:
        member->seq = seq;
        return;

    case NETMAP_RESYNC:
    case NETMAP_INVALID:
        frame_resync_member(member, error.text);
        return;
    }
}


static void
frame_hold(member_t *member, json_t *frame)
{
    if (member->held == NULL) {
        member->held = json_array();
    }

    if (json_array_size(member->held) < MEMBER_HELD_MAX) {
        json_array_append(member->held, frame);
        return;
    }

    json_decref(member->held);
    member->held = NULL;
    frame_resync_member(member, "too much happened meanwhile");
}


/* An event with a seq on a network's topic; only some change the netmap. */
static void
frame_event(uplink_t *uplink, json_t *frame, json_t *data)
{
    json_int_t seq = frame_seq(frame);
    member_t *member = frame_member(uplink, frame);

    if (member == NULL || member->state != MEMBER_JOINED || seq <= 0 ||
        member->resyncing) {
        return;
    }

    if (member->awaiting) {
        frame_hold(member, frame);
        return;
    }

    if (member->map == NULL || seq <= member->seq) {
        return;
    }

    if (seq > member->seq + 1) {
        log_info("network %s: event %lld came after %lld: asking for what is "
                 "missing",
                 member->name, (long long) seq, (long long) member->seq);
        uplink_subscribe_member(member);
        return;
    }

    if (strcmp(daemon_text(frame, "type"), "netmap_delta") == 0) {
        frame_delta(member, seq, data);
        return;
    }

    member->seq = seq;
}


static void
frame_self_peer(uplink_t *uplink, const json_t *peer)
{
    const char *id = daemon_text(peer, "network_id");
    err_t err;
    int joining;
    member_t *member;

    if (!gc_uuid_valid(id, strlen(id))) {
        return;
    }

    member = member_find(uplink->daemon, id);

    if (member == NULL) {
        /* our record was lost: a new key takes the old one's place */
        if (member_join(uplink->daemon, id, id, &err) == NULL) {
            log_error("network %s: %s", id, err.text);
        }

        return;
    }

    if (!rotation_self(member, daemon_text(peer, "public_key"))) {
        member_post(member);
        return;
    }

    joining = member->state == MEMBER_JOINING;

    if (member_addresses(member, peer) || joining) {
        member->state = MEMBER_JOINED;

        if (member_write(member, &err) == -1) {
            log_error("network %s: %s", member->name, err.text);
        }

        member_changed(member);
    }

    if (joining) {
        uplink_subscribe_member(member);
    }
}


static int
frame_self_lists(const json_t *peers, const member_t *member)
{
    json_t *peer;
    size_t i;

    json_array_foreach(peers, i, peer)
    {
        if (strcmp(daemon_text(peer, "network_id"), member->id) == 0) {
            return 1;
        }
    }

    return 0;
}


/* The whole of what this device has: what is not there is gone. */
static void
frame_self(uplink_t *uplink, json_t *frame, json_t *data)
{
    json_t *peer, *peers = json_object_get(data, "peers");
    member_t *member, *next;
    size_t i;

    (void) frame;

    if (!json_is_array(peers)) {
        log_warn("the server's `self` has no peers");
        return;
    }

    json_array_foreach(peers, i, peer)
    {
        frame_self_peer(uplink, peer);
    }

    for (member = uplink->daemon->members; member != NULL; member = next) {
        next = member->next;

        if (member->state != MEMBER_JOINED || frame_self_lists(peers, member)) {
            continue;
        }

        /* it may have been on its way since before we joined: ask once more */
        if (member->joined_at != 0 &&
            loop_now() - member->joined_at < MEMBER_RECENT_MS) {
            loop_timer_set(uplink->daemon->loop, &uplink->self,
                           MEMBER_RECENT_MS);
            continue;
        }

        log_warn("network %s: this device is no longer in it", member->name);
        member_forget(member);
    }
}


static void
frame_peer_status_one(member_t *member, const json_t *data)
{
    const char *id = daemon_text(data, "peer_id");
    const char *status = daemon_text(data, "status");

    if (member->map != NULL && netmap_find(member->map, id) != NULL &&
        (strcmp(status, "online") == 0 || strcmp(status, "offline") == 0)) {
        json_object_set_new(member->online, id, json_string(status));
    }
}


static void
frame_peer_status(uplink_t *uplink, json_t *frame, json_t *data)
{
    json_t *list, *entry;
    member_t *member;
    size_t i;

    (void) frame;

    member = member_find(uplink->daemon, daemon_text(data, "network_id"));
    if (member == NULL) {
        return;
    }

    list = json_object_get(data, "peers");

    if (!json_is_array(list)) {
        frame_peer_status_one(member, data);
    }

    json_array_foreach(list, i, entry)
    {
        frame_peer_status_one(member, entry);
    }

    routes_peer_status(member);
}


static void
frame_rotation_ack(uplink_t *uplink, json_t *frame, json_t *data)
{
    member_t *member =
        member_find(uplink->daemon, daemon_text(data, "network_id"));

    (void) frame;

    if (member != NULL) {
        rotation_ready(member, data);
    }
}


static int
frame_revokes(uplink_t *uplink, const char *scope, const json_t *data,
              const member_t *member)
{
    if (strcmp(scope, "network") == 0) {
        return strcmp(member->id, daemon_text(data, "network_id")) == 0;
    }

    if (strcmp(scope, "tenant") == 0) {
        return member->map != NULL &&
               strcmp(member->map->tenant_id, daemon_text(data, "tenant_id")) ==
                   0;
    }

    if (strcmp(scope, "device") == 0) {
        return strcmp(uplink->daemon->device.id,
                      daemon_text(data, "device_id")) == 0;
    }

    if (strcmp(scope, "session") == 0) {
        return strcmp(uplink->session_id, daemon_text(data, "session_id")) == 0;
    }

    return 0;
}


/* Access is gone: what the frame names comes down at once. */
static void
frame_revoked(uplink_t *uplink, json_t *frame, json_t *data)
{
    const char *scope = daemon_text(data, "scope");
    int all;
    member_t *member, *next;

    (void) frame;

    log_warn("the server revoked a %s: %s", scope, daemon_text(data, "reason"));

    for (member = uplink->daemon->members; member != NULL; member = next) {
        next = member->next;

        if (frame_revokes(uplink, scope, data, member)) {
            member_forget(member);
        }
    }

    all = (strcmp(scope, "device") == 0 &&
           strcmp(uplink->daemon->device.id, daemon_text(data, "device_id")) ==
               0) ||
          (strcmp(scope, "session") == 0 &&
           strcmp(uplink->session_id, daemon_text(data, "session_id")) == 0);

    if (all) {
        uplink_stop(uplink, UPLINK_REFUSED,
                    "the server has revoked this device: goconnect login");
    }
}


static void
frame_resync(uplink_t *uplink, json_t *frame, json_t *data)
{
    member_t *member = frame_member(uplink, frame);

    if (member != NULL) {
        frame_resync_member(member, daemon_text(data, "reason"));

    } else if (strncmp(daemon_text(frame, "topic"), "device:", 7) == 0) {
        uplink_subscribe_device(uplink);
    }
}


void
frame_receive(uplink_t *uplink, const char *text, size_t len)
{
    const char *type;
    json_t *frame, *data;
    size_t i;

    if (gc_json_depth(text, len) > FRAME_DEPTH) {
        log_warn("the server sent a message nested too deeply");
        return;
    }

    frame = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    data = json_object_get(frame, "data");
    type = daemon_text(frame, "type");

    if (!json_is_object(frame) || *type == '\0' || !json_is_object(data)) {
        log_warn("the server sent a message that is none");
        json_decref(frame);
        return;
    }

    for (i = 0; i < sizeof(frame_types) / sizeof(frame_types[0]); i++) {
        if (strcmp(type, frame_types[i].type) == 0) {
            frame_types[i].handler(uplink, frame, data);
            json_decref(frame);
            return;
        }
    }

    log_debug("a message of type %s is not for agents", type);
    json_decref(frame);
}
