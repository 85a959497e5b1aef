#define _GNU_SOURCE

#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/process_record.h"
#include "os/process_socket.h"
#include "os/process_spawn.h"

/* After SIGTERM it removes its socket and ends, usually in 10 ms. */
#define PROCESS_TERM_MS 3000
#define PROCESS_KILL_MS 2000

/* How often what a killed run began is looked at again, and how far apart. */
#define PROCESS_LEFTOVER_TIMES 20
#define PROCESS_LEFTOVER_MS 25L


bool
process_installed(void)
{
    char path[PATH_MAX];

    return process_spawn_find(PROCESS_PROGRAM, path, sizeof(path));
}


/* Whether the command line is "...wireguard-go -f NAME". */
static bool
process_serves(int pid, const char *name)
{
    char path[64], text[PATH_MAX], *end, *argument;
    ssize_t n;
    int fd;

    (void) snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }

    n = read(fd, text, sizeof(text) - 1);
    (void) close(fd);

    if (n <= 0) {
        return false;
    }

    text[n] = '\0';
    end = text + n;
    argument = text + strlen(text) + 1;

    if (strstr(text, PROCESS_PROGRAM) == NULL || argument >= end ||
        strcmp(argument, "-f") != 0) {
        return false;
    }

    argument += sizeof("-f");

    return argument < end && strcmp(argument, name) == 0;
}


/*
 * The recorded process may still be on its way from fork() to execve(), or be
 * a stranger that got into the record: only time tells.
 */
static bool
process_gets_to_serve(int pid, const char *name)
{
    static const struct timespec pause = {0, PROCESS_LEFTOVER_MS * 1000000L};
    int i;

    for (i = 0; i < PROCESS_LEFTOVER_TIMES; i++) {
        if (process_serves(pid, name)) {
            return true;
        }

        if (process_dying(pid)) {
            return false;
        }

        (void) nanosleep(&pause, NULL);
    }

    return false;
}


/*
 * A descriptor of the recorded process, verified; -1 if it is gone. One that is
 * only dying counts where `dying` says so.
 */
static int
process_open(const char *name, const struct process_record *record, bool dying)
{
    char boot[40];
    int fd;

    process_boot_id(boot);

    if (record->pid <= 1 || strcmp(boot, record->boot) != 0) {
        return -1;
    }

    fd = pidfd_open(record->pid, 0);

    if (fd < 0) {
        return -1;
    }

    /* what is verified after pidfd_open() is what the descriptor means */
    if (process_started(record->pid) != record->started ||
        !(process_gets_to_serve(record->pid, name) ||
          (dying && process_dying(record->pid)))) {
        (void) close(fd);
        return -1;
    }

    return fd;
}


bool
process_running(const char *state_dir, const char *name)
{
    struct process_record record;
    int fd;

    if (!process_load(state_dir, name, &record)) {
        return false;
    }

    fd = process_open(name, &record, false);

    if (fd < 0) {
        return false;
    }

    (void) close(fd);

    return true;
}


/* Signals and waits for the end. */
static bool
process_end(int pidfd, int signal_number, int wait_ms)
{
    struct pollfd wait;
    int n;

    if (pidfd_send_signal(pidfd, signal_number, NULL, 0) != 0) {
        return errno == ESRCH;
    }

    wait.fd = pidfd;
    wait.events = POLLIN;

    do {
        n = poll(&wait, 1, wait_ms);
    } while (n < 0 && errno == EINTR);

    return n > 0;
}


int
process_connect(const char *state_dir, const char *name, struct error *error)
{
    struct process_record record;
    int fd;

    if (!process_load(state_dir, name, &record)) {
        return error_set(error, ERROR_GONE, "%s: no wireguard-go of ours",
                         name);
    }

    fd = process_socket_dial(state_dir, name, record.hidden);

    if (fd < 0) {
        return error_set(error, ERROR_GONE, "%s: wireguard-go is gone: %s",
                         name, strerror(errno));
    }

    return fd;
}


static int
process_folder(const char *state_dir, struct error *error)
{
    char path[PATH_MAX];

    if (!process_path(path, sizeof(path), state_dir, "", "")) {
        return error_set(error, ERROR_TOO_BIG, "the state folder's name");
    }

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return error_set(error, ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    }

    return 0;
}


/*
 * The listener in the shared folder.  A run that was killed may have left a
 * child that is about to end: its copy of the socket is waited for, so that it
 * is not taken for another wireguard-go.
 */
static int
process_listen(const char *state_dir, const char *name)
{
    static const struct timespec pause = {0, PROCESS_LEFTOVER_MS * 1000000L};
    int i, listener;

    for (i = 0; i < PROCESS_LEFTOVER_TIMES; i++) {
        listener = process_socket_listen(state_dir, name, false);

        if (listener >= 0 || errno != EADDRINUSE) {
            return listener;
        }

        (void) nanosleep(&pause, NULL);
    }

    return process_socket_listen(state_dir, name, false);
}


/*
 * The socket is made here and handed over, so that it takes connections
 * before the program runs and there is nothing to wait for.  Where another
 * wireguard-go of the same interface name runs on this machine (in another
 * network namespace: the folder of sockets knows no namespaces), ours gets a
 * folder of its own, mounted over the shared one in its own mount namespace.
 */
int
process_start(const char *state_dir, const char *name, struct error *error)
{
    struct process_spawn spawn;
    struct process_record record;
    char folder[PATH_MAX], log[PATH_MAX];
    int rc;

    memset(&record, 0, sizeof(record));
    memset(&spawn, 0, sizeof(spawn));

    if (process_folder(state_dir, error) != 0) {
        return -1;
    }

    /* of no process yet: the socket alone has to be found too */
    process_boot_id(record.boot);

    if (process_save(state_dir, name, &record, error) != 0) {
        return -1;
    }

    spawn.listener = process_listen(state_dir, name);

    if (spawn.listener < 0 && errno == EADDRINUSE) {
        record.hidden = true;

        if (process_save(state_dir, name, &record, error) != 0) {
            return -1;
        }

        spawn.listener = process_socket_listen(state_dir, name, true);
    }

    if (spawn.listener < 0) {
        return error_set(error, ERROR_SYSTEM, "%s: no UAPI socket: %s", name,
                         strerror(errno));
    }

    if (!process_path(log, sizeof(log), state_dir, name, PROCESS_LOG) ||
        !process_socket_private(state_dir, folder, sizeof(folder))) {
        (void) close(spawn.listener);
        return error_set(error, ERROR_TOO_BIG, "the state folder's name");
    }

    spawn.program = PROCESS_PROGRAM;
    spawn.name = name;
    spawn.log = log;
    spawn.folder = record.hidden ? folder : NULL;
    spawn.mount_point = PROCESS_SOCKET_SHARED;

    rc = process_spawn_prepare(&spawn, error);

    if (rc == 0) {
        record.pid = spawn.pid;
        record.started = process_started(spawn.pid);
        rc = process_save(state_dir, name, &record, error);
        process_spawn_finish(&spawn, rc == 0);
    }

    (void) close(spawn.listener);

    return rc;
}


int
process_stop(const char *state_dir, const char *name, struct error *error)
{
    /* the record last: without it nobody looks for the others */
    static const char *const suffixes[] = {PROCESS_LOG, PROCESS_RECORD};
    struct process_record record;
    char path[PATH_MAX];
    size_t i;
    bool ended;
    int fd;

    if (!process_load(state_dir, name, &record)) {
        return 0;
    }

    fd = process_open(name, &record, true);

    if (fd >= 0) {
        ended = process_end(fd, SIGTERM, PROCESS_TERM_MS) ||
                process_end(fd, SIGKILL, PROCESS_KILL_MS);
        (void) close(fd);

        if (!ended) {
            return error_set(error, ERROR_SYSTEM,
                             "%s: wireguard-go (%d) does not end", name,
                             record.pid);
        }
    }

    process_socket_unlink(state_dir, name, record.hidden);

    for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        if (process_path(path, sizeof(path), state_dir, name, suffixes[i])) {
            (void) unlink(path);
        }
    }

    return 0;
}
