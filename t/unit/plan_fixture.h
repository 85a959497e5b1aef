/*
 * What the tests of agent/plan share: peers that follow from a number, and
 * netmaps made of them.
 */

#ifndef PLAN_FIXTURE_H
#define PLAN_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/desired.h"
#include "plan/netmap.h"

#define FIXTURE_NETWORK "00000000-0000-4000-8000-00000000000a"

#define fixture __attribute__((unused)) static


fixture void
fixture_id(unsigned n, char id[NETMAP_ID_SIZE])
{
    (void) snprintf(id, NETMAP_ID_SIZE, "%08x-0000-4000-8000-000000000001", n);
}


/* Spread over the whole range, so that the order by key is not by number. */
fixture struct key
fixture_key(unsigned n)
{
    struct key key;
    unsigned x;
    size_t i;

    x = n * 2654435761U + 12345U;

    for (i = 0; i < KEY_BYTES; i++) {
        x = x * 1664525U + 1013904223U;
        key.bytes[i] = (uint8_t) (x >> 24);
    }

    memcpy(key.bytes + 16, &n, sizeof(n));

    return key;
}


fixture json_t *
fixture_peer(unsigned n)
{
    char id[NETMAP_ID_SIZE], ip[32], ip6[32], endpoint[2][32];
    char text[KEY_BASE64_SIZE];
    struct key key;

    key = fixture_key(n);
    key_to_base64(&key, text);
    fixture_id(n, id);
    (void) snprintf(ip, sizeof(ip), "10.%u.%u.%u", 64 + (n >> 16), n >> 8 & 255,
                    n & 255);
    (void) snprintf(ip6, sizeof(ip6), "fd00:64::%x:%x", n >> 16, n & 0xffff);
    (void) snprintf(endpoint[0], sizeof(endpoint[0]), "192.0.2.%u:%u",
                    1 + n % 250, 1024 + n % 60000);
    (void) snprintf(endpoint[1], sizeof(endpoint[1]), "198.51.100.%u:51820",
                    1 + n % 250);

    return json_pack("{ss sn sn ss ss ss sn sb ss sn ss ss s[ss]}", "id", id,
                     "device_id", "user_id", "username", "ada", "role",
                     "member", "name", "ada-pc", "via", "gateway", 0,
                     "public_key", text, "next_public_key", "ip_address", ip,
                     "ip6_address", ip6, "endpoints", endpoint[0], endpoint[1]);
}


/* Peers first .. first + count - 1 */
fixture json_t *
fixture_peers(unsigned first, unsigned count)
{
    json_t *list;
    unsigned i;

    list = json_array();

    for (i = 0; i < count; i++) {
        cr_assert_eq(json_array_append_new(list, fixture_peer(first + i)), 0);
    }

    return list;
}


fixture json_t *
fixture_part(int part, int last, json_int_t version, json_t *peers)
{
    json_t *data;

    data =
        json_pack("{ss sI si sb so}", "network_id", FIXTURE_NETWORK, "version",
                  version, "part", part, "last", last, "peers", peers);

    if (part == 0) {
        json_object_set_new(data, "network",
                            json_pack("{ss sn ss ss ss ss}", "id",
                                      FIXTURE_NETWORK, "tenant_id", "name",
                                      "Ada's LAN", "slug", "adas-lan", "cidr",
                                      "10.64.0.0/10", "cidr6", "fd00:64::/64"));
    }

    return data;
}


fixture struct netmap *
fixture_map(unsigned first, unsigned count, json_int_t version)
{
    struct netmap *map;
    struct error error;
    json_t *data;

    data = fixture_part(0, 1, version, fixture_peers(first, count));
    map = netmap_from_json(data, &error);
    cr_assert_not_null(map, "%s", error.text);
    json_decref(data);

    return map;
}


fixture struct endpoint
fixture_endpoint(const char *text)
{
    struct endpoint endpoint;

    cr_assert(endpoint_parse(text, &endpoint));

    return endpoint;
}


fixture struct prefix
fixture_prefix(const char *text)
{
    struct prefix prefix;

    cr_assert(prefix_parse(text, &prefix));

    return prefix;
}


/* Peer number 0 is ourselves. */
fixture struct desired_self
fixture_self(const char *name, uint16_t port)
{
    struct desired_self self;

    memset(&self, 0, sizeof(self));
    fixture_id(0, self.peer_id);
    (void) snprintf(self.name, sizeof(self.name), "%s", name);
    self.private_key = fixture_key(0xffff0000U);
    self.public_key = fixture_key(0);
    self.listen_port = port;
    self.ip_address = fixture_prefix("10.64.0.0").address;
    cr_assert(address_parse("10.127.255.254", &self.ip_address));
    cr_assert(address_parse("fd00:64::ffff:fffe", &self.ip6_address));

    return self;
}

#endif
