#include "plan/nat_behaviour.h"

#include <string.h>

/* Tags: which answer of a step it is. */
enum {
    NAT_ASK_ONE = 0,
    NAT_ASK_TWO = 1
};


static void
nat_put(struct nat_behaviour *nat, const struct endpoint *server,
        uint32_t change, unsigned tries)
{
    struct stun_ask *ask = &nat->asks[nat->ask_count];

    memset(ask, 0, sizeof(*ask));
    ask->server = *server;
    ask->change = change;
    ask->tries = tries;
    ask->aside = nat->step == NAT_FILTERING;
    ask->tag = (unsigned) nat->ask_count++;
    nat->waiting++;
}


/* Whether the server's other place is another address, not only a port. */
static bool
nat_has_address(const struct nat_behaviour *nat)
{
    return address_compare(&nat->other.address, &nat->server.address) != 0;
}


/*
 * The one door: enters a step and puts its questions, or goes on where there
 * are none.  Filtering is asked about from another port: where the questions
 * of mapping have gone to is let in (RFC 5780, 4.4), and what a router without
 * a filter has let in to itself is in the way of the port that it would keep.
 */
static void
nat_step(struct nat_behaviour *nat, enum nat_step step)
{
    struct endpoint to;

    nat->step = step;
    nat->ask_count = 0;
    nat->waiting = 0;
    memset(nat->heard, 0, sizeof(nat->heard));
    memset(nat->refused, 0, sizeof(nat->refused));

    switch (step) {
    case NAT_FIRST:
        nat_put(nat, &nat->server, 0, 0);
        break;

    case NAT_FILTERING:
        nat_put(nat, &nat->server, GC_STUN_CHANGE_PORT,
                NAT_BEHAVIOUR_FILTER_TRIES);

        if (nat_has_address(nat)) {
            nat_put(nat, &nat->server, GC_STUN_CHANGE_IP | GC_STUN_CHANGE_PORT,
                    NAT_BEHAVIOUR_FILTER_TRIES);
        }

        break;

    case NAT_MAPPING_ADDRESS:
        if (!nat_has_address(nat)) {
            nat_step(nat, NAT_MAPPING_PORT);
            return;
        }

        to = nat->other;
        to.port = nat->server.port;
        nat_put(nat, &to, 0, 0);
        break;

    case NAT_MAPPING_PORT:
        nat_put(nat, &nat->other, 0, 0);
        break;

    case NAT_ENDED:
        break;
    }
}


void
nat_behaviour_start(struct nat_behaviour *nat, const struct endpoint *server)
{
    memset(nat, 0, sizeof(*nat));
    nat->server = *server;
    nat_step(nat, NAT_FIRST);
}


bool
nat_behaviour_ask(struct nat_behaviour *nat, struct stun_ask *ask)
{
    if (nat->ask_count == 0) {
        return false;
    }

    *ask = nat->asks[--nat->ask_count];

    return true;
}


static void
nat_first(struct nat_behaviour *nat, const struct stun_result *result)
{
    nat->error = result->error;

    if (result->outcome != STUN_ANSWERED) {
        nat_step(nat, NAT_ENDED);
        return;
    }

    nat->answered = true;
    nat->mapped = result->mapped;
    nat->rtt_ms = result->rtt_ms;

    /* a server may say rubbish of itself: of another family, or itself again */
    if (result->other.address.family != nat->server.address.family ||
        result->other.port == 0 || result->other.port == nat->server.port) {
        nat_step(nat, NAT_ENDED);
        return;
    }

    nat->other = result->other;
    nat_step(nat, NAT_FILTERING);
}


/* RFC 5780, 4.4: who was let in, of the other port and of the other address. */
static void
nat_filtering(struct nat_behaviour *nat)
{
    if (nat->heard[NAT_ASK_TWO]) {
        nat->filtering = NAT_INDEPENDENT;

    } else if (nat->refused[NAT_ASK_ONE]) {
        nat->filtering = NAT_UNKNOWN;

    } else if (!nat_has_address(nat) || nat->refused[NAT_ASK_TWO]) {
        nat->filtering =
            nat->heard[NAT_ASK_ONE] ? NAT_NOT_BY_PORT : NAT_BY_PORT;

    } else {
        nat->filtering =
            nat->heard[NAT_ASK_ONE] ? NAT_BY_ADDRESS : NAT_BY_ADDRESS_AND_PORT;
    }

    nat_step(nat, NAT_MAPPING_ADDRESS);
}


/* RFC 5780, 4.3, test II */
static void
nat_mapping_address(struct nat_behaviour *nat, const struct stun_result *result)
{
    if (result->outcome != STUN_ANSWERED) {
        nat_step(nat, NAT_ENDED);
        return;
    }

    if (endpoint_compare(&result->mapped, &nat->mapped) == 0) {
        nat->mapping = NAT_INDEPENDENT;
        nat_step(nat, NAT_ENDED);
        return;
    }

    nat->second = result->mapped;
    nat_step(nat, NAT_MAPPING_PORT);
}


/* Test III, or with one address all that there is. */
static void
nat_mapping_port(struct nat_behaviour *nat, const struct stun_result *result)
{
    const struct endpoint *before;
    bool same;

    before = nat_has_address(nat) ? &nat->second : &nat->mapped;
    same = result->outcome == STUN_ANSWERED &&
           endpoint_compare(&result->mapped, before) == 0;

    if (result->outcome != STUN_ANSWERED) {
        nat->mapping = NAT_UNKNOWN;

    } else if (nat_has_address(nat)) {
        nat->mapping = same ? NAT_BY_ADDRESS : NAT_BY_ADDRESS_AND_PORT;

    } else {
        nat->mapping = same ? NAT_NOT_BY_PORT : NAT_BY_PORT;
    }

    nat_step(nat, NAT_ENDED);
}


void
nat_behaviour_result(struct nat_behaviour *nat,
                     const struct stun_result *result)
{
    if (nat->waiting == 0 || result->tag >= NAT_BEHAVIOUR_ASKS) {
        return;
    }

    /* who answers a wish for another place from its own has not heard it */
    nat->heard[result->tag] =
        result->outcome == STUN_ANSWERED &&
        endpoint_compare(&result->from, &nat->server) != 0;
    nat->refused[result->tag] =
        result->outcome != STUN_SILENT && !nat->heard[result->tag];
    nat->waiting--;

    if (nat->waiting > 0) {
        return;
    }

    switch (nat->step) {
    case NAT_FIRST:
        nat_first(nat, result);
        break;

    case NAT_FILTERING:
        nat_filtering(nat);
        break;

    case NAT_MAPPING_ADDRESS:
        nat_mapping_address(nat, result);
        break;

    case NAT_MAPPING_PORT:
        nat_mapping_port(nat, result);
        break;

    case NAT_ENDED:
        break;
    }
}


const char *
nat_dependence_name(enum nat_dependence dependence)
{
    static const char *const names[] = {
        [NAT_UNKNOWN] = "unknown",
        [NAT_INDEPENDENT] = "endpoint_independent",
        [NAT_NOT_BY_PORT] = "not_port_dependent",
        [NAT_BY_ADDRESS] = "address_dependent",
        [NAT_BY_ADDRESS_AND_PORT] = "address_and_port_dependent",
        [NAT_BY_PORT] = "port_dependent",
    };

    return names[dependence];
}
