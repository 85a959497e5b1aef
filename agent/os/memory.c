#include "os/memory.h"

#include <malloc.h>


void
memory_return(void)
{
    (void) malloc_trim(0);
}
