#ifndef GC_LINK_HTTP_H
#define GC_LINK_HTTP_H

#include "link/dial.h"

#include <jansson.h>

/*
 * One HTTP request and its answer, by libwebsockets' client: the same TLS,
 * the same loop and the same name resolution as the control connection.
 * Redirects are not followed: a token must not travel to where it was not
 * meant for.
 */
typedef struct http http_t;

#define HTTP_TIMEOUT_MS 20000
#define HTTP_ANSWER_MAX (16 * 1024 * 1024)
#define HTTP_BODY_MAX (64 * 1024)

typedef struct {
    const char *method; /* constant text */
    const char *path;
    const char *token;  /* or NULL */
    const char *key;    /* Idempotency-Key, or NULL */
    const json_t *body; /* or NULL */
    int64_t timeout_ms; /* 0: HTTP_TIMEOUT_MS */
} http_request_t;

typedef struct {
    int status;   /* 0: no answer, err says why */
    json_t *json; /* NULL: no body, or not JSON; borrowed */
    int retry_after_s;
    int64_t date; /* the server's clock, UNIX time; 0: not told */
    /*
     * status 0: dns, unreachable, tls, timeout, closed, too_large,
     * bad_answer. status 400 and above: the problem's code and detail.
     */
    err_t err;
} http_answer_t;

typedef void (*http_done_pt)(void *arg, const http_answer_t *answer);


/*
 * Copies what it needs of request. done is called once, from the loop and
 * never from inside this call. NULL if memory is short or the body too large.
 */
http_t *http_start(loop_t *loop, dial_server_t *server,
                   const http_request_t *request, http_done_pt done, void *arg,
                   err_t *err);

/* done is not called any more. */
void http_cancel(http_t *http);

#endif
