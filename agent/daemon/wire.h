#ifndef GC_DAEMON_WIRE_H
#define GC_DAEMON_WIRE_H

#include "daemon/daemon.h"
#include "daemon/roam.h"

struct wire {
    daemon_t *daemon;
    struct monitor *monitor;
    loop_fd_t monitor_io;
    struct local_addresses local;
    struct forward *forward;
    struct vxlan *vxlan;
    struct exits *exits; /* exits.c */
    loop_fd_t lan_io;
    loop_timer_t lan_timer;
    int lan_watched;             /* lan_io is in the loop */
    int lan_idle;                /* there is no LAN, and none was left */
    struct reflector *reflector; /* NULL: no port is listed */
    loop_fd_t firewall_io;       /* somebody changed rules */
    loop_timer_t firewall_timer;
    int firewall_waits;
    roam_t *roam;
    loop_timer_t soon;
    loop_timer_t settle;
    int soon_armed;
    int settling; /* addresses changed, and may go on changing */
};


/*
 * From what is wanted to what is: the joined networks' netmaps become
 * operations on this machine's interfaces.
 */
wire_t *wire_create(daemon_t *daemon, err_t *err);

/* Interfaces stay as they are. */
void wire_destroy(wire_t *wire);

/* Bring interfaces in step, in a moment. */
void wire_sync(daemon_t *daemon);

/* At once. -1 with err if something could not be done; it is tried again. */
int wire_sync_now(daemon_t *daemon, err_t *err);

/* What is up and who is talked to, as it is now. */
void wire_look(daemon_t *daemon);

/* Whether a network's interface shall be, and whether it can be described. */
int wire_wanted(const member_t *member);
int wire_buildable(const member_t *member);

/* "joining", "starting", "up", "down", "failed", "leaving" */
const char *wire_state(const member_t *member);

/*
 * The peers of a network with what WireGuard says of them; NULL with err
 * (wire_peers.c).
 */
json_t *wire_peers(daemon_t *daemon, member_t *member, err_t *err);

#endif
