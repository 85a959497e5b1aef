#define _GNU_SOURCE /* signalfd's flags */

#include "base/json_memory.h"
#include "base/log.h"
#include "base/state.h"
#include "base/version.h"
#include "base/watchdog.h"
#include "daemon/arguments.h"
#include "daemon/daemon.h"
#include "daemon/device.h"
#include "daemon/doctor.h"
#include "daemon/netcheck.h"
#include "daemon/local.h"
#include "daemon/mapper.h"
#include "daemon/member.h"
#include "daemon/naming.h"
#include "daemon/service.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"
#include "os/memory.h"
#include "link/protocols.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    GOCONNECTD_OK = 0,
    GOCONNECTD_FAILED = 1,
    GOCONNECTD_USAGE = 2
};

static void
goconnectd_signal(void *arg, uint32_t events)
{
    loop_fd_t *io = arg;
    daemon_t *daemon;
    err_t err;
    struct signalfd_siginfo info;

    (void) events;

    if (read(io->fd, &info, sizeof(info)) != (ssize_t) sizeof(info)) {
        return;
    }

    daemon = (daemon_t *) ((char *) io - offsetof(daemon_t, signals));

    if (info.ssi_signo == SIGHUP) {
        (void) service_reload(daemon, NULL, &err); /* the log has it */
        return;
    }

    log_info("ending; the interfaces stay up");
    service_stopping(daemon);
    loop_stop(daemon->loop);
}


/*
 * Blocked before any thread is made, so that they come to the loop alone.
 * Children are reaped by the kernel: wireguard-go is meant to outlive us.
 */
static int
goconnectd_signals(daemon_t *daemon, err_t *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);

    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1) {
        return err_errno(err, "failed", "cannot block signals");
    }

    signal(SIGPIPE, SIG_IGN);

    daemon->signals.fn = goconnectd_signal;
    daemon->signals.arg = &daemon->signals;
    daemon->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

    if (daemon->signals.fd == -1 ||
        loop_fd_add(daemon->loop, &daemon->signals, EPOLLIN) == -1) {
        return err_errno(err, "failed", "cannot wait for signals");
    }

    return 0;
}


static int
goconnectd_folders(daemon_t *daemon, err_t *err)
{
    const char *state = daemon->config->state;

    if (snprintf(daemon->networks, PATH_MAX, "%s/networks", state) >=
            PATH_MAX ||
        snprintf(daemon->netmaps, PATH_MAX, "%s/netmaps", state) >= PATH_MAX) {
        return err_set(err, "bad_path", "the state folder's path is too long");
    }

    if (state_folder(state, err) == -1 ||
        state_lock(state, "lock", err) == -1 ||
        state_folder(daemon->networks, err) == -1 ||
        state_folder(daemon->netmaps, err) == -1) {
        return -1;
    }

    return 0;
}


/* Networks that were being left when the last run was killed. */
static void
goconnectd_finish_leaving(daemon_t *daemon)
{
    member_t *member, *next;

    for (member = daemon->members; member != NULL; member = next) {
        next = member->next;

        if (member->state == MEMBER_LEAVING) {
            member_forget(member);
        }
    }
}


static int
goconnectd_start(daemon_t *daemon, err_t *err)
{
    const char *ca = daemon->config->ca;

    if (goconnectd_folders(daemon, err) == -1) {
        return -1;
    }

    daemon->loop = loop_create(link_protocols, *ca != '\0' ? ca : NULL, err);
    if (daemon->loop == NULL || goconnectd_signals(daemon, err) == -1) {
        return -1;
    }

    daemon->control = control_create(daemon->loop, daemon->config->socket,
                                     command_run, daemon, err);
    if (daemon->control == NULL) {
        return -1;
    }

    daemon->uplink = uplink_create(daemon);
    if (daemon->uplink == NULL) {
        return err_set(err, "no_memory", "out of memory");
    }

    if (device_load(daemon, err) == -1 || member_load_all(daemon, err) == -1) {
        return -1;
    }

    daemon->wire = wire_create(daemon, err);
    if (daemon->wire == NULL) {
        return -1;
    }

    daemon->naming = naming_create(daemon, err);
    if (daemon->naming == NULL) {
        return -1;
    }

    daemon->mapper = mapper_create(daemon, err);
    if (daemon->mapper == NULL) {
        return -1;
    }

    goconnectd_finish_leaving(daemon);

    /* the mesh stands before the server is asked */
    (void) wire_sync_now(daemon, NULL);
    uplink_start(daemon->uplink);
    local_sync(daemon);
    return 0;
}


static void
goconnectd_end(daemon_t *daemon)
{
    local_stop(daemon);

    if (daemon->uplink != NULL) {
        uplink_destroy(daemon->uplink);
    }

    doctor_stop(daemon);
    netcheck_stop(daemon);

    if (daemon->loop != NULL) {
        device_stop(daemon);
    }

    while (daemon->members != NULL) {
        member_flush(daemon->members);
        member_free(daemon->members);
    }

    naming_destroy(daemon->naming);
    mapper_destroy(daemon->mapper);

    if (daemon->wire != NULL) {
        wire_destroy(daemon->wire);
    }

    if (daemon->control != NULL) {
        control_destroy(daemon->control);
    }

    daemon_secret(&daemon->device.refresh_token, NULL);
    daemon_secret(&daemon->device.access_token, NULL);
    key_wipe(&daemon->device.identity, sizeof(daemon->device.identity));

    if (daemon->loop != NULL) {
        loop_destroy(daemon->loop);
    }
}


int
main(int argc, char **argv)
{
    static config_t config;
    static daemon_t daemon;
    err_t err;
    int done, rc;

    json_memory_init();
    umask(077);
    (void) prctl(PR_SET_DUMPABLE, 0); /* keys do not go into core files */
    config_init(&config);

    if (arguments_read(&config, argc, argv, &done, &err) == -1) {
        fprintf(stderr, "goconnectd: %s\n", err.text);
        return GOCONNECTD_USAGE;
    }

    if (done) {
        return GOCONNECTD_OK;
    }

    log_init(config.log_level);
    daemon.config = &config;
    daemon.service.argc = argc;
    daemon.service.argv = argv;

    if (goconnectd_start(&daemon, &err) == -1) {
        log_error("%s", err.text);
        goconnectd_end(&daemon);
        return GOCONNECTD_FAILED;
    }

    log_info("goconnectd " GOCONNECT_VERSION " is ready, WireGuard in %s, %u "
             "networks",
             backend_name(daemon.backend), daemon.member_count);
    service_ready(&daemon);
    watchdog_start(daemon.loop);

    memory_return(); /* of what was read at start */
    rc = loop_run(daemon.loop);
    goconnectd_end(&daemon);

    return rc == 0 ? GOCONNECTD_OK : GOCONNECTD_FAILED;
}
