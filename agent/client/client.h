#ifndef GC_CLIENT_CLIENT_H
#define GC_CLIENT_CLIENT_H

#include "base/loop.h"
#include "link/dial.h"

#include <jansson.h>
#include <limits.h>

/* What `goconnect --help` promises. */
enum {
    CLIENT_OK = 0,
    CLIENT_FAILED = 1,
    CLIENT_USAGE = 2,
    CLIENT_NO_DAEMON = 3,
    CLIENT_NOT_LOGGED_IN = 4,
    CLIENT_REFUSED = 5,
    CLIENT_UNREACHABLE = 6
};

/* Options that some commands know beside those that all do. */
enum {
    CLIENT_OPT_USERNAME = 1,
    CLIENT_OPT_PASSWORD_FILE = 2,
    CLIENT_OPT_EMAIL = 4,
    CLIENT_OPT_NAME = 8,
    CLIENT_OPT_FOLLOW = 16,
    CLIENT_OPT_LIMIT = 32,
    CLIENT_OPT_CA = 64,
    CLIENT_OPT_INSECURE = 128,
    CLIENT_OPT_KEY = 256,
    CLIENT_OPT_ENDPOINT = 512,
    CLIENT_OPT_NO_MASQUERADE = 1 << 10,
    CLIENT_OPT_MODE = 1 << 13,
    CLIENT_OPT_COUNT = 1 << 14,
    CLIENT_OPT_WATCH = 1 << 15,
    CLIENT_OPT_ROLE = 1 << 16,
    CLIENT_OPT_USES = 1 << 17,
    CLIENT_OPT_EXPIRES = 1 << 18,
    CLIENT_OPT_REASON = 1 << 19,
    CLIENT_OPT_NETWORK = 1 << 20,
    CLIENT_OPT_REUSABLE = 1 << 21,
    CLIENT_OPT_EPHEMERAL = 1 << 22,
    CLIENT_OPT_USER = 1 << 23,
    CLIENT_OPT_DEVICE = 1 << 24,
    CLIENT_OPT_CIDR = 1 << 25,
    CLIENT_OPT_POLICY = 1 << 26,
    CLIENT_OPT_PUBLIC = 1 << 27,
    CLIENT_OPT_OPEN = 1 << 28
};

#define CLIENT_COMPLETION_MAX 16 /* words that can matter */
#define CLIENT_NETWORKS_MAX 16

/* The user's session at a server, as it is kept (client/session.c). */
typedef struct {
    dial_server_t server;
    char user_id[40];
    char username[80];
    char ca[PATH_MAX];
    int insecure;
    char *access_token;
    char *refresh_token;
    int64_t expires_at; /* UNIX time */
} session_t;

/* One run of the program. */
typedef struct {
    const char *socket;
    const char *username;
    const char *password_file;
    const char *key;
    const char *key_file;
    const char *email;
    const char *name;
    const char *ca;
    int limit;
    int follow;
    int insecure;
    int json;
    int help;
    int version;
    const char *role;
    const char *uses;
    const char *expires;
    const char *reason;
    const char *user;
    const char *device;
    const char *cidr;
    const char *policy;
    const char *mode;
    const char *endpoint;
    const char *network[CLIENT_NETWORKS_MAX]; /* of --network, until NULL */
    const char *count;
    int watch;
    int no_masquerade;
    int reusable;
    int ephemeral;
    int is_public;
    int open;
    int operands;
    char **operand;
    loop_t *loop; /* made at the first request to a server */
    session_t session;
} client_t;


/*
 * Says what went wrong (standard error, or as {"error": {...}} with --json)
 * and returns the exit code for it.
 */
int client_fail(client_t *client, const err_t *err);

/* Prints the document with --json: 1. Else 0. Takes the reference. */
int client_json(client_t *client, json_t *document);

/* Prints text that came from outside, without what moves a terminal. */
void client_print(const char *text);

/* Parts of status and peers, for a terminal (client/mesh.c). */
void mesh_print_status(const json_t *status);
void mesh_print_peers_head(void);
void mesh_print_peer(const json_t *peer);

/* PATCHes approved_routes of the peer that operand 1 names (client/route.c). */
int route_judge(client_t *client, const char *const *subnets, const char *what,
                int approve);

/* The commands; each returns an exit code. */
int account_login(client_t *client);
int account_register(client_t *client);
int account_logout(client_t *client);
int network_join(client_t *client);
int network_leave(client_t *client);
int network_list(client_t *client);
int mesh_up(client_t *client);
int mesh_down(client_t *client);
int mesh_status(client_t *client);
int mesh_peers(client_t *client);
int mesh_gateway(client_t *client);
int watch_run(client_t *client);
int mesh_rotate(client_t *client);
int local_run(client_t *client);
int reload_run(client_t *client);
int route_list(client_t *client);
int route_offer(client_t *client);
int route_withdraw(client_t *client);
int route_approve(client_t *client);
int route_deny(client_t *client);
int route_accept(client_t *client);
int route_refuse(client_t *client);
int settings_set(client_t *client);
int exit_show(client_t *client);
int exit_use(client_t *client);
int exit_off(client_t *client);
int exit_offer(client_t *client);
int exit_withdraw(client_t *client);
int exit_approve(client_t *client);
int exit_deny(client_t *client);
int ping_run(client_t *client);
int doctor_ask(client_t *client);
int netcheck_ask(client_t *client);
int names_run(client_t *client);
int chat_run(client_t *client);
int completion_run(client_t *client);
int tenant_list(client_t *client);
int tenant_search(client_t *client);
int tenant_create(client_t *client);
int tenant_network_create(client_t *client);
int member_list(client_t *client);
int member_role(client_t *client);
int member_requests(client_t *client);
int member_approve(client_t *client);
int member_deny(client_t *client);
int member_kick(client_t *client);
int member_ban(client_t *client);
int member_unban(client_t *client);
int member_bans(client_t *client);
int invite_list(client_t *client);
int invite_create(client_t *client);
int invite_revoke(client_t *client);
int key_list(client_t *client);
int key_create(client_t *client);
int key_delete(client_t *client);
int device_list(client_t *client);
int device_delete(client_t *client);
int rules_list(client_t *client);
int rules_set(client_t *client);
int reserve_list(client_t *client);
int reserve_make(client_t *client);
int reserve_drop(client_t *client);

#endif
