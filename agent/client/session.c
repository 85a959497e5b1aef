#define _GNU_SOURCE /* explicit_bzero */

#include "client/session.h"

#include "base/state.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SESSION_NAME "session"


static int
session_folder(char *folder, err_t *err)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int n;

    if (state != NULL && state[0] == '/') {
        n = snprintf(folder, PATH_MAX, "%s/goconnect", state);

    } else if (home != NULL && home[0] == '/') {
        n = snprintf(folder, PATH_MAX, "%s/.local/state/goconnect", home);

    } else {
        return err_set(err, "failed", "neither HOME nor XDG_STATE_HOME is set");
    }

    if (n >= PATH_MAX) {
        return err_set(err, "failed", "the home folder's path is too long");
    }

    return state_folder(folder, err);
}


static void
session_set(char **place, const char *text)
{
    if (*place != NULL) {
        explicit_bzero(*place, strlen(*place));
        free(*place);
    }

    *place = text != NULL ? strdup(text) : NULL;
}


void
session_wipe(session_t *session)
{
    session_set(&session->access_token, NULL);
    session_set(&session->refresh_token, NULL);
}


static void
session_copy(char *place, size_t size, const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    if (text != NULL) {
        snprintf(place, size, "%s", text);
    }
}


int
session_load(session_t *session, err_t *err)
{
    char folder[PATH_MAX], server[URL_TEXT_SIZE] = "";
    json_t *document;

    if (session_folder(folder, err) == -1) {
        return -1;
    }

    document = state_read(folder, SESSION_NAME, err);
    if (document == NULL) {
        if (strcmp(err->code, "absent") == 0) {
            err_set(err, "not_logged_in",
                    "you are not logged in as a user: goconnect login URL "
                    "--username NAME");
        }

        return -1;
    }

    session_copy(server, sizeof(server), document, "server");
    session_copy(session->user_id, sizeof(session->user_id), document,
                 "user_id");
    session_copy(session->username, sizeof(session->username), document,
                 "username");
    session_copy(session->ca, sizeof(session->ca), document, "ca");
    session->insecure = json_is_true(json_object_get(document, "insecure"));
    session->expires_at =
        json_integer_value(json_object_get(document, "expires_at"));
    session_set(&session->access_token,
                json_string_value(json_object_get(document, "access_token")));
    session_set(&session->refresh_token,
                json_string_value(json_object_get(document, "refresh_token")));
    json_decref(document);

    if (session->refresh_token == NULL || session->access_token == NULL ||
        url_parse(&session->server.url, server, err) == -1) {
        return err_set(err, "not_logged_in",
                       "the kept session is damaged: goconnect login URL "
                       "--username NAME");
    }

    return 0;
}


static int
session_save(const session_t *session, err_t *err)
{
    char folder[PATH_MAX];
    int rc;
    json_t *document;

    if (session_folder(folder, err) == -1) {
        return -1;
    }

    document = json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:I}", "server",
        session->server.url.text, "user_id", session->user_id, "username",
        session->username, "ca", session->ca, "insecure", session->insecure,
        "access_token", session->access_token, "refresh_token",
        session->refresh_token, "expires_at", (json_int_t) session->expires_at);
    if (document == NULL) {
        return err_set(err, "no_memory", "out of memory");
    }

    rc = state_write(folder, SESSION_NAME, document, err);
    json_decref(document);
    return rc;
}


int
session_take(session_t *session, const json_t *answer, err_t *err)
{
    const char *access, *refresh;
    json_t *user = json_object_get(answer, "user");

    access = json_string_value(json_object_get(answer, "access_token"));
    refresh = json_string_value(json_object_get(answer, "refresh_token"));

    if (access == NULL || refresh == NULL) {
        return err_set(err, "bad_answer", "the server sent no tokens");
    }

    session_copy(session->user_id, sizeof(session->user_id), user, "id");
    session_copy(session->username, sizeof(session->username), user,
                 "username");
    session_set(&session->access_token, access);
    session_set(&session->refresh_token, refresh);
    session->expires_at =
        time(NULL) + json_integer_value(json_object_get(answer, "expires_in"));

    return session_save(session, err);
}


int
session_remove(err_t *err)
{
    char folder[PATH_MAX];

    if (session_folder(folder, err) == -1) {
        return -1;
    }

    return state_remove(folder, SESSION_NAME, err);
}


int
session_lock(err_t *err)
{
    char folder[PATH_MAX];

    if (session_folder(folder, err) == -1) {
        return -1;
    }

    return state_lock_wait(folder, "lock", err);
}
