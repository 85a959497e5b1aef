/* Who may use the local API: whoever knows what is in this file. */

#define _GNU_SOURCE /* explicit_bzero */

#include "daemon/local_parts.h"

#include "base/log.h"
#include "core/gc_base64.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCAL_TOKEN_FILE "local-token"
#define LOCAL_GROUP "goconnect"


/* Ours alone to write, the group's to read. */
static int
local_token_guard(int fd)
{
    struct group *group = getgrnam(LOCAL_GROUP);

    if (group != NULL && fchown(fd, (uid_t) -1, group->gr_gid) == -1) {
        return -1;
    }

    return fchmod(fd, 0640);
}


/* 0, or -1: there is none, or it is none. */
static int
local_token_read(const char *path, char token[LOCAL_TOKEN_SIZE])
{
    char text[LOCAL_TOKEN_SIZE + 1]; /* a newline, and room for too much */
    unsigned char key[32];
    int fd, rc = -1;
    ssize_t n;
    struct stat st;

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd == -1) {
        if (errno != ENOENT) {
            log_warn("cannot read %s: %s; it is made anew", path,
                     strerror(errno));
        }

        return -1;
    }

    n = read(fd, text, sizeof(text));

    if (n == LOCAL_TOKEN_SIZE && text[n - 1] == '\n' &&
        gc_base64url_decode(key, sizeof(key), text, LOCAL_TOKEN_SIZE - 1) ==
            0 &&
        fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
        local_token_guard(fd) == 0) {
        memcpy(token, text, LOCAL_TOKEN_SIZE - 1);
        token[LOCAL_TOKEN_SIZE - 1] = '\0';
        rc = 0;

    } else {
        log_warn("%s holds no token; it is made anew", path);
    }

    explicit_bzero(text, sizeof(text));
    explicit_bzero(key, sizeof(key));
    close(fd);
    return rc;
}


static int
local_token_write(const char *path, const char token[LOCAL_TOKEN_SIZE],
                  err_t *err)
{
    char beside[PATH_MAX], line[LOCAL_TOKEN_SIZE + 1];
    int fd, failed;

    snprintf(beside, sizeof(beside), "%.4080s.new", path);
    snprintf(line, sizeof(line), "%s\n", token);
    (void) unlink(beside);
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
              0600);

    if (fd == -1) {
        return err_errno(err, "no_write", "cannot write %s", beside);
    }

    failed = write(fd, line, LOCAL_TOKEN_SIZE) != LOCAL_TOKEN_SIZE ||
             local_token_guard(fd) == -1 || fsync(fd) == -1 ||
             rename(beside, path) == -1;

    if (failed) {
        err_errno(err, "no_write", "cannot write %s", path);
        (void) unlink(beside);
    }

    explicit_bzero(line, sizeof(line));
    close(fd);
    return failed ? -1 : 0;
}


int
local_token(const char *folder, char token[LOCAL_TOKEN_SIZE], err_t *err)
{
    char path[PATH_MAX];
    unsigned char key[32];

    if (snprintf(path, sizeof(path), "%s/" LOCAL_TOKEN_FILE, folder) >=
        (int) sizeof(path)) {
        return err_set(err, "bad_path", "the state folder's path is too long");
    }

    if (local_token_read(path, token) == 0) {
        return 0;
    }

    if (getrandom(key, sizeof(key), 0) != (ssize_t) sizeof(key)) {
        return err_errno(err, "failed", "no random bytes");
    }

    gc_base64url_encode(token, key, sizeof(key));
    token[LOCAL_TOKEN_SIZE - 1] = '\0';
    explicit_bzero(key, sizeof(key));
    return local_token_write(path, token, err);
}
