/* What is told of how peers are reached: those with a living session. */

#include "daemon/uplink.h"

#include "daemon/wire.h"

#include <string.h>
#include <time.h>

#define UPLINK_PATHS_MS 30000
#define UPLINK_PATHS_FIRST_MS 5000
#define UPLINK_PATHS_MAX 256    /* in one message */
#define UPLINK_PATHS_LIVE_S 180 /* a session is replaced before */


static json_int_t
uplink_paths_number(const json_t *peer, const char *name)
{
    return json_integer_value(json_object_get(peer, name));
}


/* The network's paths, NULL if there are none. */
static json_t *
uplink_paths_of(daemon_t *daemon, member_t *member)
{
    err_t err;
    json_t *path, *paths, *peer, *peers;
    size_t i;

    peers = wire_peers(daemon, member, &err);
    paths = json_array();

    json_array_foreach(peers, i, peer)
    {
        if (json_is_true(json_object_get(peer, "self")) ||
            uplink_paths_number(peer, "handshake") <
                time(NULL) - UPLINK_PATHS_LIVE_S ||
            json_array_size(paths) == UPLINK_PATHS_MAX) {
            continue;
        }

        path = json_pack("{s:s, s:s, s:I, s:I}", "peer_id",
                         daemon_text(peer, "peer_id"), "path",
                         strcmp(daemon_text(peer, "path"), "relayed") == 0
                             ? "relayed"
                             : "direct",
                         "rx_bytes", uplink_paths_number(peer, "rx_bytes"),
                         "tx_bytes", uplink_paths_number(peer, "tx_bytes"));

        if (uplink_paths_number(peer, "rtt") > 0) {
            json_object_set(path, "rtt", json_object_get(peer, "rtt"));
        }

        json_array_append_new(paths, path);
    }

    json_decref(peers);

    if (json_array_size(paths) > 0) {
        return paths;
    }

    json_decref(paths);
    return NULL;
}


static void
uplink_paths_tell(void *arg)
{
    uplink_t *uplink = arg;
    json_t *paths;
    member_t *member;

    for (member = uplink->daemon->members; member != NULL;
         member = member->next) {
        paths = member->state == MEMBER_JOINED
                    ? uplink_paths_of(uplink->daemon, member)
                    : NULL;

        if (paths != NULL) {
            (void) uplink_send(uplink, "path_status", "path_status",
                               json_pack("{s:s, s:o}", "network_id", member->id,
                                         "paths", paths));
        }
    }

    loop_timer_set(uplink->daemon->loop, &uplink->paths, UPLINK_PATHS_MS);
}


void
uplink_paths(uplink_t *uplink)
{
    uplink->paths.fn = uplink_paths_tell;
    uplink->paths.arg = uplink;
    loop_timer_set(uplink->daemon->loop, &uplink->paths, UPLINK_PATHS_FIRST_MS);
}
