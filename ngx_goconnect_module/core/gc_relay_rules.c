#include "core/gc_relay_rules.h"

#include <string.h>


#define GC_RELAY_SECOND 1000000ULL /* of a pace */


static int
gc_relay_holds(const gc_relay_place_t *place, uint32_t peer, uint64_t now)
{
    unsigned i;

    if (now >= place->held_until) {
        return 0;
    }

    for (i = 0; i < GC_RELAY_PEER_HOLDS; i++) {
        if (place->holds[i].peer == peer && now < place->holds[i].until) {
            return 1;
        }
    }

    return 0;
}


gc_relay_verdict_e
gc_relay_data(const gc_relay_t *relay, const gc_stun_address_t *from,
              const unsigned char *packet, uint64_t now, gc_relay_send_t *send)
{
    uint32_t sender;
    gc_relay_binding_t binding;
    gc_relay_place_t own, other;

    send->nouts = 0;
    sender = gc_relay_address_find(relay, from, now, &own);

    if (sender == 0) {
        return GC_RELAY_DROP_STRANGER;
    }

    if (gc_relay_binding_read(relay, sender,
                              gc_wg_packet_receiver(packet, GC_WG_TYPE_DATA),
                              now, &binding) != 0 ||
        binding.state != GC_RELAY_LIVE) {
        return GC_RELAY_DROP_UNBOUND;
    }

    if (gc_relay_place_read(relay, binding.owner, now, &other) != 0) {
        return GC_RELAY_DROP_OFFLINE;
    }

    if (gc_relay_holds(&own, binding.owner, now) ||
        gc_relay_holds(&other, sender, now)) {
        return GC_RELAY_DROP_HELD;
    }

    send->to = other.address;

    return GC_RELAY_FORWARDED;
}


/* -------------------------------------------------------------- handshakes */

/* Whom a packet may be for: as many keys as are tried at once. */
typedef struct {
    const unsigned char *packet;
    gc_wg_type_e type;
    unsigned n;
    uint32_t peers[GC_BLAKE2S_LANES];
    const gc_wg_mac1_t *keys[GC_BLAKE2S_LANES];
} gc_relay_try_t;


/* Tries those that were added; 0: it is for none of them. */
static uint32_t
gc_relay_try(gc_relay_try_t *try)
{
    unsigned found, n = try->n;

    try->n = 0;
    found = n == 0 ? 0 : gc_wg_mac1_find(try->keys, n, try->packet, try->type);

    return found < n ? try->peers[found] : 0;
}


/* Adds the keys of a peer, and tries them all whenever there are enough. */
static uint32_t
gc_relay_try_add(gc_relay_try_t *try, const gc_relay_t *relay, uint32_t peer)
{
    unsigned i;
    uint32_t found = 0;
    const gc_relay_peer_t *record = gc_relay_peer(relay, peer);
    const gc_wg_mac1_t *keys[2] = {&record->mac1, &record->next_mac1};

    for (i = 0; i < 1U + (record->has_next != 0) && found == 0; i++) {
        try->peers[try->n] = peer;
        try->keys[try->n++] = keys[i];

        if (try->n == GC_BLAKE2S_LANES) {
            found = gc_relay_try(try);
        }
    }

    return found;
}


static int
gc_relay_same_network(const gc_relay_peer_t *a, const gc_relay_peer_t *b)
{
    return b->used && memcmp(a->network, b->network, GC_RELAY_ID) == 0;
}


static uint32_t
gc_relay_search_partners(gc_relay_t *relay, const gc_relay_peer_t *own,
                         const unsigned char *packet)
{
    unsigned i;
    uint32_t found = 0;
    gc_relay_try_t try = {.packet = packet, .type = GC_WG_TYPE_INITIATION};

    for (i = 0; i < GC_RELAY_PARTNERS && own->partners[i] != 0 && found == 0;
         i++) {
        if (gc_relay_same_network(own,
                                  gc_relay_peer(relay, own->partners[i]))) {
            found = gc_relay_try_add(&try, relay, own->partners[i]);
        }
    }

    return found != 0 ? found : gc_relay_try(&try);
}


/* the last one that it spoke to is the first one to be tried */
static void
gc_relay_partner(gc_relay_t *relay, uint32_t peer, uint32_t partner)
{
    unsigned i;
    gc_relay_peer_t *record = gc_relay_peer(relay, peer);

    for (i = 0; i < GC_RELAY_PARTNERS - 1 && record->partners[i] != partner;
         i++) {
    }

    memmove(record->partners + 1, record->partners, i * sizeof(uint32_t));
    record->partners[0] = partner;
}


/* Pays for so many candidates: 50,000/s of a sender, 250,000/s of all: a fifth
 * of a core. */
static int
gc_relay_search_pay(gc_relay_t *relay, gc_relay_peer_t *own, uint64_t now,
                    uint64_t candidates)
{
    return gc_relay_pace(&own->search_pace, now, candidates * 20,
                         GC_RELAY_SECOND) &&
           gc_relay_pace(gc_relay_search_pace(relay), now, candidates * 4,
                         GC_RELAY_SECOND / 4);
}


/* The next slice of the sender's network, which was paid for. */
static uint32_t
gc_relay_search_slice(gc_relay_t *relay, uint32_t sender,
                      const unsigned char *packet, gc_relay_search_t *search)
{
    unsigned n;
    uint32_t next, found = 0;
    const gc_relay_peer_t *own, *peer;
    gc_relay_try_t try = {.packet = packet, .type = GC_WG_TYPE_INITIATION};

    own = gc_relay_peer(relay, sender);

    for (n = 0; n < GC_RELAY_SLICE && search->next != 0 && found == 0; n++) {
        next = search->next;
        peer = gc_relay_peer(relay, next);

        /* meanwhile it may have become another's, whose list is another */
        search->next = peer->used ? peer->after : 0;
        search->tried++;

        if (next != sender && gc_relay_same_network(own, peer)) {
            found = gc_relay_try_add(&try, relay, next);
        }
    }

    return found != 0 ? found : gc_relay_try(&try);
}


/* The peer that an initiation is for; 0: the verdict says why not. */
static uint32_t
gc_relay_search(gc_relay_t *relay, uint32_t sender, const unsigned char *packet,
                uint64_t now, gc_relay_search_t *search,
                gc_relay_verdict_e *verdict)
{
    uint32_t found;
    gc_relay_peer_t *own;

    own = gc_relay_peer(relay, sender);
    *verdict = GC_RELAY_DROP_BUDGET;

    if (!search->begun) {
        if (!gc_relay_search_pay(relay, own, now, GC_RELAY_PARTNERS)) {
            return 0;
        }

        found = gc_relay_search_partners(relay, own, packet);

        if (found != 0) {
            return found;
        }

        search->begun = 1;
        search->next = gc_relay_network_first(relay, own->network);
    }

    if (!gc_relay_search_pay(relay, own, now, GC_RELAY_SLICE)) {
        return 0;
    }

    found = gc_relay_search_slice(relay, sender, packet, search);

    /* a list that changes under the search does not make it endless */
    *verdict = search->next != 0 && search->tried <= GC_RELAY_PEERS_MAX
                   ? GC_RELAY_SEARCHING
                   : GC_RELAY_DROP_NOBODY;

    return found;
}


static gc_relay_verdict_e
gc_relay_initiation(gc_relay_t *relay, uint32_t a, const unsigned char *packet,
                    uint64_t now, gc_relay_search_t *search,
                    gc_relay_send_t *send)
{
    uint32_t b, index;
    gc_relay_pair_t *pair, *back;
    gc_relay_place_t place;
    gc_relay_binding_t held, binding;
    gc_relay_verdict_e verdict;

    b = gc_relay_search(relay, a, packet, now, search, &verdict);

    if (b == 0) {
        return verdict;
    }

    if (gc_relay_place_read(relay, b, now, &place) != 0) {
        return GC_RELAY_DROP_OFFLINE;
    }

    pair = gc_relay_pair(relay, a, b, now);
    back = gc_relay_pair(relay, b, a, now);

    if (pair == NULL || back == NULL) {
        return GC_RELAY_DROP_ROOM;
    }

    /* the first initiation of a pair wins, unless a has moved since */
    if (back->pending != 0 && now < back->pending + 1000 &&
        back->pending > gc_relay_peer(relay, a)->moved) {
        return GC_RELAY_DROP_GLARE;
    }

    if (!gc_relay_pace(&pair->pace, now, GC_RELAY_SECOND,
                       5 * GC_RELAY_SECOND)) {
        return GC_RELAY_DROP_PAIR_RATE;
    }

    index = gc_wg_packet_sender(packet);

    if (gc_relay_binding_read(relay, b, index, now, &held) == 0 &&
        (held.owner != a || held.state == GC_RELAY_LIVE)) {
        return GC_RELAY_DROP_TAKEN;
    }

    binding = (gc_relay_binding_t){.sender = b,
                                   .index = index,
                                   .owner = a,
                                   .state = GC_RELAY_PENDING,
                                   .expires = now + GC_RELAY_PENDING_MS};

    if (gc_relay_binding_write(relay, &binding, now) != 0) {
        return GC_RELAY_DROP_ROOM;
    }

    pair->pending = now;
    gc_relay_partner(relay, a, b);
    send->to = place.address;

    return GC_RELAY_FORWARDED;
}


/* Tells `to` that `from` talks to it, once in a minute. */
static void
gc_relay_tell(gc_relay_t *relay, uint32_t from, uint32_t to, uint64_t now,
              gc_relay_send_t *send)
{
    gc_relay_out_t *out;
    gc_relay_pair_t *pair;
    gc_relay_place_t place;
    gc_relay_message_t message;
    uint8_t transaction[GC_STUN_TRANSACTION] = {0};

    pair = gc_relay_pair(relay, from, to, now);

    if (pair == NULL ||
        (pair->told != 0 && now < pair->told + GC_RELAY_TOLD_MS) ||
        gc_relay_place_read(relay, to, now, &place) != 0) {
        return;
    }

    pair->told = now;
    out = &send->outs[send->nouts];
    memset(&message, 0, sizeof(message));
    message.kind = GC_RELAY_PAIR;
    message.transaction = transaction;
    message.peer = gc_relay_peer(relay, from)->id;
    message.boot = gc_relay_boot(relay);
    message.serial = now;
    out->to = place.address;
    out->size =
        gc_relay_message_write(&message, gc_relay_peer(relay, to)->secret,
                               out->data, sizeof(out->data));
    send->nouts += out->size != 0;
}


static gc_relay_verdict_e
gc_relay_response(gc_relay_t *relay, uint32_t b, const unsigned char *packet,
                  uint64_t now, gc_relay_send_t *send)
{
    uint32_t a;
    gc_relay_pair_t *pair;
    gc_relay_place_t place;
    gc_relay_binding_t first, held, second;
    gc_relay_try_t try = {.packet = packet, .type = GC_WG_TYPE_RESPONSE};

    if (gc_relay_binding_read(
            relay, b, gc_wg_packet_receiver(packet, GC_WG_TYPE_RESPONSE), now,
            &first) != 0 ||
        first.answers >= GC_RELAY_ANSWERS) {
        return GC_RELAY_DROP_UNBOUND;
    }

    a = first.owner;

    if (gc_relay_place_read(relay, a, now, &place) != 0) {
        return GC_RELAY_DROP_OFFLINE;
    }

    if (gc_relay_try_add(&try, relay, a) == 0 && gc_relay_try(&try) == 0) {
        return GC_RELAY_DROP_NOBODY;
    }

    second = (gc_relay_binding_t){.sender = a,
                                  .index = gc_wg_packet_sender(packet),
                                  .owner = b,
                                  .state = GC_RELAY_LIVE,
                                  .answers = GC_RELAY_ANSWERS,
                                  .expires = now + GC_RELAY_LIVE_MS};

    if (gc_relay_binding_read(relay, a, second.index, now, &held) == 0 &&
        held.owner != b) {
        return GC_RELAY_DROP_TAKEN;
    }

    first.state = GC_RELAY_LIVE;
    first.answers++;
    first.expires = now + GC_RELAY_LIVE_MS;

    if (gc_relay_binding_write(relay, &second, now) != 0 ||
        gc_relay_binding_write(relay, &first, now) != 0) {
        return GC_RELAY_DROP_ROOM;
    }

    pair = gc_relay_pair(relay, a, b, now);

    if (pair != NULL) {
        pair->pending = 0;
    }

    gc_relay_partner(relay, a, b);
    gc_relay_partner(relay, b, a);
    gc_relay_tell(relay, a, b, now, send);
    gc_relay_tell(relay, b, a, now, send);
    send->to = place.address;

    return GC_RELAY_FORWARDED;
}


static gc_relay_verdict_e
gc_relay_cookie(gc_relay_t *relay, uint32_t sender, const unsigned char *packet,
                uint64_t now, gc_relay_send_t *send)
{
    gc_relay_pair_t *pair;
    gc_relay_place_t place;
    gc_relay_binding_t binding;

    if (gc_relay_binding_read(relay, sender,
                              gc_wg_packet_receiver(packet, GC_WG_TYPE_COOKIE),
                              now, &binding) != 0) {
        return GC_RELAY_DROP_UNBOUND;
    }

    if (gc_relay_place_read(relay, binding.owner, now, &place) != 0) {
        return GC_RELAY_DROP_OFFLINE;
    }

    pair = gc_relay_pair(relay, binding.owner, sender, now);

    if (pair != NULL) {
        pair->pending = 0;
    }

    send->to = place.address;

    return GC_RELAY_FORWARDED;
}


gc_relay_verdict_e
gc_relay_handshake(gc_relay_t *relay, const gc_stun_address_t *from,
                   const unsigned char *packet, gc_wg_type_e type, uint64_t now,
                   gc_relay_search_t *search, gc_relay_send_t *send)
{
    uint32_t sender;
    gc_relay_place_t own;

    send->nouts = 0;
    sender = gc_relay_address_find(relay, from, now, &own);

    if (sender == 0) {
        return GC_RELAY_DROP_STRANGER;
    }

    switch (type) {
    case GC_WG_TYPE_INITIATION:
        return gc_relay_initiation(relay, sender, packet, now, search, send);
    case GC_WG_TYPE_RESPONSE:
        return gc_relay_response(relay, sender, packet, now, send);
    case GC_WG_TYPE_COOKIE:
        return gc_relay_cookie(relay, sender, packet, now, send);
    case GC_WG_TYPE_DATA:
        return gc_relay_data(relay, from, packet, now, send);
    case GC_WG_NONE:
        break;
    }

    return GC_RELAY_DROP_MALFORMED;
}


void
gc_relay_stranger(gc_relay_t *relay, const gc_relay_address_t *from,
                  uint64_t now, gc_relay_send_t *send)
{
    gc_relay_message_t message;
    uint8_t transaction[GC_STUN_TRANSACTION] = {0};

    send->nouts = 0;

    if (!gc_relay_pace(gc_relay_prefix_pace(relay, &from->remote), now,
                       GC_RELAY_SECOND, 5 * GC_RELAY_SECOND)) {
        return;
    }

    memset(&message, 0, sizeof(message));
    message.kind = GC_RELAY_UNREGISTERED;
    message.transaction = transaction;
    send->outs[0].to = *from;
    send->outs[0].size = gc_relay_message_write(
        &message, NULL, send->outs[0].data, sizeof(send->outs[0].data));
    send->nouts = 1;
}
