/*
 * The directive goconnect_bus: where the Redis is, and its password's file.
 */

#include "live/ngx_goconnect_live_bus_conf.h"

#include <sys/un.h>


#define NGX_GOCONNECT_BUS_PORT 6379
#define NGX_GOCONNECT_BUS_DATABASE_MAX 65535


#define ngx_goconnect_bus_conf_error(cf, err, ...) \
    ngx_conf_log_error(NGX_LOG_EMERG, cf, err, "goconnect_bus: " __VA_ARGS__)


static ngx_int_t
ngx_goconnect_bus_conf_unknown(ngx_conf_t *cf, ngx_str_t *value)
{
    /* not the value itself: somebody may have put a password into it */
    ngx_goconnect_bus_conf_error(
        cf, 0,
        "%s; expected notify, redis://[USER@]HOST[:PORT][/DB] or unix:PATH, "
        "the last two perhaps with password_file=FILE",
        ngx_strncmp(value->data, "rediss:", 7) == 0
            ? "Redis over TLS is not supported (stunnel can do it)"
            : "this is no bus");

    return NGX_ERROR;
}


static ngx_int_t
ngx_goconnect_bus_conf_path(ngx_conf_t *cf, ngx_str_t *value,
                            ngx_goconnect_bus_conf_t *conf)
{
    struct sockaddr_un sun;

    conf->path.data = value->data + 5;
    conf->path.len = value->len - 5;

    if (conf->path.len == 0 || conf->path.data[0] != '/') {
        ngx_goconnect_bus_conf_error(cf, 0,
                                     "\"%V\" names no socket; expected "
                                     "unix:/PATH",
                                     value);
        return NGX_ERROR;
    }

    if (conf->path.len >= sizeof(sun.sun_path)) {
        ngx_goconnect_bus_conf_error(cf, 0,
                                     "the path of the socket is too long, at "
                                     "most %uz bytes can be used",
                                     sizeof(sun.sun_path) - 1);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* what stands before the last '@' */
static ngx_int_t
ngx_goconnect_bus_conf_user(ngx_conf_t *cf, ngx_str_t *rest, ngx_str_t *user)
{
    u_char *p, *last;

    last = rest->data + rest->len;
    p = last;

    while (p > rest->data && p[-1] != '@') {
        p--;
    }

    if (p == rest->data) {
        return NGX_OK;
    }

    user->len = (size_t) (p - rest->data) - 1;
    user->data = ngx_pnalloc(cf->pool, user->len + 1);
    if (user->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(user->data, rest->data, user->len + 1);
    rest->data = p;
    rest->len = (size_t) (last - p);

    if (user->len == 0 || user->len > NGX_GOCONNECT_BUS_WORD_MAX ||
        ngx_strlchr(user->data, user->data + user->len, ':')) {
        ngx_goconnect_bus_conf_error(cf, 0,
                                     "before \"@\" stands a user's name "
                                     "alone; the password comes from "
                                     "password_file=FILE");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_bus_conf_database(ngx_conf_t *cf, ngx_str_t *rest,
                                ngx_int_t *database)
{
    u_char *slash, *last;

    last = rest->data + rest->len;
    slash = ngx_strlchr(rest->data, last, '/');

    if (slash == NULL) {
        return NGX_OK;
    }

    rest->len = (size_t) (slash - rest->data);

    if (slash + 1 == last) {
        return NGX_OK;
    }

    *database = ngx_atoi(slash + 1, (size_t) (last - slash) - 1);

    if (*database == NGX_ERROR || *database > NGX_GOCONNECT_BUS_DATABASE_MAX) {
        ngx_goconnect_bus_conf_error(cf, 0,
                                     "after \"/\" stands the number of a "
                                     "database, 0 to %d",
                                     NGX_GOCONNECT_BUS_DATABASE_MAX);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* hiredis would resolve names in a worker, and wait */
static ngx_int_t
ngx_goconnect_bus_conf_resolve(ngx_conf_t *cf, ngx_str_t *host,
                               ngx_goconnect_bus_conf_t *conf)
{
    ngx_goconnect_bus_address_t *address;
    ngx_uint_t i;
    ngx_url_t u;
    size_t n;

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url = *host;
    u.default_port = NGX_GOCONNECT_BUS_PORT;

    if (host->len == 0 || ngx_strncmp(host->data, "unix:", 5) == 0 ||
        ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_goconnect_bus_conf_error(cf, 0, "%s in \"%V\"",
                                     u.err ? u.err : "no host", host);
        return NGX_ERROR;
    }

    conf->addresses = ngx_array_create(cf->pool, u.naddrs,
                                       sizeof(ngx_goconnect_bus_address_t));
    if (conf->addresses == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < u.naddrs; i++) {
        address = ngx_array_push(conf->addresses);
        n = ngx_sock_ntop(u.addrs[i].sockaddr, u.addrs[i].socklen,
                          address->host, NGX_INET6_ADDRSTRLEN, 0);
        address->host[n] = '\0';
        address->port = ngx_inet_get_port(u.addrs[i].sockaddr);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_bus_conf_redis(ngx_conf_t *cf, ngx_str_t *value,
                             ngx_goconnect_bus_conf_t *conf)
{
    ngx_str_t rest;

    rest.data = value->data + 8;
    rest.len = value->len - 8;

    if (ngx_goconnect_bus_conf_user(cf, &rest, &conf->user) != NGX_OK ||
        ngx_goconnect_bus_conf_database(cf, &rest, &conf->database) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_bus_conf_resolve(cf, &rest, conf);
}


static void
ngx_goconnect_bus_conf_wipe(void *data)
{
    ngx_explicit_memzero(data, NGX_GOCONNECT_BUS_WORD_MAX + 2);
}


/* a file that only root or nginx's own user can open */
static ngx_int_t
ngx_goconnect_bus_conf_private(ngx_conf_t *cf, ngx_fd_t fd, ngx_str_t *file)
{
    ngx_file_info_t fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR || !ngx_is_file(&fi)) {
        ngx_goconnect_bus_conf_error(cf, 0, "\"%V\" is not a regular file",
                                     file);
        return NGX_ERROR;
    }

    if ((fi.st_mode & (S_IRWXG | S_IRWXO)) ||
        (fi.st_uid != 0 && fi.st_uid != geteuid())) {
        ngx_goconnect_bus_conf_error(cf, 0,
                                     "\"%V\" is open to others; expected a "
                                     "file of root's or of the user's who "
                                     "starts nginx, with mode 0600",
                                     file);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* its first line */
static ngx_int_t
ngx_goconnect_bus_conf_read(ngx_conf_t *cf, ngx_fd_t fd, ngx_str_t *file,
                            ngx_str_t *password)
{
    ngx_pool_cleanup_t *cln;
    ssize_t n;

    cln = ngx_pool_cleanup_add(cf->pool, NGX_GOCONNECT_BUS_WORD_MAX + 2);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    password->data = cln->data;
    ngx_memzero(password->data, NGX_GOCONNECT_BUS_WORD_MAX + 2);
    cln->handler = ngx_goconnect_bus_conf_wipe;

    n = ngx_read_fd(fd, password->data, NGX_GOCONNECT_BUS_WORD_MAX + 1);
    if (n < 0) {
        ngx_goconnect_bus_conf_error(cf, ngx_errno, "cannot read \"%V\"", file);
        return NGX_ERROR;
    }

    password->len = strcspn((char *) password->data, "\r\n");

    if (password->len == 0 || password->len > NGX_GOCONNECT_BUS_WORD_MAX) {
        ngx_goconnect_bus_conf_error(cf, 0,
                                     "\"%V\" has no password in its first "
                                     "line, or one above %d bytes",
                                     file, NGX_GOCONNECT_BUS_WORD_MAX);
        return NGX_ERROR;
    }

    password->data[password->len] = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_bus_conf_password(ngx_conf_t *cf, ngx_str_t *value,
                                ngx_str_t *password)
{
    ngx_str_t file;
    ngx_int_t rc;
    ngx_fd_t fd;

    if (ngx_strncmp(value->data, "password_file=", 14) != 0 ||
        value->len == 14) {
        ngx_goconnect_bus_conf_error(cf, 0,
                                     "unknown parameter; expected "
                                     "password_file=FILE");
        return NGX_ERROR;
    }

    file.data = value->data + 14;
    file.len = value->len - 14;

    if (ngx_conf_full_name(cf->cycle, &file, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(file.data, NGX_FILE_RDONLY | NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_goconnect_bus_conf_error(cf, ngx_errno, "cannot open \"%V\"",
                                     &file);
        return NGX_ERROR;
    }

    rc = ngx_goconnect_bus_conf_private(cf, fd, &file);

    if (rc == NGX_OK) {
        rc = ngx_goconnect_bus_conf_read(cf, fd, &file, password);
    }

    (void) ngx_close_file(fd);

    return rc;
}


ngx_int_t
ngx_goconnect_bus_conf(ngx_conf_t *cf, ngx_goconnect_bus_conf_t **conf)
{
    ngx_goconnect_bus_conf_t *bus;
    ngx_str_t *value;
    ngx_int_t rc;

    value = cf->args->elts;
    *conf = NULL;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "notify") == 0) {
        return NGX_OK;
    }

    bus = ngx_pcalloc(cf->pool, sizeof(ngx_goconnect_bus_conf_t));
    if (bus == NULL) {
        return NGX_ERROR;
    }

    bus->database = NGX_CONF_UNSET;

    rc = ngx_strncmp(value[1].data, "unix:", 5) == 0
             ? ngx_goconnect_bus_conf_path(cf, &value[1], bus)
         : ngx_strncmp(value[1].data, "redis://", 8) == 0
             ? ngx_goconnect_bus_conf_redis(cf, &value[1], bus)
             : ngx_goconnect_bus_conf_unknown(cf, &value[1]);

    if (rc == NGX_OK && cf->args->nelts > 2) {
        rc = ngx_goconnect_bus_conf_password(cf, &value[2], &bus->password);
    }

    if (rc == NGX_OK && bus->user.len && bus->password.len == 0) {
        ngx_goconnect_bus_conf_error(cf, 0, "a user needs password_file=FILE");
        return NGX_ERROR;
    }

    *conf = bus;

    return rc;
}
