#include "http/ngx_goconnect_keys.h"


static ssize_t ngx_goconnect_keys_load(ngx_conf_t *cf, ngx_str_t *file,
                                       u_char *text, size_t size);
static ngx_int_t ngx_goconnect_keys_private(ngx_conf_t *cf, ngx_str_t *file,
                                            ngx_fd_t fd);
static ngx_int_t ngx_goconnect_keys_complete(ngx_conf_t *cf, ngx_str_t *file,
                                             const gc_keys_t *ring,
                                             const gc_key_purpose_e *needed,
                                             ngx_uint_t n);
static void ngx_goconnect_keys_cleanup(void *data);


static gc_keys_t *
ngx_goconnect_keys_read_with(ngx_conf_t *cf, ngx_str_t *file,
                             const gc_key_purpose_e *needed, ngx_uint_t needs)
{
    int rc;
    u_char *text;
    ssize_t n;
    gc_keys_t *ring;
    gc_keys_error_t error;
    ngx_pool_cleanup_t *cln;

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(gc_keys_t));
    if (cln == NULL) {
        return NULL;
    }

    ring = cln->data;
    ngx_memzero(ring, sizeof(gc_keys_t));
    cln->handler = ngx_goconnect_keys_cleanup;

    text = ngx_alloc(GC_KEYS_TEXT, cf->log);
    if (text == NULL) {
        return NULL;
    }

    n = ngx_goconnect_keys_load(cf, file, text, GC_KEYS_TEXT);

    if (n < 0) {
        ngx_free(text);
        return NULL;
    }

    rc = gc_keys_parse(ring, (const char *) text, (size_t) n, &error);

    ngx_explicit_memzero(text, GC_KEYS_TEXT);
    ngx_free(text);

    if (rc != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           error.line ? "goconnect_keys: \"%V\": %s, line %ui"
                                      : "goconnect_keys: \"%V\": %s",
                           file, error.why, (ngx_uint_t) error.line);
        return NULL;
    }

    if (ngx_goconnect_keys_complete(cf, file, ring, needed, needs) != NGX_OK) {
        return NULL;
    }

    return ring;
}


gc_keys_t *
ngx_goconnect_keys_read(ngx_conf_t *cf, ngx_str_t *file)
{
    static const gc_key_purpose_e needed[] = {GC_KEY_JWT, GC_KEY_INVITE,
                                              GC_KEY_SEAL};

    return ngx_goconnect_keys_read_with(cf, file, needed,
                                        sizeof(needed) / sizeof(needed[0]));
}


gc_keys_t *
ngx_goconnect_keys_read_relay(ngx_conf_t *cf, ngx_str_t *file)
{
    static const gc_key_purpose_e needed = GC_KEY_RELAY;

    return ngx_goconnect_keys_read_with(cf, file, &needed, 1);
}


/* the length of the file's text, or -1 */

static ssize_t
ngx_goconnect_keys_load(ngx_conf_t *cf, ngx_str_t *file, u_char *text,
                        size_t size)
{
    ssize_t n;
    ngx_fd_t fd;

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY | NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "goconnect_keys: cannot open \"%V\"; expected a "
                           "file of lines \"PURPOSE ID BASE64\"",
                           file);
        return -1;
    }

    n = -1;

    if (ngx_goconnect_keys_private(cf, file, fd) == NGX_OK) {

        n = ngx_read_fd(fd, text, size);

        if (n < 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               "goconnect_keys: cannot read \"%V\"", file);

        } else if ((size_t) n == size) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "goconnect_keys: \"%V\" is larger than %uz "
                               "bytes",
                               file, size - 1);
            n = -1;
        }
    }

    (void) ngx_close_file(fd);

    return n;
}


static ngx_int_t
ngx_goconnect_keys_private(ngx_conf_t *cf, ngx_str_t *file, ngx_fd_t fd)
{
    ngx_file_info_t fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "goconnect_keys: cannot stat \"%V\"", file);
        return NGX_ERROR;
    }

    if (!ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "goconnect_keys: \"%V\" is not a regular file",
                           file);
        return NGX_ERROR;
    }

    if (fi.st_mode & (S_IRWXG | S_IRWXO)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "goconnect_keys: \"%V\" is open to others; "
                           "expected mode 0600: chmod 600 \"%V\"",
                           file, file);
        return NGX_ERROR;
    }

    if (fi.st_uid != 0 && fi.st_uid != geteuid()) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "goconnect_keys: \"%V\" belongs to user %ui; "
                           "expected root or the user who starts nginx",
                           file, (ngx_uint_t) fi.st_uid);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_keys_complete(ngx_conf_t *cf, ngx_str_t *file,
                            const gc_keys_t *ring,
                            const gc_key_purpose_e *needed, ngx_uint_t n)
{
    ngx_uint_t i;

    for (i = 0; i < n; i++) {

        if (gc_keys_current(ring, needed[i]) == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "goconnect_keys: \"%V\" has no key for \"%s\"; "
                               "expected a line \"%s ID BASE64\" with 32 "
                               "random bytes (openssl rand -base64 32)",
                               file, gc_keys_purpose(needed[i]),
                               gc_keys_purpose(needed[i]));
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_goconnect_keys_cleanup(void *data)
{
    gc_keys_wipe(data);
}
