#include "plan/paths.h"

#include <stdlib.h>
#include <string.h>


/*
 * A session ends for good so long after its handshake (Reject-After-Time of
 * the WireGuard paper, section 6.1).
 */
#define PATHS_SESSION_MS 180000

/* With many peers a look costs more (10,000: some 20 ms): look less often. */
#define PATHS_POLL_PEERS_PER_MS 2

/* A keep-alive is a data message without data: it needs no answer. */
#define PATHS_KEEPALIVE_BYTES 32


struct paths_peer {
    struct key public_key;
    struct endpoint told[NETMAP_ENDPOINTS_MAX]; /* in the peer's order */
    size_t told_count;
    struct endpoint candidates[NETMAP_ENDPOINTS_MAX]; /* usable, best first */
    size_t candidate_count;
    struct endpoint endpoint; /* the choice; ADDRESS_NONE: none */
    bool proven;              /* the peer has answered there */
    bool wake;                /* it shall hear from us */
    size_t attempts;          /* candidates left where we roamed to */
    bool unanswered;          /* traffic goes out, nothing comes back ... */
    uint64_t since_ms;        /* ... since then */
    uint64_t answered_ms;     /* the last sign of life, when proven */
    uint64_t rx_bytes;        /* as last seen */
    uint64_t tx_bytes;
    int64_t handshake_s;
    uint32_t handshake_ns;
};

struct paths {
    struct paths_local local;
    struct prefix inside[2];  /* the network itself: not a way to itself */
    struct paths_peer *peers; /* sorted by key; owned */
    size_t count;
    uint64_t now_ms; /* of the last observation */
};


struct paths *
paths_create(void)
{
    return calloc(1, sizeof(struct paths));
}


void
paths_destroy(struct paths *paths)
{
    if (paths != NULL) {
        free(paths->peers);
        free(paths);
    }
}


static int
paths_by_key(const void *a, const void *b)
{
    const struct paths_peer *x = a, *y = b;

    return key_compare(&x->public_key, &y->public_key);
}


static struct paths_peer *
paths_find(const struct paths *paths, const struct key *public_key)
{
    struct paths_peer wanted;

    if (paths->count == 0) {
        return NULL;
    }

    wanted.public_key = *public_key;

    return bsearch(&wanted, paths->peers, paths->count, sizeof(wanted),
                   paths_by_key);
}


/* One's own address, or one that only exists inside the tunnel. */
static bool
paths_useless(const struct paths *paths, const struct endpoint *candidate)
{
    size_t i;

    for (i = 0; i < paths->local.own_count; i++) {
        if (address_compare(&paths->local.own[i], &candidate->address) == 0) {
            return true;
        }
    }

    return prefix_contains(&paths->inside[0], &candidate->address) ||
           prefix_contains(&paths->inside[1], &candidate->address);
}


/* 0: in a subnet that we share, 1: behind a router, 2: there is no route. */
static unsigned
paths_rank(const struct paths *paths, const struct endpoint *candidate)
{
    bool routed;
    size_t i;

    for (i = 0; i < paths->local.subnet_count; i++) {
        if (prefix_contains(&paths->local.subnets[i], &candidate->address)) {
            return 0;
        }
    }

    routed = candidate->address.family == ADDRESS_IPV4 ? paths->local.default4
                                                       : paths->local.default6;

    return routed ? 1 : 2;
}


/* The usable ones by rank; the peer's own order decides between equals. */
static size_t
paths_order(const struct paths *paths, const struct paths_peer *peer,
            struct endpoint *ordered)
{
    size_t i, n;
    unsigned rank;

    n = 0;

    for (rank = 0; rank <= 2; rank++) {
        for (i = 0; i < peer->told_count; i++) {
            if (!paths_useless(paths, &peer->told[i]) &&
                paths_rank(paths, &peer->told[i]) == rank) {
                ordered[n++] = peer->told[i];
            }
        }
    }

    return n;
}


static bool
paths_offers(const struct paths_peer *peer, const struct endpoint *endpoint)
{
    size_t i;

    for (i = 0; i < peer->candidate_count; i++) {
        if (endpoint_compare(&peer->candidates[i], endpoint) == 0) {
            return true;
        }
    }

    return false;
}


/* Every change of a peer's endpoint comes through here. */
static void
paths_choose(struct paths_peer *peer, const struct endpoint *endpoint,
             bool proven)
{
    peer->endpoint = *endpoint;
    peer->proven = proven;
    peer->unanswered = false;
}


static bool
paths_in_session(const struct paths *paths, const struct paths_peer *peer)
{
    return peer->proven && paths->now_ms - peer->answered_ms < PATHS_SESSION_MS;
}


/*
 * Ranks what was told.  A path that works is kept unless the peer says that it
 * is not there any more; one that has been still for longer than a session
 * lives and is no longer offered is given up; one that is merely being tried
 * gives way to the best of the new list.
 */
static void
paths_candidates(struct paths *paths, struct paths_peer *peer)
{
    static const struct endpoint none;
    struct endpoint ordered[NETMAP_ENDPOINTS_MAX];
    size_t i, n;
    bool same, offered;

    n = paths_order(paths, peer, ordered);
    same = n == peer->candidate_count;

    for (i = 0; i < n && same; i++) {
        same = endpoint_compare(&ordered[i], &peer->candidates[i]) == 0;
    }

    if (same) {
        return;
    }

    offered = paths_offers(peer, &peer->endpoint);
    memcpy(peer->candidates, ordered, n * sizeof(ordered[0]));
    peer->candidate_count = n;

    if (peer->proven && (n == 0 || paths_offers(peer, &peer->endpoint) ||
                         (!offered && paths_in_session(paths, peer)))) {
        return;
    }

    paths_choose(peer, n > 0 ? &ordered[0] : &none, false);
}


void
paths_set_local(struct paths *paths, const struct paths_local *local)
{
    size_t i;

    paths->local = *local;

    for (i = 0; i < paths->count; i++) {
        paths_candidates(paths, &paths->peers[i]);
    }
}


/* The present endpoint's turn, unless another is nearer now; then the rest. */
static void
paths_restart(const struct paths *paths, struct paths_peer *peer)
{
    peer->attempts = peer->candidate_count;
    peer->wake = true;
    peer->unanswered = false;
    peer->since_ms = paths->now_ms;

    if (peer->candidate_count == 0) {
        return;
    }

    if (!paths_offers(peer, &peer->endpoint)) {
        peer->attempts++;
    }

    if (paths_rank(paths, &peer->candidates[0]) <
        paths_rank(paths, &peer->endpoint)) {
        paths_choose(peer, &peer->candidates[0], false);
    }
}


void
paths_roamed(struct paths *paths)
{
    size_t i;

    for (i = 0; i < paths->count; i++) {
        if (paths_in_session(paths, &paths->peers[i])) {
            paths_restart(paths, &paths->peers[i]);
        }
    }
}


void
paths_wake(struct paths *paths)
{
    size_t i;

    for (i = 0; i < paths->count; i++) {
        if (paths_in_session(paths, &paths->peers[i])) {
            paths->peers[i].wake = true;
        }
    }
}


void
paths_rekey(struct paths *paths, const struct key *old_key,
            const struct key *new_key)
{
    struct paths_peer *peer;

    peer = paths_find(paths, old_key);

    if (peer == NULL || paths_find(paths, new_key) != NULL) {
        return;
    }

    peer->public_key = *new_key;
    peer->rx_bytes = 0;
    peer->tx_bytes = 0;
    peer->handshake_s = 0;
    peer->handshake_ns = 0;
    peer->unanswered = false;
    qsort(paths->peers, paths->count, sizeof(*paths->peers), paths_by_key);
}


bool
paths_active(const struct paths *paths, const struct key *public_key)
{
    const struct paths_peer *peer;

    peer = paths_find(paths, public_key);

    return peer != NULL && paths_in_session(paths, peer);
}


int
paths_set_netmap(struct paths *paths, const struct netmap *map,
                 const char *self_id)
{
    const struct netmap_peer *told;
    struct paths_peer *peers, *peer, *known;
    size_t i, count;

    peers = calloc(map->peer_count + 1, sizeof(*peers));

    if (peers == NULL) {
        return -1;
    }

    paths->inside[0] = map->cidr;
    paths->inside[1] = map->cidr6;

    for (i = 0, count = 0; i < map->peer_count; i++) {
        told = &map->peers[i];

        if (strcmp(told->id, self_id) == 0) {
            continue;
        }

        peer = &peers[count++];
        known = paths_find(paths, &told->public_key);

        if (known != NULL) {
            *peer = *known;

        } else {
            peer->public_key = told->public_key;
        }

        memcpy(peer->told, told->endpoints, sizeof(peer->told));
        peer->told_count = told->endpoint_count;
        paths_candidates(paths, peer);
    }

    free(paths->peers);
    paths->peers = peers;
    paths->count = count;

    if (count > 1) {
        qsort(peers, count, sizeof(*peers), paths_by_key);
    }

    return 0;
}


/* The candidate behind the present endpoint, round and round. */
static bool
paths_next(struct paths_peer *peer)
{
    size_t i, next;

    next = 0;

    for (i = 0; i < peer->candidate_count; i++) {
        if (endpoint_compare(&peer->candidates[i], &peer->endpoint) == 0) {
            next = (i + 1) % peer->candidate_count;
        }
    }

    if (peer->candidate_count == 0 ||
        endpoint_compare(&peer->candidates[next], &peer->endpoint) == 0) {
        peer->unanswered = false; /* there is nothing else to try */
        return false;
    }

    paths_choose(peer, &peer->candidates[next], false);

    return true;
}


static uint64_t
paths_patience(const struct paths_peer *peer)
{
    if (peer->attempts > 0) {
        return PATHS_ROAM_MS;
    }

    return peer->proven ? PATHS_DEAD_MS : PATHS_TRY_MS;
}


static void
paths_remember(struct paths_peer *peer, const struct actual_peer *seen)
{
    peer->rx_bytes = seen->rx_bytes;
    peer->tx_bytes = seen->tx_bytes;
    peer->handshake_s = seen->handshake_s;
    peer->handshake_ns = seen->handshake_ns;
}


/* The next candidate hears from us, until all had their turn. */
static bool
paths_roam(struct paths_peer *peer, uint64_t now_ms)
{
    if (now_ms - peer->since_ms < PATHS_ROAM_MS) {
        return false;
    }

    peer->attempts--;
    peer->since_ms = now_ms;

    if (!paths_next(peer)) {
        peer->attempts = 0;
        return false;
    }

    peer->wake = peer->attempts > 0;

    return true;
}


/* One peer's counters.  True if it gets another endpoint. */
static bool
paths_look(struct paths_peer *peer, const struct actual_peer *seen,
           uint64_t now_ms)
{
    bool answered, sent;

    if (seen->rx_bytes < peer->rx_bytes || seen->tx_bytes < peer->tx_bytes) {
        /* the peer was made anew: its counters began at 0 again */
        peer->rx_bytes = 0;
        peer->tx_bytes = 0;
    }

    answered = seen->rx_bytes > peer->rx_bytes ||
               seen->handshake_s > peer->handshake_s ||
               (seen->handshake_s == peer->handshake_s &&
                seen->handshake_ns > peer->handshake_ns);
    sent = seen->tx_bytes - peer->tx_bytes > PATHS_KEEPALIVE_BYTES;
    paths_remember(peer, seen);

    if (seen->keepalive != 0) {
        peer->wake = false; /* it has heard */
    }

    if (answered) {
        if (seen->endpoint.address.family != ADDRESS_NONE) {
            paths_choose(peer, &seen->endpoint, true);
        }

        peer->unanswered = peer->wake = false;
        peer->attempts = 0;
        peer->answered_ms = now_ms;
        return false;
    }

    if (peer->attempts > 0) {
        return paths_roam(peer, now_ms);
    }

    if (!peer->unanswered) {
        peer->unanswered = sent;
        peer->since_ms = now_ms;
        return false;
    }

    if (now_ms - peer->since_ms < paths_patience(peer)) {
        return false;
    }

    return paths_next(peer);
}


size_t
paths_observe(struct paths *paths, const struct actual_interface *interface,
              uint64_t now_ms)
{
    static const struct actual_peer nothing;
    const struct actual_peer *seen;
    size_t i, changed;

    paths->now_ms = now_ms;

    for (i = 0, changed = 0; i < paths->count; i++) {
        seen = interface != NULL
                   ? actual_peer(interface, &paths->peers[i].public_key)
                   : NULL;

        if (seen == NULL) {
            paths_remember(&paths->peers[i], &nothing);
            paths->peers[i].unanswered = false;

        } else if (paths_look(&paths->peers[i], seen, now_ms)) {
            changed++;
        }
    }

    return changed;
}


uint64_t
paths_deadline(const struct paths *paths)
{
    const struct paths_peer *peer;
    uint64_t wait, left, spent;
    bool choice;
    size_t i;

    wait = PATHS_POLL_IDLE_MS + paths->count / PATHS_POLL_PEERS_PER_MS;
    choice = false;

    for (i = 0; i < paths->count; i++) {
        peer = &paths->peers[i];

        if (peer->candidate_count == 0 ||
            (peer->candidate_count == 1 &&
             paths_offers(peer, &peer->endpoint))) {
            continue; /* nothing else to try: nothing to watch for */
        }

        choice = true;

        if (!peer->unanswered && peer->attempts == 0) {
            continue;
        }

        spent = paths->now_ms - peer->since_ms;
        left = spent < paths_patience(peer) ? paths_patience(peer) - spent : 0;
        left = left > PATHS_POLL_TRYING_MS ? PATHS_POLL_TRYING_MS : left;
        wait = left < wait ? left : wait;
    }

    return choice ? paths->now_ms + wait : UINT64_MAX;
}


bool
paths_endpoint(const struct paths *paths, const struct key *public_key,
               struct endpoint *endpoint)
{
    const struct paths_peer *peer;

    peer = paths_find(paths, public_key);

    if (peer == NULL || peer->endpoint.address.family == ADDRESS_NONE) {
        return false;
    }

    *endpoint = peer->endpoint;

    return true;
}


uint16_t
paths_keepalive(const struct paths *paths, const struct key *public_key)
{
    const struct paths_peer *peer;

    peer = paths_find(paths, public_key);

    return peer != NULL && peer->wake ? PATHS_WAKE_S : 0;
}
