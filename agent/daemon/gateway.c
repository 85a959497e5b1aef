#include "daemon/gateway.h"

#include "base/log.h"
#include "daemon/device.h"
#include "daemon/member.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"
#include "daemon/wire_local.h"
#include "os/forward.h"
#include "plan/firewall.h"

#include <stdio.h>
#include <string.h>

#define GATEWAY_WAIT_MS 10000


static int
gateway_wanted(const member_t *member)
{
    return wire_buildable(member) && member->live &&
           firewall_is_gateway(member->map, member->peer_id);
}


const char *
gateway_state(const member_t *member)
{
    if (member->gateway.problem[0] != '\0') {
        return "failed";
    }

    return member->gateway.on ? "on" : "off";
}


/* Every change of what a network's gateway is here comes through this. */
static void
gateway_set(member_t *member, int on, const char *problem)
{
    struct member_gateway *gateway = &member->gateway;

    if (problem != NULL && strcmp(gateway->problem, problem) != 0) {
        log_error("network %s: not its gateway: %s", member->name, problem);
    }

    if (problem == NULL && gateway->on != on) {
        log_info(on ? "network %s: this device is its gateway"
                    : "network %s: this device is its gateway no more",
                 member->name);
    }

    if (on && !gateway->on && !forward_has_ipv6(member->interface)) {
        log_warn("network %s: this kernel forwards no IPv6 for one interface "
                 "alone: devices without an agent have IPv4",
                 member->name);
    }

    gateway->on = on && problem == NULL;
    snprintf(gateway->problem, sizeof(gateway->problem), "%s",
             problem != NULL ? problem : "");
}


void
gateway_fail(member_t *member, const err_t *err)
{
    control_call_t *call = member->gateway.call;

    gateway_stop(member);

    if (call != NULL) {
        control_fail(call, err);
    }
}


/* Whether the endpoints that we tell of have one for the whole internet. */
static int
gateway_is_public(const member_t *member)
{
    const struct local_addresses *local = &member->daemon->wire->local;
    size_t i;

    if (address_is_public(&member->announced.address)) {
        return 1;
    }

    for (i = 0; i < local->count; i++) {
        if (address_is_public(&local->addresses[i].address)) {
            return 1;
        }
    }

    return 0;
}


/* What `gateway` answers. */
static json_t *
gateway_describe(const member_t *member)
{
    const struct member_gateway *gateway = &member->gateway;

    return json_pack("{s:s, s:s, s:b, s:b, s:b, s:b, s:i, s:o}", "network_id",
                     member->id, "name", member->name, "offered",
                     gateway->offered, "gateway", gateway->on, "ipv6",
                     gateway->on && forward_has_ipv6(member->interface),
                     "public", gateway_is_public(member), "listen_port",
                     (int) member->listen_port, "endpoints",
                     wire_local_endpoints(member->daemon, member));
}


/* Answers the command that waits, if it can be answered. */
static void
gateway_answer(member_t *member)
{
    err_t err;
    struct member_gateway *gateway = &member->gateway;
    control_call_t *call = gateway->call;

    if (call == NULL || gateway->offering != NULL) {
        return;
    }

    if (gateway->approved && gateway->problem[0] != '\0') {
        err_set(&err, "interface", "%s", gateway->problem);
        gateway_fail(member, &err);
        return;
    }

    if (gateway->approved != gateway->on) {
        return;
    }

    gateway_stop(member);
    control_reply(call, gateway_describe(member));
}


void
gateway_learn(member_t *member, const char *problem)
{
    int wanted = gateway_wanted(member);

    gateway_set(member, wanted, wanted ? problem : NULL);
    gateway_answer(member);
}


static void
gateway_late(void *arg)
{
    err_t err;

    err_set(&err, "timeout",
            "this device has not become what the server says yet: see "
            "goconnect status");
    gateway_fail(arg, &err);
}


static void
gateway_offered(void *arg, const http_answer_t *answer)
{
    member_t *member = arg;
    struct member_gateway *gateway = &member->gateway;

    gateway->offering = NULL;

    if (answer->status != 200) {
        gateway_fail(member, &answer->err);
        return;
    }

    gateway->offered =
        json_is_true(json_object_get(answer->json, "gateway_offered"));
    gateway->approved = json_is_true(json_object_get(answer->json, "gateway"));

    /* the netmap may have come before, or comes in a moment */
    gateway_answer(member);
}


/* On disk first, then told. */
static int
gateway_announce(member_t *member, const struct endpoint *announced, err_t *err)
{
    if (endpoint_compare(&member->announced, announced) == 0) {
        return 0;
    }

    member->announced = *announced;

    if (member_write(member, err) == -1) {
        return -1;
    }

    uplink_endpoints(member->daemon->uplink);

    return 0;
}


void
gateway_offer(member_t *member, control_call_t *call, int on,
              const struct endpoint *announced)
{
    char path[80];
    err_t err;
    struct member_gateway *gateway = &member->gateway;

    if (gateway->call != NULL) {
        err_set(&err, "busy", "this is being asked for already");
        control_fail(call, &err);
        return;
    }

    if (member->state != MEMBER_JOINED || (on && !member->live)) {
        err_set(&err, "interface", "the network is not up: goconnect up");
        control_fail(call, &err);
        return;
    }

    if (announced != NULL && gateway_announce(member, announced, &err) == -1) {
        control_fail(call, &err);
        return;
    }

    snprintf(path, sizeof(path), "/v1/peers/%s", member->peer_id);
    gateway->call = call;
    gateway->end.fn = gateway_late;
    gateway->end.arg = member;
    loop_timer_set(member->daemon->loop, &gateway->end, GATEWAY_WAIT_MS);
    gateway->offering = device_call(member->daemon, "PATCH", path,
                                    json_pack("{s:b}", "gateway_offered", on),
                                    gateway_offered, member);
}


void
gateway_stop(member_t *member)
{
    struct member_gateway *gateway = &member->gateway;

    loop_timer_cancel(&gateway->end);
    gateway->call = NULL;

    if (gateway->offering != NULL) {
        device_call_cancel(gateway->offering);
        gateway->offering = NULL;
    }
}
