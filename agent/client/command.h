#ifndef GC_CLIENT_COMMAND_H
#define GC_CLIENT_COMMAND_H

#include "client/client.h"

/* A command of one or two words, as a table holds it. */
typedef struct {
    const char *name;
    int (*run)(client_t *client);
    int operands_min;
    int operands_max;
    unsigned options; /* CLIENT_OPT_ */
    const char *synopsis;
    const char *summary;
    const char *help;
} command_t;

/* What a person does for a community from a terminal; ends with name NULL. */
extern const command_t community_commands[];

/* Every command, i from 0, as help lists them; NULL behind the last. */
const command_t *command_at(size_t i);

/*
 * The command of the first two words, else of the first, or NULL; used
 * becomes how many words it has.
 */
const command_t *command_find(char **word, int words, int *used);

#endif
