/* The table of all names in the form of hosts(5). */

#include "plan/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An address, three forms of a name, and blanks. */
#define NAMES_LINE (ADDRESS_TEXT + 3 * NAMES_SIZE)


static size_t
names_line(const struct names_entry *entry, const struct address *address,
           char line[NAMES_LINE])
{
    char text[ADDRESS_TEXT], full[NAMES_SIZE], pair[NAMES_SIZE] = "";

    if (address->family == ADDRESS_NONE) {
        return 0;
    }

    if (entry->pair) {
        (void) names_pair(entry, pair);
    }

    return (size_t) snprintf(
        line, NAMES_LINE, "%s %s%s%s%s%s\n", address_format(address, text),
        names_full(entry, full), *pair != '\0' ? " " : "", pair,
        entry->host ? " " : "", entry->host ? entry->peer->name : "");
}


char *
names_hosts(const struct names *names)
{
    const struct names_entry *entry;
    char line[NAMES_LINE], *text;
    size_t i, room, used;

    room = 1;

    for (i = 0; i < names->count; i++) {
        entry = &names->list[i];
        room += names_line(entry, &entry->peer->ip_address, line);
        room += names_line(entry, &entry->peer->ip6_address, line);
    }

    text = malloc(room);

    if (text == NULL) {
        return NULL;
    }

    used = 0;
    text[0] = '\0';

    for (i = 0; i < names->count; i++) {
        entry = &names->list[i];

        if (names_line(entry, &entry->peer->ip_address, line) > 0) {
            used += (size_t) snprintf(text + used, room - used, "%s", line);
        }

        if (names_line(entry, &entry->peer->ip6_address, line) > 0) {
            used += (size_t) snprintf(text + used, room - used, "%s", line);
        }
    }

    return text;
}


/* Whether the line at text is this one. */
static bool
names_is_line(const char *text, const char *line)
{
    size_t length;

    length = strlen(line);

    return strncmp(text, line, length) == 0 &&
           (text[length] == '\n' || text[length] == '\0');
}


static const char *
names_next_line(const char *text)
{
    text += strcspn(text, "\n");

    return *text == '\n' ? text + 1 : text;
}


/* Where our lines end, or NULL: their end is missing, so nothing is ours. */
static const char *
names_end(const char *begin)
{
    const char *line;

    for (line = begin; *line != '\0'; line = names_next_line(line)) {
        if (names_is_line(line, NAMES_END)) {
            return names_next_line(line);
        }
    }

    return NULL;
}


char *
names_merge(const char *file, const char *table)
{
    const char *line, *next, *end;
    char *text;
    size_t room, used;

    room = strlen(file) + strlen(table) + sizeof(NAMES_BEGIN "\n\n") +
           sizeof(NAMES_END "\n");
    text = malloc(room);

    if (text == NULL) {
        return NULL;
    }

    used = 0;

    for (line = file; *line != '\0'; line = next) {
        next = names_next_line(line);
        end = names_is_line(line, NAMES_BEGIN) ? names_end(line) : NULL;

        if (end != NULL) {
            next = end;
            continue;
        }

        memcpy(text + used, line, (size_t) (next - line));
        used += (size_t) (next - line);
    }

    text[used] = '\0';

    if (*table != '\0') {
        (void) snprintf(text + used, room - used, "%s" NAMES_BEGIN "\n%s%s\n",
                        used > 0 && text[used - 1] != '\n' ? "\n" : "", table,
                        NAMES_END);
    }

    return text;
}
