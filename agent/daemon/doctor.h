#ifndef GC_DAEMON_DOCTOR_H
#define GC_DAEMON_DOCTOR_H

#include "daemon/daemon.h"

/*
 * Looks at everything that a network may fail for, and answers the call with
 * {"checks": [{"name", "level", "text", "fix"}]}; level is "ok", "warn" or
 * "fail", fix says what to do. Another check is a row of doctor.c's table.
 */
void doctor_run(daemon_t *daemon, control_call_t *call);

/* Ends what is under way; whoever waits is told. */
void doctor_stop(daemon_t *daemon);

#endif
