#ifndef GC_BASE_NOTIFY_H
#define GC_BASE_NOTIFY_H

/*
 * Tells systemd, if it waits for it (NOTIFY_SOCKET: sd_notify(3)), one line
 * such as "READY=1". Never blocks, never fails: nobody may be listening.
 */
void notify_systemd(const char *line);

#endif
