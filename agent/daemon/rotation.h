#ifndef GC_DAEMON_ROTATION_H
#define GC_DAEMON_ROTATION_H

#include "daemon/daemon.h"
#include "plan/desired.h"

/* Members that are online get so long to be ready for a new key. */
#define ROTATION_READY_MS 10000

/*
 * Keys that change: this device's own, by announcement and commit, and those
 * of the others (plan/rotation.h). -1 when memory is out.
 */
int rotation_open(member_t *member);

/* Ends what is under way, the call unanswered, and wipes the next key. */
void rotation_close(member_t *member);

/* The record's part: the next key is durable before the server learns of it. */
int rotation_to_json(const member_t *member, json_t *document);
int rotation_from_json(member_t *member, const json_t *document);

/* The netmap changed; before its paths do. */
int rotation_changed(member_t *member);

/* The interfaces are in step: tells who is ready, and plans what is due. */
void rotation_sync(daemon_t *daemon, const struct actual *actual);

/* `rotate-days` is another one. */
void rotation_period(daemon_t *daemon);

/* When to look for handshakes with new keys; UINT64_MAX: never. */
uint64_t rotation_deadline(const daemon_t *daemon);

/*
 * `self` has this key for us: goes on with what was interrupted. 1 if it is
 * ours, or the next one of ours and therefore ours now.
 */
int rotation_self(member_t *member, const char *public_key);

/* Whether the server may have another key of ours than we know. */
int rotation_is_committing(const member_t *member);

/* A peer is ready (`rotation_ack`). */
void rotation_ready(member_t *member, const json_t *data);

/* Changes the key now; the call is answered when it is done. */
void rotation_rotate(member_t *member, control_call_t *call);

/* Answers the call that waits, if there is one. */
void rotation_fail(member_t *member, const err_t *err);

/* UNIX time since when the key is used, 0 if that is not known. */
int64_t rotation_keyed_at(const member_t *member);

/* "none", "announcing", "waiting" or "committing" */
const char *rotation_state(const member_t *member);

#endif
