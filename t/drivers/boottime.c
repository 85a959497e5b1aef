/*
 * A machine that can be put to sleep: preloaded, CLOCK_BOOTTIME is ahead by as
 * many seconds as the file named by BOOTTIME_AHEAD says, while all other clocks
 * go on.  That is what a program sees after a suspend.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>


int
clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    const char *name;
    FILE *file;
    long ahead = 0;
    int rc;

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "clock_gettime");
    }

    rc = real(clock, now);
    name = getenv("BOOTTIME_AHEAD");

    if (rc == 0 && clock == CLOCK_BOOTTIME && name != NULL) {
        file = fopen(name, "re");

        if (file != NULL) {
            if (fscanf(file, "%ld", &ahead) == 1) {
                now->tv_sec += ahead;
            }

            fclose(file);
        }
    }

    return rc;
}
