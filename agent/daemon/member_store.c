/* Records and netmaps on disk. */

#include "daemon/member.h"

#include "base/log.h"
#include "base/state.h"
#include "core/gc_uuid.h"
#include "daemon/rotation.h"
#include "daemon/routes.h"
#include "daemon/settings.h"
#include "os/memory.h"

#include <stdio.h>
#include <string.h>

#define MEMBER_WRITE_MS 200 /* deltas in a row are written once */

static void member_write_netmap(void *arg);


int
member_write(member_t *member, err_t *err)
{
    char key[KEY_BASE64_SIZE], ip[ADDRESS_TEXT] = "", ip6[ADDRESS_TEXT] = "";
    char announced[ADDRESS_TEXT] = "";
    int rc;
    json_t *document;

    key_to_base64(&member->private_key, key);

    if (member->ip_address.family != ADDRESS_NONE) {
        address_format(&member->ip_address, ip);
    }

    if (member->ip6_address.family != ADDRESS_NONE) {
        address_format(&member->ip6_address, ip6);
    }

    if (member->announced.address.family != ADDRESS_NONE) {
        endpoint_format(&member->announced, announced);
    }

    document = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:b, s:i, s:s, s:s, s:s, s:s, s:o}",
        "network_id", member->id, "name", member->name, "private_key", key,
        "interface", member->interface, "listen_port",
        (int) member->listen_port, "up", member->up, "state",
        (int) member->state, "peer_id", member->peer_id, "ip_address", ip,
        "ip6_address", ip6, "announced", announced, "settings",
        settings_to_json(member));
    key_wipe(key, sizeof(key));

    if (document == NULL) {
        return err_set(err, "no_memory", "out of memory");
    }

    if (rotation_to_json(member, document) == -1 ||
        routes_to_json(member, document) == -1) {
        json_decref(document);
        return err_set(err, "no_memory", "out of memory");
    }

    rc = state_write(member->daemon->networks, member->id, document, err);
    json_decref(document);
    return rc;
}


/* A netmap was taken apart and put together: its remains are not kept. */
static void
member_write_due(void *arg)
{
    member_write_netmap(arg);
    memory_return();
}


static void
member_write_later(member_t *member, int64_t delay)
{
    member->write.fn = member_write_due;
    member->write.arg = member;
    loop_timer_set(member->daemon->loop, &member->write, delay);
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
        member_write_later(member, MEMBER_AGAIN_CAP_MS);
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
member_keep(member_t *member)
{
    member->dirty = 1;

    /* the first one before the interface is: it has to outlive us */
    if (!member->stored) {
        member_write_netmap(member);
    }

    member_write_later(member, MEMBER_WRITE_MS);
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
        rotation_from_json(member, document) == -1 ||
        routes_from_json(member, document) == -1 || port < 1 || port > 65535 ||
        state < MEMBER_JOINING || state > MEMBER_LEAVING) {
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
    (void) endpoint_parse(daemon_text(document, "announced"),
                          &member->announced);
    settings_from_json(member, json_object_get(document, "settings"));
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
        (void) rotation_changed(member);
        (void) paths_set_netmap(member->paths, member->map, member->peer_id);
        member->stored = 1;
    }

    json_decref(document);
}


struct member_loading {
    daemon_t *daemon;
    int failed; /* err says why: what is there could not be read now */
    err_t err;
};


static void
member_load(void *arg, const char *id)
{
    daemon_t *daemon;
    err_t err;
    json_t *document;
    member_t *member;
    struct member_loading *loading = arg;

    daemon = loading->daemon;

    if (!gc_uuid_valid(id, strlen(id)) ||
        daemon->member_count == DAEMON_MEMBERS_MAX) {
        return;
    }

    document = state_read(daemon->networks, id, &err);

    if (document == NULL && strcmp(err.code, "damaged") != 0) {
        loading->failed = 1;
        loading->err = err;
        return;
    }

    if (document == NULL) {
        log_error("%s; the network is joined afresh", err.text);
        return;
    }

    member = member_create(daemon, id);

    if (member == NULL) {
        loading->failed = 1;
        err_set(&loading->err, "no_memory", "out of memory");
    }

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
    struct member_loading loading = {.daemon = daemon};

    if (state_each(daemon->networks, member_load, &loading, err) == -1) {
        return -1;
    }

    if (loading.failed) {
        *err = loading.err;
        return -1;
    }

    return state_each(daemon->netmaps, member_load_orphan, daemon, err);
}
