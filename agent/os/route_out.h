/* Which way this device sends what is for a range of addresses. */

#ifndef OS_ROUTE_OUT_H
#define OS_ROUTE_OUT_H

#include "plan/actual.h"
#include "plan/error.h"

/*
 * The interface that leads to the prefix or, of length 0, to the internet:
 * what the kernel answers for an address of it.  0, or -1 with *error when
 * there is none.
 */
int route_out(const struct prefix *prefix, char name[ACTUAL_NAME_SIZE],
              struct error *error);

#endif
