/*
 * The fork and exec of a program that outlives us, in two steps, so that its
 * pid is on disk before it runs: prepared it waits, finished it runs (or is
 * dropped; it also ends by itself if we die in between).
 */

#ifndef OS_PROCESS_SPAWN_H
#define OS_PROCESS_SPAWN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "plan/error.h"

struct process_spawn {
    const char *program;
    const char *name;   /* run as "PROGRAM -f NAME" */
    const char *log;    /* its standard output and error, appended */
    const char *folder; /* NULL, or mounted over mount_point for it */
    const char *mount_point;
    int listener; /* becomes descriptor 3, WG_UAPI_FD */
    int pid;      /* filled */
    int control;  /* filled, private */
};

/* Looks PROGRAM up in PATH. */
bool process_spawn_find(const char *program, char *path, size_t size);

int process_spawn_prepare(struct process_spawn *spawn, struct error *error);

/* Must follow a prepare that returned 0. */
void process_spawn_finish(struct process_spawn *spawn, bool run);

#endif
