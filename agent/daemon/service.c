#include "daemon/service.h"

#include "base/log.h"
#include "base/notify.h"
#include "core/gc_utf8.h"
#include "daemon/arguments.h"
#include "daemon/local.h"
#include "daemon/member.h"
#include "daemon/rotation.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SERVICE_PREFIX "STATUS="

/* What is there of the networks, and of what keeps them from working. */
typedef struct {
    unsigned up;
    unsigned peers;
    unsigned active;
    unsigned problems;
    const member_t *first; /* with a problem */
} service_count_t;


static void service_add(char line[DAEMON_STATUS], const char *format, ...)
    __attribute__((format(printf, 2, 3)));


static void
service_add(char line[DAEMON_STATUS], const char *format, ...)
{
    size_t len = strlen(line);
    va_list args;

    va_start(args, format);
    vsnprintf(line + len, DAEMON_STATUS - len, format, args);
    va_end(args);
}


/*
 * Names come from others: systemd takes a line break for the next assignment,
 * and no line that is not UTF-8 (a long one is cut anywhere).
 */
static void
service_clean(char *line)
{
    char *at;
    size_t chars;
    int valid = gc_utf8_count(line, strlen(line), &chars) == 0;

    for (at = line; *at != '\0'; at++) {
        if ((unsigned char) *at < 0x20 || *at == 0x7f) {
            *at = ' ';

        } else if (!valid && (unsigned char) *at >= 0x80) {
            *at = '?';
        }
    }
}


static void
service_count(const daemon_t *daemon, service_count_t *count)
{
    const member_t *member;

    memset(count, 0, sizeof(*count));

    for (member = daemon->members; member != NULL; member = member->next) {
        count->up += member->live != 0;
        count->active += (unsigned) member->active;

        if (member->map != NULL && member->map->peer_count > 1) {
            count->peers += (unsigned) member->map->peer_count - 1;
        }

        if (member->problem[0] != '\0') {
            count->first = count->first == NULL ? member : count->first;
            count->problems++;
        }
    }
}


static void
service_describe(const daemon_t *daemon, char line[DAEMON_STATUS])
{
    const uplink_t *uplink = daemon->uplink;
    service_count_t count;

    *line = '\0';

    if (!daemon->device.enrolled) {
        service_add(line, "not logged in: goconnect login URL");
        return;
    }

    service_count(daemon, &count);
    service_add(line, "%u of %u networks up, %u peers, %u talked to; ",
                count.up, daemon->member_count, count.peers, count.active);

    /* a try that is under way changes nothing yet */
    if (uplink->state == UPLINK_CONNECTED) {
        service_add(line, "connected to the server");

    } else if (uplink->problem[0] != '\0') {
        service_add(line, "not connected to the server: %.120s",
                    uplink->problem);

    } else {
        service_add(line, "connecting to the server");
    }

    if (count.first != NULL) {
        service_add(line, "; %.40s: %.120s", count.first->name,
                    count.first->problem);
    }

    if (count.problems > 1) {
        service_add(line, "; and %u more", count.problems - 1);
    }
}


/* before: another line, or NULL: only if this one is new */
static void
service_say(daemon_t *daemon, const char *before)
{
    char line[DAEMON_STATUS], message[DAEMON_STATUS + 32];

    service_describe(daemon, line);
    service_clean(line);

    if (before == NULL && strcmp(line, daemon->service.told) == 0) {
        return;
    }

    memcpy(daemon->service.told, line, sizeof(line));
    snprintf(message, sizeof(message), "%s%s" SERVICE_PREFIX "%s",
             before != NULL ? before : "", before != NULL ? "\n" : "", line);
    notify_systemd(message);
}


void
service_ready(daemon_t *daemon)
{
    daemon->service.ready = 1;
    service_say(daemon, "READY=1");
}


void
service_tell(daemon_t *daemon)
{
    if (daemon->service.ready) {
        service_say(daemon, NULL);
    }
}


void
service_stopping(daemon_t *daemon)
{
    daemon->service.ready = 0;
    notify_systemd("STOPPING=1");
}


/* What is told so that `systemctl reload` knows when this ends. */
static void
service_reloading(void)
{
    char line[80];
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(line, sizeof(line), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long) now.tv_sec * 1000000 + now.tv_nsec / 1000);
    notify_systemd(line);
}


static void
service_apply(daemon_t *daemon)
{
    err_t err;
    uplink_t *uplink = daemon->uplink;
    const url_t *url = &daemon->device.server.url;
    int secure = !daemon->device.enrolled ||
                 url_check_secure(url, daemon->config->insecure, &err) == 0;

    log_init(daemon->config->log_level);
    rotation_period(daemon);
    wire_sync(daemon); /* port-mapping */
    local_sync(daemon);

    /* "insecure" allows, or no longer allows, what is there */
    if (!secure || uplink->state == UPLINK_REFUSED) {
        uplink_start(uplink);
    }
}


int
service_reload(daemon_t *daemon, config_change_t *change, err_t *err)
{
    config_change_t own;
    config_t *next;
    int done, rc = -1;

    change = change != NULL ? change : &own;
    memset(change, 0, sizeof(*change));
    service_reloading();
    next = malloc(sizeof(*next));

    if (next == NULL) {
        err_set(err, "no_memory", "out of memory");

    } else {
        config_init(next);
        rc = arguments_read(next, daemon->service.argc, daemon->service.argv,
                            &done, err);
    }

    if (rc == 0) {
        config_take(daemon->config, next, change);
        service_apply(daemon);
        log_info("read the settings; changed: %s",
                 *change->taken != '\0' ? change->taken : "nothing");

    } else {
        log_error("the settings stay as they were: %s", err->text);
    }

    if (*change->later != '\0') {
        log_warn("only a restart changes: %s", change->later);
    }

    free(next);
    service_say(daemon, "READY=1");
    return rc;
}
