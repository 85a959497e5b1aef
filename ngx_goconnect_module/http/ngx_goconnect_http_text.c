#include "http/ngx_goconnect_http_text.h"

#include "http/ngx_goconnect_auth.h"


static ngx_uint_t
ngx_goconnect_text_reserve(ngx_goconnect_text_t *text, size_t len)
{
    u_char *data;
    size_t size;

    if (text->failed || len <= text->size - text->len) {
        return !text->failed;
    }

    size = 2 * (text->len + len) + 1024;
    data = ngx_pnalloc(text->pool, size);

    if (data == NULL) {
        text->failed = 1;
        return 0;
    }

    /* it may hold a secret */
    if (text->len != 0) {
        ngx_memcpy(data, text->data, text->len);
        ngx_goconnect_secret_wipe(text->data, text->len);
    }

    text->data = data;
    text->size = size;

    return 1;
}


void
ngx_goconnect_text_init(ngx_goconnect_text_t *text, ngx_pool_t *pool,
                        size_t size)
{
    ngx_memzero(text, sizeof(*text));
    text->pool = pool;

    if (size > 0) {
        (void) ngx_goconnect_text_reserve(text, size);
    }
}


void
ngx_goconnect_text_bytes(ngx_goconnect_text_t *text, const void *bytes,
                         size_t len)
{
    if (len > 0 && ngx_goconnect_text_reserve(text, len)) {
        ngx_memcpy(text->data + text->len, bytes, len);
        text->len += len;
    }
}


void
ngx_goconnect_text_add(ngx_goconnect_text_t *text, ...)
{
    const char *part;
    va_list args;

    va_start(args, text);

    while ((part = va_arg(args, const char *)) != NULL) {
        ngx_goconnect_text_bytes(text, part, strlen(part));
    }

    va_end(args);
}


void
ngx_goconnect_text_number(ngx_goconnect_text_t *text, int64_t number)
{
    u_char digits[NGX_INT64_LEN];

    ngx_goconnect_text_bytes(
        text, digits, (size_t) (ngx_sprintf(digits, "%L", number) - digits));
}
