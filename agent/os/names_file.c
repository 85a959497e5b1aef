#include "os/names_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan/names.h"

#define NAMES_FILE_MAX (64 * 1024 * 1024)


static int
names_file_failed(struct error *error, const char *what, const char *path)
{
    return error_set(error, ERROR_SYSTEM, "cannot %s %.100s: %s", what, path,
                     strerror(errno));
}


static int
names_file_fill(int fd, const char *text)
{
    size_t length = strlen(text);
    ssize_t n;

    while (length > 0) {
        n = write(fd, text, length);

        if (n == -1 && errno != EINTR) {
            return -1;
        }

        if (n > 0) {
            text += n;
            length -= (size_t) n;
        }
    }

    return fsync(fd);
}


/* Beside its place, synced, renamed: -1 with errno. */
static int
names_file_replace(const char *path, const char *text, const struct stat *like)
{
    char beside[PATH_MAX];
    int fd, saved;

    if (snprintf(beside, sizeof(beside), "%s.goconnect-new", path) >=
        (int) sizeof(beside)) {
        errno = ENAMETOOLONG;
        return -1;
    }

    (void) unlink(beside);
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
              0600);

    if (fd == -1) {
        return -1;
    }

    if (fchown(fd, like->st_uid, like->st_gid) == -1 ||
        fchmod(fd, like->st_mode & 0777) == -1 ||
        names_file_fill(fd, text) == -1 || rename(beside, path) == -1) {
        saved = errno;
        (void) close(fd);
        (void) unlink(beside);
        errno = saved;
        return -1;
    }

    (void) close(fd);

    return 0;
}


int
names_file_table(const char *path, const char *table, struct error *error)
{
    struct stat like;

    if (*table == '\0') {
        return unlink(path) == 0 || errno == ENOENT
                   ? 0
                   : names_file_failed(error, "remove", path);
    }

    memset(&like, 0, sizeof(like));
    like.st_mode = 0644;
    like.st_uid = geteuid();
    like.st_gid = getegid();

    return names_file_replace(path, table, &like) == 0
               ? 0
               : names_file_failed(error, "write", path);
}


char *
names_file_read(const char *path)
{
    struct stat st;
    char *text;
    size_t used;
    ssize_t n;
    int fd;

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd == -1) {
        return NULL;
    }

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
        st.st_size > NAMES_FILE_MAX ||
        (text = malloc((size_t) st.st_size + 1)) == NULL) {
        (void) close(fd);
        errno = EFBIG;
        return NULL;
    }

    used = 0;

    while (used < (size_t) st.st_size &&
           (n = read(fd, text + used, (size_t) st.st_size - used)) > 0) {
        used += (size_t) n;
    }

    (void) close(fd);
    text[used] = '\0';

    return text;
}


/* A file that is mounted there (a container's) cannot be renamed over. */
static int
names_file_overwrite(const char *path, const char *text)
{
    int fd, rc;

    fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd == -1) {
        return -1;
    }

    rc = ftruncate(fd, 0) == 0 ? names_file_fill(fd, text) : -1;
    (void) close(fd);

    return rc;
}


/* Writes the hosts file at path, which has no links in it. */
static int
names_file_lines(const char *path, const char *before, const char *text)
{
    struct stat like;

    if (strcmp(before, text) == 0) {
        return 0;
    }

    if (stat(path, &like) == -1) {
        return -1;
    }

    if (names_file_replace(path, text, &like) == 0) {
        return 0;
    }

    return errno == EBUSY ? names_file_overwrite(path, text) : -1;
}


int
names_file_hosts(const char *table, struct error *error)
{
    char path[PATH_MAX], *before, *after;
    int rc;

    if (realpath(NAMES_FILE_HOSTS, path) == NULL) {
        return *table == '\0' && errno == ENOENT
                   ? 0
                   : names_file_failed(error, "find", NAMES_FILE_HOSTS);
    }

    before = names_file_read(path);

    if (before == NULL) {
        return names_file_failed(error, "read", path);
    }

    after = names_merge(before, table);

    if (after == NULL) {
        free(before);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    rc = names_file_lines(path, before, after);

    if (rc != 0) {
        (void) names_file_failed(error, "write", path);
    }

    free(before);
    free(after);

    return rc;
}
