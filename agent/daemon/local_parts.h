#ifndef GC_DAEMON_LOCAL_PARTS_H
#define GC_DAEMON_LOCAL_PARTS_H

#include "daemon/local.h"

#define LOCAL_TOKEN_SIZE 44 /* 256 bits in base64url, and a NUL */
#define LOCAL_CLIENTS 16
#define LOCAL_BODY_MAX 4096

typedef struct local local_t;
typedef struct local_client local_client_t;

struct local {
    daemon_t *daemon;
    loop_fd_t io;
    uint16_t port;
    char token[LOCAL_TOKEN_SIZE];
    struct lws_vhost *vhost;
    local_client_t *clients;
    unsigned count;
};

/* A connection: one request, one answer. Owned by its local. */
struct local_client {
    local_t *local;
    local_client_t *next;
    struct lws *wsi;
    loop_timer_t deadline;
    control_call_t *call;
    const char *command; /* constant text */
    char in[LOCAL_BODY_MAX + 1];
    size_t in_len;
    size_t in_due; /* Content-Length */
    int status;    /* of a refusal that waits for the request's end */
    unsigned char *out;
    size_t out_len;
    size_t out_sent;
};

/* A file of the page, as it was when goconnectd was built. */
typedef struct {
    const char *path;
    const char *type;
    const unsigned char *data;
    const unsigned char *end;
} local_file_t;


/* local_http.c: libwebsockets' callback for the connections. */
int local_callback(struct lws *wsi, enum lws_callback_reasons reason,
                   void *user, void *in, size_t len);

/* local_answer.c */
void local_refuse(local_client_t *client, int status);
void local_send_json(local_client_t *client, int status, const json_t *json);
void local_send_file(local_client_t *client, const local_file_t *file);

/* Some of what is left. 0, 1: all is sent, -1: the connection is gone. */
int local_send_more(local_client_t *client);

/* local_page.c: NULL if there is no such file. */
const local_file_t *local_file(const char *path);

/* local_token.c: from folder, or made there. -1 with err. */
int local_token(const char *folder, char token[LOCAL_TOKEN_SIZE], err_t *err);

#endif
