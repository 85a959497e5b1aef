#include "daemon/reflector.h"

#include "base/log.h"
#include "daemon/wire.h"
#include "os/reflector.h"
#include "plan/reflector.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define REFLECTOR_BATCH 64 /* packets before others get their turn */

struct reflector {
    daemon_t *daemon;
    struct reflector_socket *socket;
    loop_fd_t io;
    struct reflector_rate rate;
    int suppressed; /* copies that the cap kept back, since it was said */
    uint16_t ports[REFLECTOR_PORTS_MAX];
    size_t count;
};


/* Whom a copy may go to: who is online and has an agent of his own. */
static int
reflector_reaches(const member_t *member, const struct netmap_peer *peer)
{
    const char *status =
        json_string_value(json_object_get(member->online, peer->id));

    return !peer->agentless && strcmp(peer->id, member->peer_id) != 0 &&
           peer->ip_address.family == ADDRESS_IPV4 && status != NULL &&
           strcmp(status, "online") == 0;
}


static void
reflector_tell(struct reflector *reflector, const member_t *member,
               const struct reflector_packet *packet)
{
    const struct netmap *map = member->map;
    size_t i, length, copies = 0;
    uint8_t room[REFLECTOR_PACKET_MAX];

    for (i = 0; i < map->peer_count && copies < REFLECTOR_PEERS_MAX; i++) {
        if (!reflector_reaches(member, &map->peers[i])) {
            continue;
        }

        length = reflector_copy(packet, &member->ip_address,
                                &map->peers[i].ip_address, room);

        if (length == 0) {
            return;
        }

        if (!reflector_allowed(&reflector->rate, (uint64_t) loop_now())) {
            if (reflector->suppressed++ == 0) {
                log_warn("network %s: this host broadcasts so much that not "
                         "all of it is told to the members",
                         member->name);
            }

            return;
        }

        reflector_send(reflector->socket, member->interface, room, length);
        copies++;
    }
}


/* The network whose interface it is, or NULL. */
static const member_t *
reflector_member(const daemon_t *daemon, const char *interface)
{
    const member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (interface[0] != '\0' && strcmp(member->interface, interface) == 0) {
            return member;
        }
    }

    return NULL;
}


/* What left by a network's interface is that network's alone. */
static void
reflector_packet(struct reflector *reflector, const uint8_t *bytes,
                 size_t length, const char *interface, bool many)
{
    const member_t *member, *left;
    struct reflector_packet packet;

    if (!reflector_read(bytes, length, &packet)) {
        return;
    }

    left = reflector_member(reflector->daemon, interface);

    for (member = reflector->daemon->members; member != NULL;
         member = member->next) {
        if ((left != NULL && left != member) || !member->live ||
            !wire_buildable(member) ||
            !reflector_listed(member->map, packet.port)) {
            continue;
        }

        if (!many &&
            !reflector_is_broadcast(&packet.destination, &member->map->cidr)) {
            continue;
        }

        reflector_tell(reflector, member, &packet);
    }
}


static void
reflector_event(void *arg, uint32_t events)
{
    char interface[ACTUAL_NAME_SIZE];
    bool many = false;
    size_t i, length;
    struct reflector *reflector = arg;
    uint8_t room[REFLECTOR_PACKET_MAX];

    (void) events;

    for (i = 0; i < REFLECTOR_BATCH; i++) {
        length = reflector_receive(reflector->socket, room, sizeof(room),
                                   interface, &many);

        if (length == 0) {
            return;
        }

        reflector_packet(reflector, room, length, interface, many);
    }
}


static int
reflector_by_port(const void *a, const void *b)
{
    return *(const uint16_t *) a - *(const uint16_t *) b;
}


/* The ports of all networks that are up, sorted; as many as there is room. */
static size_t
reflector_ports(const daemon_t *daemon, uint16_t ports[REFLECTOR_PORTS_MAX])
{
    const member_t *member;
    size_t i, k, count = 0;
    uint16_t port;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (!wire_buildable(member) || member->map->lan) {
            continue;
        }

        for (i = 0; i < member->map->settings.reflector_port_count; i++) {
            port = member->map->settings.reflector_ports[i];

            for (k = 0; k < count && ports[k] != port; k++) {
            }

            if (k == count && count < REFLECTOR_PORTS_MAX) {
                ports[count++] = port;
            }
        }
    }

    qsort(ports, count, sizeof(ports[0]), reflector_by_port);
    return count;
}


void
reflector_stop(daemon_t *daemon)
{
    struct reflector *reflector = daemon->wire->reflector;

    if (reflector == NULL) {
        return;
    }

    if (reflector->socket != NULL) {
        loop_fd_remove(daemon->loop, &reflector->io);
        reflector_close(reflector->socket);
    }

    free(reflector);
    daemon->wire->reflector = NULL;
}


/* -1 with *error; what was opened is left for reflector_stop(). */
static int
reflector_begin(daemon_t *daemon, const uint16_t *ports, size_t count,
                struct error *error)
{
    struct reflector *reflector = calloc(1, sizeof(*reflector));

    if (reflector == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    daemon->wire->reflector = reflector;
    reflector->daemon = daemon;
    memcpy(reflector->ports, ports, count * sizeof(ports[0]));
    reflector->count = count;
    reflector->socket = reflector_open(error);

    if (reflector->socket == NULL) {
        return -1;
    }

    reflector->io.fd = reflector_fd(reflector->socket);
    reflector->io.fn = reflector_event;
    reflector->io.arg = reflector;

    if (reflector_listen(reflector->socket, ports, count, error) != 0 ||
        loop_fd_add(daemon->loop, &reflector->io, EPOLLIN) == -1) {
        reflector_close(reflector->socket);
        reflector->socket = NULL;
        return -1;
    }

    return 0;
}


void
reflector_sync(daemon_t *daemon)
{
    size_t count;
    struct error error = {0};
    struct reflector *reflector = daemon->wire->reflector;
    uint16_t ports[REFLECTOR_PORTS_MAX];

    count = reflector_ports(daemon, ports);

    if (reflector != NULL && reflector->count == count &&
        memcmp(reflector->ports, ports, count * sizeof(ports[0])) == 0) {
        return;
    }

    reflector_stop(daemon);

    if (count == 0) {
        return;
    }

    if (reflector_begin(daemon, ports, count, &error) != 0) {
        log_warn("broadcasts of this host are not reflected: %s", error.text);
        return;
    }

    log_info("broadcasts of this host to %zu ports are told to the members",
             count);
}
