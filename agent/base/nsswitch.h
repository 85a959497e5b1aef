#ifndef GC_BASE_NSSWITCH_H
#define GC_BASE_NSSWITCH_H

#include <stddef.h>

/*
 * nsswitch.conf(5): whether the C library's programs ask our module for names
 * of hosts.
 */
#define NSSWITCH_FILE "/etc/nsswitch.conf"
#define NSSWITCH_MODULE "goconnect"


/* Whether the "hosts:" line names the module. */
int nsswitch_has(const char *text);

/*
 * The file with the module named before the first service that asks others
 * than this machine (on != 0), or without it; all else stays as it is. A new
 * text; NULL: memory is out. What is so already comes back unchanged, and a
 * file without a "hosts:" line gets the one that the C library assumes.
 */
char *nsswitch_edit(const char *text, int on);

#endif
