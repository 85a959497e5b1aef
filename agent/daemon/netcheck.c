#include "daemon/netcheck_parts.h"
#include "daemon/wire.h"
#include "plan/exit.h"

#include <openssl/rand.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NETCHECK_BURST 32 /* datagrams taken at once */


const member_t *
netcheck_member(const netcheck_t *check)
{
    const member_t *member;

    for (member = check->daemon->members; check->own == -1 && member != NULL;
         member = member->next) {
        if (member->live && member->listen_port == check->port) {
            return member;
        }
    }

    return NULL;
}


static void
netcheck_free(netcheck_t *check)
{
    daemon_t *daemon = check->daemon;
    size_t i;

    if (check->resolve != NULL) {
        resolve_cancel(check->resolve);
    }

    loop_timer_cancel(&check->timer);

    for (i = 0; i < NETCHECK_SIDES; i++) {
        if (check->side[i].io.fd != -1) {
            loop_fd_remove(daemon->loop, &check->side[i].io);
        }
    }

    borrowed_port_close(check->borrowed);

    if (check->held != -1) {
        (void) close(check->held);
    }

    if (check->own != -1) {
        (void) close(check->own);
    }

    free(check);
    daemon->netcheck = NULL;
}


static void
netcheck_fail(netcheck_t *check, const err_t *err)
{
    control_call_t *call = check->call;

    netcheck_free(check);
    control_fail(call, err);
}


void
netcheck_stop(daemon_t *daemon)
{
    err_t err;

    if (daemon->netcheck != NULL) {
        err_set(&err, "stopping", "goconnectd ends");
        netcheck_fail(daemon->netcheck, &err);
    }
}


/* Puts the next questions, and sends what is due. */
static void
netcheck_send(netcheck_t *check, netcheck_side_t *side, uint64_t now)
{
    uint8_t data[STUN_CLIENT_REQUEST_MAX];
    const struct stun_ask *due;
    struct stun_ask ask;
    size_t size;
    int number;

    while (nat_behaviour_ask(&side->nat, &ask)) {
        /* without random numbers nobody could tell an answer from a lie */
        if (RAND_bytes(ask.transaction, sizeof(ask.transaction)) != 1 ||
            !stun_client_ask(&side->stun, &ask, now)) {
            snprintf(side->problem, sizeof(side->problem),
                     "no random numbers are to be had");
            return;
        }
    }

    while ((size = stun_client_due(&side->stun, now, &due, data)) != 0) {
        number = borrowed_port_send(check->borrowed,
                                    due->aside ? check->aside : check->port,
                                    NULL, &due->server, 0, data, size);

        /* later ones are as good as lost: asked again */
        if (number != 0 && !side->nat.answered) {
            snprintf(side->problem, sizeof(side->problem),
                     "nothing can be sent to there: %s", strerror(number));
            return;
        }
    }
}


static int
netcheck_ended(const netcheck_side_t *side)
{
    return !side->on || side->problem[0] != '\0' || side->nat.step == NAT_ENDED;
}


/* All that can be done now; comes back when there is more, or answers. */
static void
netcheck_step(netcheck_t *check)
{
    uint64_t deadline, now = (uint64_t) loop_now(), next = UINT64_MAX;
    control_call_t *call = check->call;
    netcheck_side_t *side;
    struct stun_result result;
    json_t *reply;
    size_t i;

    for (i = 0; i < NETCHECK_SIDES; i++) {
        side = &check->side[i];

        while (!netcheck_ended(side) &&
               stun_client_silent(&side->stun, now, &result)) {
            nat_behaviour_result(&side->nat, &result);
        }

        if (!netcheck_ended(side)) {
            netcheck_send(check, side, now);
        }

        if (!netcheck_ended(side)) {
            deadline = stun_client_deadline(&side->stun);
            next = deadline < next ? deadline : next;
        }
    }

    if (next != UINT64_MAX) {
        loop_timer_set(check->daemon->loop, &check->timer,
                       next > now ? (int64_t) (next - now) : 0);
        return;
    }

    wire_look(check->daemon);
    reply = netcheck_tell(check);
    netcheck_free(check);
    control_reply(call, reply);
}


static void
netcheck_tick(void *arg)
{
    netcheck_step(arg);
}


static void
netcheck_event(void *arg, uint32_t events)
{
    struct borrowed_packet packet;
    struct stun_result result;
    netcheck_side_t *side = arg;
    netcheck_t *check = side->check;
    int i;

    (void) events;
    for (i = 0; i < NETCHECK_BURST &&
                borrowed_port_receive(check->borrowed, side->family, &packet);
         i++) {
        if (packet.kind == BORROWED_STUN &&
            stun_client_answer(&side->stun, &packet.from, packet.data,
                               packet.size, (uint64_t) loop_now(), &result)) {
            nat_behaviour_result(&side->nat, &result);
        }
    }

    netcheck_step(check);
}


/* The port to ask from, and our way into it. -1 with err. */
static int
netcheck_open(netcheck_t *check, err_t *err)
{
    const member_t *member = check->daemon->members;
    netcheck_side_t *side;
    struct error error;
    uint16_t ports[2];
    size_t i;

    while (member != NULL && !member->live) {
        member = member->next;
    }

    check->held = borrowed_port_hold(&check->aside, &error);

    if (check->held == -1) {
        return daemon_error(err, "netcheck", &error);
    }

    if (member != NULL) {
        check->port = member->listen_port;

    } else {
        check->own = borrowed_port_hold(&check->port, &error);

        if (check->own == -1) {
            return daemon_error(err, "netcheck", &error);
        }
    }

    ports[0] = check->port;
    ports[1] = check->aside;

    /* as WireGuard's packets do, ours go beside an exit */
    check->borrowed = borrowed_port_open(EXIT_MARK, &error);

    if (check->borrowed == NULL ||
        borrowed_port_listen(check->borrowed, ports, 2, &error) == -1) {
        return daemon_error(err, "netcheck", &error);
    }

    for (i = 0; i < NETCHECK_SIDES; i++) {
        side = &check->side[i];

        if (!side->on) {
            continue;
        }

        side->io.fd = borrowed_port_fd(check->borrowed, side->family);

        if (side->io.fd == -1) {
            snprintf(side->problem, sizeof(side->problem),
                     "this machine has no IPv6");

        } else if (loop_fd_add(check->daemon->loop, &side->io, EPOLLIN) == -1) {
            side->io.fd = -1;
            return err_errno(err, "netcheck", "cannot wait for answers");
        }
    }

    return 0;
}


static void
netcheck_resolved(void *arg, const resolve_result_t *found)
{
    netcheck_t *check = arg;
    netcheck_side_t *side;
    struct endpoint server;
    err_t err;
    unsigned i;

    check->resolve = NULL;

    if (found->count == 0) {
        netcheck_fail(check, &found->err);
        return;
    }

    for (i = 0; i < found->count; i++) {
        memset(&server, 0, sizeof(server));
        server.port = check->server_port;

        if (!address_parse(found->text[i], &server.address)) {
            continue; /* of a link, which no relay is on */
        }

        side = &check->side[server.address.family == ADDRESS_IPV6];

        if (!side->on) {
            side->on = 1;
            nat_behaviour_start(&side->nat, &server);
        }
    }

    wire_look(check->daemon); /* which networks are up */

    if (netcheck_open(check, &err) == -1) {
        netcheck_fail(check, &err);
        return;
    }

    netcheck_step(check);
}


/* "HOST[:PORT]", or nothing: where the control plane is. -1 with err. */
static int
netcheck_server(netcheck_t *check, const json_t *request, err_t *err)
{
    const json_t *said = json_object_get(request, "server");
    const char *text = json_string_value(said), *port;
    url_t url;

    check->server_port = GC_STUN_PORT;

    if (said == NULL) {
        if (!check->daemon->device.enrolled) {
            return err_set(err, "not_logged_in",
                           "this device is not enrolled: say which STUN "
                           "server to ask, goconnect netcheck HOST");
        }

        snprintf(check->server, sizeof(check->server), "%s",
                 check->daemon->device.server.url.host);
        return 0;
    }

    if (text == NULL || strstr(text, "//") != NULL ||
        url_parse(&url, text, err) == -1) {
        return err_set(err, "usage", "\"%.64s\" is not HOST or HOST:PORT",
                       text != NULL ? text : "");
    }

    snprintf(check->server, sizeof(check->server), "%s", url.host);
    port = strrchr(text, ':');

    if (port != NULL && strchr(port, ']') == NULL) {
        check->server_port = (uint16_t) url.port;
    }

    return 0;
}


void
netcheck_run(daemon_t *daemon, control_call_t *call, json_t *request)
{
    netcheck_t *check;
    err_t err;
    size_t i;

    if (daemon->netcheck != NULL) {
        err_set(&err, "busy", "this is being looked at already");
        control_fail(call, &err);
        return;
    }

    check = calloc(1, sizeof(*check));

    if (check == NULL) {
        err_set(&err, "no_memory", "out of memory");
        control_fail(call, &err);
        return;
    }

    daemon->netcheck = check;
    check->daemon = daemon;
    check->call = call;
    check->held = check->own = -1;
    check->timer.fn = netcheck_tick;
    check->timer.arg = check;

    for (i = 0; i < NETCHECK_SIDES; i++) {
        check->side[i].check = check;
        check->side[i].family = i == 0 ? ADDRESS_IPV4 : ADDRESS_IPV6;
        check->side[i].io.fd = -1;
        check->side[i].io.fn = netcheck_event;
        check->side[i].io.arg = &check->side[i];
    }

    if (netcheck_server(check, request, &err) == 0) {
        check->resolve = resolve_start(daemon->loop, check->server,
                                       netcheck_resolved, check, &err);
    }

    if (check->resolve == NULL) {
        netcheck_fail(check, &err);
    }
}
