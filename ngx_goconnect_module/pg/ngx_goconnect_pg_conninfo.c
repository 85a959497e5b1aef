/*
 * The connection string, while the configuration is read: checked, its host
 * names resolved, what a worker relies on added, and written once for each
 * host that may come first.
 */


#include "pg/ngx_goconnect_pg_pool.h"


#define NGX_GOCONNECT_PG_HOSTS_MAX 16
#define NGX_GOCONNECT_PG_SOCKET "/.s.PGSQL.65535"


typedef struct {
    ngx_str_t host; /* as given: a name (checked by TLS), or a directory */
    ngx_str_t addr; /* empty for a directory */
    ngx_str_t port; /* empty: libpq's default */
} ngx_goconnect_pg_host_t;


typedef struct {
    const char *name;
    const char *value;
} ngx_goconnect_pg_option_t;


static char *ngx_goconnect_pg_conf_hosts(ngx_conf_t *cf,
                                         PQconninfoOption *options,
                                         ngx_array_t *hosts);
static char *ngx_goconnect_pg_conf_list(ngx_conf_t *cf,
                                        PQconninfoOption *options,
                                        const char *name, ngx_array_t *list);
static char *ngx_goconnect_pg_conf_host(ngx_conf_t *cf,
                                        const ngx_goconnect_pg_host_t *host,
                                        ngx_array_t *hosts);
static char *ngx_goconnect_pg_conf_resolve(ngx_conf_t *cf,
                                           const ngx_goconnect_pg_host_t *host,
                                           ngx_array_t *hosts);
static ngx_int_t ngx_goconnect_pg_conf_port(ngx_str_t *port);
static char *ngx_goconnect_pg_conf_write(ngx_conf_t *cf,
                                         PQconninfoOption *options,
                                         ngx_array_t *hosts, ngx_uint_t first,
                                         ngx_str_t *text);
static char *ngx_goconnect_pg_conf_error(ngx_conf_t *cf, const char *format,
                                         ngx_str_t *what);


/* unless the string says otherwise */

static const ngx_goconnect_pg_option_t ngx_goconnect_pg_defaults[] = {
    {"application_name", "goconnect"},
    {"gssencmode", "disable"}, /* would block on Kerberos */
    {"tcp_user_timeout", "5000"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "2"},
    {NULL, NULL}};


static const char *
ngx_goconnect_pg_conf_option(PQconninfoOption *options, const char *name)
{
    for (; options->keyword; options++) {
        if (ngx_strcmp(options->keyword, name) == 0) {
            return options->val && options->val[0] ? options->val : NULL;
        }
    }

    return NULL;
}


char *
ngx_goconnect_pg_conf_check(ngx_conf_t *cf, ngx_goconnect_pg_conf_t *conf)
{
    char *why, *message;
    ngx_str_t *text, what;
    ngx_uint_t i;
    ngx_array_t hosts;
    PQconninfoOption *options;

    if (conf->conninfo.len == 0) {
        return "is empty";
    }

    message = NULL;

    /* arguments of directives end with NUL */
    options = PQconninfoParse((const char *) conf->conninfo.data, &message);

    if (options == NULL) {
        what = ngx_goconnect_pg_message(message);
        why = ngx_goconnect_pg_conf_error(cf, "%V", &what);
        PQfreemem(message);
        return why;
    }

    why = "no memory";

    conf->conninfos = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));

    if (conf->conninfos == NULL ||
        ngx_array_init(&hosts, cf->pool, 2, sizeof(ngx_goconnect_pg_host_t)) !=
            NGX_OK) {
        goto done;
    }

    why = ngx_goconnect_pg_conf_hosts(cf, options, &hosts);

    for (i = 0; why == NULL && i < hosts.nelts; i++) {
        text = ngx_array_push(conf->conninfos);
        why = text ? ngx_goconnect_pg_conf_write(cf, options, &hosts, i, text)
                   : "no memory";
    }

done:

    PQconninfoFree(options);

    return why;
}


static char *
ngx_goconnect_pg_conf_hosts(ngx_conf_t *cf, PQconninfoOption *options,
                            ngx_array_t *hosts)
{
    char *why;
    ngx_uint_t i, n;
    ngx_str_t *name, *addr, *port;
    ngx_array_t names, addrs, ports;
    ngx_goconnect_pg_host_t host;

    if (ngx_goconnect_pg_conf_option(options, "service")) {
        return "a service file cannot be used here, write host, dbname and "
               "user out";
    }

    why = ngx_goconnect_pg_conf_list(cf, options, "host", &names);

    if (why == NULL) {
        why = ngx_goconnect_pg_conf_list(cf, options, "hostaddr", &addrs);
    }

    if (why == NULL) {
        why = ngx_goconnect_pg_conf_list(cf, options, "port", &ports);
    }

    if (why) {
        return why;
    }

    n = ngx_max(names.nelts, addrs.nelts);
    n = ngx_max(n, 1);

    if (n > NGX_GOCONNECT_PG_HOSTS_MAX) {
        return "more than 16 hosts";
    }

    if (names.nelts && addrs.nelts && names.nelts != addrs.nelts) {
        return "host and hostaddr name different numbers of hosts";
    }

    if (ports.nelts > 1 && ports.nelts != n) {
        return "port names neither one port nor one for each host";
    }

    name = names.elts;
    addr = addrs.elts;
    port = ports.elts;

    for (i = 0; i < n; i++) {
        ngx_memzero(&host, sizeof(ngx_goconnect_pg_host_t));

        if (names.nelts) {
            host.host = name[i];
        }

        if (addrs.nelts) {
            host.addr = addr[i];
        }

        if (ports.nelts) {
            host.port = port[ports.nelts == 1 ? 0 : i];
        }

        why = ngx_goconnect_pg_conf_host(cf, &host, hosts);
        if (why) {
            return why;
        }
    }

    return NULL;
}


/* splits an option's value at its commas, as libpq does */

static char *
ngx_goconnect_pg_conf_list(ngx_conf_t *cf, PQconninfoOption *options,
                           const char *name, ngx_array_t *list)
{
    size_t len;
    ngx_str_t *item, value;
    const char *p;

    if (ngx_array_init(list, cf->pool, 4, sizeof(ngx_str_t)) != NGX_OK) {
        return "no memory";
    }

    p = ngx_goconnect_pg_conf_option(options, name);

    while (p) {
        len = strcspn(p, ",");

        item = ngx_array_push(list);
        if (item == NULL) {
            return "no memory";
        }

        value.data = (u_char *) p;
        value.len = len;

        item->len = len;
        item->data = ngx_pstrdup(cf->pool, &value);
        if (item->data == NULL) {
            return "no memory";
        }

        p = p[len] ? p + len + 1 : NULL;
    }

    return NULL;
}


static char *
ngx_goconnect_pg_conf_host(ngx_conf_t *cf, const ngx_goconnect_pg_host_t *host,
                           ngx_array_t *hosts)
{
    ngx_str_t what;
    struct sockaddr_un sun;
    ngx_goconnect_pg_host_t *h;

    what = host->port;

    if (what.len && ngx_goconnect_pg_conf_port(&what) != NGX_OK) {
        return ngx_goconnect_pg_conf_error(cf, "bad port \"%V\"", &what);
    }

    what = host->host;

    if (what.len && host->addr.len == 0 && what.data[0] != '/' &&
        what.data[0] != '@') {
        return ngx_goconnect_pg_conf_resolve(cf, host, hosts);
    }

    if (host->addr.len == 0 &&
        what.len + sizeof(NGX_GOCONNECT_PG_SOCKET) > sizeof(sun.sun_path)) {
        return ngx_goconnect_pg_conf_error(cf,
                                           "the socket's folder \"%V\" has a "
                                           "path that is too long",
                                           &what);
    }

    h = ngx_array_push(hosts);
    if (h == NULL) {
        return "no memory";
    }

    *h = *host;

    return NULL;
}


/* one entry for each address */

static char *
ngx_goconnect_pg_conf_resolve(ngx_conf_t *cf,
                              const ngx_goconnect_pg_host_t *host,
                              ngx_array_t *hosts)
{
    char name[NI_MAXHOST], addr[NI_MAXHOST];
    ngx_str_t what;
    struct addrinfo hints, *res, *ai;
    ngx_goconnect_pg_host_t *h;

    what = host->host;

    if (what.len >= sizeof(name)) {
        return "a host name is too long";
    }

    *ngx_cpymem(name, what.data, what.len) = '\0';

    ngx_memzero(&hints, sizeof(struct addrinfo));
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;

    if (getaddrinfo(name, NULL, &hints, &res) != 0) {
        return ngx_goconnect_pg_conf_error(cf,
                                           "host \"%V\" not found (a folder "
                                           "of a UNIX socket begins with /)",
                                           &what);
    }

    for (ai = res; ai && hosts->nelts < NGX_GOCONNECT_PG_HOSTS_MAX;
         ai = ai->ai_next) {
        h = ngx_array_push(hosts);

        if (h == NULL ||
            getnameinfo(ai->ai_addr, ai->ai_addrlen, addr, sizeof(addr), NULL,
                        0, NI_NUMERICHOST) != 0) {
            freeaddrinfo(res);
            return "no memory";
        }

        *h = *host;
        what.data = (u_char *) addr;
        what.len = ngx_strlen(addr);

        h->addr.len = what.len;
        h->addr.data = ngx_pstrdup(cf->pool, &what);

        if (h->addr.data == NULL) {
            freeaddrinfo(res);
            return "no memory";
        }
    }

    freeaddrinfo(res);

    return NULL;
}


static ngx_int_t
ngx_goconnect_pg_conf_port(ngx_str_t *port)
{
    ngx_int_t n;

    n = ngx_atoi(port->data, port->len);

    return n >= 1 && n <= 65535 ? NGX_OK : NGX_ERROR;
}


/* the size that " name='value'" takes at most */

static size_t
ngx_goconnect_pg_conf_size(const char *name, size_t len)
{
    return ngx_strlen(name) + 2 * len + sizeof(" =''");
}


static u_char *
ngx_goconnect_pg_conf_quote(u_char *p, const u_char *value, size_t len)
{
    for (; len; len--, value++) {

        if (*value == '\'' || *value == '\\') {
            *p++ = '\\';
        }

        *p++ = *value;
    }

    return p;
}


static u_char *
ngx_goconnect_pg_conf_put(u_char *p, const char *name, const char *value)
{
    p = ngx_sprintf(p, "%s='", name);
    p = ngx_goconnect_pg_conf_quote(p, (const u_char *) value,
                                    ngx_strlen(value));

    return ngx_sprintf(p, "' ");
}


/* a list, beginning with the host of that number; nothing if all are empty */

static u_char *
ngx_goconnect_pg_conf_turn(u_char *p, const char *name, ngx_array_t *hosts,
                           ngx_uint_t first, size_t offset)
{
    u_char *start, *elts;
    ngx_str_t *s;
    ngx_uint_t i, any;

    start = p;
    elts = hosts->elts;
    any = 0;

    p = ngx_sprintf(p, "%s='", name);

    for (i = 0; i < hosts->nelts; i++) {
        s = (ngx_str_t *) (elts + (first + i) % hosts->nelts * hosts->size +
                           offset);

        p = ngx_goconnect_pg_conf_quote(p, s->data, s->len);
        any |= s->len;

        *p++ = i + 1 < hosts->nelts ? ',' : '\'';
    }

    *p++ = ' ';

    return any ? p : start;
}


static char *
ngx_goconnect_pg_conf_write(ngx_conf_t *cf, PQconninfoOption *options,
                            ngx_array_t *hosts, ngx_uint_t first,
                            ngx_str_t *text)
{
    u_char *p;
    size_t size;
    ngx_uint_t i;
    PQconninfoOption *option;
    ngx_goconnect_pg_host_t *host;
    const ngx_goconnect_pg_option_t *d;

    size = 256; /* the names and values that are written out below */
    host = hosts->elts;

    for (i = 0; i < hosts->nelts; i++) {
        size +=
            2 * (host[i].host.len + host[i].addr.len + host[i].port.len) + 3;
    }

    for (option = options; option->keyword; option++) {
        if (option->val) {
            size += ngx_goconnect_pg_conf_size(option->keyword,
                                               ngx_strlen(option->val));
        }
    }

    for (d = ngx_goconnect_pg_defaults; d->name; d++) {
        size += ngx_goconnect_pg_conf_size(d->name, ngx_strlen(d->value));
    }

    p = ngx_pnalloc(cf->pool, size);
    if (p == NULL) {
        return "no memory";
    }

    text->data = p;

    for (option = options; option->keyword; option++) {

        if (option->val && option->val[0] &&
            ngx_strcmp(option->keyword, "host") != 0 &&
            ngx_strcmp(option->keyword, "hostaddr") != 0 &&
            ngx_strcmp(option->keyword, "port") != 0 &&
            ngx_strcmp(option->keyword, "client_encoding") != 0) {
            p = ngx_goconnect_pg_conf_put(p, option->keyword, option->val);
        }
    }

    for (d = ngx_goconnect_pg_defaults; d->name; d++) {
        if (ngx_goconnect_pg_conf_option(options, d->name) == NULL) {
            p = ngx_goconnect_pg_conf_put(p, d->name, d->value);
        }
    }

    if (hosts->nelts > 1 &&
        ngx_goconnect_pg_conf_option(options, "target_session_attrs") == NULL) {
        p = ngx_goconnect_pg_conf_put(p, "target_session_attrs", "read-write");
    }

    p = ngx_goconnect_pg_conf_turn(p, "host", hosts, first,
                                   offsetof(ngx_goconnect_pg_host_t, host));
    p = ngx_goconnect_pg_conf_turn(p, "hostaddr", hosts, first,
                                   offsetof(ngx_goconnect_pg_host_t, addr));
    p = ngx_goconnect_pg_conf_turn(p, "port", hosts, first,
                                   offsetof(ngx_goconnect_pg_host_t, port));
    p = ngx_goconnect_pg_conf_put(p, "client_encoding", "UTF8");

    *p = '\0';
    text->len = (size_t) (p - text->data);

    return NULL;
}


static char *
ngx_goconnect_pg_conf_error(ngx_conf_t *cf, const char *format, ngx_str_t *what)
{
    u_char *p;
    size_t size;

    size = ngx_strlen(format) + what->len + 1;

    p = ngx_pnalloc(cf->pool, size);
    if (p == NULL) {
        return "no memory";
    }

    *ngx_snprintf(p, size - 1, format, what) = '\0';

    return (char *) p;
}
