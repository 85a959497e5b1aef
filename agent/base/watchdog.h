#ifndef GC_BASE_WATCHDOG_H
#define GC_BASE_WATCHDOG_H

#include "base/loop.h"

/*
 * If systemd watches this process (WATCHDOG_USEC, WATCHDOG_PID:
 * sd_watchdog_enabled(3)), says "WATCHDOG=1" twice in each of its intervals,
 * from the loop: one that hangs is killed and started anew. Until the loop is
 * destroyed.
 */
void watchdog_start(loop_t *loop);

#endif
