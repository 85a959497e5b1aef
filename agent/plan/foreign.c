#include "plan/foreign.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define FOREIGN_LINE 256
#define FOREIGN_OURS "gc-*" /* all interfaces of ours, by a pattern */


/* The next line, without its blanks; NULL at the end. */
static const char *
foreign_line(const char *at, char line[FOREIGN_LINE])
{
    size_t length;

    at += strspn(at, " \t\n");

    if (*at == '\0') {
        return NULL;
    }

    length = strcspn(at, "\n");
    snprintf(line, FOREIGN_LINE, "%.*s",
             (int) (length < FOREIGN_LINE ? length : FOREIGN_LINE - 1), at);

    return at + length;
}


bool
foreign_drops(const char *listing, char chain[FOREIGN_CHAIN_SIZE])
{
    char line[FOREIGN_LINE], family[16], table[64], name[64];

    family[0] = table[0] = name[0] = '\0';

    while ((listing = foreign_line(listing, line)) != NULL) {
        if (sscanf(line, "table %15s %63s {", family, table) == 2) {
            name[0] = '\0';

        } else if (sscanf(line, "chain %63s {", name) != 1 && name[0] != '\0' &&
                   strstr(line, "hook input ") != NULL &&
                   strstr(line, "policy drop;") != NULL) {
            snprintf(chain, FOREIGN_CHAIN_SIZE, "%s %s %s", family, table,
                     name);
            return true;
        }
    }

    return false;
}


/* Whether the text has the word, nothing like it before and behind. */
static bool
foreign_word(const char *text, const char *word)
{
    const char *at;
    size_t length = strlen(word);

    for (at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        if ((at == text || !isalnum((unsigned char) at[-1])) &&
            !isalnum((unsigned char) at[length])) {
            return true;
        }
    }

    return false;
}


bool
foreign_names(const char *listing, const char *interface, unsigned port)
{
    char number[16];

    snprintf(number, sizeof(number), "%u", port);

    return (foreign_word(listing, interface) ||
            strstr(listing, FOREIGN_OURS) != NULL) &&
           foreign_word(listing, number);
}
