#include "plan/stun_client.h"

#include <string.h>

/*
 * A server says no more than it was sent, so that nobody is flooded by it:
 * what makes room for its other address is our name, which every server
 * understands (RFC 8489, 14.14), with spaces behind it.
 */
#define STUN_CLIENT_SOFTWARE 76


static unsigned
stun_client_tries(const struct stun_ask *ask)
{
    if (ask->tries == 0) {
        return STUN_CLIENT_TRIES;
    }

    return ask->tries < STUN_CLIENT_TRIES_MAX ? ask->tries
                                              : STUN_CLIENT_TRIES_MAX;
}


bool
stun_client_ask(struct stun_client *client, const struct stun_ask *ask,
                uint64_t now_ms)
{
    size_t i;

    for (i = 0; i < STUN_CLIENT_ROOM; i++) {
        if (!client->list[i].out) {
            client->list[i].out = true;
            client->list[i].ask = *ask;
            client->list[i].sent = 0;
            client->list[i].sent_ms = now_ms;
            client->list[i].next_ms = now_ms;
            return true;
        }
    }

    return false;
}


static size_t
stun_client_write(const struct stun_ask *ask, uint8_t *data)
{
    char software[STUN_CLIENT_SOFTWARE];
    gc_stun_writer_t writer;

    memset(software, ' ', sizeof(software));
    memcpy(software, "GoConnect", 9);

    gc_stun_begin(&writer, data, STUN_CLIENT_REQUEST_MAX, GC_STUN_REQUEST,
                  GC_STUN_BINDING, ask->transaction);

    if (ask->change != 0) {
        gc_stun_put_u32(&writer, GC_STUN_CHANGE_REQUEST, ask->change);
    }

    gc_stun_put(&writer, GC_STUN_SOFTWARE, software, sizeof(software));

    return gc_stun_end(&writer);
}


size_t
stun_client_due(struct stun_client *client, uint64_t now_ms,
                const struct stun_ask **ask, uint8_t *data)
{
    unsigned tries;
    size_t i;

    for (i = 0; i < STUN_CLIENT_ROOM; i++) {
        *ask = &client->list[i].ask;
        tries = client->list[i].out ? stun_client_tries(*ask) : 0;

        if (client->list[i].sent >= tries || client->list[i].next_ms > now_ms) {
            continue;
        }

        /* the wait after the last one is that before it once more */
        client->list[i].next_ms =
            now_ms + ((uint64_t) STUN_CLIENT_FIRST_MS
                      << (client->list[i].sent + 1 < tries || tries == 1
                              ? client->list[i].sent
                              : client->list[i].sent - 1));
        client->list[i].sent++;
        client->list[i].sent_ms = now_ms;

        return stun_client_write(*ask, data);
    }

    return 0;
}


/* Whether an answer to that may come from there (RFC 5780, 7.2). */
static bool
stun_client_expects(const struct stun_ask *ask, const struct endpoint *from)
{
    bool address, port;

    address = address_compare(&ask->server.address, &from->address) == 0;
    port = ask->server.port == from->port;

    /* who cannot change says so from where it was asked */
    return (address && port) ||
           (address == ((ask->change & GC_STUN_CHANGE_IP) == 0) &&
            port == ((ask->change & GC_STUN_CHANGE_PORT) == 0));
}


static bool
stun_client_address(const gc_stun_t *message, uint16_t type,
                    struct endpoint *endpoint)
{
    gc_stun_address_t address;

    memset(endpoint, 0, sizeof(*endpoint));

    if (gc_stun_address(message, type, &address) != 0) {
        return false;
    }

    endpoint->address.family = address.family;
    memcpy(endpoint->address.bytes, address.bytes, 16);
    endpoint->port = address.port;

    return true;
}


static void
stun_client_result(const gc_stun_t *message, struct stun_result *result)
{
    int error;

    if (message->class == GC_STUN_ERROR) {
        error = gc_stun_error(message);
        result->outcome = STUN_REFUSED;
        result->error = error > 0 ? error : 0;
        return;
    }

    (void) stun_client_address(message, GC_STUN_OTHER_ADDRESS, &result->other);

    /* the plain form is of servers of RFC 3489 */
    if (stun_client_address(message, GC_STUN_XOR_MAPPED_ADDRESS,
                            &result->mapped) ||
        stun_client_address(message, GC_STUN_MAPPED_ADDRESS, &result->mapped)) {
        result->outcome = STUN_ANSWERED;
    } else {
        result->outcome = STUN_REFUSED;
    }
}


bool
stun_client_answer(struct stun_client *client, const struct endpoint *from,
                   const uint8_t *data, size_t size, uint64_t now_ms,
                   struct stun_result *result)
{
    gc_stun_t message;
    size_t i;

    if (gc_stun_read(&message, data, size) != 0 ||
        message.method != GC_STUN_BINDING ||
        (message.class != GC_STUN_SUCCESS && message.class != GC_STUN_ERROR)) {
        return false;
    }

    for (i = 0; i < STUN_CLIENT_ROOM; i++) {
        if (client->list[i].out && client->list[i].sent > 0 &&
            memcmp(client->list[i].ask.transaction, message.transaction,
                   GC_STUN_TRANSACTION) == 0) {
            break;
        }
    }

    if (i == STUN_CLIENT_ROOM ||
        !stun_client_expects(&client->list[i].ask, from)) {
        return false;
    }

    memset(result, 0, sizeof(*result));
    result->tag = client->list[i].ask.tag;
    result->from = *from;
    result->rtt_ms = now_ms - client->list[i].sent_ms;
    stun_client_result(&message, result);
    client->list[i].out = false;

    return true;
}


bool
stun_client_silent(struct stun_client *client, uint64_t now_ms,
                   struct stun_result *result)
{
    size_t i;

    for (i = 0; i < STUN_CLIENT_ROOM; i++) {
        if (client->list[i].out && client->list[i].next_ms <= now_ms &&
            client->list[i].sent >= stun_client_tries(&client->list[i].ask)) {
            memset(result, 0, sizeof(*result));
            result->outcome = STUN_SILENT;
            result->tag = client->list[i].ask.tag;
            client->list[i].out = false;
            return true;
        }
    }

    return false;
}


uint64_t
stun_client_deadline(const struct stun_client *client)
{
    uint64_t next = UINT64_MAX;
    size_t i;

    for (i = 0; i < STUN_CLIENT_ROOM; i++) {
        if (client->list[i].out && client->list[i].next_ms < next) {
            next = client->list[i].next_ms;
        }
    }

    return next;
}
