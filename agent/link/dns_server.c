#define _GNU_SOURCE /* accept4 */

#include "link/dns_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DNS_SERVER_PORT 53
#define DNS_SERVER_TRIES 8    /* for a free port of both protocols */
#define DNS_SERVER_BATCH 32   /* datagrams in one turn */
#define DNS_SERVER_IDLE 10000 /* ms: RFC 7766, 6.2.3 */

typedef struct dns_client dns_client_t;

/* A TCP connection: two bytes of length before a message (RFC 1035, 4.2.2). */
struct dns_client {
    dns_client_t *next;
    dns_server_t *server;
    loop_fd_t io;
    loop_timer_t idle;
    uint8_t query[2 + DNS_SERVER_MAX];
    size_t used;
};

struct dns_server {
    loop_t *loop;
    struct address address;
    uint16_t port;
    loop_fd_t udp;
    loop_fd_t tcp;
    dns_client_t *clients;
    unsigned client_count;
    dns_server_answer_pt answer;
    void *arg;
};


static socklen_t
dns_server_sockaddr(const struct address *address, uint16_t port,
                    struct sockaddr_storage *storage)
{
    struct sockaddr_in *in = (struct sockaddr_in *) storage;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) storage;

    memset(storage, 0, sizeof(*storage));

    if (address->family == ADDRESS_IPV4) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, address->bytes, 4);
        return sizeof(*in);
    }

    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, address->bytes, 16);
    return sizeof(*in6);
}


/* Whoever asks is on this machine when it asks from the very address. */
static int
dns_server_is_ours(const dns_server_t *server,
                   const struct sockaddr_storage *from)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *) from;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) from;

    return server->address.family == ADDRESS_IPV4
               ? from->ss_family == AF_INET &&
                     memcmp(&in->sin_addr, server->address.bytes, 4) == 0
               : from->ss_family == AF_INET6 &&
                     memcmp(&in6->sin6_addr, server->address.bytes, 16) == 0;
}


static void
dns_server_datagrams(void *arg, uint32_t events)
{
    dns_server_t *server = arg;
    uint8_t query[DNS_SERVER_MAX + 1], answer[DNS_SERVER_MAX];
    struct sockaddr_storage from;
    socklen_t from_length;
    size_t length;
    ssize_t n;
    int i;

    (void) events;

    for (i = 0; i < DNS_SERVER_BATCH; i++) {
        from_length = sizeof(from);
        n = recvfrom(server->udp.fd, query, sizeof(query), MSG_DONTWAIT,
                     (struct sockaddr *) &from, &from_length);

        if (n == -1) {
            return;
        }

        if (!dns_server_is_ours(server, &from)) {
            continue;
        }

        length = server->answer(server->arg, query, (size_t) n, answer);

        if (length > 0) {
            (void) sendto(server->udp.fd, answer, length,
                          MSG_DONTWAIT | MSG_NOSIGNAL,
                          (struct sockaddr *) &from, from_length);
        }
    }
}


static void
dns_client_close(dns_client_t *client)
{
    dns_server_t *server = client->server;
    dns_client_t **at = &server->clients;

    while (*at != client) {
        at = &(*at)->next;
    }

    *at = client->next;
    server->client_count--;
    loop_timer_cancel(&client->idle);
    loop_fd_remove(server->loop, &client->io);
    close(client->io.fd);
    free(client);
}


static void
dns_client_late(void *arg)
{
    dns_client_close(arg);
}


/* Whole queries of what has come; -1: it is to be closed. */
static int
dns_client_answer(dns_client_t *client)
{
    uint8_t answer[2 + DNS_SERVER_MAX];
    size_t length, got;

    while (client->used >= 2) {
        length = (size_t) client->query[0] << 8 | client->query[1];

        if (length > DNS_SERVER_MAX) {
            return -1;
        }

        if (client->used < 2 + length) {
            break;
        }

        got = client->server->answer(client->server->arg, client->query + 2,
                                     length, answer + 2);

        if (got == 0) {
            return -1;
        }

        answer[0] = (uint8_t) (got >> 8);
        answer[1] = (uint8_t) got;

        /* an answer that does not fit the buffer is to one who reads none */
        if (send(client->io.fd, answer, 2 + got, MSG_DONTWAIT | MSG_NOSIGNAL) !=
            (ssize_t) (2 + got)) {
            return -1;
        }

        client->used -= 2 + length;
        memmove(client->query, client->query + 2 + length, client->used);
    }

    return 0;
}


static void
dns_client_read(void *arg, uint32_t events)
{
    dns_client_t *client = arg;
    ssize_t n;

    (void) events;

    n = recv(client->io.fd, client->query + client->used,
             sizeof(client->query) - client->used, MSG_DONTWAIT);

    if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }

    if (n <= 0) {
        dns_client_close(client);
        return;
    }

    client->used += (size_t) n;
    loop_timer_set(client->server->loop, &client->idle, DNS_SERVER_IDLE);

    if (dns_client_answer(client) == -1) {
        dns_client_close(client);
    }
}


static void
dns_server_accept(void *arg, uint32_t events)
{
    dns_server_t *server = arg;
    dns_client_t *client;
    struct sockaddr_storage from;
    socklen_t from_length = sizeof(from);
    int fd;

    (void) events;

    fd = accept4(server->tcp.fd, (struct sockaddr *) &from, &from_length,
                 SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd == -1) {
        return;
    }

    client = dns_server_is_ours(server, &from) &&
                     server->client_count < DNS_SERVER_CLIENTS
                 ? calloc(1, sizeof(*client))
                 : NULL;

    if (client == NULL) {
        close(fd);
        return;
    }

    client->server = server;
    client->io.fd = fd;
    client->io.fn = dns_client_read;
    client->io.arg = client;
    client->idle.fn = dns_client_late;
    client->idle.arg = client;

    if (loop_fd_add(server->loop, &client->io, EPOLLIN) == -1) {
        close(fd);
        free(client);
        return;
    }

    client->next = server->clients;
    server->clients = client;
    server->client_count++;
    loop_timer_set(server->loop, &client->idle, DNS_SERVER_IDLE);
}


/* A socket bound to the port: -1 with errno. */
static int
dns_server_bind(const dns_server_t *server, int type, uint16_t port)
{
    struct sockaddr_storage storage;
    socklen_t length;
    int fd, saved, on = 1;

    length = dns_server_sockaddr(&server->address, port, &storage);
    fd = socket(storage.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd == -1) {
        return -1;
    }

    /* the address may come and go with its interface */
    if (server->address.family == ADDRESS_IPV4) {
        (void) setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));

    } else {
        (void) setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
    }

    if (type == SOCK_STREAM) {
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }

    if (bind(fd, (struct sockaddr *) &storage, length) == -1 ||
        (type == SOCK_STREAM && listen(fd, DNS_SERVER_CLIENTS) == -1)) {
        saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }

    return fd;
}


static uint16_t
dns_server_port_of(int fd)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof(storage);

    if (getsockname(fd, (struct sockaddr *) &storage, &length) == -1) {
        return 0;
    }

    return ntohs(storage.ss_family == AF_INET
                     ? ((struct sockaddr_in *) &storage)->sin_port
                     : ((struct sockaddr_in6 *) &storage)->sin6_port);
}


/* Both sockets on one port. */
static int
dns_server_bind_both(dns_server_t *server, err_t *err)
{
    int i;

    for (i = 0; i < DNS_SERVER_TRIES; i++) {
        server->udp.fd =
            dns_server_bind(server, SOCK_DGRAM, i == 0 ? DNS_SERVER_PORT : 0);

        if (server->udp.fd == -1) {
            continue;
        }

        server->port = dns_server_port_of(server->udp.fd);
        server->tcp.fd = dns_server_bind(server, SOCK_STREAM, server->port);

        if (server->tcp.fd != -1) {
            return 0;
        }

        close(server->udp.fd);
        server->udp.fd = -1;
    }

    return err_errno(err, "failed", "cannot listen for questions about names");
}


dns_server_t *
dns_server_open(loop_t *loop, const struct address *address,
                dns_server_answer_pt answer, void *arg, err_t *err)
{
    dns_server_t *server = calloc(1, sizeof(*server));

    if (server == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    server->loop = loop;
    server->address = *address;
    server->answer = answer;
    server->arg = arg;
    server->udp.fn = dns_server_datagrams;
    server->udp.arg = server;
    server->tcp.fn = dns_server_accept;
    server->tcp.arg = server;

    if (dns_server_bind_both(server, err) == -1) {
        free(server);
        return NULL;
    }

    if (loop_fd_add(loop, &server->udp, EPOLLIN) == -1 ||
        loop_fd_add(loop, &server->tcp, EPOLLIN) == -1) {
        err_errno(err, "failed", "cannot wait for questions about names");
        dns_server_close(server);
        return NULL;
    }

    return server;
}


void
dns_server_close(dns_server_t *server)
{
    if (server == NULL) {
        return;
    }

    while (server->clients != NULL) {
        dns_client_close(server->clients);
    }

    loop_fd_remove(server->loop, &server->udp);
    loop_fd_remove(server->loop, &server->tcp);
    close(server->udp.fd);
    close(server->tcp.fd);
    free(server);
}


struct endpoint
dns_server_endpoint(const dns_server_t *server)
{
    struct endpoint endpoint = {server->address, server->port};

    return endpoint;
}
