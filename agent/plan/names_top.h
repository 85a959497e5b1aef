/*
 * The top level of the world's names: what must not be shadowed by a name
 * that somebody in a network chose.  Pure.
 */

#ifndef PLAN_NAMES_TOP_H
#define PLAN_NAMES_TOP_H

#include <stdbool.h>

/* Whether the label (lower case) is, or may become, a top-level domain. */
bool names_top(const char *label);

#endif
