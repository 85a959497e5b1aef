/*
 * A name server for one network's names and the reverse of its addresses, as
 * bytes in and bytes out: RFC 1035, with negative answers (RFC 2308), EDNS
 * (RFC 6891) and ANY kept small (RFC 8482).  What is not the network's is
 * refused.  Pure.
 */

#ifndef PLAN_DNS_H
#define PLAN_DNS_H

#include <stddef.h>
#include <stdint.h>

#include "plan/netmap.h"

/*
 * An answer is one record at most and always fits: RFC 1035, 2.3.4.  So none
 * is ever truncated.
 */
#define DNS_ANSWER_MAX 512
#define DNS_QUERY_MAX 512

/* Names change with the netmap: nobody shall keep them for long. */
#define DNS_TTL 10

/*
 * Answers a message.  Returns the length of the answer, 0: none is due (it is
 * no query, or too short to be answered).
 */
size_t dns_answer(const struct netmap *map, const uint8_t *query, size_t length,
                  uint8_t answer[DNS_ANSWER_MAX]);

#endif
