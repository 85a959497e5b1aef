#ifndef GC_LINK_DNS_SERVER_H
#define GC_LINK_DNS_SERVER_H

#include "base/loop.h"
#include "plan/address.h"

#include <stddef.h>
#include <stdint.h>

/*
 * DNS by UDP and TCP on one address of this machine, for this machine alone:
 * what comes from elsewhere is dropped unanswered. Messages are at most
 * DNS_SERVER_MAX bytes, connections at most DNS_SERVER_CLIENTS.
 */
typedef struct dns_server dns_server_t;

#define DNS_SERVER_MAX 512
#define DNS_SERVER_CLIENTS 8

/* The length of the answer, 0: none. */
typedef size_t (*dns_server_answer_pt)(void *arg, const uint8_t *query,
                                       size_t length,
                                       uint8_t answer[DNS_SERVER_MAX]);


/* Port 53 if it can be had, else one that is free. NULL with err. */
dns_server_t *dns_server_open(loop_t *loop, const struct address *address,
                              dns_server_answer_pt answer, void *arg,
                              err_t *err);

/* NULL is fine. */
void dns_server_close(dns_server_t *server);

struct endpoint dns_server_endpoint(const dns_server_t *server);

#endif
