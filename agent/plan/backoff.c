#include "plan/backoff.h"


void
backoff_init(struct backoff *backoff, uint64_t first_ms, uint64_t cap_ms)
{
    backoff->first_ms = first_ms;
    backoff->cap_ms = cap_ms;
    backoff->failures = 0;
}


uint64_t
backoff_failed(struct backoff *backoff, uint32_t random)
{
    uint64_t window, least;
    unsigned i;

    window = backoff->first_ms;

    for (i = 0; i < backoff->failures && window < backoff->cap_ms; i++) {
        window *= 2;
    }

    if (window > backoff->cap_ms) {
        window = backoff->cap_ms;
    }

    if (backoff->failures < 64) {
        backoff->failures++;
    }

    least = window / 4;

    /* windows are minutes at most, so that the product fits 64 bits */
    return least + (((window - least) * random) >> 32);
}


void
backoff_reset(struct backoff *backoff)
{
    backoff->failures = 0;
}
