#ifndef GC_DAEMON_FRAME_H
#define GC_DAEMON_FRAME_H

#include "daemon/daemon.h"

/*
 * Takes one message of the control connection (docs/protocol.md, From the
 * server). What is malformed or unknown is logged and dropped.
 */
void frame_receive(uplink_t *uplink, const char *text, size_t len);

#endif
