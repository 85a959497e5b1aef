#include "daemon/enrolment.h"

#include "base/log.h"
#include "core/gc_uuid.h"
#include "daemon/daemon.h"
#include "daemon/device.h"
#include "daemon/member.h"
#include "daemon/uplink.h"

#include <stdio.h>
#include <string.h>


/* A device that its server refuses may be enrolled anew. */
static int
enrolment_done(const daemon_t *daemon)
{
    return daemon->device.enrolled && daemon->uplink->state != UPLINK_REFUSED;
}


void
enrolment_identity(daemon_t *daemon, control_call_t *call, json_t *request)
{
    char key[KEY_BASE64_SIZE];
    err_t err;
    url_t url;

    if (enrolment_done(daemon)) {
        err_set(&err, "other_account", "this device is enrolled already");
        control_fail(call, &err);
        return;
    }

    /* said before the server makes a device of it */
    if (url_parse(&url, daemon_text(request, "server"), &err) == -1 ||
        url_check_secure(&url, daemon->config->insecure, &err) == -1 ||
        device_identity(daemon, &err) == -1) {
        control_fail(call, &err);
        return;
    }

    key_to_base64(&daemon->device.identity_public, key);
    control_reply(call, json_pack("{s:s}", "public_key", key));
}


/* The networks that come with an enrolment: those not joined yet. */
static void
enrolment_join(daemon_t *daemon, const json_t *networks)
{
    const char *id, *name;
    err_t err;
    json_t *network;
    size_t i;

    json_array_foreach(networks, i, network)
    {
        id = daemon_text(network, "id");
        name = daemon_text(network, "name");

        if (gc_uuid_valid(id, strlen(id)) && member_find(daemon, id) == NULL &&
            member_join(daemon, id, name, &err) == NULL) {
            log_error("network %s: %s", name, err.text);
        }
    }
}


void
enrolment_begin(daemon_t *daemon, control_call_t *call, json_t *request)
{
    char was[DAEMON_ID_SIZE];
    err_t err;

    if (enrolment_done(daemon)) {
        err_set(&err, "other_account", "this device is enrolled already");
        control_fail(call, &err);
        return;
    }

    memcpy(was, daemon->device.id, sizeof(was));

    if (device_enroll(daemon, request, &err) == -1) {
        daemon->device.enrolled = 0;
        control_fail(call, &err);
        return;
    }

    log_info("enrolled at %s as %s of %s", daemon->device.server.url.text,
             daemon->device.name, daemon->device.username);
    /* another device: what the one before had joined is not its own */
    while (strcmp(was, daemon->device.id) != 0 && daemon->members != NULL) {
        member_forget(daemon->members);
    }

    enrolment_join(daemon, json_object_get(request, "networks"));
    uplink_start(daemon->uplink);
    control_reply(call, json_object());
}


/* told: the server has deleted the device */
static void
enrolment_forget_all(daemon_t *daemon, control_call_t *call, int told)
{
    err_t err;

    while (daemon->members != NULL) {
        member_forget(daemon->members);
    }

    if (device_forget(daemon, &err) == -1) {
        control_fail(call, &err);
        return;
    }

    log_info("logged out");
    control_reply(call, json_pack("{s:b}", "told", told));
}


static void
enrolment_forgotten(void *arg, const http_answer_t *answer)
{
    control_call_t *call;
    daemon_t *daemon = arg;

    call = daemon->forgetting;
    daemon->forgetting = NULL;

    if (answer->status != 204) {
        log_warn("the server may still list this device: %s", answer->err.text);
    }

    /* 401: it does not know this device any more */
    enrolment_forget_all(daemon, call,
                         answer->status == 204 || answer->status == 401);
}


/*
 * With `delete` the device removes itself at the server before: there may be
 * no user who could. It is forgotten here whatever the server says.
 */
void
enrolment_forget(daemon_t *daemon, control_call_t *call, json_t *request)
{
    char path[80];
    err_t err;
    const json_t *delete = json_object_get(request, "delete");

    if (delete != NULL && !json_is_boolean(delete)) {
        err_set(&err, "bad_request", "delete is true or false");
        control_fail(call, &err);
        return;
    }

    if (daemon->forgetting != NULL) {
        err_set(&err, "busy", "this device is being logged out already");
        control_fail(call, &err);
        return;
    }

    uplink_stop(daemon->uplink, UPLINK_OFF, NULL);
    snprintf(path, sizeof(path), "/v1/devices/%.36s", daemon->device.id);

    if (!daemon->device.enrolled || !json_is_true(delete) ||
        device_call(daemon, "DELETE", path, NULL, enrolment_forgotten,
                    daemon) == NULL) {
        enrolment_forget_all(daemon, call, 0);
        return;
    }

    daemon->forgetting = call;
}
