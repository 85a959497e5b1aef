/*
 * The response cache's parts: the clock of changes, and the store.
 */

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/gc_cache.h"
#include "core/gc_clock.h"


#define PLACES 1024
#define SIZE 262144 /* bytes of a store */
#define KEYS 64


static const unsigned char secret[GC_SIPHASH_KEY] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
    0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f};

static const gc_slice_t nothing = {"", 0};


static gc_slice_t
slice(const char *text)
{
    gc_slice_t s = {text, strlen(text)};

    return s;
}


/*
 * SipHash
 */

Test(siphash, vectors_of_the_paper)
{
    unsigned char data[15];
    unsigned i;

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char) i;
    }

    /* appendix A */
    cr_assert_eq(gc_siphash(secret, data, sizeof(data)), 0xa129ca6149be45e5);
    cr_assert_eq(gc_siphash(secret, data, 0), 0x726fdb47dd0e0e31);
    cr_assert_eq(gc_siphash(secret, data, 8), 0x93f5f5799a932462);
}


/*
 * The clock
 */

static gc_clock_t *
clock_make(void)
{
    return gc_clock_init(malloc(gc_clock_size(PLACES)), PLACES, secret);
}


static void
advance(gc_clock_t *clock, const char *topic, int64_t seq)
{
    gc_clock_advance(clock, topic, strlen(topic), seq);
}


static bool
holds(gc_clock_t *clock, uint64_t since, const char *topic)
{
    uint32_t place;

    place = gc_clock_place(clock, topic, strlen(topic));

    return gc_clock_holds(clock, since, &place, 1);
}


Test(clock, a_change_ends_what_was_read_before)
{
    gc_clock_t *clock;
    uint64_t before, after;

    clock = clock_make();
    before = gc_clock_now(clock);
    cr_assert(holds(clock, before, "network:a"));

    advance(clock, "network:a", 1);
    after = gc_clock_now(clock);

    cr_assert_not(holds(clock, before, "network:a"));
    cr_assert(holds(clock, after, "network:a"));
    cr_assert(holds(clock, before, "network:b"));
    free(clock);
}


Test(clock, an_event_counts_once)
{
    gc_clock_t *clock;
    uint64_t since;

    clock = clock_make();
    advance(clock, "network:a", 41);
    advance(clock, "network:a", 43);
    since = gc_clock_now(clock);

    advance(clock, "network:a", 43);
    advance(clock, "network:a", 42); /* came before 43 */
    cr_assert(holds(clock, since, "network:a"));

    advance(clock, "network:a", 44);
    cr_assert_not(holds(clock, since, "network:a"));
    free(clock);
}


Test(clock, what_has_no_number_always_counts)
{
    gc_clock_t *clock;
    uint64_t since;

    clock = clock_make();
    advance(clock, "network:a", 0);
    since = gc_clock_now(clock);
    advance(clock, "network:a", 0);
    cr_assert_not(holds(clock, since, "network:a"));
    free(clock);
}


Test(clock, everything_changes)
{
    gc_clock_t *clock;
    uint64_t since;

    clock = clock_make();
    advance(clock, "network:a", 7);
    since = gc_clock_now(clock);
    gc_clock_advance_all(clock);
    cr_assert_not(holds(clock, since, "network:a"));
    cr_assert_not(gc_clock_holds(clock, since, NULL, 0));

    /* a database that lost some events gives their numbers again */
    since = gc_clock_now(clock);
    advance(clock, "network:a", 7);
    cr_assert_not(holds(clock, since, "network:a"));
    free(clock);
}


/* more topics than places: some share one, none misses a change */
Test(clock, shared_places)
{
    gc_clock_t *clock;
    uint64_t since;
    char topic[32];
    int i, other;

    clock = clock_make();
    other = 0;

    for (i = 1; i <= 4 * PLACES; i++) {
        since = gc_clock_now(clock);
        (void) snprintf(topic, sizeof(topic), "network:%d", i);
        advance(clock, topic, 1 + i % 3);
        cr_assert_not(holds(clock, since, topic));
        other += !holds(clock, since, "network:1");
    }

    cr_assert_lt(other, 40);
    free(clock);
}


/*
 * The store
 */

static gc_cache_t *
store_make(void)
{
    gc_cache_t *cache;

    cache = gc_cache_init(malloc(SIZE), SIZE, secret);
    cr_assert_not_null(cache);
    cr_assert_not(gc_cache_enter(cache));

    return cache;
}


static bool
keep(gc_cache_t *cache, gc_slice_t key, gc_slice_t tag, gc_slice_t body)
{
    static const uint32_t places[] = {5, 6, 7};
    gc_cache_value_t value = {42, 1000, places, 3, tag, body};

    return gc_cache_store(cache, key, &value);
}


Test(store, needs_some_memory)
{
    char memory[1024];

    cr_assert_null(gc_cache_init(memory, sizeof(memory), secret));
}


Test(store, gives_back_what_was_kept)
{
    gc_cache_found_t found;
    gc_cache_t *cache;
    char text[32];

    cache = store_make();
    cr_assert_not(gc_cache_find(cache, slice("k"), &found));
    cr_assert(keep(cache, slice("k"), slice("\"7\""), slice("{\"a\":1}")));
    cr_assert(gc_cache_find(cache, slice("k"), &found));
    cr_assert_eq(found.since, 42);
    cr_assert_eq(found.expires, 1000);
    cr_assert_eq(found.nplaces, 3);
    cr_assert_eq(found.places[2], 7);
    cr_assert_eq(found.tag, 3);
    cr_assert_eq(found.body, 7);

    gc_cache_copy(cache, &found, text);
    cr_assert_eq(memcmp(text, "\"7\"{\"a\":1}", 10), 0);

    cr_assert(keep(cache, slice("k"), nothing, slice("two")));
    cr_assert(gc_cache_find(cache, slice("k"), &found));
    gc_cache_copy(cache, &found, text);
    cr_assert_eq(found.tag + found.body, 3);
    cr_assert_eq(memcmp(text, "two", 3), 0);

    gc_cache_drop(cache, found.entry);
    cr_assert_not(gc_cache_find(cache, slice("k"), &found));
    cr_assert(gc_cache_sound(cache));
    free(cache);
}


Test(store, lengths_about_the_ends_of_blocks)
{
    gc_cache_found_t found;
    gc_cache_t *cache;
    char body[4 * GC_CACHE_BLOCK], text[4 * GC_CACHE_BLOCK];
    size_t len, i;

    cache = store_make();

    for (i = 0; i < sizeof(body); i++) {
        body[i] = (char) (i * 31 % 251);
    }

    for (len = 0; len <= sizeof(body); len++) {
        cr_assert(keep(cache, slice("k"), nothing, (gc_slice_t){body, len}));
        cr_assert(gc_cache_find(cache, slice("k"), &found));
        cr_assert_eq(found.body, len);
        gc_cache_copy(cache, &found, text);
        cr_assert_eq(memcmp(text, body, len), 0, "%zu bytes", len);
    }

    cr_assert(gc_cache_sound(cache));
    free(cache);
}


Test(store, refuses_what_is_too_long)
{
    static char text[SIZE];
    static const uint32_t places[GC_CACHE_PLACES_MAX + 1];
    gc_cache_value_t value = {1,       1,      places, GC_CACHE_PLACES_MAX + 1,
                              nothing, nothing};
    gc_cache_stats_t stats;
    gc_cache_t *cache;

    memset(text, 'x', sizeof(text));
    cache = store_make();

    cr_assert_not(gc_cache_store(cache, slice("k"), &value));
    cr_assert_not(keep(cache, (gc_slice_t){text, GC_CACHE_KEY_MAX + 1}, nothing,
                       nothing));
    cr_assert_not(keep(cache, slice("k"),
                       (gc_slice_t){text, GC_CACHE_TAG_MAX + 1}, nothing));
    cr_assert_not(
        keep(cache, slice("k"), nothing, (gc_slice_t){text, SIZE / 4}));

    cr_assert(keep(cache, (gc_slice_t){text, GC_CACHE_KEY_MAX},
                   (gc_slice_t){text, GC_CACHE_TAG_MAX},
                   (gc_slice_t){text, SIZE / 16}));
    gc_cache_stats(cache, &stats);
    cr_assert_eq(stats.entries, 1);
    free(cache);
}


Test(store, the_one_not_used_for_longest_gives_way)
{
    gc_cache_found_t found;
    gc_cache_stats_t stats;
    gc_cache_t *cache;
    char key[32];
    uint32_t i;

    cache = store_make();
    gc_cache_stats(cache, &stats);
    cr_assert(keep(cache, slice("kept"), nothing, slice("body")));

    for (i = 0; i < 3 * stats.room; i++) {
        (void) snprintf(key, sizeof(key), "key %u", i);
        cr_assert(keep(cache, slice(key), nothing, slice("body")));
        cr_assert(gc_cache_find(cache, slice("kept"), &found));
    }

    cr_assert_not(gc_cache_find(cache, slice("key 0"), &found));
    cr_assert(gc_cache_find(cache, slice(key), &found));
    gc_cache_stats(cache, &stats);
    cr_assert_eq(stats.entries, stats.room);
    cr_assert_eq(stats.evicted, 2 * stats.room + 1);
    cr_assert(gc_cache_sound(cache));
    free(cache);
}


/* what a body is made of follows from its key's number and length */
static void
body_of(unsigned n, size_t len, char *body)
{
    size_t i;

    for (i = 0; i < len; i++) {
        body[i] = (char) (n * 7 + len * 3 + i);
    }
}


/* one random step; false: something was found that nobody kept */
static bool
step(gc_cache_t *cache, unsigned *seed)
{
    char key[32], body[6000], text[6000];
    gc_cache_found_t found;
    unsigned n;
    size_t len;

    *seed = *seed * 1103515245 + 12345;
    n = *seed >> 16 & (KEYS - 1);
    len = *seed >> 8 & 0xfff;
    (void) snprintf(key, sizeof(key), "key %u", n);

    if ((*seed >> 24 & 3) == 0) {
        body_of(n, len, body);
        return keep(cache, slice(key), nothing, (gc_slice_t){body, len});
    }

    if (!gc_cache_find(cache, slice(key), &found)) {
        return true;
    }

    if ((*seed >> 24 & 31) == 1) {
        gc_cache_drop(cache, found.entry);
        return true;
    }

    if (found.body > sizeof(text)) {
        return false;
    }

    body_of(n, found.body, body);
    gc_cache_copy(cache, &found, text);

    return memcmp(text, body, found.body) == 0;
}


Test(store, random_steps)
{
    gc_cache_t *cache;
    unsigned i, seed;

    cache = store_make();
    seed = 1;

    for (i = 0; i < 50000; i++) {
        cr_assert(step(cache, &seed));

        if (i % 500 == 0) {
            cr_assert(gc_cache_sound(cache));
        }
    }

    free(cache);
}


/* enters and leaves for ever, telling by a byte that it has begun */
static void
hammer(gc_cache_t *cache, unsigned seed, int ready)
{
    (void) !write(ready, "x", 1);

    for (;;) {
        (void) gc_cache_enter(cache);

        if (!step(cache, &seed)) {
            _exit(1);
        }

        gc_cache_leave(cache);
    }
}


/* processes are killed inside; the next one finds a sound store, perhaps an
 * empty one, and never half of an entry */
Test(store, killed_inside)
{
    gc_cache_stats_t stats;
    gc_cache_t *cache;
    char byte;
    int pipes[2], status;
    pid_t pid;
    unsigned i, j, seed, empty;
    void *memory;

    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(memory, MAP_FAILED);
    cache = gc_cache_init(memory, SIZE, secret);
    cr_assert_eq(pipe(pipes), 0);
    seed = 1;
    empty = 0;

    for (i = 0; i < 300; i++) {
        pid = fork();
        cr_assert_geq(pid, 0);

        if (pid == 0) {
            hammer(cache, i, pipes[1]);
        }

        cr_assert_eq(read(pipes[0], &byte, 1), 1);
        cr_assert_eq(kill(pid, SIGKILL), 0);
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFSIGNALED(status));

        empty += gc_cache_enter(cache);
        cr_assert(gc_cache_sound(cache));

        for (j = 0; j < 50; j++) {
            cr_assert(step(cache, &seed));
        }

        cr_assert(gc_cache_sound(cache));
        gc_cache_leave(cache);
    }

    gc_cache_stats(cache, &stats);
    cr_assert_gt(empty, 0, "no process was killed inside");
    cr_assert_eq(stats.emptied, empty);
}
