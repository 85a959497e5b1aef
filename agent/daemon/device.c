#define _GNU_SOURCE /* explicit_bzero */

#include "daemon/device.h"

#include "base/log.h"
#include "base/state.h"
#include "core/gc_uuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE_DOCUMENT "device"

/* In the device's list until it ends. */
struct device_call {
    device_call_t *next;
    daemon_t *daemon;
    const char *method;
    char *path;
    json_t *body;
    http_done_pt done;
    void *arg;
    http_t *http;
    loop_timer_t kick; /* start or finish, from the loop */
    http_answer_t answer;
    unsigned again : 1;   /* the token was refused once */
    unsigned renewed : 1; /* the token was made for it, however short-lived */
    unsigned ended : 1;
};

static void device_call_step(void *arg);


static void
device_copy(char *place, size_t size, const json_t *object, const char *name)
{
    snprintf(place, size, "%s", daemon_text(object, name));
}


static void
device_read(device_t *device, const json_t *document)
{
    err_t err;
    struct error error;
    json_t *user = json_object_get(document, "user");
    json_t *own = json_object_get(document, "device");
    const char *refresh = daemon_text(document, "refresh_token");

    if (!key_from_base64(daemon_text(document, "identity"),
                         &device->identity) ||
        keys_public(&device->identity, &device->identity_public, &error) != 0) {
        log_error("the device's identity is damaged: log in again");
        key_wipe(&device->identity_public, sizeof(device->identity_public));
        return;
    }

    device_copy(device->id, sizeof(device->id), own, "id");
    device_copy(device->name, sizeof(device->name), own, "name");
    device_copy(device->user_id, sizeof(device->user_id), user, "id");
    device_copy(device->username, sizeof(device->username), user, "username");

    if (*refresh != '\0' && gc_uuid_valid(device->id, strlen(device->id)) &&
        url_parse(&device->server.url, daemon_text(document, "server"), &err) ==
            0) {
        daemon_secret(&device->refresh_token, refresh);
        device->enrolled = 1;
    }
}


int
device_load(daemon_t *daemon, err_t *err)
{
    json_t *document;

    document = state_read(daemon->config->state, DEVICE_DOCUMENT, err);

    if (document != NULL) {
        device_read(&daemon->device, document);
        json_decref(document);
        return 0;
    }

    if (strcmp(err->code, "absent") == 0) {
        return 0;
    }

    if (strcmp(err->code, "damaged") == 0) {
        log_error("%s; this device has to log in again", err->text);
        return 0;
    }

    return -1;
}


static int
device_write(daemon_t *daemon, err_t *err)
{
    char identity[KEY_BASE64_SIZE];
    device_t *device = &daemon->device;
    int rc;
    json_t *document;

    key_to_base64(&device->identity, identity);
    document = json_pack("{s:s}", "identity", identity);
    key_wipe(identity, sizeof(identity));

    if (device->enrolled) {
        json_object_set_new(document, "server",
                            json_string(device->server.url.text));
        json_object_set_new(document, "refresh_token",
                            json_string(device->refresh_token));
        json_object_set_new(
            document, "device",
            json_pack("{s:s, s:s}", "id", device->id, "name", device->name));
        json_object_set_new(document, "user",
                            json_pack("{s:s, s:s}", "id", device->user_id,
                                      "username", device->username));
    }

    rc = state_write(daemon->config->state, DEVICE_DOCUMENT, document, err);
    json_decref(document);
    return rc;
}


int
device_identity(daemon_t *daemon, err_t *err)
{
    struct error error;
    device_t *device = &daemon->device;

    if (!key_is_zero(&device->identity_public)) {
        return 0;
    }

    if (keys_generate(&device->identity, &device->identity_public, &error) !=
        0) {
        return daemon_error(err, "failed", &error);
    }

    return device_write(daemon, err);
}


static void
device_set_access(device_t *device, const json_t *answer)
{
    json_int_t s = json_integer_value(json_object_get(answer, "expires_in"));

    daemon_secret(&device->access_token, daemon_text(answer, "access_token"));
    device->expires_at = loop_now() + (s > 0 ? s * 1000 : 0);
}


int
device_enroll(daemon_t *daemon, const json_t *request, err_t *err)
{
    device_t *device = &daemon->device;
    json_t *own = json_object_get(request, "device");
    json_t *user = json_object_get(request, "user");

    if (*daemon_text(request, "refresh_token") == '\0' ||
        !gc_uuid_valid(daemon_text(own, "id"),
                       strlen(daemon_text(own, "id"))) ||
        key_is_zero(&device->identity_public)) {
        return err_set(err, "bad_request", "enroll lacks what it needs");
    }

    if (url_parse(&device->server.url, daemon_text(request, "server"), err) ==
            -1 ||
        url_check_secure(&device->server.url, daemon->config->insecure, err) ==
            -1) {
        return -1;
    }

    device->server.good[0] = '\0';
    device_copy(device->id, sizeof(device->id), own, "id");
    device_copy(device->name, sizeof(device->name), own, "name");
    device_copy(device->user_id, sizeof(device->user_id), user, "id");
    device_copy(device->username, sizeof(device->username), user, "username");
    daemon_secret(&device->refresh_token,
                  daemon_text(request, "refresh_token"));
    device_set_access(device, request);
    device->subnets[0] = '\0';
    device->enrolled = 1;

    return device_write(daemon, err);
}


int
device_forget(daemon_t *daemon, err_t *err)
{
    device_t *device = &daemon->device;

    device_stop(daemon);
    daemon_secret(&device->refresh_token, NULL);
    daemon_secret(&device->access_token, NULL);
    key_wipe(device, sizeof(*device));

    return state_remove(daemon->config->state, DEVICE_DOCUMENT, err);
}


void
device_token_refused(daemon_t *daemon)
{
    daemon_secret(&daemon->device.access_token, NULL);
}


static void
device_call_free(device_call_t *call)
{
    device_call_t **at = &call->daemon->device.calls;

    while (*at != call) {
        at = &(*at)->next;
    }

    *at = call->next;

    if (call->http != NULL) {
        http_cancel(call->http);
    }

    loop_timer_cancel(&call->kick);
    json_decref(call->answer.json);
    json_decref(call->body);
    free(call->path);
    free(call);
}


void
device_call_cancel(device_call_t *call)
{
    device_call_free(call);
}


static void
device_call_end(device_call_t *call, const http_answer_t *answer)
{
    call->answer = *answer;
    call->answer.json = json_incref(answer->json);
    call->ended = 1;
    loop_timer_set(call->daemon->loop, &call->kick, 0);
}


/*
 * The new refresh token is on disk before its access token is used, because
 * that ends the old one. If it cannot be written, the old one stays ours.
 */
static int
device_take_tokens(daemon_t *daemon, const json_t *answer, err_t *err)
{
    char *old;
    device_t *device = &daemon->device;

    old = device->refresh_token;
    device->refresh_token = NULL;
    daemon_secret(&device->refresh_token, daemon_text(answer, "refresh_token"));

    if (device_write(daemon, err) == -1) {
        daemon_secret(&device->refresh_token, NULL);
        device->refresh_token = old;
        return -1;
    }

    daemon_secret(&old, NULL);
    device_set_access(device, answer);
    return 0;
}


/* The refresh is over: all that waited for it go on, or end with it. */
static void
device_refreshed(void *arg, const http_answer_t *answer)
{
    daemon_t *daemon = arg;
    device_t *device = &daemon->device;
    device_call_t *call;
    err_t err;
    http_answer_t outcome = *answer;

    device->refreshing = NULL;

    if (outcome.status == 200) {
        if (*daemon_text(answer->json, "refresh_token") == '\0' ||
            *daemon_text(answer->json, "access_token") == '\0') {
            outcome.status = 0;
            err_set(&outcome.err, "bad_answer", "the server sent no tokens");

        } else {
            if (device_take_tokens(daemon, answer->json, &err) == -1) {
                outcome.status = 0;
                outcome.err = err;
            }
        }
    }

    if (outcome.status != 200) {
        log_warn("cannot renew this device's token: %s", outcome.err.text);
    }

    for (call = device->calls; call != NULL; call = call->next) {
        if (call->http == NULL && !call->ended) {
            if (outcome.status == 200) {
                call->renewed = 1;
                loop_timer_set(daemon->loop, &call->kick, 0);

            } else {
                device_call_end(call, &outcome);
            }
        }
    }
}


static int
device_refresh(daemon_t *daemon, err_t *err)
{
    device_t *device = &daemon->device;
    http_request_t request = {.method = "POST", .path = "/v1/auth/refresh"};
    json_t *body;

    if (device->refreshing != NULL) {
        return 0;
    }

    body = json_pack("{s:s}", "refresh_token", device->refresh_token);
    request.body = body;
    device->refreshing = http_start(daemon->loop, &device->server, &request,
                                    device_refreshed, daemon, err);
    json_decref(body);

    return device->refreshing != NULL ? 0 : -1;
}


static void
device_call_done(void *arg, const http_answer_t *answer)
{
    device_call_t *call = arg;

    call->http = NULL;

    if (answer->status == 401 && !call->again) {
        call->again = 1;
        device_token_refused(call->daemon);
        loop_timer_set(call->daemon->loop, &call->kick, 0);
        return;
    }

    device_call_end(call, answer);
}


static void
device_call_fail(device_call_t *call, const err_t *err)
{
    http_answer_t answer = {.status = 0, .err = *err};

    device_call_end(call, &answer);
}


static void
device_call_finish(device_call_t *call)
{
    http_done_pt done = call->done;
    void *arg = call->arg;
    http_answer_t answer = call->answer;

    call->answer.json = NULL;
    device_call_free(call);
    done(arg, &answer);
    json_decref(answer.json);
}


static void
device_call_send(device_call_t *call)
{
    device_t *device = &call->daemon->device;
    err_t err;
    http_answer_t answer = {.status = 200};
    http_request_t request = {.method = call->method,
                              .path = call->path,
                              .token = device->access_token,
                              .body = call->body};

    if (call->method == NULL) {
        device_call_end(call, &answer);
        return;
    }

    call->http = http_start(call->daemon->loop, &device->server, &request,
                            device_call_done, call, &err);
    if (call->http == NULL) {
        device_call_fail(call, &err);
    }
}


static void
device_call_step(void *arg)
{
    device_call_t *call = arg;
    device_t *device = &call->daemon->device;
    err_t err;

    if (call->ended) {
        device_call_finish(call);
        return;
    }

    if (!device->enrolled) {
        err_set(&err, "not_logged_in", "this device is not logged in");
        device_call_fail(call, &err);
        return;
    }

    if (device->access_token != NULL &&
        (call->renewed || device->expires_at - DEVICE_EARLY_MS > loop_now())) {
        device_call_send(call);
        return;
    }

    if (device_refresh(call->daemon, &err) == -1) {
        device_call_fail(call, &err);
    }
}


device_call_t *
device_call(daemon_t *daemon, const char *method, const char *path,
            json_t *body, http_done_pt done, void *arg)
{
    device_call_t *call = calloc(1, sizeof(*call));

    if (call == NULL) {
        json_decref(body);
        return NULL;
    }

    call->daemon = daemon;
    call->method = method;
    call->path = path != NULL ? strdup(path) : NULL;
    call->body = body;
    call->done = done;
    call->arg = arg;
    call->kick.fn = device_call_step;
    call->kick.arg = call;

    call->next = daemon->device.calls;
    daemon->device.calls = call;

    loop_timer_set(daemon->loop, &call->kick, 0);
    return call;
}


void
device_stop(daemon_t *daemon)
{
    device_t *device = &daemon->device;

    while (device->calls != NULL) {
        device_call_free(device->calls);
    }

    if (device->refreshing != NULL) {
        http_cancel(device->refreshing);
        device->refreshing = NULL;
    }
}
