#include "daemon/doctor.h"

#include "daemon/doctor_parts.h"
#include "daemon/exits.h"
#include "daemon/naming.h"
#include "daemon/probe.h"
#include "daemon/subnets.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DOCTOR_SERVER_MS 10000
#define DOCTOR_CLOCK_S 30      /* tokens of a server are that patient */
#define DOCTOR_CLOCK_BAD_S 300 /* an access token's life */


void
doctor_say(doctor_t *doctor, const char *name, const char *level,
           const char *fix, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    json_array_append_new(doctor->checks,
                          json_pack("{s:s, s:s, s:s, s:s?}", "name", name,
                                    "level", level, "text", text, "fix", fix));
}


static void
doctor_rights(doctor_t *doctor, const char *name)
{
    if (!doctor->host.net_admin) {
        doctor_say(doctor, name, "fail",
                   "run goconnectd as root, or with CAP_NET_ADMIN",
                   "goconnectd may not make interfaces");

    } else if (!doctor->host.net_raw) {
        doctor_say(doctor, name, "warn", "give goconnectd CAP_NET_RAW too",
                   "without CAP_NET_RAW peers behind routers are relayed");

    } else {
        doctor_say(doctor, name, "ok", NULL,
                   "goconnectd may do all that it needs");
    }
}


static void
doctor_wireguard(doctor_t *doctor, const char *name)
{
    const char *backend = backend_name(doctor->daemon->backend);

    if (strcmp(backend, "kernel") == 0) {
        doctor_say(doctor, name, "ok", NULL, "in the kernel");

    } else if (doctor->host.wireguard_module) {
        doctor_say(doctor, name, "warn",
                   "restart goconnectd, without --backend or its setting",
                   "in user space, though this kernel has WireGuard");

    } else {
        doctor_say(doctor, name, "warn",
                   "modprobe wireguard, then restart goconnectd; it needs "
                   "Linux 5.6",
                   "in user space, which is slower: this kernel has no "
                   "WireGuard");
    }
}


static void
doctor_login(doctor_t *doctor, const char *name)
{
    if (!doctor->daemon->device.enrolled) {
        doctor_say(doctor, name, "fail", "goconnect login URL",
                   "this device is enrolled nowhere");

    } else {
        doctor_say(doctor, name, "ok", NULL, "%s at %s",
                   doctor->daemon->device.name,
                   doctor->daemon->device.server.url.text);
    }
}


static void
doctor_dns(doctor_t *doctor, const char *name)
{
    const http_answer_t *answer = doctor->answer;

    if (answer == NULL) {
        return;
    }

    if (answer->status == 0 && strcmp(answer->err.code, "dns") == 0) {
        doctor_say(doctor, name, "fail",
                   "check this machine's name servers, and the server's name "
                   "in the URL",
                   "%s", answer->err.text);

    } else {
        doctor_say(doctor, name, "ok", NULL, "the server's name is known");
    }
}


static void
doctor_server(doctor_t *doctor, const char *name)
{
    const http_answer_t *answer = doctor->answer;

    if (answer == NULL || strcmp(answer->err.code, "dns") == 0) {
        return;
    }

    if (answer->status == 0) {
        doctor_say(doctor, name, "fail",
                   strcmp(answer->err.code, "tls") == 0
                       ? "check the server's certificate, this machine's "
                         "clock, and `ca` in goconnectd.conf"
                       : "check that the server runs, and that no firewall "
                         "keeps its TCP port from this machine",
                   "%s", answer->err.text);

    } else if (answer->status != 200) {
        doctor_say(doctor, name, "warn", "ask whoever runs the server",
                   "it answers with status %d", answer->status);

    } else {
        doctor_say(doctor, name, "ok", NULL, "it answers");
    }
}


static void
doctor_clock(doctor_t *doctor, const char *name)
{
    long long off;

    if (doctor->answer == NULL || doctor->answer->date == 0) {
        return;
    }

    off = (long long) time(NULL) - (long long) doctor->answer->date;

    if (llabs(off) < DOCTOR_CLOCK_S) {
        doctor_say(doctor, name, "ok", NULL, "as the server's");

    } else {
        doctor_say(doctor, name,
                   llabs(off) < DOCTOR_CLOCK_BAD_S ? "warn" : "fail",
                   "set this machine's clock: timedatectl set-ntp true",
                   "%lld s %s the server's", llabs(off),
                   off > 0 ? "ahead of" : "behind");
    }
}


static void
doctor_control(doctor_t *doctor, const char *name)
{
    const uplink_t *uplink = doctor->daemon->uplink;
    const char *why =
        uplink->problem[0] != '\0' ? uplink->problem : "no reason is known";

    switch (uplink->state) {
    case UPLINK_CONNECTED:
        doctor_say(doctor, name, "ok", NULL, "connected");
        return;

    case UPLINK_CONNECTING:
        doctor_say(doctor, name, "warn", "ask again in a moment",
                   "being connected");
        return;

    case UPLINK_WAITING:
        doctor_say(doctor, name, "fail",
                   "see the lines above; it is tried again by itself",
                   "not connected: %s", why);
        return;

    case UPLINK_REFUSED:
        doctor_say(doctor, name, "fail", "goconnect login URL",
                   "the server no longer accepts this device: %s", why);
        return;

    case UPLINK_OFF:
        return; /* said by doctor_login() */
    }
}


static void
doctor_networks(doctor_t *doctor, const char *name)
{
    char overlap[200];
    const member_t *member = doctor->daemon->members;

    if (member == NULL) {
        doctor_say(doctor, name, "warn", "goconnect join LINK",
                   "this device is in no network");
    }

    for (; member != NULL; member = member->next) {
        if (member->problem[0] != '\0') {
            doctor_say(doctor, name, "fail", "see goconnect status", "%s: %s",
                       member->name, member->problem);

        } else if (!member->up) {
            doctor_say(doctor, name, "warn", "goconnect up", "%s is down",
                       member->name);

        } else if (!member->live) {
            doctor_say(doctor, name, "warn",
                       "ask again in a moment; see goconnect status",
                       "%s is not up yet", member->name);

        } else if (subnets_overlap(member, overlap, sizeof(overlap)) != NULL) {
            doctor_say(doctor, name, "warn",
                       "give the network or your router another range",
                       "%s is up on %s, but %s", member->name,
                       member->interface, overlap);

        } else {
            doctor_say(doctor, name, "ok", NULL, "%s is up on %s", member->name,
                       member->interface);
        }
    }
}


/* Whether others can reach us, as far as this machine can know. */
static void
doctor_ports(doctor_t *doctor, const char *name)
{
    const struct local_addresses *local = &doctor->daemon->wire->local;
    const member_t *member;

    if (local->count == 0) {
        doctor_say(doctor, name, "fail",
                   "plug a cable in, or connect to a wireless network",
                   "this machine has no address that peers could reach");
        return;
    }

    if (!local->paths.default4 && !local->paths.default6) {
        doctor_say(doctor, name, "warn",
                   "check this machine's router: ip route",
                   "there is no default route: only peers on the same LAN are "
                   "reached");
    }

    for (member = doctor->daemon->members; member != NULL;
         member = member->next) {
        if (member->live) {
            doctor_say(doctor, name, "ok", NULL,
                       "%s listens at UDP port %u, %d peers talked to lately",
                       member->name, (unsigned) member->listen_port,
                       member->active);
        }
    }
}


static void
doctor_mtu(doctor_t *doctor, const char *name)
{
    const member_t *member;
    size_t i, narrow;
    uint32_t least, mtu;

    for (member = doctor->daemon->members; member != NULL;
         member = member->next) {
        least = UINT32_MAX;
        narrow = 0;

        for (i = 0;
             member->live && member->map != NULL && i < member->map->peer_count;
             i++) {
            mtu = probe_narrow_mtu(member, member->map->peers[i].id);

            if (mtu != 0) {
                narrow++;
                least = mtu < least ? mtu : least;
            }
        }

        if (narrow == 0 && member->live) {
            doctor_say(doctor, name, "ok", NULL,
                       "%s: full packets reach all peers that are talked to",
                       member->name);

        } else if (narrow != 0) {
            doctor_say(doctor, name, least < NETMAP_MTU_MIN ? "warn" : "ok",
                       least < NETMAP_MTU_MIN
                           ? "IPv6 needs 1280: if it matters, let the network "
                             "on the way pass larger packets"
                           : NULL,
                       "%s: packets to %zu peers are kept small, to %u bytes "
                       "at least",
                       member->name, narrow, least);
        }
    }
}


static void
doctor_names(doctor_t *doctor, const char *name)
{
    const char *problem;
    err_t err;
    json_t *names = naming_describe(doctor->daemon, &err);

    if (names == NULL) {
        doctor_say(doctor, name, "fail", NULL, "%s", err.text);
        return;
    }

    problem = daemon_text(names, "error");

    if (*problem != '\0') {
        doctor_say(doctor, name, "warn", "goconnect names says what it lacks",
                   "%s", problem);

    } else {
        doctor_say(doctor, name, "ok", NULL, "peers are found by their names");
    }

    json_decref(names);
}


static void
doctor_exit(doctor_t *doctor, const char *name)
{
    char text[400];
    const char *problem = exits_problem(doctor->daemon, text, sizeof(text));

    if (problem == NULL) {
        return;
    }

    if (*problem != '\0') {
        doctor_say(doctor, name, "fail",
                   "goconnect exit, then goconnect exit use another one, or "
                   "goconnect exit off",
                   "%s", problem);

    } else {
        doctor_say(doctor, name, "ok", NULL,
                   "the internet is reached by a member");
    }
}


static const struct {
    const char *name;
    void (*check)(doctor_t *doctor, const char *name);
} doctor_checks[] = {
    {"rights", doctor_rights},     {"wireguard", doctor_wireguard},
    {"login", doctor_login},       {"dns", doctor_dns},
    {"server", doctor_server},     {"clock", doctor_clock},
    {"control", doctor_control},   {"networks", doctor_networks},
    {"ports", doctor_ports},       {"mtu", doctor_mtu},
    {"firewall", doctor_firewall}, {"lan", doctor_lan},
    {"names", doctor_names},       {"exit", doctor_exit},
};


static void
doctor_free(doctor_t *doctor)
{
    if (doctor->http != NULL) {
        http_cancel(doctor->http);
    }

    doctor->daemon->doctor = NULL;
    json_decref(doctor->checks);
    free(doctor);
}


void
doctor_stop(daemon_t *daemon)
{
    err_t err;
    control_call_t *call;

    if (daemon->doctor != NULL) {
        call = daemon->doctor->call;
        doctor_free(daemon->doctor);
        err_set(&err, "stopping", "goconnectd ends");
        control_fail(call, &err);
    }
}


static void
doctor_answer(void *arg, const http_answer_t *answer)
{
    doctor_t *doctor = arg;
    control_call_t *call = doctor->call;
    json_t *reply;
    size_t i;

    doctor->http = NULL;
    doctor->answer = answer;
    wire_look(doctor->daemon);
    host_state_get(&doctor->host);

    for (i = 0; i < sizeof(doctor_checks) / sizeof(doctor_checks[0]); i++) {
        doctor_checks[i].check(doctor, doctor_checks[i].name);
    }

    reply = json_pack("{s:O}", "checks", doctor->checks);
    doctor_free(doctor);
    control_reply(call, reply);
}


void
doctor_run(daemon_t *daemon, control_call_t *call)
{
    static const http_request_t request = {
        .method = "GET", .path = "/healthz", .timeout_ms = DOCTOR_SERVER_MS};
    doctor_t *doctor;
    err_t err;

    if (daemon->doctor != NULL) {
        err_set(&err, "busy", "this is being looked at already");
        control_fail(call, &err);
        return;
    }

    doctor = calloc(1, sizeof(*doctor));

    if (doctor == NULL) {
        err_set(&err, "no_memory", "out of memory");
        control_fail(call, &err);
        return;
    }

    doctor->daemon = daemon;
    doctor->call = call;
    doctor->checks = json_array();
    daemon->doctor = doctor;

    if (daemon->device.enrolled) {
        doctor->http = http_start(daemon->loop, &daemon->device.server,
                                  &request, doctor_answer, doctor, &err);
    }

    if (doctor->http == NULL) {
        doctor_answer(doctor, NULL);
    }
}
