#ifndef GC_BASE_STATE_H
#define GC_BASE_STATE_H

#include "base/err.h"

#include <jansson.h>

/*
 * What must outlive the process: JSON documents of mode 0600 under folders of
 * mode 0700. A document is replaced as a whole: written beside its place,
 * synced, renamed, the folder synced. Whoever reads sees the old one or the
 * new one, whatever moment the power went.
 */

/* The largest document that is read: 10,000 peers with room to spare. */
#define STATE_MAX (32 * 1024 * 1024)


/* Makes path and what lies above it (0755), itself 0700. */
int state_folder(const char *path, err_t *err);

/*
 * Takes the lock file in folder for this process; the descriptor stays open
 * until it ends. -1 with code "locked" if another one holds it: the text
 * names its process.
 */
int state_lock(const char *folder, const char *name, err_t *err);

/* Waits for the lock (the client's short ones). -1 on error. */
int state_lock_wait(const char *folder, const char *name, err_t *err);

int state_write(const char *folder, const char *name, const json_t *document,
                err_t *err);

/*
 * A new reference, or NULL: code "absent" if there is no such document,
 * "damaged" if it is not a JSON object (the file is then renamed to
 * NAME.damaged, so that it is neither lost nor read again), "no_memory" (it is
 * left as it is), else "unreadable".
 */
json_t *state_read(const char *folder, const char *name, err_t *err);

/* With what was put aside as damaged. What is not there is a success. */
int state_remove(const char *folder, const char *name, err_t *err);

/*
 * Calls fn for the base name of each document NAME.json in folder; leftovers
 * of interrupted writes are removed on the way.
 */
int state_each(const char *folder, void (*fn)(void *arg, const char *name),
               void *arg, err_t *err);

#endif
