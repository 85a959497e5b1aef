#include "base/nsswitch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NSSWITCH_BLANK " \t"
#define NSSWITCH_LINE "hosts:          files " NSSWITCH_MODULE " dns\n"

/* A part of the text. */
typedef struct {
    const char *at;
    size_t length;
} nsswitch_part_t;


/* What stands behind "hosts:", up to a comment or the line's end. */
static int
nsswitch_hosts(const char *text, nsswitch_part_t *hosts)
{
    const char *line, *at;

    for (line = text; *line != '\0'; line += strcspn(line, "\n"), line++) {
        at = line + strspn(line, NSSWITCH_BLANK);

        if (strncmp(at, "hosts", 5) == 0) {
            at += 5;
            at += strspn(at, NSSWITCH_BLANK);

            if (*at == ':') {
                hosts->at = at + 1;
                hosts->length = strcspn(at + 1, "#\n");
                return 1;
            }
        }

        if (line[strcspn(line, "\n")] == '\0') {
            break;
        }
    }

    return 0;
}


/* Past blanks and [ACTIONS]. */
static size_t
nsswitch_skip(const nsswitch_part_t *part)
{
    size_t at = 0;

    while (at < part->length && strchr(" \t[", part->at[at]) != NULL) {
        if (part->at[at] == '[') {
            while (at < part->length && part->at[at] != ']') {
                at++;
            }
        }

        at += at < part->length;
    }

    return at;
}


/* The next service of the line, without its actions: 0 at the end. */
static int
nsswitch_next(nsswitch_part_t *rest, nsswitch_part_t *service)
{
    size_t skip = nsswitch_skip(rest);

    service->at = rest->at + skip;
    service->length = 0;

    while (skip + service->length < rest->length &&
           strchr(" \t[", service->at[service->length]) == NULL) {
        service->length++;
    }

    rest->at += skip + service->length;
    rest->length -= skip + service->length;

    return service->length > 0;
}


static int
nsswitch_is(const nsswitch_part_t *service, const char *name)
{
    return service->length == strlen(name) &&
           memcmp(service->at, name, service->length) == 0;
}


static int
nsswitch_find(const nsswitch_part_t *hosts, const char *name,
              nsswitch_part_t *service)
{
    nsswitch_part_t rest = *hosts;

    while (nsswitch_next(&rest, service)) {
        if (nsswitch_is(service, name)) {
            return 1;
        }
    }

    return 0;
}


int
nsswitch_has(const char *text)
{
    nsswitch_part_t hosts, service;

    return nsswitch_hosts(text, &hosts) &&
           nsswitch_find(&hosts, NSSWITCH_MODULE, &service);
}


/* The text with cut bytes at a place replaced. */
static char *
nsswitch_splice(const char *text, size_t at, size_t cut, const char *put)
{
    size_t length = strlen(text), more = strlen(put);
    char *copy = malloc(length - cut + more + 1);

    if (copy != NULL) {
        memcpy(copy, text, at);
        memcpy(copy + at, put, more);
        memcpy(copy + at + more, text + at + cut, length - at - cut + 1);
    }

    return copy;
}


/* With the actions that it has: they are nobody else's. */
static char *
nsswitch_remove(const char *text, const nsswitch_part_t *hosts,
                const nsswitch_part_t *service)
{
    nsswitch_part_t rest;
    size_t at = (size_t) (service->at - text), cut = service->length;

    rest.at = service->at + cut;
    rest.length = (size_t) (hosts->at + hosts->length - rest.at);
    cut += nsswitch_skip(&rest);

    /* the last one takes the blank before it along, the others that behind */
    if (text + at + cut == hosts->at + hosts->length) {
        while (strchr(NSSWITCH_BLANK, text[at + cut - 1]) != NULL) {
            cut--;
        }

        if (strchr(NSSWITCH_BLANK, text[at - 1]) != NULL) {
            at--;
            cut++;
        }
    }

    return nsswitch_splice(text, at, cut, "");
}


/* Before the first service that asks others than this machine. */
static char *
nsswitch_add(const char *text, const nsswitch_part_t *hosts)
{
    nsswitch_part_t rest = *hosts, service;
    size_t length = hosts->length;

    while (nsswitch_next(&rest, &service)) {
        if (!nsswitch_is(&service, "files") &&
            !nsswitch_is(&service, "mymachines")) {
            return nsswitch_splice(text, (size_t) (service.at - text), 0,
                                   NSSWITCH_MODULE " ");
        }
    }

    while (length > 0 && strchr(NSSWITCH_BLANK, hosts->at[length - 1])) {
        length--;
    }

    return nsswitch_splice(text, (size_t) (hosts->at + length - text), 0,
                           " " NSSWITCH_MODULE);
}


char *
nsswitch_edit(const char *text, int on)
{
    nsswitch_part_t hosts, service;
    size_t length = strlen(text);

    if (!nsswitch_hosts(text, &hosts)) {
        return !on ? strdup(text)
                   : nsswitch_splice(text, length, 0,
                                     length > 0 && text[length - 1] != '\n'
                                         ? "\n" NSSWITCH_LINE
                                         : NSSWITCH_LINE);
    }

    if (nsswitch_find(&hosts, NSSWITCH_MODULE, &service)) {
        return on ? strdup(text) : nsswitch_remove(text, &hosts, &service);
    }

    return on ? nsswitch_add(text, &hosts) : strdup(text);
}
