#ifndef GC_DAEMON_ARGUMENTS_H
#define GC_DAEMON_ARGUMENTS_H

#include "base/config.h"

/*
 * goconnectd's settings: the file that --config names, or CONFIG_FILE, first,
 * then the other options over it. config is as config_init() left it. done
 * becomes 1 if --help or --version was asked for, and answered. May be called
 * again, with the same argv. 0 or -1.
 */
int arguments_read(config_t *config, int argc, char **argv, int *done,
                   err_t *err);

#endif
