#include "os/resolved.h"

#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <time.h>

#define RESOLVED_LIBRARY "libsystemd.so.0"
#define RESOLVED_NAME "org.freedesktop.resolve1"
#define RESOLVED_PATH "/org/freedesktop/resolve1"
#define RESOLVED_INTERFACE "org.freedesktop.resolve1.Manager"
#define RESOLVED_BUS "org.freedesktop.DBus"
#define RESOLVED_BATCH 64 /* messages in one turn */

/* What we use of the library. */
#define RESOLVED_FUNCTIONS(FUNCTION)           \
    FUNCTION(sd_bus_open_system)               \
    FUNCTION(sd_bus_close_unref)               \
    FUNCTION(sd_bus_get_fd)                    \
    FUNCTION(sd_bus_get_events)                \
    FUNCTION(sd_bus_get_timeout)               \
    FUNCTION(sd_bus_process)                   \
    FUNCTION(sd_bus_call_async)                \
    FUNCTION(sd_bus_call_method_async)         \
    FUNCTION(sd_bus_match_signal_async)        \
    FUNCTION(sd_bus_slot_set_destroy_callback) \
    FUNCTION(sd_bus_slot_set_floating)         \
    FUNCTION(sd_bus_slot_unref)                \
    FUNCTION(sd_bus_message_new_method_call)   \
    FUNCTION(sd_bus_message_append)            \
    FUNCTION(sd_bus_message_append_array)      \
    FUNCTION(sd_bus_message_open_container)    \
    FUNCTION(sd_bus_message_close_container)   \
    FUNCTION(sd_bus_message_read)              \
    FUNCTION(sd_bus_message_get_error)         \
    FUNCTION(sd_bus_message_unref)

#define RESOLVED_MEMBER(name) __typeof__(name) *name;
#define RESOLVED_ENTRY(name) {#name, offsetof(struct resolved_library, name)},

struct resolved_library {
    RESOLVED_FUNCTIONS(RESOLVED_MEMBER)
};

static const struct {
    const char *name;
    size_t offset;
} resolved_functions[] = {RESOLVED_FUNCTIONS(RESOLVED_ENTRY)};

struct resolved {
    void *handle;
    struct resolved_library sd;
    sd_bus *bus;
    struct resolved_events events;
};

/* A call whose answer somebody waits for. */
struct resolved_call {
    struct resolved *resolved;
    int index;
    bool last; /* of those that make a link's */
};


static int
resolved_load(struct resolved *resolved, struct error *error)
{
    void *function;
    size_t i;

    resolved->handle = dlopen(RESOLVED_LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (resolved->handle == NULL) {
        return error_set(
            error, ERROR_UNSUPPORTED,
            "cannot speak to systemd-resolved: install libsystemd0");
    }

    for (i = 0; i < sizeof(resolved_functions) / sizeof(resolved_functions[0]);
         i++) {
        function = dlsym(resolved->handle, resolved_functions[i].name);

        if (function == NULL) {
            return error_set(error, ERROR_UNSUPPORTED,
                             RESOLVED_LIBRARY " is too old: it has no %s",
                             resolved_functions[i].name);
        }

        memcpy((char *) &resolved->sd + resolved_functions[i].offset, &function,
               sizeof(function));
    }

    return 0;
}


static int
resolved_error(struct error *error, int number)
{
    return error_set(error, ERROR_SYSTEM, "the system's message bus: %s",
                     strerror(-number));
}


/* NameOwnerChanged(name, old, new) */
static int
resolved_owner_changed(sd_bus_message *message, void *data,
                       sd_bus_error *unused)
{
    struct resolved *resolved = data;
    const char *name, *before, *after;

    (void) unused;

    if (resolved->sd.sd_bus_message_read(message, "sss", &name, &before,
                                         &after) >= 0 &&
        strcmp(name, RESOLVED_NAME) == 0) {
        resolved->events.present(resolved->events.data, after[0] != '\0');
    }

    return 0;
}


/* NameHasOwner's answer */
static int
resolved_has_owner(sd_bus_message *message, void *data, sd_bus_error *unused)
{
    struct resolved *resolved = data;
    int present;

    (void) unused;

    if (resolved->sd.sd_bus_message_get_error(message) == NULL &&
        resolved->sd.sd_bus_message_read(message, "b", &present) >= 0) {
        resolved->events.present(resolved->events.data, present != 0);
    }

    return 0;
}


/* Followed first, asked then: nothing falls in between. */
static int
resolved_follow(struct resolved *resolved, struct error *error)
{
    int rc;

    rc = resolved->sd.sd_bus_open_system(&resolved->bus);

    if (rc >= 0) {
        rc = resolved->sd.sd_bus_match_signal_async(
            resolved->bus, NULL, RESOLVED_BUS, "/org/freedesktop/DBus",
            RESOLVED_BUS, "NameOwnerChanged", resolved_owner_changed, NULL,
            resolved);
    }

    if (rc >= 0) {
        rc = resolved->sd.sd_bus_call_method_async(
            resolved->bus, NULL, RESOLVED_BUS, "/org/freedesktop/DBus",
            RESOLVED_BUS, "NameHasOwner", resolved_has_owner, resolved, "s",
            RESOLVED_NAME);
    }

    return rc >= 0 ? 0 : resolved_error(error, rc);
}


struct resolved *
resolved_open(const struct resolved_events *events, struct error *error)
{
    struct resolved *resolved;

    resolved = calloc(1, sizeof(*resolved));

    if (resolved == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    resolved->events = *events;

    if (resolved_load(resolved, error) != 0 ||
        resolved_follow(resolved, error) != 0) {
        resolved_close(resolved);
        return NULL;
    }

    return resolved;
}


void
resolved_close(struct resolved *resolved)
{
    if (resolved == NULL) {
        return;
    }

    if (resolved->bus != NULL) {
        resolved->sd.sd_bus_close_unref(resolved->bus);
    }

    if (resolved->handle != NULL) {
        (void) dlclose(resolved->handle);
    }

    free(resolved);
}


int
resolved_fd(const struct resolved *resolved)
{
    return resolved->sd.sd_bus_get_fd(resolved->bus);
}


int
resolved_wants(const struct resolved *resolved)
{
    int events;

    events = resolved->sd.sd_bus_get_events(resolved->bus);

    return events >= 0 ? events : POLLIN;
}


int
resolved_timeout(const struct resolved *resolved)
{
    struct timespec now;
    uint64_t deadline, us;

    if (resolved->sd.sd_bus_get_timeout(resolved->bus, &deadline) < 0 ||
        deadline == UINT64_MAX) {
        return -1;
    }

    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    us = (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;

    return deadline <= us ? 0 : (int) ((deadline - us) / 1000 + 1);
}


int
resolved_process(struct resolved *resolved, struct error *error)
{
    int i, rc;

    for (i = 0; i < RESOLVED_BATCH; i++) {
        rc = resolved->sd.sd_bus_process(resolved->bus, NULL);

        if (rc < 0) {
            return resolved_error(error, rc);
        }

        if (rc == 0) {
            break;
        }
    }

    return 0;
}


static int
resolved_answer(sd_bus_message *message, void *data, sd_bus_error *unused)
{
    struct resolved_call *call = data;
    struct resolved *resolved = call->resolved;
    const sd_bus_error *problem;

    (void) unused;

    problem = resolved->sd.sd_bus_message_get_error(message);

    if (problem != NULL) {
        resolved->events.told(resolved->events.data, call->index,
                              problem->message != NULL ? problem->message
                                                       : problem->name);

    } else if (call->last) {
        resolved->events.told(resolved->events.data, call->index, NULL);
    }

    return 0;
}


/* The servers: iia(iayqs) of SetLinkDNSEx. */
static int
resolved_put_servers(struct resolved *resolved, sd_bus_message *message,
                     const struct resolved_link *link)
{
    const struct endpoint *server;
    size_t i;
    int rc;
    bool ipv4;

    rc = resolved->sd.sd_bus_message_open_container(message, 'a', "(iayqs)");

    for (i = 0; rc >= 0 && i < link->server_count; i++) {
        server = &link->servers[i];
        ipv4 = server->address.family == ADDRESS_IPV4;
        rc = resolved->sd.sd_bus_message_open_container(message, 'r', "iayqs");

        if (rc >= 0) {
            rc = resolved->sd.sd_bus_message_append(message, "i",
                                                    ipv4 ? AF_INET : AF_INET6);
        }

        if (rc >= 0) {
            rc = resolved->sd.sd_bus_message_append_array(
                message, 'y', server->address.bytes, ipv4 ? 4 : 16);
        }

        if (rc >= 0) {
            rc = resolved->sd.sd_bus_message_append(
                message, "qs", (unsigned) server->port, "");
        }

        if (rc >= 0) {
            rc = resolved->sd.sd_bus_message_close_container(message);
        }
    }

    return rc < 0 ? rc : resolved->sd.sd_bus_message_close_container(message);
}


/* For routing alone: nothing is searched in them. */
static int
resolved_put_domains(struct resolved *resolved, sd_bus_message *message,
                     const struct resolved_link *link)
{
    size_t i;
    int rc;

    rc = resolved->sd.sd_bus_message_open_container(message, 'a', "(sb)");

    for (i = 0; rc >= 0 && i < link->zone_count; i++) {
        rc = resolved->sd.sd_bus_message_append(message, "(sb)",
                                                link->zones[i].name, 1);
    }

    return rc < 0 ? rc : resolved->sd.sd_bus_message_close_container(message);
}


static int
resolved_put_no_default(struct resolved *resolved, sd_bus_message *message,
                        const struct resolved_link *link)
{
    (void) link;

    return resolved->sd.sd_bus_message_append(message, "b", 0);
}


static int
resolved_put_no(struct resolved *resolved, sd_bus_message *message,
                const struct resolved_link *link)
{
    (void) link;

    return resolved->sd.sd_bus_message_append(message, "s", "no");
}


static int
resolved_put_nothing(struct resolved *resolved, sd_bus_message *message,
                     const struct resolved_link *link)
{
    (void) resolved;
    (void) message;
    (void) link;

    return 0;
}


struct resolved_method {
    const char *name;
    int (*put)(struct resolved *resolved, sd_bus_message *message,
               const struct resolved_link *link);
    bool needed;
};


/* Sends it; the answer comes to a copy of *call, which the bus frees. */
static int
resolved_send(struct resolved *resolved, sd_bus_message *message,
              const struct resolved_call *call)
{
    struct resolved_call *kept;
    sd_bus_slot *slot;
    int rc;

    kept = malloc(sizeof(*kept));

    if (kept == NULL) {
        return -ENOMEM;
    }

    *kept = *call;
    rc = resolved->sd.sd_bus_call_async(resolved->bus, &slot, message,
                                        resolved_answer, kept, 0);

    if (rc < 0) {
        free(kept);
        return rc;
    }

    (void) resolved->sd.sd_bus_slot_set_destroy_callback(slot, free);
    (void) resolved->sd.sd_bus_slot_set_floating(slot, 1);
    (void) resolved->sd.sd_bus_slot_unref(slot);

    return 0;
}


/* One call; of those that are not needed the answer is none of our concern. */
static int
resolved_call(struct resolved *resolved, const struct resolved_link *link,
              const struct resolved_method *method, bool last)
{
    struct resolved_call call = {resolved, link->index, last};
    sd_bus_message *message;
    int rc;

    message = NULL;
    rc = resolved->sd.sd_bus_message_new_method_call(
        resolved->bus, &message, RESOLVED_NAME, RESOLVED_PATH,
        RESOLVED_INTERFACE, method->name);

    if (rc >= 0) {
        rc = resolved->sd.sd_bus_message_append(message, "i", link->index);
    }

    if (rc >= 0) {
        rc = method->put(resolved, message, link);
    }

    if (rc >= 0) {
        rc = method->needed ? resolved_send(resolved, message, &call)
                            : resolved->sd.sd_bus_call_async(
                                  resolved->bus, NULL, message, NULL, NULL, 0);
    }

    resolved->sd.sd_bus_message_unref(message);

    return rc;
}


int
resolved_tell(struct resolved *resolved, const struct resolved_link *link,
              struct error *error)
{
    static const struct resolved_method methods[] = {
        {"SetLinkLLMNR", resolved_put_no, false},
        {"SetLinkMulticastDNS", resolved_put_no, false},
        {"SetLinkDNSOverTLS", resolved_put_no, false},
        /* nobody signs our names: resolved must not expect it of them */
        {"SetLinkDNSSEC", resolved_put_no, false},
        {"SetLinkDefaultRoute", resolved_put_no_default, true},
        {"SetLinkDomains", resolved_put_domains, true},
        {"SetLinkDNSEx", resolved_put_servers, true},
    };
    size_t i, count;
    int rc;

    count = sizeof(methods) / sizeof(methods[0]);

    for (i = 0; i < count; i++) {
        rc = resolved_call(resolved, link, &methods[i], i + 1 == count);

        if (rc < 0) {
            return resolved_error(error, rc);
        }
    }

    return 0;
}


void
resolved_forget(struct resolved *resolved, int index)
{
    static const struct resolved_method revert = {"RevertLink",
                                                  resolved_put_nothing, false};
    struct resolved_link link;

    memset(&link, 0, sizeof(link));
    link.index = index;
    (void) resolved_call(resolved, &link, &revert, false);
}


int
resolved_index(const char *name)
{
    return (int) if_nametoindex(name);
}
