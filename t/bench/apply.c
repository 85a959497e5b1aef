/*
 * What a change costs the agent's own code, for `make bench`:
 *
 *   apply BACKEND STATE_DIR PEERS [CONFIG]
 *
 * Makes an interface with so many peers, then changes one of them, and prints
 * "STEP MILLISECONDS OPERATIONS" a line: `all` from the netmap to the last
 * operation, then of the one change `delta` (the map), `wish`, `observe`,
 * `plan`, `apply`.  CONFIG becomes the same peers for `wg syncconf`.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/backend.h"
#include "os/keys.h"

#define NETWORK "00000000-0000-4000-8000-00000000000a"


static double
now_ms(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}


static void
check(int rc, const struct error *error)
{
    if (rc != 0) {
        (void) fprintf(stderr, "apply: %s\n", error->text);
        exit(1);
    }
}


static json_t *
peer(unsigned n, const char *endpoint)
{
    char id[NETMAP_ID_SIZE], ip[32], text[KEY_BASE64_SIZE];
    struct key key;

    memset(&key, 0x55, sizeof(key));
    memcpy(key.bytes, &n, sizeof(n));
    key_to_base64(&key, text);
    (void) snprintf(id, sizeof(id), "%08x-0000-4000-8000-000000000001", n);
    (void) snprintf(ip, sizeof(ip), "10.64.%u.%u", n >> 8, n & 255);

    return json_pack("{ss ss ss ss s[s]}", "id", id, "name", "peer",
                     "public_key", text, "ip_address", ip, "endpoints",
                     endpoint);
}


static struct netmap *
map_of(unsigned count)
{
    struct netmap *map = NULL;
    struct error error;
    json_t *data, *peers = json_array();
    unsigned n;

    for (n = 1; n <= count + 1; n++) {
        (void) json_array_append_new(peers, peer(n, "203.0.113.1:51820"));
    }

    data = json_pack("{ss si si sb s{ss ss ss ss} so}", "network_id", NETWORK,
                     "version", 1, "part", 0, "last", 1, "network", "id",
                     NETWORK, "name", "Bench", "slug", "bench", "cidr",
                     "10.64.0.0/16", "peers", peers);
    check(netmap_part(&map, data, &error) == NETMAP_DONE ? 0 : -1, &error);
    json_decref(data);

    return map;
}


static void
write_config(const char *file, const struct netmap *map)
{
    char key[KEY_BASE64_SIZE], text[ADDRESS_TEXT];
    FILE *config = fopen(file, "w");
    size_t i;

    if (config == NULL) {
        perror(file);
        exit(1);
    }

    for (i = 1; i < map->peer_count; i++) {
        key_to_base64(&map->peers[i].public_key, key);
        (void) fprintf(config,
                       "[Peer]\nPublicKey = %s\nEndpoint = 203.0.113.1:51820\n"
                       "AllowedIPs = %s/32\n",
                       key, address_format(&map->peers[i].ip_address, text));
    }

    (void) fclose(config);
}


/* Applies what is left to do; how many operations that were. */
static size_t
in_step(struct backend *backend, const struct desired *desired, double *observe,
        double *plan, double *apply)
{
    struct operations operations;
    struct actual *actual;
    struct error error;
    double began = now_ms();
    size_t i;

    check(backend_observe(backend, &actual, &error), &error);
    *observe = now_ms() - began;
    began = now_ms();
    check(reconcile(desired != NULL ? &desired : NULL, desired != NULL, actual,
                    &operations, &error),
          &error);
    *plan = now_ms() - began;
    began = now_ms();

    for (i = 0; i < operations.count; i++) {
        check(backend_apply(backend, &operations.list[i], &error), &error);
    }

    *apply = now_ms() - began;
    i = operations.count;
    operations_clear(&operations);
    actual_destroy(actual);

    return i;
}


static struct desired *
wish(const struct netmap *map, struct paths *paths)
{
    struct desired_self self;
    struct desired *desired;
    struct error error;

    memset(&self, 0, sizeof(self));
    memcpy(self.peer_id, map->peers[0].id, sizeof(self.peer_id));
    (void) snprintf(self.name, sizeof(self.name), "gc-bench");
    memset(&self.private_key, 0x40, sizeof(self.private_key));
    check(keys_public(&self.private_key, &self.public_key, &error), &error);
    self.listen_port = 51999;
    self.ip_address = map->peers[0].ip_address;

    if (paths_set_netmap(paths, map, self.peer_id) != 0) {
        abort();
    }

    desired = desired_create(map, &self, paths, &error);
    check(desired != NULL ? 0 : -1, &error);

    return desired;
}


int
main(int argc, char **argv)
{
    struct backend_config config = {0};
    struct backend *backend;
    struct desired *desired;
    struct netmap *map;
    struct paths *paths = paths_create();
    struct error error;
    double began, delta, wished, observe, plan, apply;
    json_t *data;
    size_t count;

    if (argc < 4 || paths == NULL) {
        (void) fprintf(stderr, "usage: see the head of t/bench/apply.c\n");
        return 2;
    }

    config.name = argv[1];
    config.state_dir = argv[2];
    backend = backend_open(&config, &error);
    check(backend != NULL ? 0 : -1, &error);
    map = map_of((unsigned) strtoul(argv[3], NULL, 10));

    if (argc > 4) {
        write_config(argv[4], map);
    }

    began = now_ms();
    desired = wish(map, paths);
    count = in_step(backend, desired, &observe, &plan, &apply);
    (void) printf("all %.2f %zu\n", now_ms() - began, count);
    desired_destroy(desired);

    data = json_pack("{ss si si s[o] s[]}", "network_id", NETWORK, "version", 2,
                     "base_version", 1, "upsert", peer(7, "198.51.100.7:51820"),
                     "remove");
    began = now_ms();
    check(netmap_delta(map, data, &error) == NETMAP_DONE ? 0 : -1, &error);
    delta = now_ms() - began;
    began = now_ms();
    desired = wish(map, paths);
    wished = now_ms() - began;
    count = in_step(backend, desired, &observe, &plan, &apply);
    (void) printf("delta %.2f 0\nwish %.2f 0\nobserve %.2f 0\nplan %.2f 0\n"
                  "apply %.2f %zu\n",
                  delta, wished, observe, plan, apply, count);

    desired_destroy(desired);
    json_decref(data);
    (void) in_step(backend, NULL, &observe, &plan, &apply);
    netmap_destroy(map);
    paths_destroy(paths);
    backend_close(backend);

    return 0;
}
