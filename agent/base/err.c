#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>


int
err_set(err_t *err, const char *code, const char *format, ...)
{
    va_list args;

    snprintf(err->code, sizeof(err->code), "%s", code);

    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);

    return -1;
}


int
err_errno(err_t *err, const char *code, const char *format, ...)
{
    int saved = errno;
    size_t used;
    va_list args;

    snprintf(err->code, sizeof(err->code), "%s", code);

    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);

    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s",
             strerror(saved));

    return -1;
}
