#ifndef GC_DAEMON_DAEMON_H
#define GC_DAEMON_DAEMON_H

#include "base/config.h"
#include "base/control.h"
#include "base/loop.h"
#include "link/http.h"
#include "link/socket.h"
#include "link/upnp.h"
#include "os/backend.h"
#include "os/keys.h"
#include "os/local_addresses.h"
#include "os/monitor.h"
#include "plan/backoff.h"
#include "plan/netmap.h"
#include "plan/paths.h"
#include "plan/port_mapping.h"
#include "plan/rotation.h"

#include <jansson.h>

#define DAEMON_MEMBERS_MAX 100 /* a subscription names at most 256 topics */
#define DAEMON_STATUS 400      /* of one line for systemd */
#define DAEMON_ID_SIZE NETMAP_ID_SIZE

typedef struct daemon daemon_t;
typedef struct member member_t;
typedef struct uplink uplink_t;
typedef struct wire wire_t;
typedef struct naming naming_t;
typedef struct device_call device_call_t;

/* The account that this device is enrolled for; durable (device.c). */
typedef struct {
    dial_server_t server;
    int enrolled;
    char id[DAEMON_ID_SIZE];
    char name[NETMAP_NAME_SIZE];
    char user_id[DAEMON_ID_SIZE];
    char username[NETMAP_NAME_SIZE];
    struct key identity;        /* X25519, never a WireGuard key */
    struct key identity_public; /* all zero: not made yet */
    char *refresh_token;
    /* not kept */
    char *access_token;
    int64_t expires_at; /* loop_now() */
    http_t *refreshing;
    device_call_t *calls; /* all that are under way */
    char subnets[2048];   /* as told (subnets.c) */
} device_t;

typedef enum {
    MEMBER_JOINING, /* the server does not know our key yet */
    MEMBER_JOINED,
    MEMBER_LEAVING /* to be taken down and forgotten */
} member_state_t;

/* This device as the gateway of a network (gateway.c). */
struct member_gateway {
    int on; /* we forward */
    char problem[200];
    control_call_t *call; /* `gateway`, as long as it waits */
    device_call_t *offering;
    loop_timer_t end;
    int offered; /* as the server said */
    int approved;
};

/* What a network of mode l2 has beyond its tunnel (lan.c). */
struct member_lan {
    int ready;
};

/* Other than the network has it (settings.c); 0: as the network has it. */
struct member_settings {
    uint32_t mtu;
};

/* The port at this machine's router (mapper.c). */
struct member_mapping {
    int on;
    struct port_mapping port;
    struct endpoint told; /* what others were told of */
    upnp_port_t upnp;
    uint64_t upnp_until; /* loop_now(): it is open; 0: it is not */
    uint64_t upnp_next;  /* to ask */
};

struct firewall_route;

/* A network's rules here (firewall.c). */
struct member_firewall {
    int on;    /* they stand */
    int unfit; /* ... and cannot: problem says why */
    char problem[200];
    struct firewall_route *routes; /* that we forward to */
    size_t route_count;
};

/* How far the change of our own key is (rotation.c). */
typedef enum {
    ROTATION_NONE,
    ROTATION_ANNOUNCING, /* POST rotate, until it is answered */
    ROTATION_WAITING,    /* for the others to be ready */
    ROTATION_COMMITTING  /* POST commit: which key is ours is not known */
} rotation_step_t;

struct member_rotation {
    struct rotations *others;
    rotation_step_t step;
    int has_next;
    struct key next_private;
    struct key next_public;
    int64_t keyed_at; /* UNIX time; 0: not known */
    json_t *ready;    /* peer ids of those who acknowledged */
    control_call_t *call;
    device_call_t *asking;
    loop_timer_t timer; /* of the step */
    int armed;
    loop_timer_t end; /* of the call */
    struct backoff backoff;
};

/* One joined network (member.c). */
struct member {
    member_t *next;
    daemon_t *daemon;
    char id[DAEMON_ID_SIZE];
    char name[NETMAP_NAME_SIZE];
    member_state_t state;
    int up; /* wanted, by `up` and `down` */
    struct key private_key;
    struct key public_key;
    char interface[ACTUAL_NAME_SIZE]; /* "" until the first netmap */
    uint16_t listen_port;
    struct endpoint announced; /* by `gateway`: where a router forwards */
    char peer_id[DAEMON_ID_SIZE];
    struct address ip_address;
    struct address ip6_address;

    struct netmap *map; /* the last good one, or NULL */
    int64_t seq;        /* of network:ID; 0: nothing known */
    char epoch[64];     /* of the server's, when seq was learned */
    struct netmap *assembly;
    json_t *held;           /* deltas that came before the last part */
    unsigned awaiting : 1;  /* a netmap was asked for */
    unsigned resyncing : 1; /* ... and will be asked for anew */
    unsigned stored : 1;    /* a netmap is on disk */
    unsigned dirty : 1;     /* the netmap has to be written */
    loop_timer_t write;

    struct paths *paths;
    json_t *online; /* peer id -> status, from peer_status */
    int64_t joined_at;
    device_call_t *posting;
    control_call_t *waiting; /* the join that asked */
    loop_timer_t waiting_end;
    loop_timer_t again; /* POST peers once more */
    loop_timer_t ask;   /* for the netmap once more */
    struct backoff backoff;
    char endpoints[1024]; /* as last told the server */
    char problem[320];
    struct member_settings settings;
    struct member_gateway gateway;
    struct member_rotation rotation;
    struct member_probe *probe;   /* probe.c */
    struct member_routes *routes; /* routes.c; NULL: none */
    struct member_lan lan;
    struct member_mapping mapping;
    struct member_firewall firewall;
    /* as last observed */
    int live;   /* the interface is up */
    int active; /* peers with a session */
};

/* What systemd was told, and what is needed to read settings (service.c). */
struct daemon_service {
    int argc;
    char **argv;
    int ready;
    char told[DAEMON_STATUS];
};

struct daemon {
    config_t *config;
    struct daemon_service service;
    loop_t *loop;
    loop_fd_t signals;
    control_t *control;
    device_t device;
    member_t *members;
    unsigned member_count;
    uplink_t *uplink;
    wire_t *wire;
    naming_t *naming;
    struct mapper *mapper;
    struct local *local; /* local.c; NULL: off */
    char local_problem[200];
    struct doctor *doctor; /* doctor.c: what is being looked at */
    struct netcheck *netcheck;
    struct backend *backend;
    control_call_t *forgetting; /* a logout that waits for the server */
    char networks[PATH_MAX];    /* folders under the state folder */
    char netmaps[PATH_MAX];
};


/* A plan or os error as ours. Returns -1. */
int daemon_error(err_t *err, const char *code, const struct error *error);

/* 32 random bits. */
uint32_t daemon_random(void);

/* Wipes and replaces a secret text (NULL: none). */
void daemon_secret(char **place, const char *text);

/* A text member of an object, "" if it is not there. */
const char *daemon_text(const json_t *object, const char *name);

/* Answers one request on the control socket (command.c). */
void command_run(void *arg, control_call_t *call, json_t *request);

#endif
