/* What the files of relay/ know of each other. */


#ifndef NGX_GOCONNECT_RELAY_PRIVATE_H
#define NGX_GOCONNECT_RELAY_PRIVATE_H


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/gc_relay_rules.h"
#include "relay/ngx_goconnect_relay.h"


#define NGX_GOCONNECT_RELAY_SOCKETS 16 /* addresses, each with two ports */
#define NGX_GOCONNECT_RELAY_KEYS 8
#define NGX_GOCONNECT_RELAY_PEERS 10000

/* bytes beside a datagram: which address, how long a train's segments are */
#define NGX_GOCONNECT_RELAY_CONTROL \
    (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)))


/* Of each address the even one has the port, the odd one the port after it. */
typedef struct {
    ngx_uint_t index;
    struct sockaddr_storage address;
    socklen_t length;
} ngx_goconnect_relay_socket_t;


typedef struct ngx_goconnect_relay_shared_s ngx_goconnect_relay_shared_t;


struct ngx_goconnect_relay_conf_s {
    unsigned char id[GC_RELAY_ID];
    ngx_str_t state;
    ngx_str_t key; /* empty: out of goconnect_keys */
    uint32_t peers;
    size_t nkeys;
    gc_relay_key_t keys[NGX_GOCONNECT_RELAY_KEYS];
    ngx_uint_t nsockets;
    ngx_goconnect_relay_socket_t sockets[NGX_GOCONNECT_RELAY_SOCKETS];
    ngx_goconnect_relay_shared_t *shared;
    gc_relay_t *table;
};


/* ngx_goconnect_relay_state.c: the table's file */

/* Maps the state into conf->table; NGX_ERROR is logged. */
ngx_int_t ngx_goconnect_relay_state_map(ngx_conf_t *cf,
                                        ngx_goconnect_relay_conf_t *conf);

/*
 * Takes the table's lock, repaired after whoever died with it.  NGX_BUSY when
 * it cannot be had soon: its holder stands still.
 */
ngx_int_t ngx_goconnect_relay_lock(ngx_goconnect_relay_conf_t *conf);
void ngx_goconnect_relay_unlock(ngx_goconnect_relay_conf_t *conf);


/* ngx_goconnect_relay_send.c: what leaves is gathered and sent at once */

/* This worker's socket of that index. */
void ngx_goconnect_relay_send_init(ngx_uint_t index, ngx_socket_t fd,
                                   int family);

/*
 * data, of segments of that size (0: one datagram), lies there until the next
 * flush.
 */
void ngx_goconnect_relay_send(const gc_relay_address_t *to, void *data,
                              size_t len, size_t segment);

/* Likewise, of what is copied: at most GC_RELAY_OUT bytes. */
void ngx_goconnect_relay_say(const gc_relay_address_t *to, const void *data,
                             size_t len);
void ngx_goconnect_relay_flush(void);

/* Whether two ways are one: remote address, own address and socket. */
int ngx_goconnect_relay_same(const gc_relay_address_t *a,
                             const gc_relay_address_t *b);


/* ngx_goconnect_relay_stun.c */

/* Answers a Binding request, if it is to be answered (RFC 8489, RFC 5780). */
void ngx_goconnect_relay_binding(const ngx_goconnect_relay_conf_t *conf,
                                 const gc_relay_message_t *message,
                                 const gc_relay_address_t *from);


/* ngx_goconnect_relay_packet.c: what is done with what was received */

/* A datagram, or a train of segments of that size. */
void ngx_goconnect_relay_packets(ngx_goconnect_relay_conf_t *conf, u_char *data,
                                 size_t len, size_t segment,
                                 const gc_relay_address_t *from, uint64_t now);

/* What was counted goes to /metrics. */
void ngx_goconnect_relay_count(void);

/* Milliseconds since boot. */
uint64_t ngx_goconnect_relay_now(void);


#endif /* NGX_GOCONNECT_RELAY_PRIVATE_H */
