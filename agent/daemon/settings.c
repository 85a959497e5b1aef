#include "daemon/settings.h"

#include "daemon/member.h"
#include "daemon/wire.h"

#include <string.h>

/* Takes value (NULL: none was given, as at first); -1 with err. */
typedef int (*settings_take_pt)(struct member_settings *settings,
                                const json_t *value, err_t *err);

typedef json_t *(*settings_give_pt)(const struct member_settings *settings);

static int settings_take_mtu(struct member_settings *settings,
                             const json_t *value, err_t *err);
static json_t *settings_give_mtu(const struct member_settings *settings);

static const struct {
    const char *name;
    settings_take_pt take;
    settings_give_pt give;
} settings_table[] = {
    {"mtu", settings_take_mtu, settings_give_mtu},
};

#define SETTINGS_COUNT (sizeof(settings_table) / sizeof(settings_table[0]))


static int
settings_take_mtu(struct member_settings *settings, const json_t *value,
                  err_t *err)
{
    json_int_t mtu = json_integer_value(value);

    if (value == NULL || json_is_null(value)) {
        settings->mtu = 0;
        return 0;
    }

    if (!json_is_integer(value) || mtu < NETMAP_MTU_MIN ||
        mtu > NETMAP_MTU_MAX) {
        return err_set(err, "usage", "mtu is %d to %d, or auto", NETMAP_MTU_MIN,
                       NETMAP_MTU_MAX);
    }

    settings->mtu = (uint32_t) mtu;
    return 0;
}


static json_t *
settings_give_mtu(const struct member_settings *settings)
{
    return settings->mtu != 0 ? json_integer(settings->mtu) : json_null();
}


json_t *
settings_to_json(const member_t *member)
{
    json_t *object = json_object();
    size_t i;

    for (i = 0; i < SETTINGS_COUNT; i++) {
        json_object_set_new(object, settings_table[i].name,
                            settings_table[i].give(&member->settings));
    }

    return object;
}


void
settings_from_json(member_t *member, const json_t *settings)
{
    err_t err;
    size_t i;

    for (i = 0; i < SETTINGS_COUNT; i++) {
        (void) settings_table[i].take(
            &member->settings,
            json_object_get(settings, settings_table[i].name), &err);
    }
}


static int
settings_take(struct member_settings *settings, const json_t *wanted,
              err_t *err)
{
    const char *name;
    json_t *value;
    size_t i;

    json_object_foreach((json_t *) wanted, name, value)
    {
        for (i = 0; i < SETTINGS_COUNT; i++) {
            if (strcmp(settings_table[i].name, name) == 0) {
                break;
            }
        }

        if (i == SETTINGS_COUNT) {
            return err_set(err, "usage", "there is no setting \"%.40s\"", name);
        }

        if (settings_table[i].take(settings, value, err) == -1) {
            return -1;
        }
    }

    return 0;
}


void
settings_run(member_t *member, control_call_t *call, const json_t *request)
{
    err_t err;
    const json_t *wanted = json_object_get(request, "settings");
    struct member_settings before = member->settings, settings = before;

    if (wanted != NULL && !json_is_object(wanted)) {
        err_set(&err, "bad_request", "settings is an object");
        control_fail(call, &err);
        return;
    }

    if (settings_take(&settings, wanted, &err) == -1) {
        control_fail(call, &err);
        return;
    }

    member->settings = settings;

    if (memcmp(&settings, &before, sizeof(settings)) != 0) {
        if (member_write(member, &err) == -1) {
            member->settings = before;
            control_fail(call, &err);
            return;
        }

        wire_sync(member->daemon);
    }

    control_reply(call, json_pack("{s:s, s:s, s:o}", "network_id", member->id,
                                  "name", member->name, "settings",
                                  settings_to_json(member)));
}
