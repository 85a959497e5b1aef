/*
 * Files of names that other programs read: a table of our own, and our lines
 * in the machine's hosts file.  Both are replaced as a whole.
 */

#ifndef OS_NAMES_FILE_H
#define OS_NAMES_FILE_H

#include <stdbool.h>

#include "plan/error.h"

#define NAMES_FILE_HOSTS "/etc/hosts"

/* The table at path, readable to all; "" removes it. */
int names_file_table(const char *path, const char *table, struct error *error);

/*
 * Our lines of the hosts file; "" removes them.  Nothing is written where
 * nothing changes.
 */
int names_file_hosts(const char *table, struct error *error);

/* A small file as text (free()), or NULL. */
char *names_file_read(const char *path);

#endif
