#ifndef GC_DAEMON_UPLINK_H
#define GC_DAEMON_UPLINK_H

#include "daemon/daemon.h"

/* A netmap that was asked for comes within, part by part. */
#define UPLINK_NETMAP_MS 30000

/*
 * The control connection: token, WebSocket, hello, subscriptions; made again
 * whenever it is lost. It is the only thing of the daemon that may be away:
 * interfaces stand without it.
 */
typedef enum {
    UPLINK_OFF,        /* not logged in */
    UPLINK_CONNECTING, /* token, connection, hello */
    UPLINK_CONNECTED,
    UPLINK_WAITING, /* until the next try */
    UPLINK_REFUSED  /* by the server: nothing to try until a new login */
} uplink_state_t;

struct uplink {
    daemon_t *daemon;
    uplink_state_t state;
    device_call_t *token;
    socket_link_t *socket;
    loop_timer_t timer;     /* hello's deadline, or the next try */
    loop_timer_t endpoints; /* paces them */
    loop_timer_t answer;    /* the subscription's */
    loop_timer_t self;      /* ask for `self` once more */
    loop_timer_t paths;     /* tells how peers are reached */
    struct backoff backoff;
    unsigned failures;
    int64_t connected_at;
    unsigned last_code;
    int told_s; /* when to come back, by the server's last word; -1: nothing */
    char session_id[DAEMON_ID_SIZE];
    char epoch[64];
    char problem[320];
};


uplink_t *uplink_create(daemon_t *daemon);
void uplink_destroy(uplink_t *uplink);

/* Begins (again), with the account as it is now. */
void uplink_start(uplink_t *uplink);

/* Ends the connection; state says what is left. */
void uplink_stop(uplink_t *uplink, uplink_state_t state, const char *why);

/* The connection is lost, or of no use: begins again after a while. */
void uplink_lost(uplink_t *uplink, unsigned code, const char *why);

/* The server is about to end the connection: come back after so long. */
void uplink_told(uplink_t *uplink, json_int_t seconds);

/* This machine's addresses changed: tell, or try again sooner. */
void uplink_nudge(uplink_t *uplink);

/* This machine slept for so long. */
void uplink_woke(uplink_t *uplink, int64_t slept_ms);

/* The connection is complete: hello has come. */
void uplink_hello(uplink_t *uplink, const json_t *data);

/* One message; takes data. -1: there is no connection, or no memory. */
int uplink_send(uplink_t *uplink, const char *type, const char *id,
                json_t *data);

/* Tells from now on, twice a minute, how peers are reached. */
void uplink_paths(uplink_t *uplink);

const char *uplink_state_name(const uplink_t *uplink);


/* uplink_send.c */

/* Follow this device and all joined networks. */
void uplink_subscribe_all(uplink_t *uplink);

/* Follow a network from member->seq on, or not any more. */
void uplink_subscribe_member(member_t *member);
void uplink_unsubscribe_member(member_t *member);

/* Ask for the network's netmap afresh, soon. */
void uplink_resync(member_t *member);

/* Ask for `self`. */
void uplink_subscribe_device(uplink_t *uplink);

/* Tell a network's endpoints, if they are not those that were told. */
void uplink_endpoints(uplink_t *uplink);

/* The subscription was answered. */
void uplink_answered(uplink_t *uplink);

#endif
