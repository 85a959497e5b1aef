#include "os/uapi.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/keys.h"

/* 10,000 peers with their allowed ips are some 5 MB. */
#define UAPI_TEXT_MAX (64 * 1024 * 1024)

#define UAPI_PREFIXES_MAX (4 * NETMAP_PEERS_MAX)


/* Text that grows; wiped when freed, because it may hold a private key. */
struct uapi_text {
    char *bytes;
    size_t length;
    size_t room;
    bool failed;
};


static void
uapi_text_free(struct uapi_text *text)
{
    if (text->bytes != NULL) {
        key_wipe(text->bytes, text->room);
        free(text->bytes);
    }
}


/* Room for so many more bytes and a NUL; never by realloc(), which would
 * leave a copy behind. */
static bool
uapi_text_reserve(struct uapi_text *text, size_t more)
{
    struct uapi_text bigger;

    if (text->failed || more > UAPI_TEXT_MAX - text->length) {
        text->failed = true;
        return false;
    }

    if (text->length + more < text->room) {
        return true;
    }

    bigger.room = (text->length + more + 1) * 2;
    bigger.length = text->length;
    bigger.failed = false;
    bigger.bytes = malloc(bigger.room);

    if (bigger.bytes == NULL) {
        text->failed = true;
        return false;
    }

    if (text->length > 0) {
        memcpy(bigger.bytes, text->bytes, text->length);
    }

    uapi_text_free(text);
    *text = bigger;

    return true;
}


static void uapi_line(struct uapi_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));


/* Adds a line of at most 128 bytes. */
static void
uapi_line(struct uapi_text *text, const char *format, ...)
{
    va_list args;
    int n;

    if (!uapi_text_reserve(text, 128)) {
        return;
    }

    va_start(args, format);
    n = vsnprintf(text->bytes + text->length, 128, format, args);
    va_end(args);

    if (n < 0 || n >= 128) {
        text->failed = true;
        return;
    }

    text->length += (size_t) n;
}


static void
uapi_line_key(struct uapi_text *text, const char *name, const struct key *key)
{
    char hex[KEY_HEX_SIZE];

    key_to_hex(key, hex);
    uapi_line(text, "%s=%s\n", name, hex);
    key_wipe(hex, sizeof(hex));
}


static void
uapi_write_peer(struct uapi_text *text, const struct peer_change *change)
{
    char buffer[ADDRESS_TEXT];
    size_t i;

    uapi_line_key(text, "public_key", &change->public_key);

    if ((change->flags & PEER_REMOVE) != 0) {
        uapi_line(text, "remove=true\n");
        return;
    }

    if ((change->flags & PEER_UPDATE_ONLY) != 0) {
        uapi_line(text, "update_only=true\n");
    }

    if ((change->flags & PEER_ENDPOINT) != 0) {
        uapi_line(text, "endpoint=%s\n",
                  endpoint_format(&change->endpoint, buffer));
    }

    if ((change->flags & PEER_KEEPALIVE) != 0) {
        uapi_line(text, "persistent_keepalive_interval=%u\n",
                  (unsigned) change->keepalive);
    }

    if ((change->flags & PEER_ALLOWED) == 0) {
        return;
    }

    uapi_line(text, "replace_allowed_ips=true\n");

    for (i = 0; i < change->allowed_count; i++) {
        uapi_line(text, "allowed_ip=%s\n",
                  prefix_format(&change->allowed[i], buffer));
    }
}


static void
uapi_write(struct uapi_text *text, const struct operation *operation)
{
    size_t i;

    uapi_line(text, "set=1\n");

    if (operation->kind == OPERATION_PEERS) {
        for (i = 0; i < operation->peers.count; i++) {
            uapi_write_peer(text, &operation->peers.changes[i]);
        }

    } else {
        if (operation->device.private_key != NULL) {
            uapi_line_key(text, "private_key", operation->device.private_key);
        }

        if (operation->device.listen_port != 0) {
            uapi_line(text, "listen_port=%u\n",
                      (unsigned) operation->device.listen_port);
        }

        if (operation->device.set_mark) {
            uapi_line(text, "fwmark=%u\n", (unsigned) operation->device.mark);
        }
    }

    uapi_line(text, "\n");
}


static int
uapi_send(int fd, const char *bytes, size_t length)
{
    ssize_t n;

    while (length > 0) {
        n = send(fd, bytes, length, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            return -1;
        }

        bytes += n;
        length -= (size_t) n;
    }

    return 0;
}


/* Reads up to the empty line.  -1 with errno (0: the other end closed). */
static int
uapi_receive(int fd, struct uapi_text *answer)
{
    ssize_t n;

    for (;;) {
        if (!uapi_text_reserve(answer, 16384)) {
            errno = ENOMEM;
            return -1;
        }

        n = recv(fd, answer->bytes + answer->length,
                 answer->room - answer->length - 1, 0);

        if (n < 0 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            errno = n == 0 ? 0 : errno;
            return -1;
        }

        answer->length += (size_t) n;
        answer->bytes[answer->length] = '\0';

        if (answer->length >= 2 &&
            memcmp(answer->bytes + answer->length - 2, "\n\n", 2) == 0) {
            return 0;
        }
    }
}


static int
uapi_ask(int fd, const char *question, size_t length, struct uapi_text *answer,
         struct error *error)
{
    if (uapi_send(fd, question, length) == 0 && uapi_receive(fd, answer) == 0) {
        return 0;
    }

    if (errno == EAGAIN) {
        return error_set(error, ERROR_SYSTEM, "wireguard-go does not answer");
    }

    if (errno == ENOMEM) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    return error_set(error, ERROR_GONE, "wireguard-go has ended");
}


/* A decimal number, possibly negative; false if it is anything else. */
static bool
uapi_number(const char *text, long long *number)
{
    char *end;

    errno = 0;
    *number = strtoll(text, &end, 10);

    return errno == 0 && end != text && *end == '\0';
}


/* The device's answer carries its errno, as it is or negated. */
static int
uapi_status(long long number, const char *what, struct error *error)
{
    int positive;

    if (number == 0) {
        return 0;
    }

    positive = (int) (number < 0 ? -number : number);

    return error_set(error,
                     positive == EADDRINUSE ? ERROR_PORT_IN_USE : ERROR_SYSTEM,
                     "wireguard-go: %s: %s", what, strerror(positive));
}


int
uapi_set(int fd, const struct operation *operation, struct error *error)
{
    struct uapi_text question, answer;
    char what[160];
    long long number;
    int rc;

    memset(&question, 0, sizeof(question));
    memset(&answer, 0, sizeof(answer));
    uapi_write(&question, operation);

    if (question.failed) {
        rc = error_set(error, ERROR_NO_MEMORY, "out of memory");

    } else {
        rc = uapi_ask(fd, question.bytes, question.length, &answer, error);
    }

    uapi_text_free(&question);

    if (rc == 0) {
        (void) operation_describe(operation, what, sizeof(what));
        answer.bytes[strcspn(answer.bytes, "\n")] = '\0';

        if (strncmp(answer.bytes, "errno=", 6) != 0 ||
            !uapi_number(answer.bytes + 6, &number)) {
            rc = error_set(error, ERROR_SYSTEM, "wireguard-go: odd answer");

        } else {
            rc = uapi_status(number, what, error);
        }
    }

    uapi_text_free(&answer);

    return rc;
}


static struct actual_peer *
uapi_peer(struct actual_interface *interface)
{
    struct actual_peer *peers;
    size_t count;

    count = interface->peer_count;

    /* room grows at powers of two, which the count alone tells */
    if ((count & (count - 1)) == 0) {
        peers = realloc(interface->peers,
                        (count == 0 ? 1 : count * 2) * sizeof(*peers));

        if (peers == NULL) {
            return NULL;
        }

        interface->peers = peers;
    }

    memset(&interface->peers[count], 0, sizeof(interface->peers[count]));
    interface->peer_count++;

    return &interface->peers[count];
}


static int
uapi_allowed(struct actual_peer *peer, const char *value)
{
    struct prefix *bigger, prefix;

    if (!prefix_parse(value, &prefix) ||
        peer->allowed_count >= UAPI_PREFIXES_MAX) {
        return -1;
    }

    bigger = realloc(peer->allowed,
                     (peer->allowed_count + 1) * sizeof(*peer->allowed));

    if (bigger == NULL) {
        return -1;
    }

    peer->allowed = bigger;
    peer->allowed[peer->allowed_count++] = prefix;

    return 0;
}


/* A line before the first peer. */
static int
uapi_device_line(struct actual_interface *interface, const char *name,
                 const char *value)
{
    struct key private_key;
    long long number;
    int rc;

    if (strcmp(name, "private_key") == 0) {
        if (!key_from_hex(value, &private_key)) {
            return -1;
        }

        rc = key_is_zero(&private_key)
                 ? 0
                 : keys_public(&private_key, &interface->public_key, NULL);
        key_wipe(&private_key, sizeof(private_key));
        return rc;
    }

    if (strcmp(name, "listen_port") == 0) {
        if (!uapi_number(value, &number) || number < 0 || number > 65535) {
            return -1;
        }

        interface->listen_port = (uint16_t) number;
    }

    if (strcmp(name, "fwmark") == 0) {
        if (!uapi_number(value, &number) || number < 0 || number > UINT32_MAX) {
            return -1;
        }

        interface->mark = (uint32_t) number;
    }

    return 0;
}


/* A line of a peer; names that we do not know are for others. */
static int
uapi_peer_line(struct actual_peer *peer, const char *name, const char *value)
{
    long long number;

    if (strcmp(name, "endpoint") == 0) {
        /* an IPv6 link-local endpoint has a zone: none of ours to set */
        (void) endpoint_parse(value, &peer->endpoint);
        return 0;
    }

    if (strcmp(name, "allowed_ip") == 0) {
        return uapi_allowed(peer, value);
    }

    if (!uapi_number(value, &number) || number < 0) {
        return strcmp(name, "preshared_key") == 0 ? 0 : -1;
    }

    if (strcmp(name, "persistent_keepalive_interval") == 0) {
        peer->keepalive = (uint16_t) number;

    } else if (strcmp(name, "last_handshake_time_sec") == 0) {
        peer->handshake_s = number;

    } else if (strcmp(name, "last_handshake_time_nsec") == 0) {
        peer->handshake_ns = (uint32_t) number;

    } else if (strcmp(name, "rx_bytes") == 0) {
        peer->rx_bytes = (uint64_t) number;

    } else if (strcmp(name, "tx_bytes") == 0) {
        peer->tx_bytes = (uint64_t) number;
    }

    return 0;
}


int
uapi_parse(char *text, struct actual_interface *interface, struct error *error)
{
    struct actual_peer *peer;
    char *line, *next, *value;
    long long number;
    int rc;

    peer = NULL;
    rc = 0;

    for (line = text; *line != '\0' && rc == 0; line = next) {
        next = line + strcspn(line, "\n");

        if (*next == '\n') {
            *next++ = '\0';
        }

        if (*line == '\0') {
            continue;
        }

        value = strchr(line, '=');

        if (value == NULL) {
            rc = -1;
            break;
        }

        *value++ = '\0';

        if (strcmp(line, "errno") == 0) {
            rc = uapi_number(value, &number) && number == 0 ? 0 : -1;

        } else if (strcmp(line, "public_key") == 0) {
            peer = uapi_peer(interface);
            rc =
                peer != NULL && key_from_hex(value, &peer->public_key) ? 0 : -1;
        } else if (peer == NULL) {
            rc = uapi_device_line(interface, line, value);

        } else {
            rc = uapi_peer_line(peer, line, value);
        }
    }

    return rc == 0 ? 0
                   : error_set(error, ERROR_SYSTEM,
                               "wireguard-go: odd answer to get");
}


int
uapi_get(int fd, struct actual_interface *interface, struct error *error)
{
    static const char question[] = "get=1\n\n";
    struct uapi_text answer;
    int rc;

    memset(&answer, 0, sizeof(answer));
    rc = uapi_ask(fd, question, sizeof(question) - 1, &answer, error);

    if (rc == 0) {
        rc = uapi_parse(answer.bytes, interface, error);
    }

    uapi_text_free(&answer);

    return rc;
}
