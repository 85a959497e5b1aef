#define _GNU_SOURCE

#include "os/process.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/process_record.h"

#define PROCESS_LOG_MAX (256 * 1024)


void
process_complaint(const char *state_dir, const char *name, char *text,
                  size_t size)
{
    char path[PATH_MAX], tail[512], *line;
    ssize_t n;
    int fd;

    text[0] = '\0';

    if (!process_path(path, sizeof(path), state_dir, name, PROCESS_LOG)) {
        return;
    }

    fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return;
    }

    (void) lseek(fd, -(off_t) (sizeof(tail) - 1), SEEK_END);
    n = read(fd, tail, sizeof(tail) - 1);
    (void) close(fd);

    if (n <= 0) {
        return;
    }

    tail[n] = '\0';

    if (tail[n - 1] == '\n') {
        tail[n - 1] = '\0';
    }

    line = strrchr(tail, '\n');
    (void) snprintf(text, size, "%s", line != NULL ? line + 1 : tail);
}


void
process_trim_log(const char *state_dir, const char *name)
{
    char path[PATH_MAX];
    struct stat info;

    if (process_path(path, sizeof(path), state_dir, name, PROCESS_LOG) &&
        stat(path, &info) == 0 && info.st_size > PROCESS_LOG_MAX) {
        /* it appends, so that it goes on at the new end */
        if (truncate(path, 0) != 0) {
            return; /* the next look tries again */
        }
    }
}
