#include "daemon/naming_resolved.h"

#include "base/log.h"
#include "daemon/member.h"
#include "link/dns_server.h"
#include "os/resolved.h"
#include "plan/dns.h"
#include "plan/names.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NAMING_RESOLVED_RETRY_MS 5000
#define NAMING_RESOLVED_TRIES 3 /* it may not have seen the interface yet */

typedef struct naming_link naming_link_t;

/* One network's interface, as resolved is told of it. */
struct naming_link {
    naming_link_t *next;
    naming_resolved_t *resolved;
    char network_id[DAEMON_ID_SIZE];
    int index;
    struct address ip_address;
    struct address ip6_address;
    dns_server_t *servers[RESOLVED_SERVERS_MAX];
    size_t server_count;
    struct names_zone *zones; /* NAMES_ZONES_MAX */
    size_t zone_count;
    enum {
        NAMING_LINK_NEW,
        NAMING_LINK_ASKED,
        NAMING_LINK_TOLD,
        NAMING_LINK_REFUSED
    } state;
    unsigned failures;
    int wanted;
};

struct naming_resolved {
    daemon_t *daemon;
    int required;
    struct resolved *bus;
    loop_fd_t io;
    loop_timer_t deadline; /* the bus' own */
    loop_timer_t again;    /* the next try */
    int present;
    naming_link_t *links;
    char problem[320];
};

static void naming_resolved_ready(void *arg, uint32_t events);


/* Every change of what is wrong comes through this. */
static void
naming_resolved_set(naming_resolved_t *resolved, const char *problem)
{
    if (*problem != '\0' && strcmp(resolved->problem, problem) != 0) {
        log_warn("names: systemd-resolved: %s", problem);
    }

    snprintf(resolved->problem, sizeof(resolved->problem), "%s", problem);
}


static void
naming_resolved_again(naming_resolved_t *resolved)
{
    loop_timer_set(resolved->daemon->loop, &resolved->again,
                   NAMING_RESOLVED_RETRY_MS);
}


static size_t
naming_link_answer(void *arg, const uint8_t *query, size_t length,
                   uint8_t answer[DNS_ANSWER_MAX])
{
    const naming_link_t *link = arg;
    const member_t *member;

    member = member_find(link->resolved->daemon, link->network_id);

    return member != NULL && member->map != NULL
               ? dns_answer(member->map, query, length, answer)
               : 0;
}


static void
naming_link_close(naming_link_t *link)
{
    while (link->server_count > 0) {
        dns_server_close(link->servers[--link->server_count]);
    }
}


static void
naming_link_free(naming_resolved_t *resolved, naming_link_t *link)
{
    naming_link_t **at = &resolved->links;

    while (*at != link) {
        at = &(*at)->next;
    }

    *at = link->next;
    naming_link_close(link);
    free(link->zones);
    free(link);
}


static naming_link_t *
naming_link_of(naming_resolved_t *resolved, const member_t *member)
{
    naming_link_t *link;

    for (link = resolved->links; link != NULL; link = link->next) {
        if (strcmp(link->network_id, member->id) == 0) {
            return link;
        }
    }

    link = calloc(1, sizeof(*link));

    if (link == NULL ||
        (link->zones = calloc(NAMES_ZONES_MAX, sizeof(*link->zones))) == NULL) {
        free(link);
        return NULL;
    }

    link->resolved = resolved;
    memcpy(link->network_id, member->id, sizeof(link->network_id));
    link->next = resolved->links;
    resolved->links = link;

    return link;
}


/* Listens on the addresses that this device has in the network. */
static int
naming_link_open(naming_link_t *link, const member_t *member, err_t *err)
{
    const struct address *addresses[RESOLVED_SERVERS_MAX] = {
        &member->ip_address, &member->ip6_address};
    dns_server_t *server;
    size_t i;

    naming_link_close(link);
    link->ip_address = member->ip_address;
    link->ip6_address = member->ip6_address;

    for (i = 0; i < RESOLVED_SERVERS_MAX; i++) {
        /* a LAN's IPv4 is on another interface: resolved asks by this one */
        if (addresses[i]->family == ADDRESS_NONE ||
            (addresses[i]->family == ADDRESS_IPV4 && member->map->lan &&
             member->ip6_address.family != ADDRESS_NONE)) {
            continue;
        }

        server = dns_server_open(link->resolved->daemon->loop, addresses[i],
                                 naming_link_answer, link, err);

        if (server != NULL) {
            link->servers[link->server_count++] = server;
        }
    }

    /* one of them is enough: IPv6 may be switched off */
    return link->server_count > 0 ? 0 : -1;
}


static int
naming_link_same_zones(const naming_link_t *link,
                       const struct names_zone *zones, size_t count)
{
    size_t i;

    for (i = 0; i < count && count == link->zone_count; i++) {
        if (strcmp(zones[i].name, link->zones[i].name) != 0) {
            return 0;
        }
    }

    return count == link->zone_count;
}


/* Brings a link in step with its network; what changed is to be told. */
static int
naming_link_update(naming_link_t *link, const member_t *member, err_t *err)
{
    static struct names_zone zones[NAMES_ZONES_MAX]; /* 45 KB */
    int index = resolved_index(member->interface);
    size_t count = names_zones(member->map, zones);

    link->wanted = 1;

    if (link->index == index &&
        address_compare(&link->ip_address, &member->ip_address) == 0 &&
        address_compare(&link->ip6_address, &member->ip6_address) == 0 &&
        link->server_count > 0 && naming_link_same_zones(link, zones, count)) {
        return 0;
    }

    if (naming_link_open(link, member, err) == -1) {
        return -1;
    }

    memcpy(link->zones, zones, count * sizeof(*zones));
    link->zone_count = count;
    link->index = index;
    link->state = NAMING_LINK_NEW;
    link->failures = 0;

    return 0;
}


static void
naming_link_tell(naming_link_t *link)
{
    struct resolved_link told;
    struct error error;
    size_t i;

    memset(&told, 0, sizeof(told));
    told.index = link->index;
    told.zones = link->zones;
    told.zone_count = link->zone_count;
    told.server_count = link->server_count;

    for (i = 0; i < link->server_count; i++) {
        told.servers[i] = dns_server_endpoint(link->servers[i]);
    }

    if (resolved_tell(link->resolved->bus, &told, &error) != 0) {
        naming_resolved_set(link->resolved, error.text);
        naming_resolved_again(link->resolved);
        return;
    }

    link->state = NAMING_LINK_ASKED;
}


static void
naming_resolved_told_of(void *data, int index, const char *problem)
{
    char text[320];
    naming_link_t *link;
    naming_resolved_t *resolved = data;

    for (link = resolved->links; link != NULL && link->index != index;
         link = link->next) {
    }

    if (link == NULL || link->state != NAMING_LINK_ASKED) {
        return;
    }

    if (problem == NULL) {
        link->state = NAMING_LINK_TOLD;
        link->failures = 0;
        naming_resolved_set(resolved, "");
        log_info("names: systemd-resolved knows %s", link->zones[0].name);
        return;
    }

    link->state = NAMING_LINK_REFUSED;
    link->failures++;

    if (link->failures >= NAMING_RESOLVED_TRIES) {
        snprintf(text, sizeof(text), "it refuses %.100s: %.180s",
                 link->zones[0].name, problem);
        naming_resolved_set(resolved, text);
    }

    naming_resolved_again(resolved);
}


/* It came anew: it knows nothing. */
static void
naming_resolved_presence(void *data, bool present)
{
    naming_link_t *link;
    naming_resolved_t *resolved = data;

    resolved->present = present;

    for (link = resolved->links; link != NULL; link = link->next) {
        link->state = NAMING_LINK_NEW;
        link->failures = 0;
    }

    naming_resolved_set(resolved, present || !resolved->required
                                      ? ""
                                      : "it does not run: systemctl start "
                                        "systemd-resolved");
    /* not from within the bus */
    loop_timer_set(resolved->daemon->loop, &resolved->again, 0);
}


static void
naming_resolved_disconnect(naming_resolved_t *resolved)
{
    loop_timer_cancel(&resolved->deadline);
    loop_fd_remove(resolved->daemon->loop, &resolved->io);
    resolved_close(resolved->bus);
    resolved->bus = NULL;
    resolved->present = 0;
}


/* What to wait for now; the library changes it with every message. */
static void
naming_resolved_wait(naming_resolved_t *resolved)
{
    int wants = resolved_wants(resolved->bus);
    int timeout = resolved_timeout(resolved->bus);

    (void) loop_fd_set(resolved->daemon->loop, &resolved->io,
                       (wants & POLLIN ? EPOLLIN : 0U) |
                           (wants & POLLOUT ? EPOLLOUT : 0U));

    if (timeout >= 0) {
        loop_timer_set(resolved->daemon->loop, &resolved->deadline, timeout);

    } else {
        loop_timer_cancel(&resolved->deadline);
    }
}


static void
naming_resolved_ready(void *arg, uint32_t events)
{
    naming_resolved_t *resolved = arg;
    struct error error;

    (void) events;

    if (resolved_process(resolved->bus, &error) != 0) {
        naming_resolved_set(resolved, error.text);
        naming_resolved_disconnect(resolved);
        naming_resolved_again(resolved);
        return;
    }

    naming_resolved_wait(resolved);
}


static void
naming_resolved_connect(naming_resolved_t *resolved)
{
    struct resolved_events events = {naming_resolved_presence,
                                     naming_resolved_told_of, resolved};
    struct error error;

    /* the library is loaded only where resolved has ever run */
    if (!resolved->required && access(RESOLVED_FOLDER, F_OK) == -1) {
        return;
    }

    resolved->bus = resolved_open(&events, &error);

    if (resolved->bus == NULL) {
        naming_resolved_set(resolved, error.text);
        naming_resolved_again(resolved);
        return;
    }

    resolved->io.fd = resolved_fd(resolved->bus);

    if (loop_fd_add(resolved->daemon->loop, &resolved->io, EPOLLIN) == -1) {
        naming_resolved_set(resolved, "cannot wait for the message bus");
        resolved_close(resolved->bus);
        resolved->bus = NULL;
        naming_resolved_again(resolved);
        return;
    }

    naming_resolved_ready(resolved, 0);
}


static void
naming_resolved_update(naming_resolved_t *resolved)
{
    err_t err;
    member_t *member;
    naming_link_t *link;

    for (member = resolved->daemon->members; member != NULL;
         member = member->next) {
        if (!member->live || member->map == NULL ||
            !names_domain(member->map)) {
            continue;
        }

        link = naming_link_of(resolved, member);

        if (link == NULL) {
            naming_resolved_set(resolved, "out of memory");
            continue;
        }

        if (naming_link_update(link, member, &err) == -1) {
            naming_resolved_set(resolved, err.text);
            naming_resolved_again(resolved);
        }
    }
}


/* Drops what is not wanted, and tells what was not told. */
static void
naming_resolved_settle(naming_resolved_t *resolved)
{
    naming_link_t *link, *next;

    for (link = resolved->links; link != NULL; link = next) {
        next = link->next;

        if (!link->wanted) {
            if (link->state == NAMING_LINK_TOLD) {
                resolved_forget(resolved->bus, link->index);
            }

            naming_link_free(resolved, link);

        } else if (link->server_count > 0 &&
                   (link->state == NAMING_LINK_NEW ||
                    link->state == NAMING_LINK_REFUSED)) {
            naming_link_tell(link);
        }
    }
}


void
naming_resolved_sync(naming_resolved_t *resolved)
{
    naming_link_t *link;

    if (resolved->bus == NULL) {
        naming_resolved_connect(resolved);
    }

    if (resolved->bus == NULL || !resolved->present) {
        return;
    }

    for (link = resolved->links; link != NULL; link = link->next) {
        link->wanted = 0;
    }

    naming_resolved_update(resolved);
    naming_resolved_settle(resolved);
    naming_resolved_wait(resolved);
}


static void
naming_resolved_late(void *arg)
{
    naming_resolved_ready(arg, 0);
}


static void
naming_resolved_timer(void *arg)
{
    naming_resolved_sync(arg);
}


naming_resolved_t *
naming_resolved_create(daemon_t *daemon, int required)
{
    naming_resolved_t *resolved = calloc(1, sizeof(*resolved));

    if (resolved != NULL) {
        resolved->daemon = daemon;
        resolved->required = required;
        resolved->io.fn = naming_resolved_ready;
        resolved->io.arg = resolved;
        resolved->deadline.fn = naming_resolved_late;
        resolved->deadline.arg = resolved;
        resolved->again.fn = naming_resolved_timer;
        resolved->again.arg = resolved;
    }

    return resolved;
}


void
naming_resolved_destroy(naming_resolved_t *resolved)
{
    if (resolved == NULL) {
        return;
    }

    loop_timer_cancel(&resolved->again);

    if (resolved->bus != NULL) {
        naming_resolved_disconnect(resolved);
    }

    while (resolved->links != NULL) {
        naming_link_free(resolved, resolved->links);
    }

    free(resolved);
}


int
naming_resolved_told(const naming_resolved_t *resolved)
{
    const naming_link_t *link;

    for (link = resolved->links; link != NULL; link = link->next) {
        if (link->state != NAMING_LINK_TOLD) {
            return 0;
        }
    }

    return resolved->present && resolved->links != NULL;
}


const char *
naming_resolved_problem(const naming_resolved_t *resolved)
{
    return resolved->problem;
}
