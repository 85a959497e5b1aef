/*
 * The netmap: what every member of a network may know of the others, as the
 * control plane tells it (docs/protocol.md: `netmap`, `netmap_delta`), and
 * as it is kept on disk.  Bounded: what exceeds a bound is refused, never
 * cut.  Pure: no clock, no I/O.
 */

#ifndef PLAN_NETMAP_H
#define PLAN_NETMAP_H

#include <jansson.h>

#include "plan/address.h"
#include "plan/error.h"
#include "plan/key.h"

#define NETMAP_ID_SIZE 37    /* a UUID and a NUL */
#define NETMAP_NAME_SIZE 257 /* 64 characters of UTF-8 */
#define NETMAP_LABEL_SIZE 64 /* a DNS label: RFC 1035, 2.3.4 */
#define NETMAP_ROLE_SIZE 16
#define NETMAP_ENDPOINTS_MAX 8 /* docs/protocol.md, Objects */
#define NETMAP_PEERS_MAX 16384
#define NETMAP_PARTS_MAX 4096
#define NETMAP_RULES_MAX 128
#define NETMAP_RELAYS_MAX 64
#define NETMAP_PORTS_MAX 64
#define NETMAP_TAGS_MAX 32
#define NETMAP_ROUTES_MAX 32    /* of one peer */
#define NETMAP_SELECTOR_SIZE 68 /* "tag:" and a label, "peer:" and an id */
#define NETMAP_URL_SIZE 2049
#define NETMAP_DOMAIN_SIZE 254 /* RFC 1035, 2.3.4, as text */
#define NETMAP_MTU_MIN 1280    /* RFC 8200, 5 */
#define NETMAP_MTU_MAX 9000

/* How the network behaves; all zero is the default. */
struct netmap_settings {
    uint32_t mtu; /* of the interfaces; 0: ours to choose */
    bool no_birthday_punching;
    uint16_t reflector_ports[NETMAP_PORTS_MAX];
    size_t reflector_port_count;
};

struct netmap_relay {
    char id[NETMAP_ID_SIZE];
    char name[NETMAP_NAME_SIZE];
    struct address address4; /* ADDRESS_NONE if there is none */
    struct address address6;
    uint16_t port;
    char url[NETMAP_URL_SIZE]; /* the WebSocket way in, or "" */
};

enum netmap_protocol {
    NETMAP_ANY = 0,
    NETMAP_TCP,
    NETMAP_UDP,
    NETMAP_ICMP
};

/* The first rule that matches decides; where none does, all is allowed. */
struct netmap_rule {
    bool allow;
    char source[NETMAP_SELECTOR_SIZE]; /* core/gc_rule.h says of what form */
    char destination[NETMAP_SELECTOR_SIZE];
    enum netmap_protocol protocol;
    uint16_t port_first; /* 0: every port */
    uint16_t port_last;
};

struct netmap_peer {
    char id[NETMAP_ID_SIZE];
    char device_id[NETMAP_ID_SIZE];
    char user_id[NETMAP_ID_SIZE];
    char username[NETMAP_NAME_SIZE];
    char role[NETMAP_ROLE_SIZE];
    char name[NETMAP_LABEL_SIZE];
    char via[NETMAP_ID_SIZE]; /* the gateway's peer id, or "" */
    char home_relay[NETMAP_ID_SIZE];
    struct netmap_lists *lists; /* tags and routes; NULL: neither */
    bool gateway;
    bool agentless; /* it is reached by `via`, or not at all */
    bool has_next_key;
    struct key public_key;
    struct key next_public_key; /* when has_next_key */
    struct address ip_address;
    struct address ip6_address; /* ADDRESS_NONE if there is none */
    struct endpoint endpoints[NETMAP_ENDPOINTS_MAX];
    size_t endpoint_count;
};

struct netmap {
    char network_id[NETMAP_ID_SIZE];
    char tenant_id[NETMAP_ID_SIZE];
    char name[NETMAP_NAME_SIZE];
    char slug[NETMAP_LABEL_SIZE];
    bool lan; /* mode l2: broadcasts and other protocols cross it */
    struct prefix cidr;
    struct prefix cidr6; /* ADDRESS_NONE if there is none */
    struct netmap_settings settings;
    char domain[NETMAP_DOMAIN_SIZE]; /* of the peers' names, or "" */
    struct netmap_rule *rules;
    size_t rule_count;
    struct netmap_relay *relays;
    size_t relay_count;
    int64_t version;
    bool complete;             /* the last part has arrived */
    int64_t parts;             /* parts taken so far */
    struct netmap_peer *peers; /* sorted by id once complete */
    size_t peer_count;
    size_t peer_room;
};

enum netmap_result {
    NETMAP_DONE,   /* the map is complete and at its new version */
    NETMAP_MORE,   /* part taken, more parts to come */
    NETMAP_STALE,  /* known already: nothing changed */
    NETMAP_RESYNC, /* does not fit what is known: subscribe again with null */
    NETMAP_INVALID /* malformed, *error says why: resync too */
};

void netmap_destroy(struct netmap *map); /* NULL is fine */

/*
 * Takes one `netmap` frame's data.  *assembly holds the map under way (NULL
 * at the beginning; the caller owns it and destroys it in the end).  Part 0
 * starts afresh; a part out of order or of another version gives
 * NETMAP_RESYNC and drops the assembly.  After NETMAP_DONE *assembly is the
 * finished map: move it out and set *assembly to NULL.
 */
enum netmap_result netmap_part(struct netmap **assembly, const json_t *data,
                               struct error *error);

/*
 * Applies one `netmap_delta` frame's data, all of it or (any other result
 * than NETMAP_DONE) nothing.  What it has of `network`, `relays`, `dns` and
 * `rules` replaces what was known.
 */
enum netmap_result netmap_delta(struct netmap *map, const json_t *data,
                                struct error *error);

/* Whether the peer wears the tag. */
bool netmap_tagged(const struct netmap_peer *peer, const char *tag);

/* Its approved routes and how many; NULL and 0 for none. */
const struct prefix *netmap_routes(const struct netmap_peer *peer,
                                   size_t *count);

/* NULL if there is no such peer.  The map keeps ownership. */
const struct netmap_peer *netmap_find(const struct netmap *map,
                                      const char *peer_id);

/*
 * The durable form: the data of a one-part `netmap` frame.  to_json returns
 * a new reference (NULL when memory is out), from_json a new map or NULL.
 */
json_t *netmap_to_json(const struct netmap *map);
struct netmap *netmap_from_json(const json_t *json, struct error *error);

#endif
