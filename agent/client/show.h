#ifndef GC_CLIENT_SHOW_H
#define GC_CLIENT_SHOW_H

#include "client/client.h"

/* A column of a table: a member of each item, or of an object inside it
 * ("user.name"). A width of 0 is the last column's. */
typedef struct {
    const char *title;
    const char *member;
    int width;
} show_column_t;

/*
 * Prints the list as {name: [...]} with --json, else as a table, or `empty` if
 * there is nothing. Takes the list; ends the columns with a title of NULL.
 * Returns CLIENT_OK.
 */
int show_list(client_t *client, const char *name, json_t *list,
              const show_column_t *columns, const char *empty);

/*
 * Prints the object with --json (NULL: {}), else what the format says, text
 * from outside made harmless. Takes the object. Returns CLIENT_OK.
 */
int show_done(client_t *client, json_t *object, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A string member, "" if it is none. */
const char *show_field(const json_t *object, const char *name);

#endif
