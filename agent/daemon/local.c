#define _GNU_SOURCE /* accept4, explicit_bzero */

#include "daemon/local.h"

#include "base/log.h"
#include "daemon/local_parts.h"
#include "link/protocols.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOCAL_PORT_FIRST 12000
#define LOCAL_PORT_LAST 13000
#define LOCAL_REQUEST_MS 10000 /* for all of a request to be here */

static const struct lws_protocols local_protocols[] = {
    {"goconnect-local", local_callback, 0, 0, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};


static void
local_expired(void *arg)
{
    local_client_t *client = arg;

    link_kill(client->wsi);
}


static void
local_busy(int fd)
{
    static const char text[] =
        "HTTP/1.1 503 Service Unavailable\r\n"
        "content-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n";

    (void) send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}


static void
local_accept(void *arg, uint32_t events)
{
    local_t *local = arg;
    local_client_t *client;
    int fd;

    (void) events;
    fd = accept4(local->io.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd == -1) {
        return;
    }

    client = local->count < LOCAL_CLIENTS ? calloc(1, sizeof(*client)) : NULL;

    if (client == NULL) {
        local_busy(fd);
        return;
    }

    client->local = local;
    client->wsi = lws_adopt_socket_vhost(local->vhost, fd);

    if (client->wsi == NULL) {
        free(client); /* libwebsockets has closed it */
        return;
    }

    lws_set_opaque_user_data(client->wsi, client);
    client->next = local->clients;
    local->clients = client;
    local->count++;
    client->deadline.fn = local_expired;
    client->deadline.arg = client;
    loop_timer_set(local->daemon->loop, &client->deadline, LOCAL_REQUEST_MS);
}


/* The first port of the range that is free; -1 with err. */
static int
local_listen(local_t *local, err_t *err)
{
    struct sockaddr_in address;
    int fd;
    unsigned port;

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    for (port = LOCAL_PORT_FIRST; port <= LOCAL_PORT_LAST; port++) {
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd == -1) {
            break;
        }

        /* else what is left of closed connections would move us on */
        (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        address.sin_port = htons((uint16_t) port);

        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0 &&
            listen(fd, LOCAL_CLIENTS) == 0) {
            local->port = (uint16_t) port;
            return fd;
        }

        close(fd);

        if (errno != EADDRINUSE && errno != EACCES) {
            break;
        }
    }

    return err_errno(err, "no_socket",
                     "cannot listen at 127.0.0.1, on no port of %d to %d",
                     LOCAL_PORT_FIRST, LOCAL_PORT_LAST);
}


/* One for the life of the loop: libwebsockets forgets none before. */
static struct lws_vhost *
local_vhost(struct lws_context *context)
{
    struct lws_context_creation_info info;
    struct lws_vhost *vhost = lws_get_vhost_by_name(context, "local");

    if (vhost != NULL) {
        return vhost;
    }

    memset(&info, 0, sizeof(info));
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.vhost_name = "local";
    info.protocols = local_protocols;
    info.options = LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS; /* no client */
    info.gid = -1;
    info.uid = -1;
    return lws_create_vhost(context, &info);
}


static int
local_open(local_t *local, err_t *err)
{
    loop_t *loop = local->daemon->loop;

    if (local_token(local->daemon->config->state, local->token, err) == -1) {
        return -1;
    }

    local->vhost = local_vhost(loop_context(loop));

    if (local->vhost == NULL) {
        return err_set(err, "no_memory", "out of memory");
    }

    local->io.fd = local_listen(local, err);

    if (local->io.fd == -1) {
        return -1;
    }

    local->io.fn = local_accept;
    local->io.arg = local;

    if (loop_fd_add(loop, &local->io, EPOLLIN) == -1) {
        close(local->io.fd);
        return err_errno(err, "no_socket", "cannot watch a socket");
    }

    return 0;
}


static void
local_free(local_t *local)
{
    explicit_bzero(local->token, sizeof(local->token));
    free(local);
}


void
local_sync(daemon_t *daemon)
{
    err_t err;
    local_t *local;

    if (!daemon->config->local_api) {
        local_stop(daemon);
        daemon->local_problem[0] = '\0';
        return;
    }

    if (daemon->local != NULL) {
        return;
    }

    local = calloc(1, sizeof(*local));

    if (local == NULL) {
        log_error("the local API: out of memory");
        return;
    }

    local->daemon = daemon;

    if (local_open(local, &err) == -1) {
        log_error("the local API is not there: %s", err.text);
        snprintf(daemon->local_problem, sizeof(daemon->local_problem), "%.190s",
                 err.text);
        local_free(local);
        return;
    }

    daemon->local_problem[0] = '\0';
    daemon->local = local;
    log_info("the local API is at http://127.0.0.1:%u", local->port);
}


void
local_stop(daemon_t *daemon)
{
    local_t *local = daemon->local;
    local_client_t *client;

    if (local == NULL) {
        return;
    }

    daemon->local = NULL;
    loop_fd_remove(daemon->loop, &local->io);
    close(local->io.fd);

    while (local->clients != NULL) {
        client = local->clients;
        local->clients = client->next;
        loop_timer_cancel(&client->deadline);

        if (client->call != NULL) {
            control_call_abandon(client->call);
        }

        lws_set_opaque_user_data(client->wsi, NULL);
        link_kill(client->wsi);
        free(client->out);
        free(client);
    }

    local_free(local);
}


json_t *
local_describe(const daemon_t *daemon, err_t *err)
{
    char url[128];
    const local_t *local = daemon->local;

    if (local == NULL) {
        err_set(err, "local_off", "%s%s",
                daemon->local_problem[0] != '\0'
                    ? "the local API is not there: "
                    : "the local API is off: put \"local-api = on\" into "
                      "goconnectd.conf and run \"goconnect reload\"",
                daemon->local_problem);
        return NULL;
    }

    snprintf(url, sizeof(url), "http://127.0.0.1:%u/#%s", local->port,
             local->token);
    return json_pack("{s:s, s:i}", "url", url, "port", (int) local->port);
}
