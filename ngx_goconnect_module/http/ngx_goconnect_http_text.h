/* A text that grows in a request's pool. */


#ifndef NGX_GOCONNECT_HTTP_TEXT_H
#define NGX_GOCONNECT_HTTP_TEXT_H


#include <ngx_config.h>
#include <ngx_core.h>


/* failed stays set once memory was short */
typedef struct {
    ngx_pool_t *pool;
    u_char *data;
    size_t len;
    size_t size;
    ngx_uint_t failed;
} ngx_goconnect_text_t;


/* Begins a text with room for size bytes (0: as it comes). */
void ngx_goconnect_text_init(ngx_goconnect_text_t *text, ngx_pool_t *pool,
                             size_t size);

/* Appends strings up to a NULL. */
void ngx_goconnect_text_add(ngx_goconnect_text_t *text, ...);

/* Appends len bytes. */
void ngx_goconnect_text_bytes(ngx_goconnect_text_t *text, const void *bytes,
                              size_t len);

/* Appends a number. */
void ngx_goconnect_text_number(ngx_goconnect_text_t *text, int64_t number);


#endif /* NGX_GOCONNECT_HTTP_TEXT_H */
