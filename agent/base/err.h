#ifndef GC_BASE_ERR_H
#define GC_BASE_ERR_H

/*
 * What people and programs are told: a stable code (snake_case, the server's
 * own code when the server refused) and a sentence. plan/error.h has the
 * error that the agent itself acts on.
 * Filled where the fault is found, logged once where it is handled.
 */
typedef struct {
    char code[48];
    char text[320];
} err_t;


/* Sets code and text; always returns -1, so that "return err_set(...)". */
int err_set(err_t *err, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set() with ": strerror(errno)" at the end. */
int err_errno(err_t *err, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
