#ifndef GC_DAEMON_SETTINGS_H
#define GC_DAEMON_SETTINGS_H

#include "daemon/daemon.h"

/*
 * What this device does differently in a network than the network says: in
 * the member's record, so that it outlives restarts. Another setting is one
 * row of the table in settings.c.
 */

/* {"mtu": 1300, ...}, for status and for the record; NULL: no memory. */
json_t *settings_to_json(const member_t *member);

/* What a record has; what is not in it, or of no use, is as at first. */
void settings_from_json(member_t *member, const json_t *settings);

/* Answers `set`: all that is asked for is kept, or nothing. */
void settings_run(member_t *member, control_call_t *call,
                  const json_t *request);

#endif
