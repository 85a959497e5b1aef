#define _GNU_SOURCE

#include "os/process_record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/process.h"

#define PROCESS_BOOT_ID "/proc/sys/kernel/random/boot_id"
#define PROCESS_NAMES_MAX 1024
#define PROCESS_NEXT ".next" /* of a record that is being written */


bool
process_path(char *path, size_t size, const char *state_dir, const char *name,
             const char *suffix)
{
    int n;

    n = snprintf(path, size, "%s/" PROCESS_PROGRAM "/%s%s", state_dir, name,
                 suffix);

    return n > 0 && (size_t) n < size;
}


/* Reads a small file as a string. */
static bool
process_read(const char *path, char *text, size_t size)
{
    ssize_t n;
    int fd;

    fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }

    n = read(fd, text, size - 1);
    (void) close(fd);

    if (n < 0) {
        return false;
    }

    text[n] = '\0';

    return true;
}


void
process_boot_id(char boot[40])
{
    memset(boot, 0, 40);

    if (!process_read(PROCESS_BOOT_ID, boot, 40)) {
        memcpy(boot, "unknown", sizeof("unknown"));
    }

    boot[strcspn(boot, "\n")] = '\0';
}


unsigned long long
process_started(int pid)
{
    unsigned long long started;
    char path[64], text[1024], *p;
    int field;

    (void) snprintf(path, sizeof(path), "/proc/%d/stat", pid);

    if (!process_read(path, text, sizeof(text))) {
        return 0;
    }

    /* the second field is the name, in brackets, with anything inside */
    p = strrchr(text, ')');

    for (field = 2; p != NULL && field < 22; field++) {
        p = strchr(p + 1, ' ');
    }

    started = 0;

    if (p != NULL) {
        started = strtoull(p, NULL, 10);
    }

    return started;
}


bool
process_dying(int pid)
{
    char path[64], text[2];

    (void) snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);

    return process_read(path, text, sizeof(text)) && text[0] == '\0';
}


bool
process_load(const char *state_dir, const char *name,
             struct process_record *record)
{
    char path[PATH_MAX], text[256];
    int hidden;

    if (!process_path(path, sizeof(path), state_dir, name, PROCESS_RECORD) ||
        !process_read(path, text, sizeof(text))) {
        return false;
    }

    if (sscanf(text, "%d %llu %39s %d", &record->pid, &record->started,
               record->boot, &hidden) != 4) {
        /* unreadable: it stands for no process */
        memset(record, 0, sizeof(*record));
        return true;
    }

    record->hidden = hidden != 0;

    return true;
}


int
process_save(const char *state_dir, const char *name,
             const struct process_record *record, struct error *error)
{
    char path[PATH_MAX], next[PATH_MAX], text[256];
    int fd, n;
    bool ok;

    if (!process_path(path, sizeof(path), state_dir, name, PROCESS_RECORD) ||
        !process_path(next, sizeof(next), state_dir, name, PROCESS_NEXT)) {
        return error_set(error, ERROR_TOO_BIG, "the state folder's name");
    }

    n = snprintf(text, sizeof(text), "%d %llu %s %d\n", record->pid,
                 record->started, record->boot, record->hidden ? 1 : 0);
    fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0) {
        return error_set(error, ERROR_SYSTEM, "%s: %s", next, strerror(errno));
    }

    ok = write(fd, text, (size_t) n) == n && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;

    if (!ok || rename(next, path) != 0) {
        return error_set(error, ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    }

    return 0;
}


/* Whether a file of the folder is a record; its name without the suffix. */
static bool
process_is_record(const char *file, char name[ACTUAL_NAME_SIZE])
{
    size_t length, suffix;

    length = strlen(file);
    suffix = sizeof(PROCESS_RECORD) - 1;

    if (length <= suffix || length - suffix >= ACTUAL_NAME_SIZE ||
        strcmp(file + length - suffix, PROCESS_RECORD) != 0) {
        return false;
    }

    memset(name, 0, ACTUAL_NAME_SIZE);
    memcpy(name, file, length - suffix);

    return true;
}


/* A record that somebody died over before it had its name. */
static bool
process_is_left(const char *file)
{
    size_t length = strlen(file), suffix = strlen(PROCESS_NEXT);

    return length > suffix && strcmp(file + length - suffix, PROCESS_NEXT) == 0;
}


int
process_list(const char *state_dir, struct process_names *list,
             struct error *error)
{
    char path[PATH_MAX], name[ACTUAL_NAME_SIZE];
    struct dirent *entry;
    void *bigger;
    DIR *folder;

    memset(list, 0, sizeof(*list));

    if (!process_path(path, sizeof(path), state_dir, "", "")) {
        return error_set(error, ERROR_TOO_BIG, "the state folder's name");
    }

    folder = opendir(path);

    if (folder == NULL) {
        return errno == ENOENT ? 0
                               : error_set(error, ERROR_SYSTEM, "%s: %s", path,
                                           strerror(errno));
    }

    while ((entry = readdir(folder)) != NULL) {
        if (process_is_left(entry->d_name)) {
            (void) unlinkat(dirfd(folder), entry->d_name, 0);
        }

        if (!process_is_record(entry->d_name, name) ||
            list->count >= PROCESS_NAMES_MAX) {
            continue;
        }

        bigger = realloc(list->names, (list->count + 1) * ACTUAL_NAME_SIZE);

        if (bigger == NULL) {
            (void) closedir(folder);
            free(list->names);
            memset(list, 0, sizeof(*list));
            return error_set(error, ERROR_NO_MEMORY, "out of memory");
        }

        list->names = bigger;
        memcpy(list->names[list->count++], name, ACTUAL_NAME_SIZE);
    }

    (void) closedir(folder);

    return 0;
}
