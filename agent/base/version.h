#ifndef GC_BASE_VERSION_H
#define GC_BASE_VERSION_H

#define GOCONNECT_VERSION "0.1.0"

#endif
