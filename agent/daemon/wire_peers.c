/* What WireGuard says of a network's peers. */

#include "daemon/wire.h"

#include "daemon/probe.h"

#include <string.h>


static json_t *
wire_peer(const member_t *member, const struct netmap_peer *peer,
          const struct actual_peer *wg)
{
    char key[KEY_BASE64_SIZE], ip[ADDRESS_TEXT] = "", ip6[ADDRESS_TEXT] = "";
    char endpoint[ADDRESS_TEXT] = "";
    const char *online;
    int loss;
    json_t *described, *measured;
    uint32_t mtu, rtt;
    int self = strcmp(peer->id, member->peer_id) == 0;

    key_to_base64(&peer->public_key, key);
    address_format(&peer->ip_address, ip);

    if (peer->ip6_address.family != ADDRESS_NONE) {
        address_format(&peer->ip6_address, ip6);
    }

    if (wg != NULL && wg->endpoint.address.family != ADDRESS_NONE) {
        endpoint_format(&wg->endpoint, endpoint);
    }

    online = json_string_value(json_object_get(member->online, peer->id));

    rtt = probe_rtt_us(member, peer->id);
    loss = probe_loss(member, peer->id);
    mtu = probe_mtu(member, peer->id);
    measured = json_pack("{s:o, s:o, s:o}", "rtt",
                         rtt != 0 ? json_integer(rtt) : json_null(), "loss",
                         loss != -1 ? json_integer(loss) : json_null(), "mtu",
                         mtu != 0 ? json_integer(mtu) : json_null());

    described = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s?, s:s, s:s, s:s, s:s?, s:I, s:I, s:I, "
        "s:b}",
        "peer_id", peer->id, "device_id", peer->device_id, "name", peer->name,
        "username", peer->username, "ip_address", ip, "ip6_address",
        ip6[0] != '\0' ? ip6 : NULL, "public_key", key, "status",
        online != NULL ? online : "unknown", "path",
        probe_state(member, peer, wg), "endpoint",
        endpoint[0] != '\0' ? endpoint : NULL, "handshake",
        (json_int_t) (wg != NULL ? wg->handshake_s : 0), "rx_bytes",
        (json_int_t) (wg != NULL ? wg->rx_bytes : 0), "tx_bytes",
        (json_int_t) (wg != NULL ? wg->tx_bytes : 0), "self", self);

    json_object_update(described, measured);
    json_decref(measured);
    return described;
}


json_t *
wire_peers(daemon_t *daemon, member_t *member, err_t *err)
{
    const struct actual_interface *interface;
    json_t *list;
    size_t i;
    struct actual *actual = NULL;
    struct error error;
    const struct netmap *map = member->map;

    if (backend_observe(daemon->backend, &actual, &error) != 0) {
        daemon_error(err, "interface", &error);
        return NULL;
    }

    interface = actual_find(actual, member->id);
    list = json_array();

    for (i = 0; map != NULL && i < map->peer_count; i++) {
        json_array_append_new(
            list,
            wire_peer(member, &map->peers[i],
                      interface != NULL
                          ? actual_peer(interface, &map->peers[i].public_key)
                          : NULL));
    }

    actual_destroy(actual);
    return list;
}
