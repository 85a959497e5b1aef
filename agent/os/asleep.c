#include "os/asleep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* The two clocks are read one after the other; that is no sleep. */
#define ASLEEP_LEAST_MS 500

/* Far away: it is there to be cancelled (timerfd_create(2)). */
#define ASLEEP_NEVER_S (int64_t) 0x7fffffff


struct asleep {
    int fd;
    int64_t ahead_ms; /* of CLOCK_MONOTONIC, as last seen */
};


static int64_t
asleep_clock(clockid_t clock)
{
    struct timespec now;

    (void) clock_gettime(clock, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


static int64_t
asleep_ahead(void)
{
    return asleep_clock(CLOCK_BOOTTIME) - asleep_clock(CLOCK_MONOTONIC);
}


static int
asleep_arm(const struct asleep *asleep)
{
    static const struct itimerspec never = {.it_value = {ASLEEP_NEVER_S, 0}};

    return timerfd_settime(
        asleep->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}


struct asleep *
asleep_open(struct error *error)
{
    struct asleep *asleep;

    asleep = calloc(1, sizeof(*asleep));

    if (asleep == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    asleep->ahead_ms = asleep_ahead();
    asleep->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);

    if (asleep->fd == -1 || asleep_arm(asleep) != 0) {
        (void) error_set(error, ERROR_SYSTEM, "timerfd: %s", strerror(errno));
        asleep_close(asleep);
        return NULL;
    }

    return asleep;
}


void
asleep_close(struct asleep *asleep)
{
    if (asleep == NULL) {
        return;
    }

    if (asleep->fd != -1) {
        (void) close(asleep->fd);
    }

    free(asleep);
}


int
asleep_fd(const struct asleep *asleep)
{
    return asleep->fd;
}


int64_t
asleep_ms(struct asleep *asleep)
{
    uint64_t times;
    int64_t ahead, slept;

    /* ECANCELED: the clock was set.  It has to be armed anew then. */
    if (read(asleep->fd, &times, sizeof(times)) != -1 || errno == ECANCELED) {
        (void) asleep_arm(asleep);
    }

    ahead = asleep_ahead();
    slept = ahead - asleep->ahead_ms;
    asleep->ahead_ms = ahead;

    return slept >= ASLEEP_LEAST_MS ? slept : 0;
}
