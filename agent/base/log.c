#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE 1024

static const struct {
    const char *name;
    int priority; /* RFC 5424, 6.2.1 */
} log_levels[] = {
    {"error", 3},
    {"warn", 4},
    {"info", 6},
    {"debug", 7},
};

static log_level_t log_max = LOG_LEVEL_INFO;
static int log_journal;


/*
 * JOURNAL_STREAM is DEVICE:INODE of the journal's stream (systemd.exec(5)); a
 * service's standard error may have been led elsewhere since.
 */
static int
log_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    unsigned long long device, inode;

    return stream != NULL && fstat(STDERR_FILENO, &st) == 0 &&
           sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           device == st.st_dev && inode == st.st_ino;
}


void
log_init(log_level_t max)
{
    log_max = max;
    log_journal = log_is_journal();
}


int
log_level_parse(const char *name, log_level_t *level)
{
    unsigned i;

    for (i = 0; i < sizeof(log_levels) / sizeof(log_levels[0]); i++) {
        if (strcmp(name, log_levels[i].name) == 0) {
            *level = (log_level_t) i;
            return 0;
        }
    }

    return -1;
}


/* What came from outside may hold control characters: a line stays a line. */
static void
log_clean(char *line)
{
    for (; *line != '\0'; line++) {
        if ((unsigned char) *line < 0x20 || *line == 0x7f) {
            *line = ' ';
        }
    }
}


static size_t
log_prefix(char *line, size_t size, log_level_t level)
{
    struct timespec now;
    struct tm tm;
    size_t n;

    if (log_journal) {
        return (size_t) snprintf(line, size, "<%d>",
                                 log_levels[level].priority);
    }

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t) snprintf(line + n, size - n,
                           ".%03ldZ %s: ", now.tv_nsec / 1000000,
                           log_levels[level].name);
    return n;
}


void
log_write(log_level_t level, const char *format, ...)
{
    char line[LOG_LINE];
    size_t n;
    va_list args;

    if (level > log_max) {
        return;
    }

    n = log_prefix(line, sizeof(line) - 1, level);

    va_start(args, format);
    vsnprintf(line + n, sizeof(line) - 1 - n, format, args);
    va_end(args);

    log_clean(line);
    n = strlen(line);
    line[n++] = '\n';

    if (write(STDERR_FILENO, line, n) < 0) {
        return; /* nowhere left to say so */
    }
}
