/*
 * One WebSocket of the load client: connecting, the handshake, what it
 * subscribes to and how far it has come.
 */


#ifndef LOAD_SOCKET_H
#define LOAD_SOCKET_H


#include <openssl/ssl.h>

#include "core/gc_ws_frame.h"
#include "load.h"


#define SOCKET_TOPICS_MAX 4


typedef enum {
    SOCKET_CLOSED = 0, /* `due` says when to connect, 0: never */
    SOCKET_UPGRADING,  /* the request is on its way */
    SOCKET_HELLO,      /* the first frame is awaited */
    SOCKET_CATCHING,   /* subscribed, what was missed is on its way */
    SOCKET_IN_STEP
} socket_state_e;


typedef struct {
    char *name;
    int64_t seq;      /* of the last event, -1: none was seen */
    int64_t told;     /* what the answer to subscribe says */
    unsigned map : 1; /* a device's network: the first answer is a netmap */
    unsigned map_due : 1;
} socket_topic_t;


typedef struct {
    int fd;
    SSL *ssl;
    socket_state_e state;
    char *path; /* of the request, with its query */
    socket_topic_t topics[SOCKET_TOPICS_MAX];
    size_t ntopics; /* 0: in step after the 101 */
    gc_ws_parser_t parser;
    char *message; /* that came in pieces, so far */
    size_t len;
    char *out; /* to be sent, then from `sent` on */
    size_t out_len;
    size_t sent;
    int64_t due;
    uint32_t armed;      /* what epoll waits for */
    unsigned raw : 1;    /* no WebSocket: in step when connected */
    unsigned marked : 1; /* the marker was seen */
} socket_t;


/* what a socket tells of, for whoever counts; text is good until it returns */
typedef struct {
    void (*frame)(socket_t *s, const char *text, size_t len);
    void (*event)(socket_t *s, socket_topic_t *topic);
} socket_watch_t;


typedef struct {
    struct sockaddr_storage address;
    socklen_t address_len;
    SSL_CTX *tls; /* NULL: none */
    int epoll;
    socket_watch_t watch;
    size_t in_step;
    size_t failed; /* connections that came to nothing, tried again */
    char why[128]; /* the last of them */
} socket_net_t;


/*
 * line: PATH [TOPIC,TOPIC...], `*` before a topic: it begins with a netmap;
 * `=SEQ` behind it: that was seen, what came since is replayed
 */
void socket_init(socket_t *s, char *line);
void socket_connect(socket_net_t *net, socket_t *s);
void socket_ready(socket_net_t *net, socket_t *s, uint32_t events);

/* without a word */
void socket_drop(socket_net_t *net, socket_t *s);


#endif /* LOAD_SOCKET_H */
