#include "plan/netmap_parse.h"

#include <string.h>

#include "core/gc_cidr.h"
#include "core/gc_uuid.h"
#include "plan/netmap_lists.h"


bool
netmap_parse_text(const json_t *object, const char *name, char *text,
                  size_t size)
{
    const json_t *value;
    size_t length;

    text[0] = '\0';
    value = json_object_get(object, name);

    if (value == NULL || json_is_null(value)) {
        return true;
    }

    if (!json_is_string(value)) {
        return false;
    }

    length = json_string_length(value);

    if (length >= size || strlen(json_string_value(value)) != length) {
        return false;
    }

    memcpy(text, json_string_value(value), length + 1);

    return true;
}


/* A UUID; required or "" when it may be missing. */
bool
netmap_parse_id(const json_t *object, const char *name, char *id, bool required)
{
    if (!netmap_parse_text(object, name, id, NETMAP_ID_SIZE)) {
        return false;
    }

    if (id[0] == '\0') {
        return !required;
    }

    return gc_uuid_valid(id, strlen(id)) != 0;
}


bool
netmap_parse_integer(const json_t *object, const char *name, int64_t *number)
{
    const json_t *value;

    value = json_object_get(object, name);

    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }

    *number = json_integer_value(value);

    return true;
}


static bool
netmap_parse_key(const json_t *object, const char *name, struct key *key,
                 bool *there)
{
    const json_t *value;

    value = json_object_get(object, name);
    *there = value != NULL && !json_is_null(value);

    if (!*there) {
        return true;
    }

    return json_is_string(value) &&
           key_from_base64(json_string_value(value), key) && !key_is_zero(key);
}


/* A whole address of the family, ADDRESS_NONE for null. */
static bool
netmap_parse_address(const json_t *object, const char *name,
                     enum address_family family, struct address *address)
{
    const json_t *value;
    struct prefix prefix;

    memset(address, 0, sizeof(*address));
    value = json_object_get(object, name);

    if (value == NULL || json_is_null(value)) {
        return true;
    }

    if (!json_is_string(value) ||
        !prefix_parse(json_string_value(value), &prefix)) {
        return false;
    }

    *address = prefix.address;

    return prefix.address.family == family && !address_is_special(address);
}


static bool
netmap_parse_cidr(const json_t *object, const char *name,
                  enum address_family family, struct prefix *prefix)
{
    static const struct prefix unique_local = {
        {ADDRESS_IPV6, {0xfc}}, 7 /* RFC 4193, 3.1 */
    };
    const json_t *value;
    struct prefix masked;
    gc_cidr_t cidr;

    memset(prefix, 0, sizeof(*prefix));
    value = json_object_get(object, name);

    if (value == NULL || json_is_null(value)) {
        return true;
    }

    if (!json_is_string(value) ||
        !prefix_parse(json_string_value(value), prefix) ||
        prefix->address.family != family) {
        return false;
    }

    /* a route to it is set, so it must not draw public traffic */
    if (family == ADDRESS_IPV4) {
        return gc_cidr_parse(json_string_value(value),
                             json_string_length(value), &cidr) == GC_CIDR_OK;
    }

    masked = prefix_masked(prefix);

    return prefix->length >= 48 &&
           prefix_contains(&unique_local, &prefix->address) &&
           prefix_compare(prefix, &masked) == 0;
}


static bool
netmap_parse_endpoints(const json_t *object, struct netmap_peer *peer)
{
    const json_t *list, *value;
    size_t i;

    list = json_object_get(object, "endpoints");

    if (list == NULL || json_is_null(list)) {
        return true;
    }

    if (!json_is_array(list) || json_array_size(list) > NETMAP_ENDPOINTS_MAX) {
        return false;
    }

    for (i = 0; i < json_array_size(list); i++) {
        value = json_array_get(list, i);

        if (!json_is_string(value) ||
            !endpoint_parse(json_string_value(value), &peer->endpoints[i])) {
            return false;
        }
    }

    peer->endpoint_count = i;

    return true;
}


static int
netmap_parse_peer_fields(const json_t *json, struct netmap_peer *peer,
                         struct error *error)
{
    bool has_key;
    const char *what;

    memset(peer, 0, sizeof(*peer));
    what = NULL;

    if (!json_is_object(json)) {
        return error_set(error, ERROR_INVALID, "a peer is not an object");
    }

    if (!netmap_parse_id(json, "id", peer->id, true)) {
        return error_set(error, ERROR_INVALID, "a peer has no valid id");
    }

    if (!netmap_parse_id(json, "device_id", peer->device_id, false) ||
        !netmap_parse_id(json, "user_id", peer->user_id, false) ||
        !netmap_parse_id(json, "via", peer->via, false) ||
        !netmap_parse_id(json, "home_relay", peer->home_relay, false)) {
        what = "device_id, user_id, via or home_relay";

    } else if (!netmap_parse_text(json, "username", peer->username,
                                  sizeof(peer->username)) ||
               !netmap_parse_text(json, "role", peer->role,
                                  sizeof(peer->role)) ||
               !netmap_parse_text(json, "name", peer->name,
                                  sizeof(peer->name))) {
        what = "username, role or name";

    } else if (!netmap_parse_key(json, "public_key", &peer->public_key,
                                 &has_key) ||
               !has_key) {
        what = "public_key";

    } else if (!netmap_parse_key(json, "next_public_key",
                                 &peer->next_public_key, &peer->has_next_key)) {
        what = "next_public_key";

    } else if (!netmap_parse_address(json, "ip_address", ADDRESS_IPV4,
                                     &peer->ip_address) ||
               peer->ip_address.family == ADDRESS_NONE) {
        what = "ip_address";

    } else if (!netmap_parse_address(json, "ip6_address", ADDRESS_IPV6,
                                     &peer->ip6_address)) {
        what = "ip6_address";

    } else if (!netmap_parse_endpoints(json, peer)) {
        what = "endpoints";
    }

    if (what != NULL) {
        return error_set(error, ERROR_INVALID, "peer %s: invalid %s", peer->id,
                         what);
    }

    peer->gateway = json_is_true(json_object_get(json, "gateway"));
    peer->agentless = json_is_false(json_object_get(json, "agent"));

    return 0;
}


int
netmap_parse_network(const json_t *json, struct netmap *map,
                     struct error *error)
{
    char id[NETMAP_ID_SIZE];
    const char *mode, *what;

    what = NULL;
    mode = json_string_value(json_object_get(json, "mode"));
    map->lan = mode != NULL && strcmp(mode, "l2") == 0;

    if (!json_is_object(json)) {
        return error_set(error, ERROR_INVALID, "the netmap has no network");
    }

    if (!netmap_parse_id(json, "id", id, true) ||
        strcmp(id, map->network_id) != 0 ||
        !netmap_parse_id(json, "tenant_id", map->tenant_id, false)) {
        what = "id or tenant_id";

    } else if (!netmap_parse_text(json, "name", map->name, sizeof(map->name)) ||
               !netmap_parse_text(json, "slug", map->slug, sizeof(map->slug))) {
        what = "name or slug";

    } else if (!netmap_parse_cidr(json, "cidr", ADDRESS_IPV4, &map->cidr) ||
               map->cidr.address.family == ADDRESS_NONE) {
        what = "cidr";

    } else if (!netmap_parse_cidr(json, "cidr6", ADDRESS_IPV6, &map->cidr6)) {
        what = "cidr6";
    }

    if (what != NULL) {
        return error_set(error, ERROR_INVALID, "network %s: invalid %s",
                         map->network_id, what);
    }

    return 0;
}


int
netmap_parse_place(const struct netmap *map, const struct netmap_peer *peer,
                   struct error *error)
{
    if (!prefix_contains(&map->cidr, &peer->ip_address) ||
        (peer->ip6_address.family != ADDRESS_NONE &&
         !prefix_contains(&map->cidr6, &peer->ip6_address))) {
        return error_set(error, ERROR_INVALID,
                         "peer %s: its address is not of the network",
                         peer->id);
    }

    return 0;
}


/* A peer and its place in the network. */
int
netmap_parse_peer(const struct netmap *map, const json_t *json,
                  struct netmap_peer *peer, struct error *error)
{
    if (netmap_parse_peer_fields(json, peer, error) != 0) {
        return -1;
    }

    if (netmap_parse_place(map, peer, error) != 0) {
        return -1;
    }

    return netmap_lists_parse(json, peer, error);
}
