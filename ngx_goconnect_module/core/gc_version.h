#ifndef GC_VERSION_H
#define GC_VERSION_H

/* The release, of the module and of the agent */
#define GC_VERSION "0.1.0"

/* The version of docs/protocol.md that both speak */
#define GC_PROTOCOL_VERSION 1

#endif
