#ifndef GC_RULE_H
#define GC_RULE_H

#include <stddef.h>

/* The longest: "peer:" and a UUID, or "tag:" and a DNS label */
#define GC_RULE_SELECTOR_MAX 67

/*
 * Whether text says whom a firewall rule is about: "any", "role:ROLE",
 * "tag:LABEL", "peer:UUID", an address or an address range.
 */
int gc_rule_selector_valid(const char *text, size_t len);

#endif
