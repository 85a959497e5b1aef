#include "daemon/doctor_parts.h"
#include "os/nft.h"
#include "plan/foreign.h"
#include "plan/lan.h"

#include <stdio.h>
#include <stdlib.h>


/* ufw and firewalld have words of their own for letting us in. */
static void
doctor_managed(doctor_t *doctor, const char *name)
{
    char fix[256];
    const member_t *member;
    const struct host_state *host = &doctor->host;

    for (member = doctor->daemon->members; member != NULL;
         member = member->next) {
        if (!member->live) {
            continue;
        }

        if (host->ufw) {
            snprintf(fix, sizeof(fix), "ufw allow in on %s; ufw allow %u/udp",
                     member->interface, (unsigned) member->listen_port);
        } else {
            snprintf(fix, sizeof(fix),
                     "firewall-cmd --zone=trusted --add-interface=%s; "
                     "firewall-cmd --add-port=%u/udp",
                     member->interface, (unsigned) member->listen_port);
        }

        doctor_say(doctor, name, "warn", fix,
                   "%s runs, and may keep peers of %s out",
                   host->ufw ? "ufw" : "firewalld", member->name);
    }
}


/* How a chain that drops by its policy lets a network in. */
static void
doctor_chain(doctor_t *doctor, const char *name, const char *chain)
{
    char command[FOREIGN_CHAIN_SIZE + 16], fix[512], *listing = NULL;
    const member_t *member;
    unsigned port;

    snprintf(command, sizeof(command), "list chain %s", chain);

    if (nft_run(command, &listing, NULL) == -1) {
        listing = NULL;
    }

    for (member = doctor->daemon->members; member != NULL;
         member = member->next) {
        port = member->listen_port;

        if (!member->live) {
            continue;
        }

        if (listing != NULL &&
            foreign_names(listing, member->interface, port)) {
            doctor_say(doctor, name, "ok", NULL,
                       "%s drops what it does not know; it knows %s", chain,
                       member->name);
            continue;
        }

        snprintf(fix, sizeof(fix),
                 "nft insert rule %s iifname \"%s\" accept; nft insert rule "
                 "%s udp dport %u accept; and the same in "
                 "/etc/nftables.conf",
                 chain, member->interface, chain, port);
        doctor_say(doctor, name, "warn", fix,
                   "nftables' chain %s drops what it does not know, and may "
                   "keep peers of %s out",
                   chain, member->name);
    }

    free(listing);
}


/* An accept of ours cannot overrule another firewall's drop. */
void
doctor_firewall(doctor_t *doctor, const char *name)
{
    char chain[FOREIGN_CHAIN_SIZE], *listing = NULL;
    const struct host_state *host = &doctor->host;
    struct error error;
    int rc;

    if (!host->nftables) {
        doctor_say(doctor, name, "fail", "load nf_tables: modprobe nf_tables",
                   "this kernel has no nftables: the networks' rules cannot "
                   "be enforced");
        return;
    }

    if (host->ufw || host->firewalld) {
        doctor_managed(doctor, name);
        return;
    }

    rc = nft_run("list chains", &listing, &error);

    if (rc == -1) {
        doctor_say(doctor, name, "warn",
                   "run goconnectd as root, or with CAP_NET_ADMIN",
                   "what other firewalls do here cannot be read: %s",
                   error.text);

    } else if (foreign_drops(listing, chain)) {
        doctor_chain(doctor, name, chain);

    } else {
        doctor_say(doctor, name, "ok", NULL,
                   "nftables is there; no other firewall keeps peers out");
    }

    free(listing);
}


void
doctor_lan(doctor_t *doctor, const char *name)
{
    char lan[ACTUAL_NAME_SIZE];
    const member_t *member;
    int some = 0;

    for (member = doctor->daemon->members; member != NULL;
         member = member->next) {
        if (member->map == NULL || !member->map->lan || !member->up) {
            continue;
        }

        some = 1;

        if (member->live) {
            lan_name(member->interface, lan);
            doctor_say(doctor, name, "ok", NULL, "the LAN of %s is up on %s",
                       member->name, lan);

        } else {
            doctor_say(doctor, name, "fail",
                       doctor->host.vxlan
                           ? "see goconnect status"
                           : "modprobe vxlan; a kernel without it carries no "
                             "LAN",
                       "the LAN of %s is not up%s", member->name,
                       doctor->host.vxlan ? "" : ": there is no VXLAN");
        }
    }

    if (!some) {
        doctor_say(doctor, name, "ok", NULL,
                   doctor->host.vxlan
                       ? "VXLAN is there, for networks of mode l2"
                       : "no network needs VXLAN, which is not loaded here");
    }
}
