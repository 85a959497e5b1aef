#include "plan/error.h"

#include <stdarg.h>
#include <stdio.h>


int
error_set(struct error *error, enum error_code code, const char *format, ...)
{
    va_list args;

    if (error == NULL) {
        return -1;
    }

    error->code = code;

    va_start(args, format);
    (void) vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);

    return -1;
}
