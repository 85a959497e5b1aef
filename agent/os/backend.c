#include "os/backend.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


struct backend {
    const struct backend_table *table;
    void *data;
};


/* In the order in which they are tried. */
static const struct backend_table *const backends[] = {
    &backend_kernel,
    &backend_userspace,
};


#define BACKENDS (sizeof(backends) / sizeof(backends[0]))


/* The first one that works; the reasons against all of them otherwise. */
static const struct backend_table *
backend_choose(struct error *error)
{
    struct error reason;
    char text[sizeof(reason.text)];
    size_t i, n;

    text[0] = '\0';
    reason.text[0] = '\0';

    for (i = 0; i < BACKENDS; i++) {
        if (backends[i]->probe(&reason) == 0) {
            return backends[i];
        }

        n = strlen(text);
        (void) snprintf(text + n, sizeof(text) - n, "%s%.100s",
                        i > 0 ? "; " : "", reason.text);
    }

    (void) error_set(error, ERROR_UNSUPPORTED,
                     "no WireGuard on this machine: %s", text);

    return NULL;
}


static const struct backend_table *
backend_by_name(const char *name, struct error *error)
{
    size_t i;

    for (i = 0; i < BACKENDS; i++) {
        if (strcmp(backends[i]->name, name) == 0) {
            return backends[i]->probe(error) == 0 ? backends[i] : NULL;
        }
    }

    (void) error_set(error, ERROR_INVALID,
                     "unknown back end \"%s\": auto, kernel or userspace",
                     name);

    return NULL;
}


struct backend *
backend_open(const struct backend_config *config, struct error *error)
{
    const struct backend_table *table;
    struct backend *backend;

    if (config->name == NULL || strcmp(config->name, "auto") == 0) {
        table = backend_choose(error);

    } else {
        table = backend_by_name(config->name, error);
    }

    if (table == NULL) {
        return NULL;
    }

    backend = calloc(1, sizeof(*backend));

    if (backend == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    backend->table = table;
    backend->data = table->open(config, error);

    if (backend->data == NULL) {
        free(backend);
        return NULL;
    }

    return backend;
}


void
backend_close(struct backend *backend)
{
    if (backend != NULL) {
        backend->table->close(backend->data);
        free(backend);
    }
}


const char *
backend_name(const struct backend *backend)
{
    return backend->table->name;
}


int
backend_observe(struct backend *backend, struct actual **actual,
                struct error *error)
{
    return backend->table->observe(backend->data, actual, error);
}


int
backend_apply(struct backend *backend, const struct operation *operation,
              struct error *error)
{
    return backend->table->apply(backend->data, operation, error);
}


bool
backend_name_taken(const char *name, void *data)
{
    (void) data;

    return if_nametoindex(name) != 0;
}
