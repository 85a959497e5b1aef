#include "client/show.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHOW_CELL_MAX 256


const char *
show_field(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}


static const json_t *
show_member(const json_t *item, const char *member)
{
    const char *dot = strchr(member, '.');
    char outer[32];

    if (dot == NULL) {
        return json_object_get(item, member);
    }

    snprintf(outer, sizeof(outer), "%.*s", (int) (dot - member), member);
    return json_object_get(json_object_get(item, outer), dot + 1);
}


/* What a cell says: text as it is, times to the minute, "-" for nothing. */
static void
show_cell(const json_t *value, char cell[SHOW_CELL_MAX])
{
    const char *text = json_string_value(value);
    size_t i;

    if (json_is_integer(value)) {
        snprintf(cell, SHOW_CELL_MAX, "%" JSON_INTEGER_FORMAT,
                 json_integer_value(value));

    } else if (json_is_boolean(value)) {
        snprintf(cell, SHOW_CELL_MAX, "%s", json_is_true(value) ? "yes" : "no");

    } else if (text == NULL || *text == '\0') {
        snprintf(cell, SHOW_CELL_MAX, "-");

    } else if (strlen(text) > 19 && text[4] == '-' && text[10] == 'T' &&
               text[13] == ':') {
        snprintf(cell, SHOW_CELL_MAX, "%.10s %.5s", text, text + 11);

    } else {
        snprintf(cell, SHOW_CELL_MAX, "%s", text);
    }

    /* an array of strings, as tags are */
    if (json_is_array(value)) {
        cell[0] = '\0';

        for (i = 0; i < json_array_size(value); i++) {
            text = json_string_value(json_array_get(value, i));
            snprintf(cell + strlen(cell), SHOW_CELL_MAX - strlen(cell), "%s%s",
                     i > 0 ? "," : "", text != NULL ? text : "");
        }
    }
}


/* Characters of UTF-8, for the width of a column. */
static int
show_length(const char *text)
{
    int n = 0;

    for (; *text != '\0'; text++) {
        n += (*text & 0xc0) != 0x80;
    }

    return n;
}


static void
show_row(const json_t *item, const show_column_t *columns)
{
    char cell[SHOW_CELL_MAX];
    int pad;

    for (; columns->title != NULL; columns++) {
        show_cell(show_member(item, columns->member), cell);
        client_print(cell);

        if (columns[1].title != NULL) {
            pad = columns->width - show_length(cell);
            printf("%*s ", pad > 0 ? pad : 0, "");
        }
    }

    putchar('\n');
}


int
show_list(client_t *client, const char *name, json_t *list,
          const show_column_t *columns, const char *empty)
{
    const show_column_t *column;
    json_t *item;
    size_t i;

    if (client_json(client, json_pack("{s:O}", name, list))) {
        json_decref(list);
        return CLIENT_OK;
    }

    if (json_array_size(list) == 0) {
        printf("%s\n", empty);

    } else {
        for (column = columns; column->title != NULL; column++) {
            printf("%-*s%s", column[1].title != NULL ? column->width : 0,
                   column->title, column[1].title != NULL ? " " : "\n");
        }
    }

    json_array_foreach(list, i, item)
    {
        show_row(item, columns);
    }

    json_decref(list);
    return CLIENT_OK;
}


int
show_done(client_t *client, json_t *object, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);

    /* it goes with the object that the line may tell of */
    if (client_json(client, object != NULL ? object : json_object())) {
        return CLIENT_OK;
    }

    client_print(line);
    putchar('\n');
    return CLIENT_OK;
}
