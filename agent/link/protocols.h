#ifndef GC_LINK_PROTOCOLS_H
#define GC_LINK_PROTOCOLS_H

#include "base/err.h"
#include "link/url.h"

#include <libwebsockets.h>

#define LINK_PROTOCOL_HTTP "goconnect-http"
#define LINK_PROTOCOL_SOCKET "goconnect-socket"

/* For loop_create(): HTTP requests and WebSockets. */
/*
 * Begins what a connection belongs to. One that fails at once, as without a
 * route, is told by the first protocol's callback, whichever it is for.
 */
typedef struct {
    lws_callback_function *callback;
} link_owner_t;

extern const struct lws_protocols link_protocols[];

int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                  void *in, size_t len);
int socket_callback(struct lws *wsi, enum lws_callback_reasons reason,
                    void *user, void *in, size_t len);

/*
 * What both kinds of connection have in common: numeric address, the name
 * for Host, SNI and the certificate. The caller adds the rest.
 */
void link_connect_info(struct lws_client_connect_info *info,
                       struct lws_context *context, struct lws_vhost *vhost,
                       const url_t *url, const char *address);

/*
 * Says why a connection could not be made: code "tls", "refused" or
 * "unreachable", from libwebsockets' words (in, len bytes, may be NULL).
 */
void link_error(err_t *err, const url_t *url, const char *address,
                const char *in, size_t len);

/* Ends a connection from outside its callback. */
void link_kill(struct lws *wsi);

#endif
