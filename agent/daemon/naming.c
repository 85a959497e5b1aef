#include "daemon/naming.h"

#include "base/log.h"
#include "base/nsswitch.h"
#include "daemon/member.h"
#include "daemon/naming_resolved.h"
#include "os/names_file.h"
#include "plan/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMING_RETRY_MS 10000

/* FNV-1a, 64 bits. */
#define NAMING_BASIS 14695981039346656037ULL
#define NAMING_PRIME 1099511628211ULL

struct naming {
    daemon_t *daemon;
    char table[PATH_MAX];
    uint64_t told; /* what the table was made of; 0: not made yet */
    naming_resolved_t *resolved;
    loop_timer_t retry;
    char problem[320];
};


static int
naming_is(const naming_t *naming, const char *mode)
{
    return strcmp(naming->daemon->config->names, mode) == 0;
}


static int
naming_wanted(const member_t *member)
{
    return member->live && member->map != NULL && names_domain(member->map);
}


static uint64_t
naming_mix(uint64_t mark, const void *data, size_t size)
{
    const unsigned char *at = data;

    while (size-- > 0) {
        mark = (mark ^ *at++) * NAMING_PRIME;
    }

    return mark;
}


/* Changes whenever the table does: a netmap never changes but by version. */
static uint64_t
naming_mark(const daemon_t *daemon)
{
    const member_t *member;
    uint64_t mark = NAMING_BASIS;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (naming_wanted(member)) {
            mark = naming_mix(mark, member->id, sizeof(member->id));
            mark = naming_mix(mark, &member->map, sizeof(member->map));
            mark = naming_mix(mark, &member->map->version,
                              sizeof(member->map->version));
        }
    }

    return mark | 1;
}


/* Every change of whether names are told well comes through this. */
static void
naming_set(naming_t *naming, const char *problem)
{
    if (problem != NULL && strcmp(naming->problem, problem) != 0) {
        log_error("names: %s", problem);
    }

    snprintf(naming->problem, sizeof(naming->problem), "%s",
             problem != NULL ? problem : "");
}


static int
naming_collect(const daemon_t *daemon, struct names *names, struct error *error)
{
    const struct netmap *maps[DAEMON_MEMBERS_MAX];
    const member_t *member;
    size_t count = 0;

    for (member = daemon->members; member != NULL && count < DAEMON_MEMBERS_MAX;
         member = member->next) {
        if (naming_wanted(member)) {
            maps[count++] = member->map;
        }
    }

    return names_collect(names, maps, count, error);
}


static int
naming_write(naming_t *naming, struct error *error)
{
    struct names names;
    char *table;
    int rc;

    if (naming_collect(naming->daemon, &names, error) != 0) {
        return -1;
    }

    table = names_hosts(&names);
    names_clear(&names);

    if (table == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    rc = names_file_table(naming->table, table, error);

    if (rc == 0 && naming_is(naming, "hosts")) {
        rc = names_file_hosts(table, error);
    }

    free(table);

    return rc;
}


void
naming_sync(daemon_t *daemon)
{
    naming_t *naming = daemon->naming;
    struct error error;
    uint64_t mark;

    if (naming == NULL || naming_is(naming, "off")) {
        return;
    }

    if (naming->resolved != NULL) {
        naming_resolved_sync(naming->resolved);
    }

    mark = naming_mark(daemon);

    if (mark == naming->told) {
        return;
    }

    if (naming_write(naming, &error) != 0) {
        naming_set(naming, error.text);
        loop_timer_set(daemon->loop, &naming->retry, NAMING_RETRY_MS);
        return;
    }

    naming->told = mark;
    naming_set(naming, NULL);
}


static void
naming_retry(void *arg)
{
    naming_t *naming = arg;

    naming_sync(naming->daemon);
}


/* What an earlier run with another setting has left. */
static void
naming_clean(naming_t *naming)
{
    struct error error;

    if (naming_is(naming, "off") &&
        names_file_table(naming->table, "", &error) != 0) {
        log_warn("names: %s", error.text);
    }

    if (!naming_is(naming, "hosts") && names_file_hosts("", &error) != 0) {
        log_warn("names of an earlier run are still there: %s", error.text);
    }
}


naming_t *
naming_create(daemon_t *daemon, err_t *err)
{
    naming_t *naming = calloc(1, sizeof(*naming));
    const char *socket = daemon->config->socket;

    if (naming == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    naming->daemon = daemon;
    naming->retry.fn = naming_retry;
    naming->retry.arg = naming;

    /* beside the control socket: /run/goconnect is what the module knows */
    snprintf(naming->table, sizeof(naming->table), "%.*s/names",
             (int) (strrchr(socket, '/') - socket), socket);
    naming_clean(naming);

    if (naming_is(naming, "auto") || naming_is(naming, "resolved")) {
        naming->resolved =
            naming_resolved_create(daemon, naming_is(naming, "resolved"));

        if (naming->resolved == NULL) {
            free(naming);
            err_set(err, "no_memory", "out of memory");
            return NULL;
        }
    }

    return naming;
}


void
naming_destroy(naming_t *naming)
{
    if (naming != NULL) {
        loop_timer_cancel(&naming->retry);
        naming_resolved_destroy(naming->resolved);
        free(naming);
    }
}


/* Whether the C library's programs ask the module. */
static int
naming_module(void)
{
    char *text = names_file_read(NSSWITCH_FILE);
    int found = text != NULL && nsswitch_has(text);

    free(text);

    return found;
}


static void
naming_tell_problem(const naming_t *naming, json_t *reply, int resolved,
                    int module)
{
    const char *problem = naming->problem;

    if (*problem == '\0' && naming->resolved != NULL) {
        problem = naming_resolved_problem(naming->resolved);
    }

    if (*problem == '\0' && !resolved && !module &&
        (naming_is(naming, "auto") || naming_is(naming, "nss"))) {
        problem = "no program of this machine asks for these names yet: "
                  "sudo goconnect names install";
    }

    json_object_set_new(reply, "error",
                        *problem != '\0' ? json_string(problem) : json_null());
}


static json_t *
naming_entry(const daemon_t *daemon, const struct names_entry *entry)
{
    char full[NAMES_SIZE], pair[NAMES_SIZE], ip[ADDRESS_TEXT];
    char ip6[ADDRESS_TEXT] = "";
    const member_t *member;
    json_t *shorts = json_array();

    if (entry->pair) {
        json_array_append_new(shorts, json_string(names_pair(entry, pair)));
    }

    if (entry->host) {
        json_array_append_new(shorts, json_string(entry->peer->name));
    }

    if (entry->peer->ip6_address.family != ADDRESS_NONE) {
        address_format(&entry->peer->ip6_address, ip6);
    }

    member = member_find((daemon_t *) daemon, entry->map->network_id);

    return json_pack(
        "{s:s, s:o, s:s, s:s, s:s?, s:b}", "name", names_full(entry, full),
        "short", shorts, "network_id", entry->map->network_id, "ip_address",
        address_format(&entry->peer->ip_address, ip), "ip6_address",
        ip6[0] != '\0' ? ip6 : NULL, "self",
        member != NULL && strcmp(member->peer_id, entry->peer->id) == 0);
}


json_t *
naming_describe(daemon_t *daemon, err_t *err)
{
    naming_t *naming = daemon->naming;
    struct names names;
    struct error error;
    json_t *reply, *list;
    size_t i;
    int module = naming_module();
    int resolved =
        naming->resolved != NULL && naming_resolved_told(naming->resolved);

    if (naming_collect(daemon, &names, &error) != 0) {
        daemon_error(err, "no_memory", &error);
        return NULL;
    }

    list = json_array();

    for (i = 0; i < names.count; i++) {
        json_array_append_new(list, naming_entry(daemon, &names.list[i]));
    }

    names_clear(&names);
    reply = json_pack("{s:s, s:b, s:b, s:b, s:o}", "mode",
                      daemon->config->names, "resolved", resolved, "nss",
                      module && !naming_is(naming, "off"), "hosts",
                      naming_is(naming, "hosts") && naming->problem[0] == '\0',
                      "names", list);

    if (reply == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    naming_tell_problem(naming, reply, resolved, module);

    return reply;
}
