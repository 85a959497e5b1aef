#include "core/gc_pace.h"


/* 1,000 a second */
#define GC_PACE_BATCH_MIN 50


uint32_t
gc_pace_batch(uint32_t sockets, uint32_t within)
{
    uint32_t ticks, batch;

    ticks = within / GC_PACE_TICK;
    batch = sockets / (ticks ? ticks : 1) + 1;

    return batch > GC_PACE_BATCH_MIN ? batch : GC_PACE_BATCH_MIN;
}


uint32_t
gc_pace_window(uint32_t sockets)
{
    uint32_t seconds;

    seconds = sockets / GC_PACE_RETURN_RATE + (sockets != 0);

    return seconds < GC_PACE_RETURN_MAX ? seconds : GC_PACE_RETURN_MAX;
}
