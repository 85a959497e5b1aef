#include "base/watchdog.h"

#include "base/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define WATCHDOG_MS_MIN 10
#define WATCHDOG_MS_MAX 600000 /* a longer interval needs no more either */

static struct {
    loop_t *loop;
    loop_timer_t timer;
    int64_t ms;
} watchdog;


static int
watchdog_number(const char *name, unsigned long long *number)
{
    char *end;
    const char *value = getenv(name);

    if (value == NULL || *value < '0' || *value > '9') {
        return -1;
    }

    errno = 0;
    *number = strtoull(value, &end, 10);
    return *end == '\0' && errno == 0 ? 0 : -1;
}


static void
watchdog_tell(void *arg)
{
    (void) arg;

    notify_systemd("WATCHDOG=1");
    loop_timer_set(watchdog.loop, &watchdog.timer, watchdog.ms);
}


void
watchdog_start(loop_t *loop)
{
    unsigned long long usec, pid;

    if (watchdog_number("WATCHDOG_USEC", &usec) == -1 || usec == 0) {
        return;
    }

    /* meant for another process, whose environment this one has */
    if (getenv("WATCHDOG_PID") != NULL &&
        (watchdog_number("WATCHDOG_PID", &pid) == -1 ||
         pid != (unsigned long long) getpid())) {
        return;
    }

    usec /= 2000;
    watchdog.ms = usec > WATCHDOG_MS_MAX ? WATCHDOG_MS_MAX : (int64_t) usec;
    if (watchdog.ms < WATCHDOG_MS_MIN) {
        watchdog.ms = WATCHDOG_MS_MIN;
    }

    watchdog.loop = loop;
    watchdog.timer.fn = watchdog_tell;
    watchdog_tell(NULL);
}
