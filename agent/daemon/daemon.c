#define _GNU_SOURCE /* explicit_bzero, getrandom */

#include "daemon/daemon.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>


int
daemon_error(err_t *err, const char *code, const struct error *error)
{
    return err_set(err, code, "%s", error->text);
}


uint32_t
daemon_random(void)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof(random), 0) != (ssize_t) sizeof(random)) {
        random = (uint32_t) loop_now(); /* only waiting times depend on it */
    }

    return random;
}


void
daemon_secret(char **place, const char *text)
{
    char *copy = text != NULL ? strdup(text) : NULL;

    if (*place != NULL) {
        explicit_bzero(*place, strlen(*place));
        free(*place);
    }

    *place = copy;
}


const char *
daemon_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}
