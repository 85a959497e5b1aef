#include "base/json_memory.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_int json_memory_out;


static void *
json_memory_malloc(size_t size)
{
    void *memory = malloc(size);

    if (memory == NULL) {
        json_memory_out = 1;
    }

    return memory;
}


void
json_memory_init(void)
{
    json_set_alloc_funcs(json_memory_malloc, free);
}


int
json_memory_was_out(void)
{
    return atomic_exchange(&json_memory_out, 0);
}
