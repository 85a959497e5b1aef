#include "link/dial.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static void dial_step(void *arg);


static int
dial_is_numeric(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 ||
           inet_pton(AF_INET6, host, bytes) == 1;
}


static void
dial_later(dial_t *dial)
{
    dial->kick.fn = dial_step;
    dial->kick.arg = dial;
    loop_timer_set(dial->loop, &dial->kick, 0);
}


static void
dial_resolved(void *arg, const resolve_result_t *result)
{
    dial_t *dial = arg;

    dial->resolve = NULL;
    dial->addresses = *result;
    dial->next = 0;

    if (result->count == 0) {
        /* a connection that was refused says more than a failed look-up */
        dial->failed(dial->arg,
                     dial->why.code[0] != '\0' ? &dial->why : &result->err);
        return;
    }

    dial_step(dial);
}


static void
dial_look_up(dial_t *dial)
{
    err_t err;
    const char *host = dial->server->url.host;

    if (dial_is_numeric(host)) {
        dial->addresses.count = 1;
        snprintf(dial->addresses.text[0], RESOLVE_ADDRESS_SIZE, "%.47s", host);
        dial_step(dial);
        return;
    }

    dial->resolve = resolve_start(dial->loop, host, dial_resolved, dial, &err);
    if (dial->resolve == NULL) {
        dial->failed(dial->arg, &err);
    }
}


static void
dial_step(void *arg)
{
    dial_t *dial = arg;
    const char *address;

    if (dial->server->good[0] != '\0' && !dial->good_tried) {
        dial->good_tried = 1;
        strcpy(dial->current, dial->server->good);
        dial->connect(dial->arg, dial->current);
        return;
    }

    if (dial->addresses.count == 0) {
        dial_look_up(dial);
        return;
    }

    while (dial->next < dial->addresses.count) {
        address = dial->addresses.text[dial->next++];

        if (dial->good_tried && strcmp(address, dial->server->good) == 0) {
            continue;
        }

        strcpy(dial->current, address);
        dial->connect(dial->arg, dial->current);
        return;
    }

    dial->failed(dial->arg, &dial->why);
}


void
dial_start(dial_t *dial)
{
    dial_later(dial);
}


void
dial_refused(dial_t *dial, const err_t *why)
{
    dial->why = *why;
    dial_later(dial);
}


void
dial_succeeded(dial_t *dial)
{
    strcpy(dial->server->good, dial->current);
}


void
dial_cancel(dial_t *dial)
{
    loop_timer_cancel(&dial->kick);

    if (dial->resolve != NULL) {
        resolve_cancel(dial->resolve);
        dial->resolve = NULL;
    }
}
