#ifndef GC_ENDPOINT_H
#define GC_ENDPOINT_H

#include <stddef.h>

/* The longest "[ADDRESS]:PORT" */
#define GC_ENDPOINT_MAX 54

/*
 * Whether text is "ADDRESS:PORT" or "[ADDRESS]:PORT" with a numeric address
 * that a peer can be reached at (neither unspecified nor multicast) and a
 * port from 1 to 65535.
 */
int gc_endpoint_valid(const char *text, size_t len);

#endif
