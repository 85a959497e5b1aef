#ifndef GC_DAEMON_MEMBER_H
#define GC_DAEMON_MEMBER_H

#include "daemon/daemon.h"

#define MEMBER_AGAIN_CAP_MS 60000 /* what failed is tried again within */
#define MEMBER_JOIN_MS 30000      /* a join waits so long for its interface */
#define MEMBER_RECENT_MS 10000
#define MEMBER_HELD_MAX 1024 /* events kept while a netmap arrives */

/* An empty record in the daemon's list; NULL when memory is out. */
member_t *member_create(daemon_t *daemon, const char *id);

/* Ends timers and frees, without touching disk or interfaces. */
void member_free(member_t *member);

member_t *member_find(daemon_t *daemon, const char *id);

/* A new random listen port. */
void member_new_port(member_t *member);

/* The netmap changed: it is written soon, plan and interface follow. */
void member_changed(member_t *member);

/* Addresses as `self` or `POST peers` told them. 1 if they are new. */
int member_addresses(member_t *member, const json_t *peer);

/* Takes it down and forgets it, keys and all; member is gone. */
void member_forget(member_t *member);

/* {"network_id", "name", ...} for status. */
json_t *member_describe(member_t *member);


/* member_store.c */

/* Reads all joined networks and their netmaps from disk. */
int member_load_all(daemon_t *daemon, err_t *err);

/* Writes the record. */
int member_write(member_t *member, err_t *err);

/* The netmap has to be written: soon, the first one at once. */
void member_keep(member_t *member);

/* Writes the netmap now, if it has to be written. */
void member_flush(member_t *member);


/* member_join.c */

/*
 * Makes the record with its own key, durably, and tells the server (POST
 * peers) as soon as it can be told. NULL with err.
 */
member_t *member_join(daemon_t *daemon, const char *id, const char *name,
                      err_t *err);

/* Makes the key known again, of a network that is joined. */
void member_post(member_t *member);

/* Answers the join that waits, if it can be answered now. */
void member_joined(member_t *member);

/* call is answered when the network is up, or MEMBER_JOIN_MS later. */
void member_wait(member_t *member, control_call_t *call);

void member_fail(member_t *member, const err_t *err);

#endif
