#include "plan/netmap_parts.h"

#include <stdlib.h>
#include <string.h>

#include "core/gc_rule.h"
#include "plan/netmap_parse.h"

_Static_assert(NETMAP_SELECTOR_SIZE == GC_RULE_SELECTOR_MAX + 1,
               "every selector has room");


/* An integer of first..last; absent and null leave *number. */
static bool
netmap_parts_number(const json_t *object, const char *name, int64_t first,
                    int64_t last, int64_t *number)
{
    const json_t *value;

    value = json_object_get(object, name);

    if (value == NULL || json_is_null(value)) {
        return true;
    }

    if (!json_is_integer(value) || json_integer_value(value) < first ||
        json_integer_value(value) > last) {
        return false;
    }

    *number = json_integer_value(value);

    return true;
}


/* The place of the word in a list that ends with NULL; false if in none. */
static bool
netmap_parts_word(const json_t *object, const char *name,
                  const char *const *words, unsigned *place)
{
    const char *text;
    unsigned i;

    text = json_string_value(json_object_get(object, name));

    for (i = 0; text != NULL && words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *place = i;
            return true;
        }
    }

    return false;
}


static bool
netmap_parts_selector(const json_t *object, const char *name, char *selector)
{
    return netmap_parse_text(object, name, selector, NETMAP_SELECTOR_SIZE) &&
           gc_rule_selector_valid(selector, strlen(selector));
}


static int
netmap_parts_rule(const json_t *json, struct netmap_rule *rule,
                  struct error *error)
{
    static const char *const actions[] = {"deny", "allow", NULL};
    static const char *const protocols[] = {"any", "tcp", "udp", "icmp", NULL};
    unsigned action, protocol;
    int64_t first, last;

    memset(rule, 0, sizeof(*rule));
    first = last = 0;

    if (!netmap_parts_word(json, "action", actions, &action) ||
        !netmap_parts_selector(json, "source", rule->source) ||
        !netmap_parts_selector(json, "destination", rule->destination) ||
        !netmap_parts_word(json, "protocol", protocols, &protocol) ||
        !netmap_parts_number(json, "port_first", 1, 65535, &first) ||
        !netmap_parts_number(json, "port_last", 1, 65535, &last) ||
        (first == 0) != (last == 0) || last < first) {
        return error_set(error, ERROR_INVALID, "an invalid rule");
    }

    rule->allow = action == 1;
    rule->protocol = (enum netmap_protocol) protocol;
    rule->port_first = (uint16_t) first;
    rule->port_last = (uint16_t) last;

    return 0;
}


/* Of the family, "" being none.  A relay may be anywhere, this host too. */
static bool
netmap_parts_address(const json_t *object, const char *name,
                     enum address_family family, struct address *address)
{
    char text[ADDRESS_TEXT];

    if (!netmap_parse_text(object, name, text, sizeof(text))) {
        return false;
    }

    return text[0] == '\0' ||
           (address_parse(text, address) && address->family == family);
}


static int
netmap_parts_relay(const json_t *json, struct netmap_relay *relay,
                   struct error *error)
{
    int64_t port;

    memset(relay, 0, sizeof(*relay));
    port = 0;

    if (!netmap_parse_id(json, "id", relay->id, true) ||
        !netmap_parse_text(json, "name", relay->name, sizeof(relay->name)) ||
        !netmap_parse_text(json, "url", relay->url, sizeof(relay->url)) ||
        !netmap_parts_address(json, "address4", ADDRESS_IPV4,
                              &relay->address4) ||
        !netmap_parts_address(json, "address6", ADDRESS_IPV6,
                              &relay->address6) ||
        !netmap_parts_number(json, "port", 1, 65535, &port) || port == 0) {
        return error_set(error, ERROR_INVALID, "an invalid relay");
    }

    relay->port = (uint16_t) port;

    return 0;
}


/* Room for the items of a list of at most `most`; NULL for none. */
static int
netmap_parts_room(const json_t *list, size_t most, size_t size, void **room,
                  struct error *error)
{
    *room = NULL;

    if (!json_is_array(list)) {
        return error_set(error, ERROR_INVALID, "rules or relays are no list");
    }

    if (json_array_size(list) > most) {
        return error_set(error, ERROR_TOO_BIG, "more than %zu rules or relays",
                         most);
    }

    if (json_array_size(list) == 0) {
        return 0;
    }

    *room = calloc(json_array_size(list), size);

    return *room != NULL ? 0
                         : error_set(error, ERROR_NO_MEMORY, "out of memory");
}


static int
netmap_parts_rules(struct netmap *map, const json_t *list, struct error *error)
{
    void *room;
    size_t i;

    if (netmap_parts_room(list, NETMAP_RULES_MAX, sizeof(*map->rules), &room,
                          error) != 0) {
        return -1;
    }

    free(map->rules);
    map->rules = room;
    map->rule_count = json_array_size(list);

    for (i = 0; i < map->rule_count; i++) {
        if (netmap_parts_rule(json_array_get(list, i), &map->rules[i], error) !=
            0) {
            return -1;
        }
    }

    return 0;
}


static int
netmap_parts_relays(struct netmap *map, const json_t *list, struct error *error)
{
    void *room;
    size_t i;

    if (netmap_parts_room(list, NETMAP_RELAYS_MAX, sizeof(*map->relays), &room,
                          error) != 0) {
        return -1;
    }

    free(map->relays);
    map->relays = room;
    map->relay_count = json_array_size(list);

    for (i = 0; i < map->relay_count; i++) {
        if (netmap_parts_relay(json_array_get(list, i), &map->relays[i],
                               error) != 0) {
            return -1;
        }
    }

    return 0;
}


static bool
netmap_parts_ports(const json_t *list, struct netmap_settings *settings)
{
    json_int_t port;
    size_t i;

    if (list == NULL) {
        return true;
    }

    if (!json_is_array(list) || json_array_size(list) > NETMAP_PORTS_MAX) {
        return false;
    }

    for (i = 0; i < json_array_size(list); i++) {
        port = json_integer_value(json_array_get(list, i));

        if (port < 1 || port > 65535) {
            return false;
        }

        settings->reflector_ports[i] = (uint16_t) port;
    }

    settings->reflector_port_count = i;

    return true;
}


/* Settings that we do not know are for a later release. */
static int
netmap_parts_settings(struct netmap *map, const json_t *json,
                      struct error *error)
{
    struct netmap_settings *settings;
    const json_t *birthday;
    int64_t mtu;

    settings = &map->settings;
    memset(settings, 0, sizeof(*settings));
    mtu = 0;
    birthday = json_object_get(json, "birthday_punching");

    if (!netmap_parts_number(json, "mtu", NETMAP_MTU_MIN, NETMAP_MTU_MAX,
                             &mtu) ||
        (birthday != NULL && !json_is_boolean(birthday)) ||
        !netmap_parts_ports(json_object_get(json, "reflector_ports"),
                            settings)) {
        return error_set(error, ERROR_INVALID, "network %s: invalid settings",
                         map->network_id);
    }

    settings->mtu = (uint32_t) mtu;
    settings->no_birthday_punching = json_is_false(birthday);

    return 0;
}


static int
netmap_parts_network(struct netmap *map, const json_t *json,
                     struct error *error)
{
    const struct netmap_peer *peer;
    size_t i;

    if (netmap_parse_network(json, map, error) != 0 ||
        netmap_parts_settings(map, json_object_get(json, "settings"), error) !=
            0) {
        return -1;
    }

    for (i = 0; i < map->peer_count; i++) {
        peer = &map->peers[i];

        if (netmap_parse_place(map, peer, error) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
netmap_parts_dns(struct netmap *map, const json_t *json, struct error *error)
{
    if (!json_is_object(json) ||
        !netmap_parse_text(json, "domain", map->domain, sizeof(map->domain))) {
        return error_set(error, ERROR_INVALID, "network %s: invalid dns",
                         map->network_id);
    }

    return 0;
}


int
netmap_parts_take(struct netmap *map, const json_t *data, struct error *error)
{
    static const struct {
        const char *name;
        int (*take)(struct netmap *, const json_t *, struct error *);
    } parts[] = {
        {"network", netmap_parts_network},
        {"relays", netmap_parts_relays},
        {"dns", netmap_parts_dns},
        {"rules", netmap_parts_rules},
    };
    const json_t *part;
    size_t i;

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        part = json_object_get(data, parts[i].name);

        if (part != NULL && parts[i].take(map, part, error) != 0) {
            return -1;
        }
    }

    return 0;
}


/* NULL for no items. */
static int
netmap_parts_again(void **to, const void *from, size_t count, size_t size,
                   struct error *error)
{
    *to = NULL;

    if (count == 0) {
        return 0;
    }

    *to = calloc(count, size);

    if (*to == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    memcpy(*to, from, count * size);

    return 0;
}


int
netmap_parts_copy(struct netmap *to, const struct netmap *from,
                  struct error *error)
{
    void *rules, *relays;

    to->rules = NULL;
    to->relays = NULL;

    if (netmap_parts_again(&rules, from->rules, from->rule_count,
                           sizeof(*from->rules), error) != 0) {
        return -1;
    }

    to->rules = rules;

    if (netmap_parts_again(&relays, from->relays, from->relay_count,
                           sizeof(*from->relays), error) != 0) {
        return -1;
    }

    to->relays = relays;

    return 0;
}


void
netmap_parts_clear(struct netmap *map)
{
    free(map->rules);
    free(map->relays);
}
