#include "daemon/probe_parts.h"

#include "base/log.h"
#include "daemon/wire.h"
#include "os/probe_socket.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define PROBE_BURST 64
#define PROBE_ANSWERS_A_SECOND 200
#define PROBE_LIVE_S 180 /* Reject-After-Time of the WireGuard paper, 6.1 */


uint64_t
probe_now(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_BOOTTIME, &now);

    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}


uint64_t
probe_nonce(void)
{
    uint64_t nonce = 0;

    /* never short for so few bytes: getrandom(2) */
    while (getrandom(&nonce, sizeof(nonce), 0) == -1 && errno == EINTR) {
    }

    return nonce;
}


int
probe_send(member_t *member, const struct address *to, uint16_t port,
           const struct probe_packet *packet, uint32_t size)
{
    uint8_t data[PROBE_DATAGRAM_MAX];
    size_t headers = to->family == ADDRESS_IPV4 ? 28 : 48;
    size_t length = PROBE_SIZE;
    struct member_probe *probe = member->probe;

    if (size > headers + PROBE_SIZE) {
        length = size - headers;
    }

    if (length > sizeof(data)) {
        return EMSGSIZE;
    }

    memset(data, 0, length);
    probe_write(packet, data);
    probes_passed(&probe->probes, to, length + headers);

    return probe_socket_send(probe->io.fd, to, port, data, length);
}


static void
probe_schedule(member_t *member)
{
    struct member_probe *probe = member->probe;
    uint64_t next = probes_deadline(&probe->probes), now = probe_now();

    if (next == UINT64_MAX || probe->io.fd == -1) {
        loop_timer_cancel(&probe->timer);
        return;
    }

    loop_timer_set(member->daemon->loop, &probe->timer,
                   next > now ? (int64_t) ((next - now) / 1000) + 1 : 0);
}


static void
probe_tick(void *arg)
{
    member_t *member = arg;
    struct probe_send send;
    struct member_probe *probe = member->probe;

    while (probes_due(&probe->probes, probe_nonce(), probe_now(), &send)) {
        /* what could not be sent counts as lost, as it is */
        (void) probe_send(member, &send.address, PROBE_PORT, &send.packet,
                          send.size);
    }

    probe_schedule(member);
}


/* So many answers a second, whoever asks. */
static int
probe_may_answer(struct member_probe *probe)
{
    uint64_t now = probe_now(), each = 1000000 / PROBE_ANSWERS_A_SECOND;

    if (probe->tokens_us + PROBE_BURST * each < now) {
        probe->tokens_us = now - PROBE_BURST * each;
    }

    if (probe->tokens_us + each > now) {
        return 0;
    }

    probe->tokens_us += each;
    return 1;
}


static int
probe_is_member(const member_t *member, const struct address *from)
{
    const struct netmap *map = member->map;
    size_t i;

    for (i = 0; map != NULL && i < map->peer_count; i++) {
        if (address_compare(probe_address(map, &map->peers[i]), from) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
probe_take(member_t *member, const uint8_t *data, size_t size,
           const struct address *from, uint16_t port)
{
    struct probe_packet packet;
    struct member_probe *probe = member->probe;

    if (!probe_parse(data, size, &packet) || !probe_is_member(member, from)) {
        return;
    }

    probes_passed(&probe->probes, from,
                  size + (from->family == ADDRESS_IPV4 ? 28 : 48));

    if (packet.kind == PROBE_ASK) {
        if (probe_may_answer(probe)) {
            packet.kind = PROBE_ANSWER;
            (void) probe_send(member, from, port, &packet, 0);
        }

        return;
    }

    probe_pong(member, from, &packet);

    if (probes_answer(&probe->probes, from, &packet, probe_now())) {
        wire_sync(member->daemon); /* the route's MTU */
    }
}


static void
probe_event(void *arg, uint32_t events)
{
    member_t *member = arg;
    ssize_t size;
    struct address from;
    uint16_t port;
    uint8_t data[PROBE_DATAGRAM_MAX];
    unsigned i;

    (void) events;

    for (i = 0; i < PROBE_BURST; i++) {
        size = probe_socket_receive(member->probe->io.fd, data, sizeof(data),
                                    &from, &port);

        if (size == -1) {
            break;
        }

        probe_take(member, data, (size_t) size, &from, port);
    }

    probe_schedule(member);
}


static void
probe_close(member_t *member)
{
    struct member_probe *probe = member->probe;

    if (probe->io.fd != -1) {
        loop_fd_remove(member->daemon->loop, &probe->io);
        (void) close(probe->io.fd);
        probe->io.fd = -1;
    }

    loop_timer_cancel(&probe->timer);
}


static void
probe_problem(member_t *member, const char *text)
{
    struct member_probe *probe = member->probe;

    if (strncmp(probe->problem, text, sizeof(probe->problem) - 1) != 0) {
        log_warn("network %s: round trips are not measured: %s", member->name,
                 text);
        snprintf(probe->problem, sizeof(probe->problem), "%s", text);
    }
}


/* The socket is that of the interface as it is now. */
static void
probe_open(member_t *member, uint32_t index)
{
    const struct address *address;
    struct error error;
    struct member_probe *probe = member->probe;

    address = member->map != NULL && member->map->lan ? &member->ip6_address
                                                      : &member->ip_address;

    if (probe->io.fd != -1 && probe->index == index &&
        address_compare(&probe->address, address) == 0) {
        return;
    }

    probe_close(member);

    if (address->family == ADDRESS_NONE) {
        return;
    }

    probe->io.fn = probe_event;
    probe->io.arg = member;
    probe->io.fd =
        probe_socket_open(address, PROBE_PORT, member->interface, &error);

    if (probe->io.fd == -1) {
        probe_problem(member, error.text);
        return;
    }

    if (loop_fd_add(member->daemon->loop, &probe->io, EPOLLIN) == -1) {
        (void) close(probe->io.fd);
        probe->io.fd = -1;
        probe_problem(member, strerror(errno));
        return;
    }

    probe->problem[0] = '\0';
    probe->index = index;
    probe->address = *address;
}


static int
probe_make(member_t *member)
{
    if (member->probe == NULL) {
        member->probe = calloc(1, sizeof(*member->probe));

        if (member->probe == NULL) {
            log_error("network %s: out of memory", member->name);
            return -1;
        }

        member->probe->io.fd = -1;
        member->probe->timer.fn = probe_tick;
        member->probe->timer.arg = member;
    }

    return 0;
}


void
probe_look(member_t *member, const struct actual_interface *interface)
{
    if (probe_make(member) == -1) {
        return;
    }

    if (!member->live || interface == NULL) {
        probe_close(member);
        (void) probes_look(&member->probe->probes, NULL, NULL, 0, 0);
        return;
    }

    probe_open(member, probe_socket_index(member->interface));

    if (probes_look(&member->probe->probes, member->map, interface, time(NULL),
                    probe_now()) != 0) {
        log_error("network %s: out of memory", member->name);
    }

    probe_schedule(member);
}


void
probe_desire(const member_t *member, struct desired *desired)
{
    if (member->probe != NULL &&
        probes_desire(&member->probe->probes, member->map, desired) != 0) {
        log_error("network %s: out of memory", member->name);
    }
}


void
probe_want(member_t *member, const char *peer_id)
{
    if (member->probe == NULL || member->map == NULL || !member->live) {
        return;
    }

    if (probes_want(&member->probe->probes, member->map, peer_id,
                    probe_now()) != 0) {
        log_error("network %s: out of memory", member->name);
    }

    probe_schedule(member);
}


void
probe_roamed(member_t *member)
{
    if (member->probe != NULL) {
        probes_roamed(&member->probe->probes, probe_now());
        probe_schedule(member);
    }
}


static const struct probe_peer *
probe_find(const member_t *member, const char *peer_id)
{
    return member->probe != NULL ? probes_find(&member->probe->probes, peer_id)
                                 : NULL;
}


uint32_t
probe_rtt_us(const member_t *member, const char *peer_id)
{
    const struct probe_peer *peer = probe_find(member, peer_id);

    return peer != NULL ? peer->rtt_us : 0;
}


int
probe_loss(const member_t *member, const char *peer_id)
{
    const struct probe_peer *peer = probe_find(member, peer_id);

    return peer != NULL ? probe_peer_loss(peer) : -1;
}


uint32_t
probe_mtu(const member_t *member, const char *peer_id)
{
    const struct probe_peer *peer = probe_find(member, peer_id);

    return peer != NULL ? peer->mtu : 0;
}


uint32_t
probe_narrow_mtu(const member_t *member, const char *peer_id)
{
    uint32_t mtu = probe_mtu(member, peer_id);

    return mtu != 0 && mtu < member->probe->probes.mtu ? mtu : 0;
}


static int
probe_is_relay(const struct netmap *map, const struct endpoint *endpoint)
{
    size_t i;

    for (i = 0; i < map->relay_count; i++) {
        if (map->relays[i].port == endpoint->port &&
            (address_compare(&map->relays[i].address4, &endpoint->address) ==
                 0 ||
             address_compare(&map->relays[i].address6, &endpoint->address) ==
                 0)) {
            return 1;
        }
    }

    return 0;
}


const char *
probe_state(const member_t *member, const struct netmap_peer *peer,
            const struct actual_peer *wg)
{
    const char *online;
    const struct probe_peer *asked = probe_find(member, peer->id);

    if (strcmp(peer->id, member->peer_id) == 0) {
        return "self";
    }

    if (asked != NULL && probe_now() < asked->active_until_us &&
        asked->history_count > 2 && (asked->history & 7) == 7) {
        return "down";
    }

    if (wg != NULL && time(NULL) - wg->handshake_s < PROBE_LIVE_S) {
        return probe_is_relay(member->map, &wg->endpoint) ? "relayed"
                                                          : "direct";
    }

    online = json_string_value(json_object_get(member->online, peer->id));

    return online != NULL && strcmp(online, "offline") == 0 ? "down" : "idle";
}


void
probe_stop(member_t *member)
{
    struct member_probe *probe = member->probe;

    if (probe == NULL) {
        return;
    }

    probe_ping_stop(member);
    probe_close(member);
    probes_clear(&probe->probes);
    free(probe);
    member->probe = NULL;
}
