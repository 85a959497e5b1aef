#include "base/log.h"
#include "base/version.h"
#include "core/gc_uuid.h"
#include "daemon/daemon.h"
#include "daemon/device.h"
#include "daemon/doctor.h"
#include "daemon/enrolment.h"
#include "daemon/exits.h"
#include "daemon/gateway.h"
#include "daemon/local.h"
#include "daemon/member.h"
#include "daemon/rotation.h"
#include "daemon/routes.h"
#include "daemon/naming.h"
#include "daemon/netcheck.h"
#include "daemon/probe.h"
#include "daemon/service.h"
#include "daemon/settings.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"

#include <stdio.h>
#include <string.h>


/* The joined network that the request names; NULL: the call is answered. */
static member_t *
command_member(daemon_t *daemon, control_call_t *call, const json_t *request)
{
    err_t err;
    member_t *member;

    member = member_find(daemon, daemon_text(request, "network_id"));

    if (member == NULL) {
        err_set(&err, "unknown_network", "this device is not in that network");
        control_fail(call, &err);
    }

    return member;
}


static void
command_status(daemon_t *daemon, control_call_t *call, json_t *request)
{
    const device_t *device = &daemon->device;
    json_t *reply, *networks = json_array();
    member_t *member;

    (void) request;

    wire_look(daemon);

    for (member = daemon->members; member != NULL; member = member->next) {
        json_array_append_new(networks, member_describe(member));
    }

    reply = json_pack(
        "{s:s, s:s, s:s, s:s?, s:o}", "version", GOCONNECT_VERSION, "backend",
        backend_name(daemon->backend), "control",
        uplink_state_name(daemon->uplink), "error",
        daemon->uplink->problem[0] != '\0' ? daemon->uplink->problem : NULL,
        "networks", networks);

    json_object_set_new(reply, "server",
                        device->enrolled ? json_string(device->server.url.text)
                                         : json_null());
    json_object_set_new(
        reply, "device",
        device->enrolled
            ? json_pack("{s:s, s:s}", "id", device->id, "name", device->name)
            : json_null());
    json_object_set_new(reply, "user",
                        device->enrolled
                            ? json_pack("{s:s, s:s}", "id", device->user_id,
                                        "username", device->username)
                            : json_null());

    json_object_set_new(reply, "exit", exits_status(daemon));
    control_reply(call, reply);
}


static void
command_join(daemon_t *daemon, control_call_t *call, json_t *request)
{
    const char *id = daemon_text(request, "network_id");
    const char *name = daemon_text(request, "name");
    err_t err;
    member_t *member;

    if (!gc_uuid_valid(id, strlen(id))) {
        err_set(&err, "bad_request", "network_id is no network's id");
        control_fail(call, &err);
        return;
    }

    if (*name == '\0') {
        err_set(&err, "bad_request", "name is what the network is called");
        control_fail(call, &err);
        return;
    }

    if (!daemon->device.enrolled) {
        err_set(&err, "not_logged_in", "this device is not enrolled");
        control_fail(call, &err);
        return;
    }

    member = member_find(daemon, id);

    if (member != NULL && member->waiting != NULL) {
        err_set(&err, "busy", "this network is being joined already");
        control_fail(call, &err);
        return;
    }

    if (member == NULL) {
        member = member_join(daemon, id, name, &err);

        if (member == NULL) {
            control_fail(call, &err);
            return;
        }

    } else {
        member->up = 1;

        if (member_write(member, &err) == -1) {
            control_fail(call, &err);
            return;
        }

        /* the server answers with what it has: it may have lost us */
        member_post(member);
    }

    member_wait(member, call);
}


static void
command_leave(daemon_t *daemon, control_call_t *call, json_t *request)
{
    member_t *member = command_member(daemon, call, request);

    if (member != NULL) {
        member_forget(member);
        control_reply(call, json_object());
    }
}


/* All networks or the one that the request names, up or down. */
static void
command_switch(daemon_t *daemon, control_call_t *call, json_t *request, int up)
{
    err_t err;
    json_t *list;
    member_t *member, *only = NULL;

    if (json_object_get(request, "network_id") != NULL) {
        only = command_member(daemon, call, request);
        if (only == NULL) {
            return;
        }
    }

    for (member = daemon->members; member != NULL; member = member->next) {
        if ((only == NULL || member == only) && member->up != up) {
            member->up = up;

            if (member_write(member, &err) == -1) {
                control_fail(call, &err);
                return;
            }
        }
    }

    if (wire_sync_now(daemon, &err) == -1) {
        control_fail(call, &err);
        return;
    }

    list = json_array();

    for (member = daemon->members; member != NULL; member = member->next) {
        if (only == NULL || member == only) {
            json_array_append_new(list, member_describe(member));
        }
    }

    control_reply(call, json_pack("{s:o}", "networks", list));
}


static void
command_up(daemon_t *daemon, control_call_t *call, json_t *request)
{
    command_switch(daemon, call, request, 1);
}


static void
command_down(daemon_t *daemon, control_call_t *call, json_t *request)
{
    command_switch(daemon, call, request, 0);
}


static void
command_peers(daemon_t *daemon, control_call_t *call, json_t *request)
{
    err_t err;
    json_t *list;
    member_t *member = command_member(daemon, call, request);

    if (member == NULL) {
        return;
    }

    list = wire_peers(daemon, member, &err);

    if (list == NULL) {
        control_fail(call, &err);
        return;
    }

    control_reply(call, json_pack("{s:s, s:s, s:o}", "network_id", member->id,
                                  "name", member->name, "peers", list));
}


static void
command_names(daemon_t *daemon, control_call_t *call, json_t *request)
{
    err_t err;
    json_t *reply;

    (void) request;

    wire_look(daemon);
    reply = naming_describe(daemon, &err);

    if (reply == NULL) {
        control_fail(call, &err);
        return;
    }

    control_reply(call, reply);
}


static void
command_ping(daemon_t *daemon, control_call_t *call, json_t *request)
{
    member_t *member = command_member(daemon, call, request);

    if (member != NULL) {
        probe_ping(member, daemon_text(request, "peer_id"), call);
    }
}


static void
command_doctor(daemon_t *daemon, control_call_t *call, json_t *request)
{
    (void) request;
    doctor_run(daemon, call);
}


static void
command_gateway(daemon_t *daemon, control_call_t *call, json_t *request)
{
    static const struct endpoint none;
    struct endpoint announced;
    const char *text = daemon_text(request, "endpoint");
    const json_t *on = json_object_get(request, "on");
    err_t err;
    member_t *member = command_member(daemon, call, request);

    if (member == NULL) {
        return;
    }

    if (!json_is_boolean(on)) {
        err_set(&err, "bad_request", "on is true or false");
        control_fail(call, &err);
        return;
    }

    if (json_is_false(on)) {
        gateway_offer(member, call, 0, &none);
        return;
    }

    if (*text != '\0' && (!endpoint_parse(text, &announced) ||
                          address_is_special(&announced.address))) {
        err_set(&err, "usage", "\"%.64s\" is not ADDRESS:PORT", text);
        control_fail(call, &err);
        return;
    }

    gateway_offer(member, call, 1, *text != '\0' ? &announced : NULL);
}


static void
command_rotate(daemon_t *daemon, control_call_t *call, json_t *request)
{
    member_t *member = command_member(daemon, call, request);

    if (member != NULL) {
        rotation_rotate(member, call);
    }
}


static void
command_reload(daemon_t *daemon, control_call_t *call, json_t *request)
{
    config_change_t change;
    err_t err;

    (void) request;

    if (service_reload(daemon, &change, &err) == -1) {
        control_fail(call, &err);
        return;
    }

    control_reply(call, json_pack("{s:s, s:s}", "changed", change.taken,
                                  "needs_restart", change.later));
}


static void
command_route(daemon_t *daemon, control_call_t *call, json_t *request)
{
    member_t *member = command_member(daemon, call, request);

    if (member != NULL) {
        routes_run(member, call, request);
    }
}


static void
command_routes(daemon_t *daemon, control_call_t *call, json_t *request)
{
    member_t *member = command_member(daemon, call, request);

    if (member != NULL) {
        wire_look(daemon);
        control_reply(call, routes_describe(member));
    }
}


static void
command_set(daemon_t *daemon, control_call_t *call, json_t *request)
{
    member_t *member = command_member(daemon, call, request);

    if (member != NULL) {
        settings_run(member, call, request);
    }
}


static void
command_local(daemon_t *daemon, control_call_t *call, json_t *request)
{
    err_t err;
    json_t *reply;

    (void) request;
    reply = local_describe(daemon, &err);

    if (reply == NULL) {
        control_fail(call, &err);
        return;
    }

    control_reply(call, reply);
}


typedef void (*command_handler_pt)(daemon_t *daemon, control_call_t *call,
                                   json_t *request);

static const struct {
    const char *name;
    command_handler_pt handler;
} commands[] = {
    {"status", command_status},   {"identity", enrolment_identity},
    {"enroll", enrolment_begin},  {"forget", enrolment_forget},
    {"join", command_join},       {"leave", command_leave},
    {"up", command_up},           {"down", command_down},
    {"names", command_names},     {"peers", command_peers},
    {"gateway", command_gateway}, {"rotate", command_rotate},
    {"ping", command_ping},       {"doctor", command_doctor},
    {"reload", command_reload},   {"route", command_route},
    {"routes", command_routes},   {"set", command_set},
    {"exit", exits_run},          {"local", command_local},
    {"netcheck", netcheck_run},
};


void
command_run(void *arg, control_call_t *call, json_t *request)
{
    const char *name = daemon_text(request, "command");
    err_t err;
    size_t i;

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            commands[i].handler(arg, call, request);
            return;
        }
    }

    err_set(&err, "bad_request", "there is no command \"%.40s\"", name);
    control_fail(call, &err);
}
