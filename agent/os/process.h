/*
 * The wireguard-go processes: one for each interface, started by us, living
 * on when we end, recognised by a record (STATE/wireguard-go/NAME.process)
 * and verified before anything is done to them.
 */

#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "plan/actual.h"
#include "plan/error.h"

#define PROCESS_PROGRAM "wireguard-go"

struct process_names {
    char (*names)[ACTUAL_NAME_SIZE]; /* owned: free() */
    size_t count;
};

/* Whether the program is in PATH. */
bool process_installed(void);

/*
 * Starts wireguard-go for an interface that does not exist yet.  When it
 * returns, the UAPI socket takes connections; the first answer on it tells
 * that the interface is there.
 */
int process_start(const char *state_dir, const char *name, struct error *error);

/* Whether the recorded process lives. */
bool process_running(const char *state_dir, const char *name);

/*
 * Ends the recorded process, its interface with it, and forgets it.  No
 * record is no error; a process that is not the recorded one is left alone.
 */
int process_stop(const char *state_dir, const char *name, struct error *error);

/* A connection to its UAPI socket, whose reads and writes give up after
 * BACKEND_START_MS; -1 with *error. */
int process_connect(const char *state_dir, const char *name,
                    struct error *error);

/* All names with a record. */
int process_list(const char *state_dir, struct process_names *list,
                 struct error *error);

/* The last line of its log, "" if there is none. */
void process_complaint(const char *state_dir, const char *name, char *text,
                       size_t size);

/* Empties a log that has grown beyond its bound. */
void process_trim_log(const char *state_dir, const char *name);

#endif
