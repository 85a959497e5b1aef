#ifndef GC_BASE_CONTROL_H
#define GC_BASE_CONTROL_H

#include "base/err.h"
#include "base/loop.h"

#include <jansson.h>

/*
 * The control socket: one JSON object a line in, one a line out, in order.
 * Whoever is root, the daemon's own user or in the group "goconnect" may
 * speak; others get one refusal.
 */
typedef struct control control_t;
typedef struct control_call control_call_t;

#define CONTROL_CLIENTS 32
#define CONTROL_REQUEST_MAX (64 * 1024)
#define CONTROL_REPLY_MAX (32 * 1024 * 1024)
#define CONTROL_IDLE_MS 120000


/*
 * request is borrowed. Each call is answered exactly once, now or later, by
 * control_reply() or control_fail(); a client that went away is no concern of
 * whoever answers.
 */
typedef void (*control_handler_pt)(void *arg, control_call_t *call,
                                   json_t *request);

/*
 * Listens at path. A socket file that nobody listens at is replaced; with
 * a live one: -1, code "in_use".
 */
control_t *control_create(loop_t *loop, const char *path,
                          control_handler_pt handler, void *arg, err_t *err);
void control_destroy(control_t *control);

/* Takes the reference; {"ok": true} is added. Ends the call. */
void control_reply(control_call_t *call, json_t *reply);

/* {"ok": false, "code", "detail"}. Ends the call. */
void control_fail(control_call_t *call, const err_t *err);

/*
 * A call that did not come by the socket: done gets the answer, with "ok", and
 * the reference to it. NULL when memory is out.
 */
typedef void (*control_done_pt)(void *arg, json_t *reply);

control_call_t *control_call_make(control_done_pt done, void *arg);

/* Whoever made it is gone: done is not called any more. */
void control_call_abandon(control_call_t *call);

#endif
