#ifndef GC_BASE_JSON_MEMORY_H
#define GC_BASE_JSON_MEMORY_H

/*
 * Tells a document that is none from one for which memory was out: jansson
 * calls both a syntax error.
 */

/* Before anything of jansson's. */
void json_memory_init(void);

/* Whether memory was out for jansson since this was asked last. */
int json_memory_was_out(void);

#endif
