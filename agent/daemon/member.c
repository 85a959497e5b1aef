#include "daemon/member.h"

#include "base/log.h"
#include "base/state.h"
#include "core/gc_uuid.h"
#include "daemon/device.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBER_WRITE_MS 200 /* deltas in a row are written once */
#define MEMBER_AGAIN_MS 2000
#define MEMBER_AGAIN_CAP_MS 60000
#define MEMBER_PORT_FIRST 20000
#define MEMBER_PORTS 12000 /* below Linux's ephemeral range (32768) */

static void member_write_netmap(void *arg);
static void member_post_again(void *arg);
static void member_waiting_end(void *arg);


void
member_new_port(member_t *member)
{
    member->listen_port =
        (uint16_t) (MEMBER_PORT_FIRST + daemon_random() % MEMBER_PORTS);
}


static member_t *
member_create(daemon_t *daemon, const char *id)
{
    member_t *member = calloc(1, sizeof(*member));

    if (member == NULL) {
        return NULL;
    }

    snprintf(member->id, sizeof(member->id), "%s", id);
    member->daemon = daemon;
    member->up = 1;
    member->paths = paths_create();
    member->online = json_object();
    member->write.fn = member_write_netmap;
    member->write.arg = member;
    member->again.fn = member_post_again;
    member->again.arg = member;
    member->waiting_end.fn = member_waiting_end;
    member->waiting_end.arg = member;
    backoff_init(&member->backoff, MEMBER_AGAIN_MS, MEMBER_AGAIN_CAP_MS);

    if (member->paths == NULL || member->online == NULL) {
        member->next = daemon->members;
        daemon->members = member;
        daemon->member_count++;
        member_free(member);
        return NULL;
    }

    member->next = daemon->members;
    daemon->members = member;
    daemon->member_count++;
    wire_member_local(daemon, member);
    return member;
}


void
member_free(member_t *member)
{
    member_t **at = &member->daemon->members;

    while (*at != member) {
        at = &(*at)->next;
    }

    *at = member->next;
    member->daemon->member_count--;

    loop_timer_cancel(&member->write);
    loop_timer_cancel(&member->again);
    loop_timer_cancel(&member->ask);
    loop_timer_cancel(&member->waiting_end);

    if (member->posting != NULL) {
        device_call_cancel(member->posting);
    }

    netmap_destroy(member->map);
    netmap_destroy(member->assembly);
    json_decref(member->held);
    json_decref(member->online);
    paths_destroy(member->paths);
    key_wipe(&member->private_key, sizeof(member->private_key));
    free(member);
}


member_t *
member_find(daemon_t *daemon, const char *id)
{
    member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (strcmp(member->id, id) == 0) {
            return member;
        }
    }

    return NULL;
}


int
member_write(member_t *member, err_t *err)
{
    char key[KEY_BASE64_SIZE], ip[ADDRESS_TEXT] = "", ip6[ADDRESS_TEXT] = "";
    int rc;
    json_t *document;

    key_to_base64(&member->private_key, key);

    if (member->ip_address.family != ADDRESS_NONE) {
        address_format(&member->ip_address, ip);
    }

    if (member->ip6_address.family != ADDRESS_NONE) {
        address_format(&member->ip6_address, ip6);
    }

    document = json_pack("{s:s, s:s, s:s, s:s, s:i, s:b, s:i, s:s, s:s, s:s}",
                         "network_id", member->id, "name", member->name,
                         "private_key", key, "interface", member->interface,
                         "listen_port", (int) member->listen_port, "up",
                         member->up, "state", (int) member->state, "peer_id",
                         member->peer_id, "ip_address", ip, "ip6_address", ip6);
    key_wipe(key, sizeof(key));

    if (document == NULL) {
        return err_set(err, "no_memory", "out of memory");
    }

    rc = state_write(member->daemon->networks, member->id, document, err);
    json_decref(document);
    return rc;
}


static void
member_write_netmap(void *arg)
{
    err_t err;
    int rc = -1;
    json_t *document;
    member_t *member = arg;

    if (!member->dirty || member->map == NULL) {
        return;
    }

    err_set(&err, "no_memory", "out of memory");
    document = json_pack("{s:s, s:I, s:o}", "epoch", member->epoch, "seq",
                         (json_int_t) member->seq, "netmap",
                         netmap_to_json(member->map));

    if (document != NULL) {
        rc = state_write(member->daemon->netmaps, member->id, document, &err);
        json_decref(document);
    }

    if (rc == -1) {
        log_error("network %s: %s", member->name, err.text);
        loop_timer_set(member->daemon->loop, &member->write,
                       MEMBER_AGAIN_CAP_MS);
        return;
    }

    member->dirty = 0;
    member->stored = 1;
}


void
member_flush(member_t *member)
{
    member_write_netmap(member);
}


void
member_changed(member_t *member)
{
    if (member->map != NULL) {
        snprintf(member->name, sizeof(member->name), "%s", member->map->name);

        if (paths_set_netmap(member->paths, member->map, member->peer_id) !=
            0) {
            log_error("network %s: out of memory", member->name);
        }

        member->dirty = 1;

        /* the first one before the interface is: it has to outlive us */
        if (member->stored) {
            loop_timer_set(member->daemon->loop, &member->write,
                           MEMBER_WRITE_MS);

        } else {
            member_write_netmap(member);
        }
    }

    wire_sync(member->daemon);
}


static int
member_read(member_t *member, const json_t *document)
{
    json_int_t port, state;
    struct error error;

    port = json_integer_value(json_object_get(document, "listen_port"));
    state = json_integer_value(json_object_get(document, "state"));

    if (!key_from_base64(daemon_text(document, "private_key"),
                         &member->private_key) ||
        keys_public(&member->private_key, &member->public_key, &error) != 0 ||
        port < 1 || port > 65535 || state < MEMBER_JOINING ||
        state > MEMBER_LEAVING) {
        return -1;
    }

    snprintf(member->name, sizeof(member->name), "%s",
             daemon_text(document, "name"));
    snprintf(member->interface, sizeof(member->interface), "%s",
             daemon_text(document, "interface"));
    snprintf(member->peer_id, sizeof(member->peer_id), "%s",
             daemon_text(document, "peer_id"));
    member->listen_port = (uint16_t) port;
    member->state = (member_state_t) state;
    member->up = json_is_true(json_object_get(document, "up"));
    (void) address_parse(daemon_text(document, "ip_address"),
                         &member->ip_address);
    (void) address_parse(daemon_text(document, "ip6_address"),
                         &member->ip6_address);
    return 0;
}


static void
member_read_netmap(member_t *member)
{
    err_t err;
    json_t *document;
    struct error error;

    document = state_read(member->daemon->netmaps, member->id, &err);

    if (document == NULL) {
        if (strcmp(err.code, "absent") != 0) {
            log_warn("%s; it is fetched again", err.text);
        }

        return;
    }

    member->map = netmap_from_json(json_object_get(document, "netmap"), &error);

    if (member->map == NULL) {
        log_warn("network %s: its kept netmap is of no use (%s); it is fetched "
                 "again",
                 member->name, error.text);

    } else {
        member->seq = json_integer_value(json_object_get(document, "seq"));
        snprintf(member->epoch, sizeof(member->epoch), "%s",
                 daemon_text(document, "epoch"));
        (void) paths_set_netmap(member->paths, member->map, member->peer_id);
        member->stored = 1;
    }

    json_decref(document);
}


static void
member_load(void *arg, const char *id)
{
    daemon_t *daemon = arg;
    err_t err;
    json_t *document;
    member_t *member;

    if (!gc_uuid_valid(id, strlen(id)) ||
        daemon->member_count == DAEMON_MEMBERS_MAX) {
        return;
    }

    document = state_read(daemon->networks, id, &err);
    if (document == NULL) {
        log_error("%s; the network is joined afresh", err.text);
        return;
    }

    member = member_create(daemon, id);

    if (member != NULL && member_read(member, document) == -1) {
        log_error("the record of network %s is of no use; it is joined afresh",
                  id);
        member_free(member);

    } else if (member != NULL) {
        member_read_netmap(member);
    }

    json_decref(document);
}


/* A netmap whose network's record is gone: we were killed while leaving. */
static void
member_load_orphan(void *arg, const char *id)
{
    daemon_t *daemon = arg;
    err_t err;

    if (member_find(daemon, id) == NULL &&
        state_remove(daemon->netmaps, id, &err) == -1) {
        log_warn("%s", err.text);
    }
}


int
member_load_all(daemon_t *daemon, err_t *err)
{
    if (state_each(daemon->networks, member_load, daemon, err) == -1) {
        return -1;
    }

    return state_each(daemon->netmaps, member_load_orphan, daemon, err);
}


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


/* 1 if something is new. */
int
member_addresses(member_t *member, const json_t *peer)
{
    const char *id = daemon_text(peer, "peer_id");
    struct address ip = {.family = ADDRESS_NONE};
    struct address ip6 = {.family = ADDRESS_NONE};

    if (*id == '\0') {
        id = daemon_text(peer, "id");
    }

    (void) address_parse(daemon_text(peer, "ip_address"), &ip);
    (void) address_parse(daemon_text(peer, "ip6_address"), &ip6);

    if (!gc_uuid_valid(id, strlen(id)) || ip.family == ADDRESS_NONE) {
        return 0;
    }

    if (strcmp(member->peer_id, id) == 0 &&
        address_compare(&member->ip_address, &ip) == 0 &&
        address_compare(&member->ip6_address, &ip6) == 0) {
        return 0;
    }

    snprintf(member->peer_id, sizeof(member->peer_id), "%s", id);
    member->ip_address = ip;
    member->ip6_address = ip6;
    return 1;
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

    loop_timer_set(member->daemon->loop, &member->again, delay);
}


static void
member_post_again(void *arg)
{
    member_post(arg);
}


void
member_post(member_t *member)
{
    char key[KEY_BASE64_SIZE], path[80];

    if (member->posting != NULL) {
        return;
    }

    loop_timer_cancel(&member->again);
    key_to_base64(&member->public_key, key);
    snprintf(path, sizeof(path), "/v1/networks/%s/peers", member->id);

    member->posting =
        device_call(member->daemon, "POST", path,
                    json_pack("{s:s, s:o}", "public_key", key, "endpoints",
                              wire_endpoints(member->daemon, member)),
                    member_posted, member);
}


void
member_forget(member_t *member)
{
    daemon_t *daemon = member->daemon;
    err_t err;

    err_set(&err, "not_found", "this network is left");
    member_fail(member, &err);

    /* said on disk first: a crash from here on goes on with leaving */
    member->state = MEMBER_LEAVING;

    if (member_write(member, &err) == -1) {
        log_error("network %s: %s", member->name, err.text);
    }

    uplink_unsubscribe_member(member);
    (void) wire_sync_now(daemon, NULL);

    if (state_remove(daemon->netmaps, member->id, &err) == -1 ||
        state_remove(daemon->networks, member->id, &err) == -1) {
        log_error("network %s: %s", member->name, err.text);
    }

    log_info("network %s: left", member->name);
    member_free(member);
}


static const char *
member_or_null(const char *text)
{
    return *text != '\0' ? text : NULL;
}


json_t *
member_describe(member_t *member)
{
    char ip[ADDRESS_TEXT] = "", ip6[ADDRESS_TEXT] = "", cidr[ADDRESS_TEXT] = "";
    const struct netmap *map = member->map;

    if (member->ip_address.family != ADDRESS_NONE) {
        address_format(&member->ip_address, ip);
    }

    if (member->ip6_address.family != ADDRESS_NONE) {
        address_format(&member->ip6_address, ip6);
    }

    if (map != NULL) {
        prefix_format(&map->cidr, cidr);
    }

    return json_pack(
        "{s:s, s:s?, s:s, s:s?, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:i, s:I, "
        "s:i, s:i, s:s?}",
        "network_id", member->id, "tenant_id",
        map != NULL ? map->tenant_id : NULL, "name", member->name, "slug",
        map != NULL ? map->slug : NULL, "state", wire_state(member), "peer_id",
        member_or_null(member->peer_id), "ip_address", member_or_null(ip),
        "ip6_address", member_or_null(ip6), "cidr", member_or_null(cidr),
        "interface", member_or_null(member->interface), "listen_port",
        (int) member->listen_port, "version",
        (json_int_t) (map != NULL ? map->version : 0), "peers",
        (int) (map != NULL && map->peer_count > 0 ? map->peer_count - 1 : 0),
        "peers_active", member->active, "error",
        member_or_null(member->problem));
}
