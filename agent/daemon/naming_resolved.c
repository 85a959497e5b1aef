#include "daemon/naming_resolved.h"

#include <stdlib.h>

struct naming_resolved {
    daemon_t *daemon;
};


naming_resolved_t *
naming_resolved_create(daemon_t *daemon, int required)
{
    naming_resolved_t *resolved = calloc(1, sizeof(*resolved));

    (void) required;

    if (resolved != NULL) {
        resolved->daemon = daemon;
    }

    return resolved;
}


void
naming_resolved_destroy(naming_resolved_t *resolved)
{
    free(resolved);
}


void
naming_resolved_sync(naming_resolved_t *resolved)
{
    (void) resolved;
}


int
naming_resolved_told(const naming_resolved_t *resolved)
{
    (void) resolved;
    return 0;
}


const char *
naming_resolved_problem(const naming_resolved_t *resolved)
{
    (void) resolved;
    return "";
}
