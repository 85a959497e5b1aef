#ifndef GC_BASE_VERSION_H
#define GC_BASE_VERSION_H

#include "core/gc_version.h"

#define GOCONNECT_VERSION GC_VERSION

#endif
