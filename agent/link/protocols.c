#include "link/protocols.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* What is read at once; a frame or body is put together from pieces. */
#define LINK_RX 16384

const struct lws_protocols link_protocols[] = {
    {LINK_PROTOCOL_HTTP, http_callback, 0, LINK_RX, 0, NULL, 0},
    {LINK_PROTOCOL_SOCKET, socket_callback, 0, LINK_RX, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};


void
link_connect_info(struct lws_client_connect_info *info,
                  struct lws_context *context, struct lws_vhost *vhost,
                  const url_t *url, const char *address)
{
    memset(info, 0, sizeof(*info));

    info->context = context;
    info->vhost = vhost;
    info->address = address;
    info->port = url->port;
    info->host = url->authority;
    info->alpn = "http/1.1";

    if (url->tls) {
        info->ssl_connection = LCCSCF_USE_SSL;
    }
}


void
link_error(err_t *err, const url_t *url, const char *address, const char *in,
           size_t len)
{
    char words[160];

    snprintf(words, sizeof(words), "%.*s", in == NULL ? 0 : (int) len,
             in == NULL ? "" : in);

    if (url->tls &&
        (strstr(words, "cert") != NULL || strstr(words, "tls") != NULL ||
         strstr(words, "SSL") != NULL || strstr(words, "X509") != NULL)) {
        err_set(err, "tls", "no trusted TLS connection to %.120s: %s",
                url->text, words);

    } else {
        err_set(err, "unreachable", "cannot connect to %.120s (%.47s)%s%s",
                url->text, address, words[0] != '\0' ? ": " : "", words);
    }
}


void
link_kill(struct lws *wsi)
{
    lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}
