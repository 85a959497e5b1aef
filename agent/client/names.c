/* The names of the networks' devices, and who asks for them. */

#define _GNU_SOURCE

#include "base/nsswitch.h"
#include "client/ask.h"
#include "client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_NSSWITCH_MAX (1024 * 1024)


static const char *
names_field(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}


static void
names_print_one(const json_t *name)
{
    const json_t *text;
    size_t i;

    client_print(names_field(name, "name"));

    json_array_foreach(json_object_get(name, "short"), i, text)
    {
        printf(", ");
        client_print(json_string_value(text));
    }

    printf("\n  %s", names_field(name, "ip_address"));

    if (*names_field(name, "ip6_address") != '\0') {
        printf(", %s", names_field(name, "ip6_address"));
    }

    printf("%s\n",
           json_is_true(json_object_get(name, "self")) ? " (this device)" : "");
}


static void
names_print(const json_t *reply)
{
    static const struct {
        const char *field;
        const char *text;
    } ways[] = {
        {"resolved", "systemd-resolved (long names)"},
        {"nss", "the C library's module"},
        {"hosts", "/etc/hosts"},
    };
    const json_t *name;
    int told = 0;
    size_t i;

    json_array_foreach(json_object_get(reply, "names"), i, name)
    {
        names_print_one(name);
    }

    printf("%sPrograms here find them by: ",
           json_array_size(json_object_get(reply, "names")) > 0 ? "\n" : "");

    for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (json_is_true(json_object_get(reply, ways[i].field))) {
            printf("%s%s", told ? ", " : "", ways[i].text);
            told = 1;
        }
    }

    printf("%s\n", told ? "" : "nothing");

    if (*names_field(reply, "error") != '\0') {
        printf("problem: ");
        client_print(names_field(reply, "error"));
        printf("\n");
    }
}


static int
names_list(client_t *client)
{
    err_t err;
    json_t *reply;

    reply = ask_daemon(client, json_pack("{s:s}", "command", "names"), &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    json_object_del(reply, "ok");

    if (!client_json(client, json_incref(reply))) {
        names_print(reply);
    }

    json_decref(reply);
    return CLIENT_OK;
}


/* The file as text (free()) with its mode; a file that is not there is "". */
static char *
names_read(const char *path, struct stat *st, err_t *err)
{
    char *text;
    ssize_t n = 0;
    int fd;

    memset(st, 0, sizeof(*st));
    st->st_mode = 0644;
    text = calloc(1, NAMES_NSSWITCH_MAX + 1);

    if (text == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd == -1 && errno == ENOENT) {
        return text;
    }

    if (fd == -1 || fstat(fd, st) == -1 ||
        (n = read(fd, text, NAMES_NSSWITCH_MAX + 1)) == -1) {
        err_errno(err, "failed", "cannot read %s", path);
        free(text);
        text = NULL;

    } else if (n > NAMES_NSSWITCH_MAX || strlen(text) != (size_t) n) {
        err_set(err, "failed", "%s is no text of a usual size", path);
        free(text);
        text = NULL;
    }

    if (fd != -1) {
        close(fd);
    }

    return text;
}


/* Beside its place, synced, renamed. */
static int
names_write(const char *path, const char *text, const struct stat *like,
            err_t *err)
{
    char beside[PATH_MAX + 16];
    size_t length = strlen(text);
    int fd, failed;

    snprintf(beside, sizeof(beside), "%s.goconnect", path);
    (void) unlink(beside);
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
              0600);

    if (fd == -1) {
        return err_errno(err, "failed", "cannot write beside %s", path);
    }

    failed = fchown(fd, like->st_uid, like->st_gid) == -1 ||
             fchmod(fd, like->st_mode & 0777) == -1 ||
             write(fd, text, length) != (ssize_t) length || fsync(fd) == -1 ||
             rename(beside, path) == -1;

    if (failed) {
        err_errno(err, "failed", "cannot write %s", path);
        (void) unlink(beside);
    }

    close(fd);

    return failed ? -1 : 0;
}


/* 1 if the file was changed, 0 if it is so already, -1 with err. */
static int
names_edit(int on, err_t *err)
{
    char path[PATH_MAX], *before, *after;
    struct stat like;
    int rc = 0;

    if (realpath(NSSWITCH_FILE, path) == NULL) {
        snprintf(path, sizeof(path), "%s", NSSWITCH_FILE);
    }

    before = names_read(path, &like, err);

    if (before == NULL) {
        return -1;
    }

    after = nsswitch_edit(before, on);

    if (after == NULL) {
        rc = err_set(err, "no_memory", "out of memory");

    } else if (strcmp(before, after) != 0) {
        rc = names_write(path, after, &like, err) == 0 ? 1 : -1;
    }

    free(before);
    free(after);

    return rc;
}


int
names_run(client_t *client)
{
    err_t err;
    int on, changed;

    if (client->operands == 0) {
        return names_list(client);
    }

    on = strcmp(client->operand[0], "install") == 0;

    if (!on && strcmp(client->operand[0], "remove") != 0) {
        err_set(&err, "usage", "usage: goconnect names [install|remove]");
        return client_fail(client, &err);
    }

    changed = names_edit(on, &err);

    if (changed == -1) {
        return client_fail(client, &err);
    }

    if (!client_json(client,
                     json_pack("{s:b, s:b}", "nss", on, "changed", changed))) {
        printf("%s %s%s.\n", NSSWITCH_FILE,
               on ? "names goconnect" : "does not name goconnect",
               changed ? " now" : " already");
    }

    return CLIENT_OK;
}
