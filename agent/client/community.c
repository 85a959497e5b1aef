#include "client/command.h"

#define COMMUNITY_OPTS (CLIENT_OPT_CA | CLIENT_OPT_INSECURE)

#define COMMUNITY_PLACE                                                       \
    "PLACE is a network or a tenant by its name, its slug or its id; a\n"     \
    "network also as TENANT/NETWORK. Networks come first: tenant:NAME means " \
    "the\n"                                                                   \
    "tenant.\n"

const command_t community_commands[] = {
    {"tenants", tenant_list, 0, 0, COMMUNITY_OPTS, "tenants",
     "list the tenants that you belong to", ""},
    {"tenant search", tenant_search, 0, 1, COMMUNITY_OPTS,
     "tenant search [TEXT]", "look for public tenants",
     "  goconnect tenant search minecraft\n"},
    {"tenant create", tenant_create, 1, 1,
     COMMUNITY_OPTS | CLIENT_OPT_PUBLIC | CLIENT_OPT_OPEN, "tenant create NAME",
     "make a tenant; you own it",
     "  --public   everybody can find it\n"
     "  --open     everybody who finds it can join\n"},
    {"network create", tenant_network_create, 2, 2,
     COMMUNITY_OPTS | CLIENT_OPT_CIDR | CLIENT_OPT_POLICY | CLIENT_OPT_PUBLIC |
         CLIENT_OPT_MODE,
     "network create TENANT NAME", "make a network in a tenant",
     "  --cidr RANGE      its addresses; the server takes a free /24 if you "
     "do\n"
     "                    not say\n"
     "  --policy POLICY   open (members join), invite (the default) or "
     "approval\n"
     "  --public          every member of the tenant sees it\n"
     "  --mode MODE       l3 (the default), or l2: like a LAN, for up to 64\n"
     "                    devices: broadcasts cross and games find each "
     "other\n"
     "\n"
     "  goconnect network create friends lan --policy open --public\n"
     "  goconnect network create friends games --mode l2\n"},
    {"members", member_list, 1, 1, COMMUNITY_OPTS, "members PLACE",
     "who belongs to a network or a tenant", COMMUNITY_PLACE},
    {"role", member_role, 3, 3, COMMUNITY_OPTS, "role PLACE USER ROLE",
     "make somebody member, moderator, admin or (in a tenant) owner",
     COMMUNITY_PLACE "\n  goconnect role friends grace moderator\n"},
    {"requests", member_requests, 1, 1, COMMUNITY_OPTS, "requests NETWORK",
     "who asks to join a network", ""},
    {"requests approve", member_approve, 2, 2, COMMUNITY_OPTS,
     "requests approve NETWORK USER", "let somebody in who asked", ""},
    {"requests deny", member_deny, 2, 2, COMMUNITY_OPTS,
     "requests deny NETWORK USER", "turn somebody down who asked", ""},
    {"kick", member_kick, 2, 2, COMMUNITY_OPTS | CLIENT_OPT_REASON,
     "kick PLACE USER", "take somebody out of a network or a tenant",
     "Their devices leave at once; they may come back.\n\n" COMMUNITY_PLACE
     "\n  --reason TEXT   for the audit log (networks)\n"},
    {"ban", member_ban, 2, 2,
     COMMUNITY_OPTS | CLIENT_OPT_REASON | CLIENT_OPT_EXPIRES, "ban PLACE USER",
     "keep somebody out of a network or a tenant",
     "Their devices leave at once, and they cannot come back.\n"
     "\n" COMMUNITY_PLACE "\n"
     "  --reason TEXT      why\n"
     "  --expires TIME     until when: 12h, 7d, 4w; for good if you do not "
     "say\n"
     "\n"
     "  goconnect ban lan mallory --expires 7d --reason \"griefing\"\n"},
    {"unban", member_unban, 2, 2, COMMUNITY_OPTS, "unban PLACE USER",
     "let somebody come back", COMMUNITY_PLACE},
    {"bans", member_bans, 1, 1, COMMUNITY_OPTS, "bans PLACE",
     "who is banned, until when and why", COMMUNITY_PLACE},
    {"invites", invite_list, 1, 1, COMMUNITY_OPTS, "invites TENANT",
     "list the invites of a tenant",
     "Their codes are shown once, when they are made.\n"},
    {"invite create", invite_create, 1, 1,
     COMMUNITY_OPTS | CLIENT_OPT_ROLE | CLIENT_OPT_USES | CLIENT_OPT_EXPIRES,
     "invite create PLACE", "make a link that lets people in",
     COMMUNITY_PLACE
     "\n"
     "  --role ROLE      what they become: member if you do not say\n"
     "  --uses N         how many people it lets in; as many as come if you\n"
     "                   do not say\n"
     "  --expires TIME   12h, 7d, 4w; 7d if you do not say\n"
     "\n"
     "  goconnect invite create friends/lan --uses 5 --expires 2d\n"},
    {"invite revoke", invite_revoke, 1, 1, COMMUNITY_OPTS, "invite revoke ID",
     "end an invite", "ID is what goconnect invites lists.\n"},
    {"keys", key_list, 1, 1, COMMUNITY_OPTS, "keys TENANT",
     "list the enrolment keys of a tenant", ""},
    {"key create", key_create, 2, 2,
     COMMUNITY_OPTS | CLIENT_OPT_NETWORK | CLIENT_OPT_REUSABLE |
         CLIENT_OPT_EPHEMERAL | CLIENT_OPT_EXPIRES,
     "key create TENANT NAME", "make a key that enrolls servers by itself",
     "Printed once. On the machine: goconnect login URL --key KEY\n"
     "\n"
     "  --network NETWORK   joined by whatever it enrolls; may be repeated\n"
     "  --reusable          enrolls more than one device\n"
     "  --ephemeral         its devices vanish an hour after they went off "
     "line\n"
     "  --expires TIME      12h, 7d, 4w\n"
     "\n"
     "  goconnect key create friends build-servers --network lan --reusable\n"},
    {"key delete", key_delete, 1, 1, COMMUNITY_OPTS, "key delete ID",
     "end an enrolment key; devices that it enrolled stay", ""},
    {"devices", device_list, 0, 0, COMMUNITY_OPTS, "devices",
     "list your devices", ""},
    {"device delete", device_delete, 1, 1, COMMUNITY_OPTS, "device delete NAME",
     "take a device of yours out of everything",
     "For one that was lost or sold. NAME may be its id.\n"},
    {"reservations", reserve_list, 1, 1, COMMUNITY_OPTS, "reservations NETWORK",
     "list the reserved addresses of a network", ""},
    {"reserve", reserve_make, 1, 2,
     COMMUNITY_OPTS | CLIENT_OPT_NAME | CLIENT_OPT_USER | CLIENT_OPT_DEVICE,
     "reserve NETWORK [ADDRESS]", "keep an address of a network for somebody",
     "Without ADDRESS: the next free one.\n"
     "\n"
     "  --name NAME       and this name\n"
     "  --user USER       for the next device of this member\n"
     "  --device DEVICE   for this device\n"
     "\n"
     "  goconnect reserve lan 100.64.0.10 --name game --user ada\n"},
    {"unreserve", reserve_drop, 2, 2, COMMUNITY_OPTS,
     "unreserve NETWORK ADDRESS|NAME", "give a reserved address free", ""},
    {"rules", rules_list, 1, 1, COMMUNITY_OPTS, "rules NETWORK",
     "who may reach what in a network",
     "The first rule that matches decides; where none does, all is allowed.\n"
     "\n"
     "  goconnect rules lan\n"},
    {"rules set", rules_set, 2, 2, COMMUNITY_OPTS, "rules set NETWORK FILE",
     "replace the rules of a network",
     "FILE (- is standard input) is JSON, as \"goconnect rules NETWORK "
     "--json\"\n"
     "prints it: {\"rules\": [{\"action\", \"source\", \"destination\", "
     "\"protocol\",\n"
     "\"port_first\", \"port_last\"}, ...]}. action is allow or deny; source "
     "and\n"
     "destination are any (the default), role:ROLE, tag:NAME, peer:ID, an "
     "address\n"
     "or a range; protocol is any (the default), tcp, udp or icmp.\n"
     "\n"
     "  echo '[{\"action\": \"deny\", \"source\": \"role:member\",\n"
     "    \"destination\": \"tag:server\", \"protocol\": \"tcp\", "
     "\"port_first\": 22}]' |\n"
     "    goconnect rules set lan -\n"},
    {"routes", route_list, 0, 1, COMMUNITY_OPTS, "routes [NETWORK]",
     "subnets behind devices: offered, approved, accepted, in use",
     "Of several devices that offer a subnet, one is in use: the one with the\n"
     "shortest round trip, another one when it goes down. What waits for an\n"
     "approval is listed where somebody is logged in.\n"
     "\n"
     "  goconnect routes lan\n"},
    {"route offer", route_offer, 2, 2, CLIENT_OPT_NO_MASQUERADE,
     "route offer NETWORK SUBNET",
     "let members reach a subnet that this device sits in",
     "An admin has to approve it, and each member accepts it for himself. "
     "What\n"
     "members send there appears with this device's own address, so that "
     "nothing\n"
     "has to be set up in the subnet.\n"
     "\n"
     "  --no-masquerade   with the members' addresses: the subnet's router has "
     "to\n"
     "                    know the way back to the network by this device\n"
     "\n"
     "  goconnect route offer lan 192.168.5.0/24\n"},
    {"route withdraw", route_withdraw, 2, 2, 0, "route withdraw NETWORK SUBNET",
     "offer a subnet no more",
     "  goconnect route withdraw lan 192.168.5.0/24\n"},
    {"route approve", route_approve, 3, 3, COMMUNITY_OPTS,
     "route approve NETWORK DEVICE SUBNET",
     "let a device offer a subnet (admins)",
     "  goconnect route approve lan nas 192.168.5.0/24\n"},
    {"route deny", route_deny, 3, 3, COMMUNITY_OPTS,
     "route deny NETWORK DEVICE SUBNET", "take such an approval back",
     "  goconnect route deny lan nas 192.168.5.0/24\n"},
    {"route accept", route_accept, 2, 2, 0, "route accept NETWORK SUBNET|all",
     "reach a subnet behind a device from here",
     "Refused where this device sits in such a subnet itself, or where "
     "another of\n"
     "its networks has these addresses. \"all\" is every subnet that is and "
     "will\n"
     "be offered in the network.\n"
     "\n"
     "  goconnect route accept lan 192.168.5.0/24\n"},
    {"route refuse", route_refuse, 2, 2, 0, "route refuse NETWORK SUBNET|all",
     "take that back", "  goconnect route refuse lan 192.168.5.0/24\n"},
    {"exit", exit_show, 0, 0, 0, "exit",
     "members that this device can reach the internet by, and which it uses",
     "  goconnect exit\n  goconnect exit use lan home\n"},
    {"exit use", exit_use, 2, 2, 0, "exit use NETWORK DEVICE",
     "reach the internet by a member, not by the network that this device is "
     "in",
     "What is not for a local network or for one of GoConnect's goes by that "
     "device,\n"
     "IPv4 and IPv6. While it cannot be reached, or offers one of both alone, "
     "the\n"
     "rest leaves by no other way. The connection to the server, and answers "
     "to "
     "who\n"
     "reaches this device from outside, go beside it. One exit at a time; kept "
     "until\n"
     "\"goconnect exit off\".\n"
     "\n"
     "  goconnect exit use lan home\n"},
    {"exit off", exit_off, 0, 0, 0, "exit off",
     "reach the internet by the network that this device is in",
     "  goconnect exit off\n"},
    {"exit offer", exit_offer, 1, 1, 0, "exit offer NETWORK",
     "let members reach the internet by this device",
     "An admin has to approve it, and each member chooses it for himself. "
     "They\n"
     "appear on the internet with this device's address, and do not reach the "
     "local\n"
     "networks that it sits in.\n"
     "\n"
     "  goconnect exit offer lan\n"},
    {"exit withdraw", exit_withdraw, 1, 1, 0, "exit withdraw NETWORK",
     "offer that no more", "  goconnect exit withdraw lan\n"},
    {"exit approve", exit_approve, 2, 2, COMMUNITY_OPTS,
     "exit approve NETWORK DEVICE", "let a device be an exit (admins)",
     "  goconnect exit approve lan home\n"},
    {"exit deny", exit_deny, 2, 2, COMMUNITY_OPTS, "exit deny NETWORK DEVICE",
     "take such an approval back", "  goconnect exit deny lan home\n"},
    {NULL, NULL, 0, 0, 0, NULL, NULL, NULL},
};
