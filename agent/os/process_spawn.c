#define _GNU_SOURCE

#include "os/process_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What goes to which descriptor of the program. */
#define PROCESS_SPAWN_UAPI 3
#define PROCESS_SPAWN_ABOVE 4


bool
process_spawn_find(const char *program, char *path, size_t size)
{
    const char *folder, *end;
    int n;

    folder = getenv("PATH");

    if (folder == NULL) {
        folder = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";
    }

    for (; *folder != '\0'; folder = *end == ':' ? end + 1 : end) {
        end = folder + strcspn(folder, ":");
        n = snprintf(path, size, "%.*s/%s", (int) (end - folder), folder,
                     program);

        if (n > 0 && (size_t) n < size && path[0] == '/' &&
            access(path, X_OK) == 0) {
            return true;
        }
    }

    return false;
}


/*
 * From here to execve() the process is a fork of a program with threads:
 * only async-signal-safe functions may be called (POSIX, fork()).
 */

static bool
process_spawn_mount(const struct process_spawn *spawn)
{
    return spawn->folder == NULL ||
           (unshare(CLONE_NEWNS) == 0 &&
            mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
            mount(spawn->folder, spawn->mount_point, NULL, MS_BIND, NULL) == 0);
}


static bool
process_spawn_descriptors(const struct process_spawn *spawn)
{
    int null, log, uapi;

    uapi = fcntl(spawn->listener, F_DUPFD, PROCESS_SPAWN_ABOVE);
    null = open("/dev/null", O_RDONLY);
    log = open(spawn->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

    if (uapi < 0 || null < 0 || log < 0 || dup2(null, 0) < 0 ||
        dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
        dup2(uapi, PROCESS_SPAWN_UAPI) < 0) {
        return false;
    }

    return close_range(PROCESS_SPAWN_ABOVE, ~0U, 0) == 0;
}


static void
process_spawn_child(const struct process_spawn *spawn, const char *path,
                    int control)
{
    char option[] = "-f", name[64], program[64];
    char *const arguments[] = {program, option, name, NULL};
    char uapi[] = "WG_UAPI_FD=3", foreground[] = "WG_PROCESS_FOREGROUND=1",
         level[] = "LOG_LEVEL=error";
    char *const environment[] = {uapi, foreground, level, NULL};
    sigset_t none;
    char go;

    /* 0 bytes: our parent died or gave up before it recorded us */
    if (read(control, &go, 1) != 1) {
        _exit(1);
    }

    (void) stpncpy(program, spawn->program, sizeof(program) - 1);
    program[sizeof(program) - 1] = '\0';
    (void) stpncpy(name, spawn->name, sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';

    (void) sigemptyset(&none);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);

    if (process_spawn_mount(spawn) && process_spawn_descriptors(spawn)) {
        (void) execve(path, arguments, environment);
    }

    _exit(127);
}


/* Forks once more, so that init and not we inherits the program. */
static void
process_spawn_middle(const struct process_spawn *spawn, const char *path,
                     int control)
{
    pid_t pid;

    (void) setsid();
    pid = fork();

    if (pid == 0) {
        process_spawn_child(spawn, path, control);
    }

    _exit(pid > 0 && write(control, &pid, sizeof(pid)) == sizeof(pid) ? 0 : 1);
}


int
process_spawn_prepare(struct process_spawn *spawn, struct error *error)
{
    char path[PATH_MAX];
    int pair[2];
    pid_t middle, pid;
    ssize_t n;

    if (!process_spawn_find(spawn->program, path, sizeof(path))) {
        return error_set(error, ERROR_UNSUPPORTED, "%s is not installed",
                         spawn->program);
    }

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return error_set(error, ERROR_SYSTEM, "socketpair: %s",
                         strerror(errno));
    }

    middle = fork();

    if (middle == 0) {
        (void) close(pair[0]);
        process_spawn_middle(spawn, path, pair[1]);
    }

    (void) close(pair[1]);
    n = middle < 0 ? -1 : read(pair[0], &pid, sizeof(pid));

    if (middle > 0) {
        (void) waitpid(middle, NULL, 0); /* ECHILD: somebody else has */
    }

    if (n != sizeof(pid)) {
        (void) close(pair[0]);
        return error_set(error, ERROR_SYSTEM, "cannot fork");
    }

    spawn->pid = pid;
    spawn->control = pair[0];

    return 0;
}


void
process_spawn_finish(struct process_spawn *spawn, bool run)
{
    if (run) {
        (void) send(spawn->control, "", 1, MSG_NOSIGNAL);
    }

    (void) close(spawn->control);
    spawn->control = -1;
}
