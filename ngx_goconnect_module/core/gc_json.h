#ifndef GC_JSON_H
#define GC_JSON_H

#include <stddef.h>

/*
 * How deep arrays and objects nest in len bytes that claim to be JSON,
 * without building anything: it is asked before a parser that recurses sees
 * the text. Never less than what a parser would find.
 */
size_t gc_json_depth(const void *text, size_t len);

#endif
