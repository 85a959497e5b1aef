#ifndef GC_CLIENT_PROMPT_H
#define GC_CLIENT_PROMPT_H

#include "base/err.h"

#include <stddef.h>

#define PROMPT_SIZE 256

/* Asks on the terminal; without one: -1, code "usage". */
int prompt_line(const char *question, char answer[PROMPT_SIZE], err_t *err);

/* The same without echo. */
int prompt_secret(const char *question, char answer[PROMPT_SIZE], err_t *err);

/* The first line of a file ("-": standard input). */
int prompt_file(const char *path, char answer[PROMPT_SIZE], err_t *err);

#endif
