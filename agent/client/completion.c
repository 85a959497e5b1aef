/*
 * What may stand next on a command line, for the shells: one list, made from
 * the same tables as --help, and a few lines for each shell that ask for it.
 */

#include "client/ask.h"
#include "client/command.h"
#include "client/option.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define COMPLETION_WORD 64

static const struct {
    const char *shell;
    const char *script;
} completion_shells[] = {
    {"bash", "# goconnect's completion for bash: goconnect completion bash\n"
             "_goconnect() {\n"
             "    local IFS=$'\\n'\n"
             "    COMPREPLY=($(goconnect completion words -- \\\n"
             "        \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
             "}\n"
             "complete -o default -F _goconnect goconnect\n"},
    {"zsh", "#compdef goconnect\n"
            "# goconnect's completion for zsh: goconnect completion zsh\n"
            "_goconnect() {\n"
            "    local -a found\n"
            "    found=(\"${(@f)$(goconnect completion words -- \\\n"
            "        \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
            "    if [[ -n \"$found[1]\" ]]; then\n"
            "        compadd -Q -- \"${found[@]}\"\n"
            "    else\n"
            "        _files\n"
            "    fi\n"
            "}\n"
            "if [[ \"$funcstack[1]\" = _goconnect ]]; then\n"
            "    _goconnect \"$@\"\n"
            "else\n"
            "    compdef _goconnect goconnect\n"
            "fi\n"},
    {"fish", "# goconnect's completion for fish: goconnect completion fish\n"
             "function __goconnect_words\n"
             "    set -l words (commandline -opc) (commandline -ct)\n"
             "    set -l found (goconnect completion words -- \\\n"
             "        $words[2..-1] 2>/dev/null)\n"
             "    if set -q found[1]\n"
             "        printf '%s\\n' $found\n"
             "    else\n"
             "        __fish_complete_path (commandline -ct)\n"
             "    end\n"
             "end\n"
             "complete -c goconnect -f -a '(__goconnect_words)'\n"},
};


/* A word on a line of its own, if it begins as what was typed does. */
static void
completion_offer(const char *word, const char *typed)
{
    if (strncmp(word, typed, strlen(typed)) != 0) {
        return;
    }

    puts(word);
}


/*
 * A name that others chose: it lands on the command line of a shell as it is,
 * so it is offered only if nothing in it means anything to a shell.
 */
static void
completion_offer_name(const char *name, const char *typed)
{
    const char *p;

    for (p = name; *p != '\0'; p++) {
        if (!isalnum((unsigned char) *p) &&
            (p == name || strchr("-_.", *p) == NULL)) {
            return;
        }
    }

    completion_offer(name, typed);
}


/* First words of commands; or, behind first, their second words. */
static void
completion_commands(const char *first, const char *typed)
{
    char word[COMPLETION_WORD], last[COMPLETION_WORD] = "";
    const char *space;
    const command_t *command;
    size_t i, len;

    for (i = 0; (command = command_at(i)) != NULL; i++) {
        space = strchr(command->name, ' ');
        len = space != NULL ? (size_t) (space - command->name)
                            : strlen(command->name);

        if (first == NULL) {
            snprintf(word, sizeof(word), "%.*s", (int) len, command->name);

        } else if (space != NULL && strlen(first) == len &&
                   strncmp(first, command->name, len) == 0) {
            snprintf(word, sizeof(word), "%s", space + 1);

        } else {
            continue;
        }

        /* neighbours of the table share their first word */
        if (strcmp(word, last) != 0) {
            completion_offer(word, typed);
            strcpy(last, word);
        }
    }
}


static void
completion_networks(client_t *client, const char *typed)
{
    const char *name;
    const json_t *network;
    err_t err;
    json_t *status;
    size_t i;

    status = ask_daemon(client, json_pack("{s:s}", "command", "status"), &err);

    json_array_foreach(json_object_get(status, "networks"), i, network)
    {
        name = json_string_value(json_object_get(network, "name"));
        if (name != NULL) {
            completion_offer_name(name, typed);
        }
    }

    json_decref(status);
}


static void
completion_peers(client_t *client, const char *typed)
{
    const char *name;
    const json_t *peer;
    err_t err;
    json_t *names;
    size_t i;

    names = ask_daemon(client, json_pack("{s:s}", "command", "names"), &err);

    json_array_foreach(json_object_get(names, "names"), i, peer)
    {
        name = json_string_value(
            json_array_get(json_object_get(peer, "short"), 0));
        if (name == NULL) {
            name = json_string_value(json_object_get(peer, "name"));
        }

        if (name != NULL) {
            completion_offer_name(name, typed);
        }
    }

    json_decref(names);
}


/* One of the alternatives of an operand, such as "[NETWORK|TENANT]". */
static void
completion_alternative(client_t *client, const char *word, const char *typed)
{
    if (strcmp(word, "NETWORK") == 0 || strcmp(word, "PLACE") == 0) {
        completion_networks(client, typed);

    } else if (strcmp(word, "PEER") == 0) {
        completion_peers(client, typed);

    } else if (strcmp(word, "COMMAND") == 0) {
        completion_commands(NULL, typed);

    } else if (islower((unsigned char) word[0])) {
        completion_offer(word, typed);
    }
}


/* The operand after n others, as the command's synopsis has it. */
static void
completion_operand(client_t *client, const command_t *command, int n,
                   const char *typed)
{
    char word[COMPLETION_WORD];
    const char *p = command->synopsis + strlen(command->name);
    size_t len;

    for (p += strspn(p, " "); n > 0 && *p != '\0'; n--) {
        p += strcspn(p, " ");
        p += strspn(p, " ");
    }

    while (*p != '\0' && *p != ' ') {
        p += strspn(p, "[]|");
        len = strcspn(p, "[]| ");
        snprintf(word, sizeof(word), "%.*s", (int) len, p);
        completion_alternative(client, word, typed);
        p += len + strspn(p + len, "[]|");
    }
}


/* Words are what is typed behind "goconnect"; the last one is not ended. */
static void
completion_words(client_t *client, char **word, int words)
{
    int i, used = 0, plain = 0;
    char *said[CLIENT_COMPLETION_MAX];
    const char *typed = words > 0 ? word[words - 1] : "";
    const command_t *command = NULL;

    for (i = 0; i < words - 1; i++) {
        if (word[i][0] == '-') {
            i += option_has_value(word[i]);

        } else if (plain < CLIENT_COMPLETION_MAX) {
            said[plain++] = word[i];
        }
    }

    if (words > 0 && i > words - 1) {
        if (strcmp(word[words - 2], "--network") == 0) {
            completion_networks(client, typed);
        }

        return; /* an option's value */
    }

    if (plain > 0) {
        command = command_find(said, plain, &used);
    }

    if (typed[0] == '-') {
        option_each(command != NULL ? command->options : 0, typed,
                    completion_offer);
        return;
    }

    if (plain == 0) {
        completion_commands(NULL, typed);
        return;
    }

    if (plain == 1) {
        completion_commands(said[0], typed);
    }

    if (command != NULL) {
        completion_operand(client, command, plain - used, typed);
    }
}


int
completion_run(client_t *client)
{
    const char *what = client->operand[0];
    err_t err;
    size_t i;

    if (strcmp(what, "words") == 0) {
        completion_words(client, client->operand + 1, client->operands - 1);
        return CLIENT_OK;
    }

    for (i = 0; i < sizeof(completion_shells) / sizeof(completion_shells[0]);
         i++) {
        if (client->operands != 1 ||
            strcmp(completion_shells[i].shell, what) != 0) {
            continue;
        }

        if (!client_json(client,
                         json_pack("{s:s, s:s}", "shell", what, "script",
                                   completion_shells[i].script))) {
            fputs(completion_shells[i].script, stdout);
        }

        return CLIENT_OK;
    }

    err_set(&err, "usage", "usage: goconnect completion bash|zsh|fish");
    return client_fail(client, &err);
}
