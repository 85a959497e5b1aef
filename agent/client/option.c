#include "client/option.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTION_LIMIT_MAX 100
#define OPTION_NAME 32
#define OPTION_FIRST 256 /* beyond any letter */

typedef enum {
    OPTION_TEXT, /* a const char * of client_t */
    OPTION_FLAG, /* an int, which becomes 1 */
    OPTION_LIMIT,
    OPTION_NETWORK /* may be repeated */
} option_kind_t;

static const struct {
    const char *name;
    int letter;   /* its short form, or 0 */
    unsigned bit; /* CLIENT_OPT_; 0: every command knows it */
    option_kind_t kind;
    size_t place; /* in client_t */
} option_table[] = {
#define OPTION_AT(member) offsetof(client_t, member)
    {"help", 'h', 0, OPTION_FLAG, OPTION_AT(help)},
    {"version", 'V', 0, OPTION_FLAG, OPTION_AT(version)},
    {"json", 0, 0, OPTION_FLAG, OPTION_AT(json)},
    {"socket", 0, 0, OPTION_TEXT, OPTION_AT(socket)},
    {"username", 0, CLIENT_OPT_USERNAME, OPTION_TEXT, OPTION_AT(username)},
    {"password-file", 0, CLIENT_OPT_PASSWORD_FILE, OPTION_TEXT,
     OPTION_AT(password_file)},
    {"key", 0, CLIENT_OPT_KEY, OPTION_TEXT, OPTION_AT(key)},
    {"key-file", 0, CLIENT_OPT_KEY, OPTION_TEXT, OPTION_AT(key_file)},
    {"email", 0, CLIENT_OPT_EMAIL, OPTION_TEXT, OPTION_AT(email)},
    {"name", 0, CLIENT_OPT_NAME, OPTION_TEXT, OPTION_AT(name)},
    {"ca", 0, CLIENT_OPT_CA, OPTION_TEXT, OPTION_AT(ca)},
    {"insecure", 0, CLIENT_OPT_INSECURE, OPTION_FLAG, OPTION_AT(insecure)},
    {"follow", 'f', CLIENT_OPT_FOLLOW, OPTION_FLAG, OPTION_AT(follow)},
    {"limit", 'n', CLIENT_OPT_LIMIT, OPTION_LIMIT, 0},
    {"network", 0, CLIENT_OPT_NETWORK, OPTION_NETWORK, 0},
    {"role", 0, CLIENT_OPT_ROLE, OPTION_TEXT, OPTION_AT(role)},
    {"uses", 0, CLIENT_OPT_USES, OPTION_TEXT, OPTION_AT(uses)},
    {"expires", 0, CLIENT_OPT_EXPIRES, OPTION_TEXT, OPTION_AT(expires)},
    {"reason", 0, CLIENT_OPT_REASON, OPTION_TEXT, OPTION_AT(reason)},
    {"user", 0, CLIENT_OPT_USER, OPTION_TEXT, OPTION_AT(user)},
    {"device", 0, CLIENT_OPT_DEVICE, OPTION_TEXT, OPTION_AT(device)},
    {"cidr", 0, CLIENT_OPT_CIDR, OPTION_TEXT, OPTION_AT(cidr)},
    {"policy", 0, CLIENT_OPT_POLICY, OPTION_TEXT, OPTION_AT(policy)},
    {"endpoint", 0, CLIENT_OPT_ENDPOINT, OPTION_TEXT, OPTION_AT(endpoint)},
    {"count", 'c', CLIENT_OPT_COUNT, OPTION_TEXT, OPTION_AT(count)},
    {"no-masquerade", 0, CLIENT_OPT_NO_MASQUERADE, OPTION_FLAG,
     OPTION_AT(no_masquerade)},
    {"watch", 'w', CLIENT_OPT_WATCH, OPTION_FLAG, OPTION_AT(watch)},
    {"reusable", 0, CLIENT_OPT_REUSABLE, OPTION_FLAG, OPTION_AT(reusable)},
    {"ephemeral", 0, CLIENT_OPT_EPHEMERAL, OPTION_FLAG, OPTION_AT(ephemeral)},
    {"mode", 0, CLIENT_OPT_MODE, OPTION_TEXT, OPTION_AT(mode)},
    {"public", 0, CLIENT_OPT_PUBLIC, OPTION_FLAG, OPTION_AT(is_public)},
    {"open", 0, CLIENT_OPT_OPEN, OPTION_FLAG, OPTION_AT(open)},
};

#define OPTION_COUNT (sizeof(option_table) / sizeof(option_table[0]))


static int
option_limit(client_t *client)
{
    char *end;
    long limit = strtol(optarg, &end, 10);

    if (*end != '\0' || limit < 1 || limit > OPTION_LIMIT_MAX) {
        fprintf(stderr, "goconnect: --limit is 1 to %d\n", OPTION_LIMIT_MAX);
        return -1;
    }

    client->limit = (int) limit;
    return 0;
}


static int
option_network(client_t *client)
{
    size_t i;

    for (i = 0; i < CLIENT_NETWORKS_MAX; i++) {
        if (client->network[i] == NULL) {
            client->network[i] = optarg;
            return 0;
        }
    }

    fprintf(stderr, "goconnect: --network: at most %d\n", CLIENT_NETWORKS_MAX);
    return -1;
}


static int
option_take(client_t *client, size_t i)
{
    void *place = (char *) client + option_table[i].place;

    switch (option_table[i].kind) {
    case OPTION_TEXT:
        *(const char **) place = optarg;
        return 0;
    case OPTION_FLAG:
        *(int *) place = 1;
        return 0;
    case OPTION_LIMIT:
        return option_limit(client);
    case OPTION_NETWORK:
        return option_network(client);
    }

    return -1;
}


int
option_parse(client_t *client, int argc, char **argv, unsigned *used)
{
    char letters[2 * OPTION_COUNT + 1], *p = letters;
    int found;
    size_t i;
    struct option options[OPTION_COUNT + 1];

    memset(options, 0, sizeof(options));

    for (i = 0; i < OPTION_COUNT; i++) {
        options[i].name = option_table[i].name;
        options[i].has_arg = option_table[i].kind == OPTION_FLAG
                                 ? no_argument
                                 : required_argument;
        options[i].val = OPTION_FIRST + (int) i;

        if (option_table[i].letter != 0) {
            *p++ = (char) option_table[i].letter;
        }

        if (option_table[i].letter != 0 && options[i].has_arg != no_argument) {
            *p++ = ':';
        }
    }

    *p = '\0';

    while ((found = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        for (i = 0; i < OPTION_COUNT; i++) {
            if (found == options[i].val || found == option_table[i].letter) {
                break;
            }
        }

        /* of what it does not know getopt has told */
        if (i == OPTION_COUNT || option_take(client, i) == -1) {
            return -1;
        }

        *used |= option_table[i].bit;
    }

    return 0;
}


int
option_has_value(const char *word)
{
    size_t i;

    for (i = 0; i < OPTION_COUNT; i++) {
        if (option_table[i].kind == OPTION_FLAG || word[0] != '-') {
            continue;
        }

        if ((word[1] == '-' && strcmp(word + 2, option_table[i].name) == 0) ||
            (word[1] != '\0' && word[1] == option_table[i].letter &&
             word[2] == '\0')) {
            return 1;
        }
    }

    return 0;
}


void
option_each(unsigned bits, const char *typed,
            void (*fn)(const char *option, const char *typed))
{
    char option[OPTION_NAME];
    size_t i;

    for (i = 0; i < OPTION_COUNT; i++) {
        if (option_table[i].bit == 0 || (option_table[i].bit & bits) != 0) {
            snprintf(option, sizeof(option), "--%s", option_table[i].name);
            fn(option, typed);
        }
    }
}
