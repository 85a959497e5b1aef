/*
 * The one error of plan/ and os/: what went wrong, for the caller to act on
 * (code) and for a reader (text).  Filled where it happens, logged where it is
 * handled; the daemon alone gives it a code for others (base/err.h).
 */

#ifndef PLAN_ERROR_H
#define PLAN_ERROR_H

enum error_code {
    ERROR_NONE = 0,
    ERROR_INVALID, /* what was given makes no sense */
    ERROR_TOO_BIG, /* a bound of ours is exceeded */
    ERROR_NO_MEMORY,
    ERROR_UNSUPPORTED,  /* this machine lacks what is needed */
    ERROR_PERMISSION,   /* CAP_NET_ADMIN is missing */
    ERROR_PORT_IN_USE,  /* take another listen port */
    ERROR_NAME_IN_USE,  /* take another interface name */
    ERROR_ROUTE_IN_USE, /* somebody else's route has this prefix */
    ERROR_GONE,         /* the interface vanished meanwhile: observe again */
    ERROR_SYSTEM        /* everything else, the text says what */
};

struct error {
    enum error_code code;
    char text[256];
};

/*
 * Fills *error (which may be NULL) and returns -1, so that a caller can
 * "return error_set(...)".
 */
int error_set(struct error *error, enum error_code code, const char *format,
              ...) __attribute__((format(printf, 3, 4)));

#endif
