/*
 * What the files of live/ share.
 *
 * Who owns what: a session lives until its socket is gone and its last call
 * to the database has ended (references).  A subscription belongs to its
 * session and stands in its topic's list; a topic lives as long as somebody
 * subscribes to it or watches it.
 */


#ifndef NGX_GOCONNECT_LIVE_PRIVATE_H
#define NGX_GOCONNECT_LIVE_PRIVATE_H


#include <jansson.h>

#include "core/gc_json_slice.h"
#include "http/ngx_goconnect_http.h"
#include "live/ngx_goconnect_live.h"
#include "live/ngx_goconnect_live_bus.h"
#include "pg/ngx_goconnect_pg.h"
#include "shm/ngx_goconnect_metrics.h"
#include "shm/ngx_goconnect_cache.h"
#include "ws/ngx_goconnect_ws.h"


#define NGX_GOCONNECT_TOPIC_MAX 64      /* bytes of a name */
#define NGX_GOCONNECT_SUBSCRIBE_MAX 256 /* topics in one request */
#define NGX_GOCONNECT_SUBS_MAX 1024     /* topics of a session */
#define NGX_GOCONNECT_CALLS_MAX 64      /* of a session at a time */
#define NGX_GOCONNECT_SESSIONS_USER 8   /* per user and node */
#define NGX_GOCONNECT_HOLD_MAX 8388608  /* bytes that wait for a replay */
#define NGX_GOCONNECT_EARLY_MAX 65536   /* bytes that came before hello */
#define NGX_GOCONNECT_MESSAGE_EVERY 50  /* ms: 20 messages a second */
#define NGX_GOCONNECT_MESSAGE_BURST 40
#define NGX_GOCONNECT_SIGNAL_MAX 4000
#define NGX_GOCONNECT_PATHS_MAX 256      /* in one message */
#define NGX_GOCONNECT_BELL_MAX 4000      /* bytes that every bus carries */
#define NGX_GOCONNECT_CALL_TIMEOUT 10000 /* ms */
#define NGX_GOCONNECT_SEQ_UNKNOWN (-1)


typedef struct ngx_goconnect_session_s ngx_goconnect_session_t;
typedef struct ngx_goconnect_topic_s ngx_goconnect_topic_t;
typedef struct ngx_goconnect_fanout_s ngx_goconnect_fanout_t;
typedef struct ngx_goconnect_sub_s ngx_goconnect_sub_t;
typedef struct ngx_goconnect_catchup_s ngx_goconnect_catchup_t;
typedef struct ngx_goconnect_subscribe_s ngx_goconnect_subscribe_t;
typedef struct ngx_goconnect_netmap_s ngx_goconnect_netmap_t;
typedef struct ngx_goconnect_peer_s ngx_goconnect_peer_t;
typedef struct ngx_goconnect_held_s ngx_goconnect_held_t;
typedef struct ngx_goconnect_typing_s ngx_goconnect_typing_t;
typedef struct ngx_goconnect_mesh_s ngx_goconnect_mesh_t;


/* an event, cut out of somebody else's memory */
typedef struct {
    gc_slice_t text; /* the whole frame */
    gc_slice_t type;
    gc_slice_t topic;
    gc_slice_t data;
    int64_t seq; /* 0: not stored, ephemeral */
} ngx_goconnect_event_t;


struct ngx_goconnect_topic_s {
    ngx_goconnect_topic_t *next; /* of the same bucket */
    int64_t seq; /* the last event that was handed on, or _SEQ_UNKNOWN */
    ngx_queue_t subs;
    ngx_queue_t watchers;           /* sessions of this user or device */
    ngx_goconnect_fanout_t *fanout; /* while there is something to deliver */
    ngx_goconnect_typing_t *typing; /* while somebody is typing there */
    ngx_goconnect_mesh_t *mesh;     /* while it is watched */
    uint32_t hash;
    unsigned lax : 1; /* nobody knows its seq: the first event begins it */
    u_char len;
    u_char name[];
};


/* a frame that waits, in the order of delivery */
struct ngx_goconnect_held_s {
    ngx_goconnect_held_t *next;
    ngx_goconnect_ws_frame_t *frame; /* one reference */
    int64_t seq;                     /* 0: none */
};


/* the frames of a subscription that is not live yet */
struct ngx_goconnect_catchup_s {
    ngx_queue_t queue;              /* of its session, once it is answered */
    ngx_goconnect_sub_t *sub;       /* whose it is */
    ngx_goconnect_subscribe_t *op;  /* the call it waits for, or NULL */
    ngx_goconnect_netmap_t *netmap; /* goes first; one reference, or NULL */
    ngx_uint_t part;                /* of the netmap, the next one */
    ngx_goconnect_held_t *head;
    ngx_goconnect_held_t *tail;
    unsigned was_live : 1;
};


struct ngx_goconnect_sub_s {
    ngx_queue_t queue; /* of its topic */
    ngx_goconnect_sub_t *next;
    ngx_goconnect_session_t *session;
    ngx_goconnect_topic_t *topic;
    int64_t seq; /* the last event that was sent, or is known otherwise */
    ngx_goconnect_catchup_t *catchup; /* NULL: live */
};


/* a peer of a device that is connected here: who gets its signals */
struct ngx_goconnect_peer_s {
    ngx_goconnect_peer_t *next; /* of the same bucket */
    ngx_goconnect_session_t *session;
    u_char network[NGX_GOCONNECT_ID_LEN];
    u_char id[NGX_GOCONNECT_ID_LEN];
};


typedef enum {
    NGX_GOCONNECT_SESSION_TICKET = 0, /* its ticket is looked up */
    NGX_GOCONNECT_SESSION_HELLO,      /* its hello is asked for */
    NGX_GOCONNECT_SESSION_READY
} ngx_goconnect_session_state_e;


/* a message that came before hello was said */
typedef struct ngx_goconnect_early_s ngx_goconnect_early_t;

struct ngx_goconnect_early_s {
    ngx_goconnect_early_t *next;
    size_t len;
    u_char text[];
};


struct ngx_goconnect_session_s {
    ngx_queue_t user_queue;   /* of user_topic's watchers */
    ngx_queue_t device_queue; /* of device_topic's watchers */
    ngx_queue_t pump_queue;   /* of the worker: has frames to send */
    ngx_queue_t catching;     /* answered catch-ups */
    ngx_goconnect_ws_t *ws;   /* NULL: gone */
    ngx_goconnect_topic_t *user_topic;
    ngx_goconnect_topic_t *device_topic; /* NULL: a user's session */
    ngx_goconnect_sub_t *subs;
    ngx_goconnect_peer_t *peers;
    ngx_goconnect_early_t *early;
    u_char *ticket;                  /* digest, TICKET only */
    ngx_goconnect_identity_t *claim; /* until the topics say who it is */
    uint64_t number; /* of the connection: the higher is the younger */
    uint32_t refs;
    uint32_t held;     /* bytes */
    ngx_msec_t credit; /* when the bucket of messages is full again */
    uint16_t nsubs;
    uint16_t npeers;
    uint16_t calls; /* in flight */
    unsigned state : 2;
    unsigned token_refused : 1;
    unsigned counted : 1;            /* among its user's */
    unsigned ended : 1;              /* revoked: does not come back */
    unsigned pumping : 1;            /* stands in pump_queue */
    unsigned stale : 1;              /* of an epoch that is over */
    u_char id[NGX_GOCONNECT_ID_LEN]; /* of the login */
};


/* a client's request that waits for the database */
typedef struct ngx_goconnect_request_s ngx_goconnect_request_t;

typedef void (*ngx_goconnect_request_done_pt)(ngx_goconnect_request_t *rq,
                                              ngx_goconnect_pg_call_t *call);

struct ngx_goconnect_request_s {
    ngx_goconnect_session_t *session; /* one reference */
    json_t *id;                       /* the client's, or NULL */
    ngx_goconnect_request_done_pt done;
    void *data;
};


/* takes a reference to the frame; NGX_ERROR ends it */
typedef ngx_int_t (*ngx_goconnect_state_tell_pt)(
    void *data, ngx_goconnect_ws_frame_t *frame);


/* one row of an api function */
typedef struct {
    ngx_uint_t status;
    gc_slice_t body;
    gc_slice_t events;
} ngx_goconnect_reply_t;


typedef enum {
    NGX_GOCONNECT_LIVE_TICKET_TAKE = 0,
    NGX_GOCONNECT_LIVE_HELLO,
    NGX_GOCONNECT_LIVE_SUBSCRIBE,
    NGX_GOCONNECT_LIVE_NETMAP,
    NGX_GOCONNECT_LIVE_SWEEP,
    NGX_GOCONNECT_LIVE_PRESENCE,
    NGX_GOCONNECT_LIVE_PRESENCE_STATE,
    NGX_GOCONNECT_LIVE_ENDPOINTS,
    NGX_GOCONNECT_LIVE_NETWORK_CHAT,
    NGX_GOCONNECT_LIVE_TENANT_CHAT,
    NGX_GOCONNECT_LIVE_TYPING,
    NGX_GOCONNECT_LIVE_ROTATION_ACK,
    NGX_GOCONNECT_LIVE_FIGURES,
    NGX_GOCONNECT_LIVE_AUDIT_TAKE,
    NGX_GOCONNECT_LIVE_AUDIT_STORE,
    NGX_GOCONNECT_LIVE_BELL,
    NGX_GOCONNECT_LIVE_PLACE,
    NGX_GOCONNECT_LIVE_STATEMENTS
} ngx_goconnect_live_statement_e;


/* the worker's identity: `node` for presence, `tag` on its own bells */
typedef struct {
    u_char node[NGX_GOCONNECT_ID_LEN + 1];
    u_char tag[16 + 1];
} ngx_goconnect_live_worker_t;

extern ngx_goconnect_live_worker_t ngx_goconnect_live_worker;

/* for ev->data of our timers: a debug build reads fd of it */
extern ngx_connection_t ngx_goconnect_live_no_connection;


/*
 * ngx_goconnect_live.c: calls
 */

ngx_goconnect_pg_call_t *
ngx_goconnect_live_call(ngx_goconnect_live_statement_e statement);

/* fills a timer or posted event of the worker */
void ngx_goconnect_live_event_init(ngx_event_t *ev, ngx_event_handler_pt fn);

/* NGX_OK if the call holds a row of an api function; else it is logged */
ngx_int_t ngx_goconnect_live_reply(ngx_goconnect_pg_call_t *call,
                                   ngx_goconnect_reply_t *reply);

/* a call of the worker's own that failed; what passes by itself is info */
void ngx_goconnect_live_log(ngx_goconnect_pg_call_t *call);

ngx_int_t ngx_goconnect_live_random(void *out, size_t len);

static ngx_inline gc_slice_t
ngx_goconnect_slice(const void *data, size_t len)
{
    gc_slice_t slice;

    slice.data = data;
    slice.len = len;

    return slice;
}


/*
 * ngx_goconnect_live_session.c
 */

void ngx_goconnect_session_unref(ngx_goconnect_session_t *s);
void ngx_goconnect_session_ready(ngx_goconnect_session_t *s);
ngx_uint_t ngx_goconnect_session_is_open(ngx_goconnect_session_t *s);

/* of a session that has its topics; a device's own id, NULL: a user's */
void ngx_goconnect_session_identity(ngx_goconnect_session_t *s,
                                    ngx_goconnect_identity_t *identity);
const u_char *ngx_goconnect_session_device(ngx_goconnect_session_t *s);

/* has it called for too much?  then it is being closed: NGX_ERROR */
ngx_int_t ngx_goconnect_session_rate(ngx_goconnect_session_t *s);

/* closes the device's sockets whose connection number is lower */
void ngx_goconnect_session_replaced(gc_slice_t device, uint64_t number);

/* every socket is to come back: history is not what it was */
void ngx_goconnect_session_restart_all(void);

extern const ngx_goconnect_ws_handlers_t ngx_goconnect_session_handlers;


/*
 * ngx_goconnect_live_session_peers.c
 */

/* replaces the peers that a session answers for by [{network_id, peer_id}] */
void ngx_goconnect_session_peers(ngx_goconnect_session_t *s, gc_slice_t peers);
void ngx_goconnect_session_peers_free(ngx_goconnect_session_t *s);
ngx_goconnect_peer_t *ngx_goconnect_peer_find(gc_slice_t id);
ngx_goconnect_peer_t *ngx_goconnect_session_peer(ngx_goconnect_session_t *s,
                                                 gc_slice_t network);
ngx_int_t ngx_goconnect_peer_init(ngx_cycle_t *cycle);


/*
 * ngx_goconnect_live_session_say.c
 */

/* sends {"type":TYPE,"id":ID,HEAD...}; parts are joined, NULL ends them */
void ngx_goconnect_session_say(ngx_goconnect_session_t *s, const char *type,
                               json_t *id, const gc_slice_t *parts,
                               ngx_uint_t n);
void ngx_goconnect_session_ok(ngx_goconnect_session_t *s, json_t *id,
                              gc_slice_t data);
/* body: {"code", "detail", "errors"?} */
void ngx_goconnect_session_problem(ngx_goconnect_session_t *s, json_t *id,
                                   ngx_uint_t status, gc_slice_t body);
void ngx_goconnect_session_error(ngx_goconnect_session_t *s, json_t *id,
                                 ngx_uint_t status, const char *code,
                                 const char *detail);

/* the problem of a call that gave no row */
void ngx_goconnect_session_failed(ngx_goconnect_session_t *s, json_t *id,
                                  ngx_goconnect_pg_call_t *call);


/*
 * ngx_goconnect_live_hello.c: from a socket to a session
 */

void ngx_goconnect_hello_begin(ngx_goconnect_session_t *s);


/*
 * ngx_goconnect_live_epoch.c
 */

/*
 * Looks at the epoch that an answer of the database has.  NGX_DECLINED: it is
 * another one than before, and what was before is over.
 */
ngx_int_t ngx_goconnect_epoch_check(gc_slice_t body);

/* ends all sessions, and forgets what the worker knows of topics */
void ngx_goconnect_epoch_over(void);


/*
 * ngx_goconnect_live_request.c
 */

void ngx_goconnect_request_text(ngx_goconnect_session_t *s, u_char *text,
                                size_t len);

/*
 * A request with one reference to s; id may be NULL.  _send() sends its call
 * with done, or answers with a problem, frees both and returns NGX_DECLINED.
 */
ngx_goconnect_request_t *
ngx_goconnect_request_create(ngx_goconnect_session_t *s, json_t *id);
ngx_int_t ngx_goconnect_request_send(ngx_goconnect_request_t *rq,
                                     ngx_goconnect_pg_call_t *call,
                                     ngx_goconnect_request_done_pt done);
void ngx_goconnect_request_free(ngx_goconnect_request_t *rq);

/* appends the session's context; key: Idempotency-Key, or NULL */
ngx_int_t ngx_goconnect_request_ctx(ngx_goconnect_session_t *s,
                                    ngx_goconnect_pg_call_t *call,
                                    const ngx_str_t *key);


/*
 * ngx_goconnect_live_limit.c
 */

/* sockets of a user on this node; user has NGX_GOCONNECT_ID_LEN bytes */
ngx_uint_t ngx_goconnect_limit_user(const u_char *user);
void ngx_goconnect_limit_enter(const u_char *user);
void ngx_goconnect_limit_leave(const u_char *user);

/* one socket more of this worker, or less; all of this node's */
void ngx_goconnect_limit_socket(int change);
ngx_uint_t ngx_goconnect_limit_sockets(void);
ngx_int_t ngx_goconnect_limit_init(ngx_cycle_t *cycle);


/*
 * ngx_goconnect_live_sub.c
 */

ngx_goconnect_sub_t *ngx_goconnect_sub_find(ngx_goconnect_session_t *s,
                                            gc_slice_t topic);

/* stands in its topic's list from now on; NULL: no memory */
ngx_goconnect_sub_t *ngx_goconnect_sub_create(ngx_goconnect_session_t *s,
                                              gc_slice_t name);
void ngx_goconnect_sub_remove(ngx_goconnect_sub_t *sub);

/* keeps a live frame until the subscription has caught up */
void ngx_goconnect_sub_hold(ngx_goconnect_sub_t *sub,
                            ngx_goconnect_ws_frame_t *frame, int64_t seq);

/* takes a reference to the frame; NGX_ERROR: no memory */
ngx_int_t ngx_goconnect_catchup_append(ngx_goconnect_sub_t *sub,
                                       ngx_goconnect_ws_frame_t *frame,
                                       int64_t seq);

/* with all that is held; the subscription is live then */
void ngx_goconnect_catchup_free(ngx_goconnect_sub_t *sub);

/* sends what waits, as far as the socket goes */
void ngx_goconnect_pump(ngx_goconnect_session_t *s);
void ngx_goconnect_pump_forget(ngx_goconnect_session_t *s);
ngx_int_t ngx_goconnect_sub_init(ngx_cycle_t *cycle);


/*
 * ngx_goconnect_live_subscribe.c
 */

void ngx_goconnect_subscribe(ngx_goconnect_session_t *s, json_t *id,
                             json_t *data);
void ngx_goconnect_unsubscribe(ngx_goconnect_session_t *s, json_t *id,
                               json_t *data);
void ngx_goconnect_subscribe_forget(ngx_goconnect_subscribe_t *op,
                                    const ngx_goconnect_sub_t *sub);


/*
 * ngx_goconnect_live_netmap.c
 */

struct ngx_goconnect_netmap_s {
    ngx_queue_t queue;            /* least recently used first */
    ngx_goconnect_netmap_t *next; /* of its bucket */
    u_char network[NGX_GOCONNECT_ID_LEN];
    int64_t version;
    int64_t seq;
    size_t bytes;
    uint32_t refs;
    ngx_uint_t nparts;
    ngx_uint_t cached;
    ngx_goconnect_ws_frame_t **packed; /* the parts compressed, or NULL yet */
    ngx_goconnect_ws_frame_t *parts[]; /* `"data":{...}}` */
};

/* done: netmap is NULL and status says why, or it holds at least `version` */
typedef void (*ngx_goconnect_netmap_done_pt)(void *data, ngx_uint_t i,
                                             ngx_goconnect_netmap_t *netmap,
                                             ngx_uint_t status);

/*
 * Asks for a network's map.  done runs once, perhaps before the return, with
 * a reference that becomes its own.
 */
void ngx_goconnect_netmap_get(ngx_goconnect_session_t *s, gc_slice_t network,
                              int64_t version,
                              ngx_goconnect_netmap_done_pt done, void *data,
                              ngx_uint_t i);
void ngx_goconnect_netmap_unref(ngx_goconnect_netmap_t *netmap);

/* a part compressed, the netmap's own; NULL: it goes as it is */
ngx_goconnect_ws_frame_t *
ngx_goconnect_netmap_packed(ngx_goconnect_netmap_t *netmap, ngx_uint_t part);

/* versions have begun anew: what is kept is thrown away */
void ngx_goconnect_netmap_forget(void);
ngx_int_t ngx_goconnect_netmap_init(ngx_cycle_t *cycle);


/*
 * ngx_goconnect_live_topic.c
 */

/* NULL: nobody here is interested (or no memory, with create) */
ngx_goconnect_topic_t *ngx_goconnect_topic_get(gc_slice_t name,
                                               ngx_uint_t create);
ngx_uint_t ngx_goconnect_topic_valid(gc_slice_t name);

/* frees a topic in which nobody is interested any more */
void ngx_goconnect_topic_release(ngx_goconnect_topic_t *topic);
ngx_int_t ngx_goconnect_topic_init(ngx_cycle_t *cycle);


/*
 * ngx_goconnect_live_topic_order.c
 */

/*
 * The topic's seq in a snapshot of the database taken a moment ago, or
 * _SEQ_UNKNOWN: it is only watched, by somebody who was not told.
 */
void ngx_goconnect_topic_baseline(ngx_goconnect_topic_t *topic, int64_t seq);

/* an event from anywhere, in any order, as often as it likes */
void ngx_goconnect_topic_event(ngx_goconnect_event_t *event);

/* is it known how far the topic has come? */
ngx_uint_t ngx_goconnect_topic_known(gc_slice_t name);

/* somebody says that the topic has come so far */
void ngx_goconnect_topic_hint(gc_slice_t name, int64_t seq);

/* all that was committed before sweep `round` began has been delivered */
void ngx_goconnect_topic_swept(ngx_uint_t round);

/* seq has begun anew: what waits is thrown away */
void ngx_goconnect_topic_forget(void);

/* an event beyond the bound of a sweep: clients will have to fetch afresh */
void ngx_goconnect_topic_skip(ngx_goconnect_event_t *event);
void ngx_goconnect_topic_skipped(void);


/*
 * ngx_goconnect_live_topic_fanout.c
 */

/* to be called when a sub leaves its topic's list */
void ngx_goconnect_topic_unlink(ngx_goconnect_sub_t *sub);


/*
 * ngx_goconnect_live_event.c
 */

/* NGX_OK, or NGX_DECLINED: not a frame with a topic */
ngx_int_t ngx_goconnect_event_parse(gc_slice_t text,
                                    ngx_goconnect_event_t *event);

/* what is cached of its topic does not hold any more */
void ngx_goconnect_event_advance(const ngx_goconnect_event_t *event);

/* what an event does to sessions, besides being sent to them */
void ngx_goconnect_event_effect(ngx_goconnect_topic_t *topic,
                                ngx_goconnect_event_t *event);

/* ephemeral frames: to this worker's sockets, and to the others' */
void ngx_goconnect_event_ephemeral(gc_slice_t text);
void ngx_goconnect_event_incoming(gc_slice_t text);


/*
 * ngx_goconnect_live_bus.c
 */

/* tells all other workers of an event, or at least that there is one */
void ngx_goconnect_bus_ring(ngx_goconnect_event_t *event);

/* a text to all other workers; copied, lost when the bus is down */
void ngx_goconnect_bus_send(gc_slice_t text);
ngx_int_t ngx_goconnect_bus_init(ngx_cycle_t *cycle);
void ngx_goconnect_bus_exit(void);


/*
 * ngx_goconnect_live_paths.c
 */

/* a device tells how it reaches its peers */
void ngx_goconnect_request_paths(ngx_goconnect_session_t *s, json_t *id,
                                 json_t *data);


/*
 * ngx_goconnect_live_mesh.c: the topics `network:ID/mesh`
 */

/* {"bus": "mesh", "node": NODE, "links": BASE64 or "ask": BOOLEAN} */
void ngx_goconnect_mesh_incoming(gc_slice_t text);

/* what others say may have been missed */
void ngx_goconnect_mesh_missed(void);

/* a netmap_delta: peers that it removes are reached by nobody */
void ngx_goconnect_mesh_event(const ngx_goconnect_event_t *event);

/* all of it, for who begins to watch; nothing if the topic is another one */
ngx_int_t ngx_goconnect_mesh_snapshot(ngx_goconnect_topic_t *topic,
                                      ngx_goconnect_state_tell_pt tell,
                                      void *data);
void ngx_goconnect_mesh_free(ngx_goconnect_topic_t *topic);
ngx_int_t ngx_goconnect_mesh_init(ngx_cycle_t *cycle);


/*
 * ngx_goconnect_live_typing.c
 */

/* {"bus": "typing", "data": {tenant_id, network_id, user_id, username}} */
void ngx_goconnect_typing_incoming(gc_slice_t text);

/* would a frame of the user in that "tenant" or "network" be one too many? */
ngx_uint_t ngx_goconnect_typing_known(const char *kind, const char *id,
                                      const u_char *user);

/* a chat_message of the topic: its author is done */
void ngx_goconnect_typing_said(ngx_goconnect_topic_t *topic,
                               const ngx_goconnect_event_t *message);
void ngx_goconnect_typing_free(ngx_goconnect_topic_t *topic);
void ngx_goconnect_typing_init(void);


/*
 * ngx_goconnect_live_sweep.c
 */

/* at once, or as soon as the one in flight has ended */
void ngx_goconnect_sweep_now(void);

/* transactions have begun anew: so does the sweep, from now on */
void ngx_goconnect_sweep_forget(void);

/* the sweep that would find what is committed now */
ngx_uint_t ngx_goconnect_sweep_round(void);
ngx_int_t ngx_goconnect_sweep_init(ngx_cycle_t *cycle);


/*
 * ngx_goconnect_live_presence.c
 */

void ngx_goconnect_presence_online(ngx_goconnect_session_t *s);
void ngx_goconnect_presence_offline(ngx_goconnect_session_t *s);

/* sockets are sent away, to come back within so many seconds, here or elsewhere
 */
void ngx_goconnect_presence_away(ngx_uint_t seconds);

/* there is news: ask at the next look */
void ngx_goconnect_presence_hurry(void);
ngx_int_t ngx_goconnect_presence_init(ngx_cycle_t *cycle);


/*
 * ngx_goconnect_live_presence_news.c
 */

/* the number of the last news that this worker has taken; -1: none */
int64_t ngx_goconnect_news_known(void);

/* what ws_presence answered, and what a bell says */
void ngx_goconnect_news_answer(gc_slice_t body);
void ngx_goconnect_news_bell(gc_slice_t text);

/* asks for the state of all topics, if that is due */
void ngx_goconnect_news_look(void);


/*
 * ngx_goconnect_live_state.c
 */

/* is it a frame of state, to be told with the others of its topic? */
ngx_uint_t ngx_goconnect_state_is(const ngx_goconnect_event_t *event);

/* to the topic's sockets, within a second */
void ngx_goconnect_state_event(const ngx_goconnect_event_t *event);

/* is there state of it? */
ngx_uint_t ngx_goconnect_state_topic(gc_slice_t topic);

/*
 * The frames of a list ([{"peer_id" or "user_id", "status", ...}]) of a topic
 * of which there is state.
 */
ngx_int_t ngx_goconnect_state_snapshot(gc_slice_t topic, gc_slice_t list,
                                       ngx_goconnect_state_tell_pt tell,
                                       void *data);
ngx_int_t ngx_goconnect_state_init(ngx_cycle_t *cycle);


/*
 * ngx_goconnect_live_figures.c
 */

/* one more connection of a device, or one less */
void ngx_goconnect_figures_device(ngx_int_t change);
ngx_int_t ngx_goconnect_figures_init(ngx_cycle_t *cycle);


/*
 * ngx_goconnect_live_audit.c
 */

ngx_int_t ngx_goconnect_audit_init(ngx_cycle_t *cycle);
void ngx_goconnect_audit_exit(void);


#endif /* NGX_GOCONNECT_LIVE_PRIVATE_H */
