#include "core/gc_clock.h"

#include <stdatomic.h>
#include <string.h>


typedef struct {
    _Atomic uint64_t changed; /* the clock then */
    _Atomic uint64_t heard;   /* 32 bits of a topic's hash, 32 of its seq */
} gc_clock_place_t;

struct gc_clock_s {
    _Atomic uint64_t now;
    _Atomic uint64_t all; /* when everything changed */
    uint32_t mask;
    unsigned char key[GC_SIPHASH_KEY];
    gc_clock_place_t places[];
};


size_t
gc_clock_size(uint32_t places)
{
    return sizeof(gc_clock_t) + places * sizeof(gc_clock_place_t);
}


gc_clock_t *
gc_clock_init(void *memory, uint32_t places,
              const unsigned char key[GC_SIPHASH_KEY])
{
    gc_clock_t *clock;

    clock = memory;
    memset(clock, 0, gc_clock_size(places));
    memcpy(clock->key, key, GC_SIPHASH_KEY);
    clock->mask = places - 1;

    return clock;
}


uint64_t
gc_clock_now(gc_clock_t *clock)
{
    return atomic_load(&clock->now);
}


uint32_t
gc_clock_place(gc_clock_t *clock, const void *topic, size_t len)
{
    return (uint32_t) gc_siphash(clock->key, topic, len) & clock->mask;
}


/* a slower one must not take back what a faster one has set */
static void
gc_clock_raise(_Atomic uint64_t *value, uint64_t to)
{
    uint64_t old;

    old = atomic_load(value);

    while (old < to && !atomic_compare_exchange_weak(value, &old, to)) {
        /* old is what it is now */
    }
}


static bool
gc_clock_heard(gc_clock_place_t *place, uint64_t event)
{
    uint64_t last;

    last = atomic_load(&place->heard);

    return last >> 32 == event >> 32 &&
           (int32_t) ((uint32_t) event - (uint32_t) last) <= 0;
}


void
gc_clock_advance(gc_clock_t *clock, const void *topic, size_t len, int64_t seq)
{
    gc_clock_place_t *place;
    uint64_t hash, event;

    hash = gc_siphash(clock->key, topic, len);
    place = &clock->places[(uint32_t) hash & clock->mask];
    event = (hash & 0xffffffff00000000) | (uint32_t) seq;

    if (seq > 0 && gc_clock_heard(place, event)) {
        return;
    }

    gc_clock_raise(&place->changed, atomic_fetch_add(&clock->now, 1) + 1);

    /* only now: who dies before leaves it to be heard of again */
    if (seq > 0) {
        atomic_store(&place->heard, event);
    }
}


void
gc_clock_advance_all(gc_clock_t *clock)
{
    uint32_t i;

    for (i = 0; i <= clock->mask; i++) {
        atomic_store(&clock->places[i].heard, 0);
    }

    gc_clock_raise(&clock->all, atomic_fetch_add(&clock->now, 1) + 1);
}


bool
gc_clock_holds(gc_clock_t *clock, uint64_t since, const uint32_t *places,
               size_t n)
{
    size_t i;

    if (atomic_load(&clock->all) > since) {
        return false;
    }

    for (i = 0; i < n; i++) {
        if (atomic_load(&clock->places[places[i] & clock->mask].changed) >
            since) {
            return false;
        }
    }

    return true;
}
