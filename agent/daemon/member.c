#include "daemon/member.h"

#include "base/log.h"
#include "base/state.h"
#include "core/gc_uuid.h"
#include "daemon/device.h"
#include "daemon/firewall.h"
#include "daemon/gateway.h"
#include "daemon/lan.h"
#include "daemon/mapper.h"
#include "daemon/rotation.h"
#include "daemon/routes.h"
#include "daemon/settings.h"
#include "daemon/probe.h"
#include "daemon/subnets.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"
#include "daemon/wire_local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMBER_AGAIN_MS 2000
#define MEMBER_PORT_FIRST 20000
#define MEMBER_PORTS 12000 /* below Linux's ephemeral range (32768) */


void
member_new_port(member_t *member)
{
    member->listen_port =
        (uint16_t) (MEMBER_PORT_FIRST + daemon_random() % MEMBER_PORTS);
}


member_t *
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
    backoff_init(&member->backoff, MEMBER_AGAIN_MS, MEMBER_AGAIN_CAP_MS);

    if (rotation_open(member) == -1 || member->paths == NULL ||
        member->online == NULL) {
        member->next = daemon->members;
        daemon->members = member;
        daemon->member_count++;
        member_free(member);
        return NULL;
    }

    member->next = daemon->members;
    daemon->members = member;
    daemon->member_count++;
    wire_local_member(daemon, member);
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

    gateway_stop(member);
    rotation_close(member);
    routes_stop(member);
    probe_stop(member);
    firewall_stop(member);

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


void
member_changed(member_t *member)
{
    int keys;

    if (member->map != NULL) {
        snprintf(member->name, sizeof(member->name), "%s", member->map->name);
        keys = rotation_changed(member);

        if (keys == -1 || paths_set_netmap(member->paths, member->map,
                                           member->peer_id) != 0) {
            log_error("network %s: out of memory", member->name);
        }

        member_keep(member);

        /* who begins anew with the keys before hears from nobody for a while */
        if (keys == 1) {
            member_flush(member);
        }
    }

    wire_sync(member->daemon);
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


void
member_forget(member_t *member)
{
    daemon_t *daemon = member->daemon;
    err_t err;

    err_set(&err, "not_found", "this network is left");
    member_fail(member, &err);
    gateway_fail(member, &err);
    rotation_fail(member, &err);
    mapper_stop(member);
    routes_fail(member, &err);

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
    char overlap[200];
    const char *overlaps = subnets_overlap(member, overlap, sizeof(overlap));
    const struct netmap *map = member->map;
    json_t *network;

    if (member->ip_address.family != ADDRESS_NONE) {
        address_format(&member->ip_address, ip);
    }

    if (member->ip6_address.family != ADDRESS_NONE) {
        address_format(&member->ip6_address, ip6);
    }

    if (map != NULL) {
        prefix_format(&map->cidr, cidr);
    }

    network = json_pack(
        "{s:s, s:s?, s:s, s:s?, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:i, s:I, "
        "s:i, s:i, s:s, s:s?, s:s, s:s?, s:s?}",
        "network_id", member->id, "tenant_id",
        map != NULL ? map->tenant_id : NULL, "name", member->name, "slug",
        map != NULL ? map->slug : NULL, "state", wire_state(member), "peer_id",
        member_or_null(member->peer_id), "ip_address", member_or_null(ip),
        "ip6_address", member_or_null(ip6), "cidr", member_or_null(cidr),
        "interface", member_or_null(member->interface), "listen_port",
        (int) member->listen_port, "version",
        (json_int_t) (map != NULL ? map->version : 0), "peers",
        (int) (map != NULL && map->peer_count > 0 ? map->peer_count - 1 : 0),
        "peers_active", member->active, "gateway", gateway_state(member),
        "gateway_error", member_or_null(member->gateway.problem), "firewall",
        firewall_state(member), "firewall_error",
        member_or_null(member->firewall.problem), "error",
        member_or_null(member->problem));
    lan_status(member, network);

    if (network != NULL) {
        json_object_set_new(network, "overlap",
                            overlaps != NULL ? json_string(overlaps)
                                             : json_null());
        json_object_set_new(network, "port_mapping", mapper_describe(member));
        json_object_set_new(network, "settings", settings_to_json(member));
        json_object_set_new(network, "rotation",
                            json_string(rotation_state(member)));
        json_object_set_new(
            network, "keyed_at",
            json_integer((json_int_t) rotation_keyed_at(member)));
    }

    return network;
}
