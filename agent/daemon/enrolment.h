#ifndef GC_DAEMON_ENROLMENT_H
#define GC_DAEMON_ENROLMENT_H

#include "base/control.h"
#include "daemon/daemon.h"

/*
 * How this device becomes one of a server, and ceases to be: the commands
 * `identity`, `enroll` and `forget` of the control socket.  Each answers its
 * call.
 */
void enrolment_identity(daemon_t *daemon, control_call_t *call,
                        json_t *request);
void enrolment_begin(daemon_t *daemon, control_call_t *call, json_t *request);
void enrolment_forget(daemon_t *daemon, control_call_t *call, json_t *request);

#endif
