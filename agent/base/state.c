#define _GNU_SOURCE /* explicit_bzero */

#include "base/state.h"

#include "base/json_memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>


static int
state_path(char *path, const char *folder, const char *name, const char *suffix,
           err_t *err)
{
    int n = snprintf(path, PATH_MAX, "%s/%s%s", folder, name, suffix);

    if (n < 0 || n >= PATH_MAX) {
        return err_set(err, "bad_path", "%s is too long a path", folder);
    }

    return 0;
}


int
state_folder(const char *path, err_t *err)
{
    char part[PATH_MAX];
    char *slash;

    if (strlen(path) >= sizeof(part) || path[0] == '\0') {
        return err_set(err, "bad_path", "not a usable path: \"%.100s\"", path);
    }

    strcpy(part, path);

    for (slash = strchr(part + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';

        if (mkdir(part, 0755) == -1 && errno != EEXIST) {
            return err_errno(err, "no_folder", "cannot make %s", part);
        }

        *slash = '/';
    }

    if (mkdir(part, 0700) == -1 && errno != EEXIST) {
        return err_errno(err, "no_folder", "cannot make %s", part);
    }

    if (access(part, R_OK | W_OK | X_OK) == -1) {
        return err_errno(err, "no_folder", "cannot write in %s", part);
    }

    return 0;
}


static int
state_lock_open(const char *folder, const char *name, err_t *err)
{
    char path[PATH_MAX];
    int fd;

    if (state_path(path, folder, name, "", err) == -1) {
        return -1;
    }

    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd == -1) {
        return err_errno(err, "no_lock", "cannot open %s", path);
    }

    return fd;
}


int
state_lock(const char *folder, const char *name, err_t *err)
{
    char pid[24];
    int fd;
    ssize_t n;

    fd = state_lock_open(folder, name, err);
    if (fd == -1) {
        return -1;
    }

    if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
        n = pread(fd, pid, sizeof(pid) - 1, 0);
        pid[n > 0 ? n : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        close(fd);

        return err_set(err, "locked",
                       "another goconnectd (process %s) works in %s",
                       pid[0] != '\0' ? pid : "unknown", folder);
    }

    n = snprintf(pid, sizeof(pid), "%ld\n", (long) getpid());

    if (ftruncate(fd, 0) == -1 || pwrite(fd, pid, (size_t) n, 0) != n) {
        err_errno(err, "no_lock", "cannot write %s/%s", folder, name);
        close(fd);
        return -1;
    }

    return fd;
}


int
state_lock_wait(const char *folder, const char *name, err_t *err)
{
    int fd = state_lock_open(folder, name, err);

    if (fd == -1) {
        return -1;
    }

    while (flock(fd, LOCK_EX) == -1) {
        if (errno != EINTR) {
            err_errno(err, "no_lock", "cannot lock %s/%s", folder, name);
            close(fd);
            return -1;
        }
    }

    return fd;
}


static int
state_write_all(int fd, const char *data, size_t len)
{
    ssize_t n;

    while (len > 0) {
        n = write(fd, data, len);

        if (n == -1 && errno != EINTR) {
            return -1;
        }

        if (n > 0) {
            data += n;
            len -= (size_t) n;
        }
    }

    return 0;
}


static int
state_sync_folder(const char *folder)
{
    int fd, rc;

    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1) {
        return -1;
    }

    rc = fsync(fd);
    close(fd);
    return rc;
}


static int
state_write_file(const char *path, const char *text, err_t *err)
{
    int fd, failed;

    fd =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd == -1) {
        return err_errno(err, "no_write", "cannot write %s", path);
    }

    failed = fchmod(fd, 0600) == -1 ||
             state_write_all(fd, text, strlen(text)) == -1 ||
             state_write_all(fd, "\n", 1) == -1 || fsync(fd) == -1;

    if (failed) {
        err_errno(err, "no_write", "cannot write %s", path);
    }

    close(fd);
    return failed ? -1 : 0;
}


int
state_write(const char *folder, const char *name, const json_t *document,
            err_t *err)
{
    char path[PATH_MAX], beside[PATH_MAX];
    char *text;
    int rc;

    if (state_path(path, folder, name, ".json", err) == -1 ||
        state_path(beside, folder, name, ".json.new", err) == -1) {
        return -1;
    }

    /* it may lack what there was no memory for */
    text = json_memory_was_out() ? NULL : json_dumps(document, JSON_COMPACT);
    if (text == NULL) {
        return err_set(err, "no_memory", "out of memory");
    }

    rc = state_write_file(beside, text, err);

    explicit_bzero(text, strlen(text));
    free(text);

    if (rc == -1) {
        (void) unlink(beside);
        return -1;
    }

    if (rename(beside, path) == -1 || state_sync_folder(folder) == -1) {
        return err_errno(err, "no_write", "cannot write %s", path);
    }

    return 0;
}


static char *
state_slurp(const char *path, size_t *len, err_t *err)
{
    char *text = NULL;
    int fd;
    size_t size, used = 0;
    ssize_t n;
    struct stat st;

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd == -1) {
        err_errno(err, errno == ENOENT ? "absent" : "unreadable",
                  "cannot read %s", path);
        return NULL;
    }

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
        st.st_size > STATE_MAX) {
        err_set(err, "unreadable", "%s is not a file of at most %d bytes", path,
                STATE_MAX);
        close(fd);
        return NULL;
    }

    size = (size_t) st.st_size;
    text = malloc(size + 1);

    while (text != NULL && used < size) {
        n = read(fd, text + used, size - used);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            err_errno(err, "unreadable", "cannot read %s", path);
            free(text);
            close(fd);
            return NULL;
        }

        if (n == 0) {
            break;
        }

        used += (size_t) n;
    }

    close(fd);

    if (text == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    *len = used;
    return text;
}


json_t *
state_read(const char *folder, const char *name, err_t *err)
{
    char path[PATH_MAX], damaged[PATH_MAX];
    char *text;
    json_t *document;
    json_error_t where;
    size_t len;

    if (state_path(path, folder, name, ".json", err) == -1 ||
        state_path(damaged, folder, name, ".json.damaged", err) == -1) {
        return NULL;
    }

    text = state_slurp(path, &len, err);
    if (text == NULL) {
        return NULL;
    }

    (void) json_memory_was_out();
    document = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);

    explicit_bzero(text, len);
    free(text);

    if (document != NULL && json_is_object(document)) {
        return document;
    }

    if (document == NULL && json_memory_was_out()) {
        err_set(err, "no_memory", "cannot read %s: out of memory", path);
        return NULL;
    }

    json_decref(document);
    (void) rename(path, damaged);
    err_set(err, "damaged", "%s is damaged; it is kept as %s.damaged", path,
            path);
    return NULL;
}


int
state_remove(const char *folder, const char *name, err_t *err)
{
    char path[PATH_MAX], damaged[PATH_MAX];

    if (state_path(path, folder, name, ".json", err) == -1 ||
        state_path(damaged, folder, name, ".json.damaged", err) == -1) {
        return -1;
    }

    if ((unlink(path) == -1 && errno != ENOENT) ||
        (unlink(damaged) == -1 && errno != ENOENT)) {
        return err_errno(err, "no_write", "cannot remove %s", path);
    }

    if (state_sync_folder(folder) == -1 && errno != ENOENT) {
        return err_errno(err, "no_write", "cannot sync %s", folder);
    }

    return 0;
}


static int
state_has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);

    return n > m && strcmp(name + n - m, suffix) == 0;
}


int
state_each(const char *folder, void (*fn)(void *arg, const char *name),
           void *arg, err_t *err)
{
    char name[NAME_MAX + 1], path[PATH_MAX];
    DIR *dir;
    struct dirent *entry;

    dir = opendir(folder);
    if (dir == NULL) {
        return err_errno(err, "unreadable", "cannot list %s", folder);
    }

    while ((entry = readdir(dir)) != NULL) {
        if (state_has_suffix(entry->d_name, ".json.new") &&
            state_path(path, folder, entry->d_name, "", err) == 0) {
            (void) unlink(path);
            continue;
        }

        if (state_has_suffix(entry->d_name, ".json")) {
            snprintf(name, sizeof(name), "%.*s",
                     (int) (strlen(entry->d_name) - strlen(".json")),
                     entry->d_name);
            fn(arg, name);
        }
    }

    closedir(dir);
    return 0;
}
