/*
 * What the nodes tell each other of who reaches whom: a text of bounded size
 * with the reports of some pairs.
 *
 *   base64(version, { network 16, from 16, n 1, n * { to 16, path 1, age 1,
 *          rtt 4, received 8, sent 8 } } ...)
 *
 * Numbers are big-endian, ids the bytes of a UUID, ages seconds.
 */


#ifndef GC_MESH_H
#define GC_MESH_H


#include <stddef.h>
#include <stdint.h>

#include "core/gc_base64.h"
#include "core/gc_paths.h"


#define GC_MESH_BYTES 2850 /* before base64 */
#define GC_MESH_TEXT GC_BASE64_LEN(GC_MESH_BYTES)
#define GC_MESH_PAIRS 75 /* more than a text has */


/*
 * Writes as many reports as fit, in their order, into GC_MESH_TEXT characters
 * of `text`, without a NUL; what is older than GC_PATHS_LIFE is left out.
 * Returns how many were dealt with; *len is 0 if nothing is to be said.
 */
size_t gc_mesh_write(char *text, size_t *len, const gc_path_t *paths, size_t n,
                     int64_t now);

/*
 * Reads a text of anybody's: the number of reports in `paths`, of which there
 * are at most GC_MESH_PAIRS; 0 if anything in it is not as it must be.
 */
size_t gc_mesh_read(const char *text, size_t len, gc_path_t *paths,
                    int64_t now);


#endif /* GC_MESH_H */
