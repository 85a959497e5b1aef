#include "daemon/mapper.h"
#include "daemon/netcheck_parts.h"

#include <stdio.h>
#include <string.h>


/* Whether what the server sees is what this device has. */
static int
netcheck_own(const netcheck_t *check, const struct nat_behaviour *nat)
{
    struct address source;

    return borrowed_port_source(check->borrowed, &nat->server.address,
                                &source) == 0 &&
           nat->mapped.port == check->port &&
           address_compare(&source, &nat->mapped.address) == 0;
}


static json_t *
netcheck_tell_side(const netcheck_t *check, const netcheck_side_t *side)
{
    char server[ADDRESS_TEXT], mapped[ADDRESS_TEXT], error[240] = "";
    const struct nat_behaviour *nat = &side->nat;

    if (!side->on) {
        return json_null();
    }

    endpoint_format(&nat->server, server);

    if (nat->answered) {
        return json_pack("{s:s, s:b, s:s, s:b, s:b, s:s, s:s, s:I, s:n}",
                         "server", server, "answered", 1, "mapped",
                         endpoint_format(&nat->mapped, mapped), "nat",
                         !netcheck_own(check, nat), "port_kept",
                         nat->mapped.port == check->port, "mapping",
                         nat_dependence_name(nat->mapping), "filtering",
                         nat_dependence_name(nat->filtering), "rtt",
                         (json_int_t) nat->rtt_ms * 1000, "error");
    }

    if (side->problem[0] != '\0') {
        snprintf(error, sizeof(error), "%s", side->problem);

    } else if (nat->error != 0) {
        snprintf(error, sizeof(error), "the server refuses: STUN error %d",
                 nat->error);

    } else {
        snprintf(error, sizeof(error),
                 "no answer: UDP is blocked on the way, or no STUN server is "
                 "there");
    }

    return json_pack("{s:s, s:b, s:n, s:n, s:n, s:s, s:s, s:n, s:s}", "server",
                     server, "answered", 0, "mapped", "nat", "port_kept",
                     "mapping", nat_dependence_name(NAT_UNKNOWN), "filtering",
                     nat_dependence_name(NAT_UNKNOWN), "rtt", "error", error);
}


json_t *
netcheck_tell(const netcheck_t *check)
{
    char text[URL_TEXT_SIZE];
    const member_t *member = netcheck_member(check);

    snprintf(text, sizeof(text),
             strchr(check->server, ':') ? "[%s]:%u" : "%s:%u", check->server,
             (unsigned) check->server_port);

    return json_pack("{s:s, s:i, s:s?, s:o, s:o, s:o}", "server", text, "port",
                     (int) check->port, "network",
                     member != NULL ? member->name : NULL, "ipv4",
                     netcheck_tell_side(check, &check->side[0]), "ipv6",
                     netcheck_tell_side(check, &check->side[1]), "port_mapping",
                     member != NULL ? mapper_describe(member) : json_null());
}
