/* One probe at a time, for somebody who asks. */

#include "daemon/probe_parts.h"

#include <stdio.h>
#include <string.h>

#define PROBE_PING_MS 5000 /* a first one waits for a handshake */
#define PROBE_PING_AGAIN_MS 1000


static void
probe_ping_free(probe_ping_t *ping)
{
    loop_timer_cancel(&ping->again);
    loop_timer_cancel(&ping->end);
    ping->call = NULL;
}


void
probe_pong(member_t *member, const struct address *from,
           const struct probe_packet *packet)
{
    const struct actual_interface *interface;
    const struct actual_peer *wg = NULL;
    const struct netmap_peer *peer;
    control_call_t *call;
    char endpoint[ADDRESS_TEXT] = "";
    probe_ping_t *ping;
    size_t i;
    struct actual *actual = NULL;
    struct error error;
    uint64_t rtt;

    for (i = 0; i < PROBE_PINGS_MAX; i++) {
        ping = &member->probe->pings[i];

        if (ping->call != NULL && ping->sequence == packet->sequence &&
            ping->nonce == packet->nonce) {
            break;
        }
    }

    peer = i < PROBE_PINGS_MAX ? netmap_find(member->map, ping->peer_id) : NULL;

    if (peer == NULL ||
        address_compare(probe_address(member->map, peer), from) != 0) {
        return;
    }

    rtt = probe_now() - ping->sent_us;
    call = ping->call;
    probe_ping_free(ping);

    if (backend_observe(member->daemon->backend, &actual, &error) == 0) {
        interface = actual_find(actual, member->id);
        wg = interface != NULL ? actual_peer(interface, &peer->public_key)
                               : NULL;
    }

    if (wg != NULL && wg->endpoint.address.family != ADDRESS_NONE) {
        endpoint_format(&wg->endpoint, endpoint);
    }

    control_reply(call, json_pack("{s:s, s:s, s:b, s:I, s:s, s:s?}", "peer_id",
                                  peer->id, "name", peer->name, "answered", 1,
                                  "rtt", (json_int_t) rtt, "path",
                                  probe_state(member, peer, wg), "endpoint",
                                  endpoint[0] != '\0' ? endpoint : NULL));
    actual_destroy(actual);
}


static void
probe_ping_send(void *arg)
{
    const struct netmap_peer *peer;
    probe_ping_t *ping = arg;
    struct probe_packet packet = {PROBE_ASK, ping->sequence, ping->nonce};

    peer = netmap_find(ping->member->map, ping->peer_id);

    if (peer == NULL || ping->member->probe->io.fd == -1) {
        return; /* until the end */
    }

    ping->sent_us = probe_now();
    packet.nonce = ping->nonce = probe_nonce();
    (void) probe_send(ping->member, probe_address(ping->member->map, peer),
                      PROBE_PORT, &packet, 0);
    loop_timer_set(ping->member->daemon->loop, &ping->again,
                   PROBE_PING_AGAIN_MS);
}


static void
probe_ping_late(void *arg)
{
    probe_ping_t *ping = arg;
    control_call_t *call = ping->call;

    probe_ping_free(ping);
    control_reply(
        call, json_pack("{s:s, s:b}", "peer_id", ping->peer_id, "answered", 0));
}


/* NULL, with err: this cannot be asked. */
static probe_ping_t *
probe_ping_room(member_t *member, const char *peer_id, err_t *err)
{
    const struct netmap_peer *peer;
    size_t i;

    peer = member->map != NULL ? netmap_find(member->map, peer_id) : NULL;

    if (peer == NULL) {
        err_set(err, "not_found", "there is no such peer in this network");
        return NULL;
    }

    if (strcmp(peer_id, member->peer_id) == 0) {
        err_set(err, "usage", "that is this device itself");
        return NULL;
    }

    if (peer->agentless ||
        probe_address(member->map, peer)->family == ADDRESS_NONE) {
        err_set(err, "unsupported",
                "that device has no agent to answer: try ping, of the system");
        return NULL;
    }

    if (!member->live || member->probe == NULL || member->probe->io.fd == -1) {
        err_set(err, "interface", "%s",
                member->probe != NULL && member->probe->problem[0] != '\0'
                    ? member->probe->problem
                    : "the network is not up: goconnect up");
        return NULL;
    }

    for (i = 0; i < PROBE_PINGS_MAX; i++) {
        if (member->probe->pings[i].call == NULL) {
            return &member->probe->pings[i];
        }
    }

    err_set(err, "busy", "%d pings are under way already", PROBE_PINGS_MAX);
    return NULL;
}


void
probe_ping(member_t *member, const char *peer_id, control_call_t *call)
{
    err_t err;
    probe_ping_t *ping = probe_ping_room(member, peer_id, &err);

    if (ping == NULL) {
        control_fail(call, &err);
        return;
    }

    memset(ping, 0, sizeof(*ping));
    ping->call = call;
    ping->member = member;
    ping->sequence = ++member->probe->sequence;
    snprintf(ping->peer_id, sizeof(ping->peer_id), "%s", peer_id);
    ping->again.fn = probe_ping_send;
    ping->end.fn = probe_ping_late;
    ping->again.arg = ping->end.arg = ping;
    loop_timer_set(member->daemon->loop, &ping->end, PROBE_PING_MS);
    probe_ping_send(ping);
}


void
probe_ping_stop(member_t *member)
{
    err_t err;
    control_call_t *call;
    size_t i;

    err_set(&err, "not_found", "this network is left");

    for (i = 0; i < PROBE_PINGS_MAX; i++) {
        call = member->probe->pings[i].call;

        if (call != NULL) {
            probe_ping_free(&member->probe->pings[i]);
            control_fail(call, &err);
        }
    }
}
