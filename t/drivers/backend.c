/*
 * Drives a back end by hand, for the suites `agent` and `kernel`:
 *
 *   backend BACKEND STATE_DIR apply FILE [STEPS]
 *   backend BACKEND STATE_DIR down
 *   backend BACKEND STATE_DIR dump
 *   backend BACKEND STATE_DIR local
 *   backend BACKEND STATE_DIR watch
 *
 * FILE holds what the daemon would know, as JSON: a list of
 * {name, private_key, listen_port, peer_id, netmap}.  apply prints each
 * operation as it applies it and then how many there were; with STEPS it
 * kills itself with SIGKILL after so many.  dump prints what was observed,
 * in the form of `wg show all dump` without secrets and counters, and below
 * it addresses and routes.  watch prints "ready", then "changed" when the
 * monitor tells of something, and ends.
 */

#define _GNU_SOURCE

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/backend.h"
#include "os/keys.h"
#include "os/local_addresses.h"
#include "os/monitor.h"

#define NETWORKS_MAX 16


static void
fail(const struct error *error)
{
    (void) fprintf(stderr, "backend: error %d: %s\n", (int) error->code,
                   error->text);
    (void) fflush(stdout);
    _exit(1); /* what is still held is no leak */
}


static const char *
text_of(const json_t *object, const char *name)
{
    const char *text;

    text = json_string_value(json_object_get(object, name));

    if (text == NULL) {
        (void) fprintf(stderr, "backend: no %s in the file\n", name);
        exit(2);
    }

    return text;
}


/* One wish from what the daemon would know of one network. */
static struct desired *
wish(const json_t *entry)
{
    const struct netmap_peer *me;
    struct local_addresses local;
    struct desired_self self;
    struct desired *desired;
    struct netmap *map;
    struct paths *paths;
    struct error error;

    memset(&self, 0, sizeof(self));
    map = netmap_from_json(json_object_get(entry, "netmap"), &error);

    if (map == NULL) {
        fail(&error);
    }

    (void) snprintf(self.name, sizeof(self.name), "%s", text_of(entry, "name"));
    (void) snprintf(self.peer_id, sizeof(self.peer_id), "%s",
                    text_of(entry, "peer_id"));
    self.listen_port =
        (uint16_t) json_integer_value(json_object_get(entry, "listen_port"));
    me = netmap_find(map, self.peer_id);

    if (me == NULL ||
        !key_from_base64(text_of(entry, "private_key"), &self.private_key)) {
        (void) fprintf(stderr, "backend: no peer or key of ours\n");
        exit(2);
    }

    self.ip_address = me->ip_address;

    if (local_addresses_get(&local, &error) != 0) {
        fail(&error);
    }

    if (local.ipv6) {
        self.ip6_address = me->ip6_address;
    }

    paths = paths_create();

    if (keys_public(&self.private_key, &self.public_key, &error) != 0) {
        fail(&error);
    }

    if (paths == NULL || paths_set_netmap(paths, map, self.peer_id) != 0) {
        (void) error_set(&error, ERROR_NO_MEMORY, "out of memory");
        fail(&error);
    }

    desired = desired_create(map, &self, paths, &error);

    if (desired == NULL) {
        fail(&error);
    }

    paths_destroy(paths);
    netmap_destroy(map);

    return desired;
}


static void
apply(struct backend *backend, const char *file, long steps)
{
    struct desired *desired[NETWORKS_MAX];
    struct operations operations;
    struct actual *actual;
    struct error error;
    char text[160];
    json_t *list;
    json_error_t why;
    size_t i, count;

    count = 0;

    if (file != NULL) {
        list = json_load_file(file, 0, &why);

        if (list == NULL) {
            (void) fprintf(stderr, "backend: %s: %s\n", file, why.text);
            _exit(1);
        }

        for (i = 0; i < json_array_size(list) && i < NETWORKS_MAX; i++) {
            desired[count++] = wish(json_array_get(list, i));
        }

        json_decref(list);
    }

    if (backend_observe(backend, &actual, &error) != 0 ||
        reconcile((const struct desired *const *) desired, count, actual,
                  &operations, &error) != 0) {
        fail(&error);
    }

    for (i = 0; i < operations.count; i++) {
        if ((long) i == steps) {
            (void) kill(getpid(), SIGKILL);
        }

        (void) printf("%s\n", operation_describe(&operations.list[i], text,
                                                 sizeof(text)));
        (void) fflush(stdout);

        if (backend_apply(backend, &operations.list[i], &error) != 0) {
            fail(&error);
        }
    }

    (void) printf("operations %zu\n", operations.count);
    operations_clear(&operations);
    actual_destroy(actual);

    while (count > 0) {
        desired_destroy(desired[--count]);
    }
}


static void
dump_peer(const char *name, const struct actual_peer *peer)
{
    char key[KEY_BASE64_SIZE], text[ADDRESS_TEXT];
    size_t i;

    key_to_base64(&peer->public_key, key);
    (void) endpoint_format(&peer->endpoint, text);
    (void) printf("%s\t%s\t%s\t", name, key, text[0] != '\0' ? text : "(none)");

    for (i = 0; i < peer->allowed_count; i++) {
        (void) printf("%s%s", i > 0 ? "," : "",
                      prefix_format(&peer->allowed[i], text));
    }

    (void) printf("%s\t", peer->allowed_count > 0 ? "" : "(none)");

    if (peer->keepalive != 0) {
        (void) printf("%u\n", (unsigned) peer->keepalive);

    } else {
        (void) printf("off\n");
    }
}


static void
dump(struct backend *backend)
{
    const struct actual_interface *interface;
    char key[KEY_BASE64_SIZE], text[ADDRESS_TEXT];
    struct actual *actual;
    struct error error;
    size_t i, k;

    if (backend_observe(backend, &actual, &error) != 0) {
        fail(&error);
    }

    for (i = 0; i < actual->interface_count; i++) {
        interface = &actual->interfaces[i];
        key_to_base64(&interface->public_key, key);
        (void) printf("%s\t%s\t%u\t%s\tmtu %u\t%s\t%s\n", interface->name, key,
                      (unsigned) interface->listen_port, interface->network_id,
                      interface->mtu, interface->up ? "up" : "down",
                      interface->device ? "device" : "no device");

        for (k = 0; k < interface->peer_count; k++) {
            dump_peer(interface->name, &interface->peers[k]);
        }

        for (k = 0; k < interface->address_count; k++) {
            (void) printf("%s\taddress %s\n", interface->name,
                          prefix_format(&interface->addresses[k], text));
        }

        for (k = 0; k < interface->route_count; k++) {
            (void) printf("%s\troute %s\n", interface->name,
                          prefix_format(&interface->routes[k], text));
        }
    }

    actual_destroy(actual);
}


static void
show_local(void)
{
    struct local_addresses local;
    char text[ADDRESS_TEXT];
    struct error error;
    size_t i;

    if (local_addresses_get(&local, &error) != 0) {
        fail(&error);
    }

    for (i = 0; i < local.count; i++) {
        (void) printf("address %s\n", prefix_format(&local.addresses[i], text));
    }

    for (i = 0; i < local.paths.subnet_count; i++) {
        (void) printf("subnet %s\n",
                      prefix_format(&local.paths.subnets[i], text));
    }

    (void) printf("default4 %d default6 %d\n", local.paths.default4,
                  local.paths.default6);
}


static void
watch(void)
{
    struct monitor *monitor;
    struct pollfd wait;
    struct error error;
    struct monitor_news news;

    monitor = monitor_open(&error);

    if (monitor == NULL) {
        fail(&error);
    }

    (void) printf("ready\n");
    (void) fflush(stdout);
    wait.fd = monitor_fd(monitor);
    wait.events = POLLIN;

    do {
        if (poll(&wait, 1, 10000) != 1 ||
            monitor_read(monitor, &news, &error) != 0) {
            (void) fprintf(stderr, "backend: nothing changed\n");
            exit(1);
        }
    } while (!news.changed);

    (void) printf("changed\n");
    monitor_close(monitor);
}


int
main(int argc, char **argv)
{
    struct backend_config config;
    struct backend *backend;
    struct error error;

    if (argc < 4) {
        (void) fprintf(stderr, "usage: see the head of t/drivers/backend.c\n");
        return 2;
    }

    config.name = argv[1];
    config.state_dir = argv[2];
    backend = backend_open(&config, &error);

    if (backend == NULL) {
        fail(&error);
    }

    if (strcmp(argv[3], "apply") == 0 && argc > 4) {
        apply(backend, argv[4], argc > 5 ? strtol(argv[5], NULL, 10) : -1);

    } else if (strcmp(argv[3], "down") == 0) {
        apply(backend, NULL, -1);

    } else if (strcmp(argv[3], "dump") == 0) {
        dump(backend);

    } else if (strcmp(argv[3], "local") == 0) {
        show_local();

    } else if (strcmp(argv[3], "watch") == 0) {
        watch();

    } else {
        (void) fprintf(stderr, "backend: unknown command %s\n", argv[3]);
        backend_close(backend);
        return 2;
    }

    backend_close(backend);

    return 0;
}
