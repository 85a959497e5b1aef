/*
 * What is on disk of a wireguard-go process, and what the kernel says of the
 * one that is meant.
 */

#ifndef OS_PROCESS_RECORD_H
#define OS_PROCESS_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "plan/error.h"

#define PROCESS_RECORD ".process"
#define PROCESS_LOG ".log"

struct process_record {
    int pid;
    unsigned long long started; /* clock ticks after boot, proc(5) stat 22 */
    char boot[40];              /* which boot */
    bool hidden;                /* its socket is in our own folder */
};

/* STATE/wireguard-go/NAME.suffix; false if it does not fit. */
bool process_path(char *path, size_t size, const char *state_dir,
                  const char *name, const char *suffix);

/* Which boot this is. */
void process_boot_id(char boot[40]);

/* When the process started; 0 if there is none. */
unsigned long long process_started(int pid);

/*
 * Whether it has been killed and is not quite gone: its memory is, with the
 * command line, but it may still hold the interface and the socket.
 */
bool process_dying(int pid);

/* false: there is none. */
bool process_load(const char *state_dir, const char *name,
                  struct process_record *record);

/* Written before the program runs, so that none runs without a record. */
int process_save(const char *state_dir, const char *name,
                 const struct process_record *record, struct error *error);

#endif
