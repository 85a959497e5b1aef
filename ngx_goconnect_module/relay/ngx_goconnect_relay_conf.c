/* The directive: goconnect_relay UUID [listen=...] [peers=N] [state=FILE]
 * [key=FILE]; */


#include "core/gc_uuid.h"
#include "relay/ngx_goconnect_relay_private.h"


typedef struct {
    ngx_str_t name; /* with the '=' */
    ngx_int_t (*set)(ngx_conf_t *cf, ngx_goconnect_relay_conf_t *conf,
                     ngx_str_t *value);
} ngx_goconnect_relay_option_t;


/* nginx closes what nobody uses: the handler is never called */
static void
ngx_goconnect_relay_accept(ngx_connection_t *c)
{
}


static ngx_int_t
ngx_goconnect_relay_add(ngx_conf_t *cf, ngx_goconnect_relay_conf_t *conf,
                        const ngx_addr_t *addr, in_port_t port)
{
    ngx_listening_t *ls;
    ngx_goconnect_relay_socket_t *s;

    if (conf->nsockets == NGX_GOCONNECT_RELAY_SOCKETS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "goconnect_relay: more than %d addresses",
                           NGX_GOCONNECT_RELAY_SOCKETS / 2);
        return NGX_ERROR;
    }

    s = &conf->sockets[conf->nsockets];
    s->index = conf->nsockets++;
    s->length = addr->socklen;
    ngx_memcpy(&s->address, addr->sockaddr, addr->socklen);
    ngx_inet_set_port((struct sockaddr *) &s->address, port);

    ls = ngx_create_listening(cf, (struct sockaddr *) &s->address, s->length);

    if (ls == NULL) {
        return NGX_ERROR;
    }

    ls->type = SOCK_DGRAM;
    ls->handler = ngx_goconnect_relay_accept;
    ls->servers = s;
    ls->logp = &cf->cycle->new_log;
    ls->addr_ntop = 1;
    ls->rcvbuf = 4 * 1024 * 1024;
    ls->sndbuf = 4 * 1024 * 1024;
    ls->wildcard = ngx_inet_wildcard((struct sockaddr *) &s->address) ? 1 : 0;
    ls->reuseport = 1;
#if (NGX_HAVE_INET6)
    ls->ipv6only = 1;
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_relay_listen(ngx_conf_t *cf, ngx_goconnect_relay_conf_t *conf,
                           ngx_str_t *value)
{
    ngx_url_t u;
    ngx_uint_t i;

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url = *value;
    u.listen = 1;
    u.default_port = GC_STUN_PORT;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.port == 65535 ||
        u.family == AF_UNIX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "goconnect_relay: \"listen=%V\" is no address; "
                           "expected ADDRESS or ADDRESS:PORT, IPv6 in "
                           "brackets; the port after it is used too",
                           value);
        return NGX_ERROR;
    }

    for (i = 0; i < u.naddrs; i++) {
        if (ngx_goconnect_relay_add(cf, conf, &u.addrs[i], u.port) != NGX_OK ||
            ngx_goconnect_relay_add(cf, conf, &u.addrs[i], u.port + 1) !=
                NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_relay_peers(ngx_conf_t *cf, ngx_goconnect_relay_conf_t *conf,
                          ngx_str_t *value)
{
    ngx_int_t n;

    n = ngx_atoi(value->data, value->len);

    if (n < 1 || n > GC_RELAY_PEERS_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "goconnect_relay: \"peers=%V\" is out of range; "
                           "expected 1 to %d",
                           value, GC_RELAY_PEERS_MAX);
        return NGX_ERROR;
    }

    conf->peers = (uint32_t) n;

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_relay_state(ngx_conf_t *cf, ngx_goconnect_relay_conf_t *conf,
                          ngx_str_t *value)
{
    conf->state = *value;

    return ngx_conf_full_name(cf->cycle, &conf->state, 0);
}


static ngx_int_t
ngx_goconnect_relay_key(ngx_conf_t *cf, ngx_goconnect_relay_conf_t *conf,
                        ngx_str_t *value)
{
    conf->key = *value;

    return ngx_conf_full_name(cf->cycle, &conf->key, 1);
}


static const ngx_goconnect_relay_option_t ngx_goconnect_relay_options[] = {
    {ngx_string("listen="), ngx_goconnect_relay_listen},
    {ngx_string("peers="), ngx_goconnect_relay_peers},
    {ngx_string("state="), ngx_goconnect_relay_state},
    {ngx_string("key="), ngx_goconnect_relay_key},
    {ngx_null_string, NULL}};


static ngx_int_t
ngx_goconnect_relay_option(ngx_conf_t *cf, ngx_goconnect_relay_conf_t *conf,
                           const ngx_str_t *text)
{
    ngx_str_t value;
    const ngx_goconnect_relay_option_t *option;

    for (option = ngx_goconnect_relay_options; option->name.len; option++) {

        if (text->len > option->name.len &&
            ngx_strncmp(text->data, option->name.data, option->name.len) == 0) {

            value.data = text->data + option->name.len;
            value.len = text->len - option->name.len;

            return option->set(cf, conf, &value);
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "goconnect_relay: unknown parameter \"%V\"; expected "
                       "listen=ADDRESS, peers=N, state=FILE or key=FILE",
                       text);

    return NGX_ERROR;
}


static ngx_int_t
ngx_goconnect_relay_uuid(const ngx_str_t *text, unsigned char id[GC_RELAY_ID])
{
    u_char *p;
    ngx_int_t byte;
    ngx_uint_t n;

    if (!gc_uuid_valid((const char *) text->data, text->len)) {
        return NGX_ERROR;
    }

    for (p = text->data, n = 0; n < GC_RELAY_ID; n++, p += 2) {

        if (*p == '-') {
            p++;
        }

        byte = ngx_hextoi(p, 2);
        id[n] = (unsigned char) byte;
    }

    return NGX_OK;
}


ngx_goconnect_relay_conf_t *
ngx_goconnect_relay_conf(ngx_conf_t *cf)
{
    ngx_str_t *value;
    ngx_uint_t i;
    ngx_goconnect_relay_conf_t *conf;

    static ngx_str_t state = ngx_string("goconnect-relay.state");
    static ngx_str_t all[] = {ngx_string("0.0.0.0"), ngx_string("[::]")};

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_goconnect_relay_conf_t));

    if (conf == NULL) {
        return NULL;
    }

    conf->peers = NGX_GOCONNECT_RELAY_PEERS;
    value = cf->args->elts;

    if (ngx_goconnect_relay_uuid(&value[1], conf->id) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "goconnect_relay: \"%V\" is no UUID; expected that "
                           "of this relay, as GET /v1/relays lists it",
                           &value[1]);
        return NULL;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_goconnect_relay_option(cf, conf, &value[i]) != NGX_OK) {
            return NULL;
        }
    }

    if (conf->nsockets == 0 &&
        (ngx_goconnect_relay_listen(cf, conf, &all[0]) != NGX_OK ||
         ngx_goconnect_relay_listen(cf, conf, &all[1]) != NGX_OK)) {
        return NULL;
    }

    if (conf->state.len == 0 &&
        ngx_goconnect_relay_state(cf, conf, &state) != NGX_OK) {
        return NULL;
    }

    return conf;
}


ngx_str_t *
ngx_goconnect_relay_key_file(ngx_goconnect_relay_conf_t *conf)
{
    return &conf->key;
}


/* The keys of this relay that follow from the server's. */
static ngx_int_t
ngx_goconnect_relay_derive(ngx_conf_t *cf, ngx_goconnect_relay_conf_t *conf,
                           const gc_keys_t *ring)
{
    size_t n;
    const gc_key_t *master;

    for (n = 0; n < NGX_GOCONNECT_RELAY_KEYS && ring; n++) {
        master = gc_keys_nth(ring, GC_KEY_RELAY, n);

        if (master == NULL) {
            break;
        }

        if (gc_relay_key_derive(&conf->keys[n], master->secret, conf->id) !=
            0) {
            return NGX_ERROR;
        }

        conf->nkeys++;
    }

    if (conf->nkeys == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "goconnect_relay: there is no key; expected a line "
                           "\"relay ID BASE64\" in the file of goconnect_keys "
                           "(openssl rand -base64 32), or key=FILE");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_goconnect_relay_wipe(void *data)
{
    ngx_goconnect_relay_conf_t *conf = data;

    ngx_explicit_memzero(conf->keys, sizeof(conf->keys));
}


ngx_int_t
ngx_goconnect_relay_init_conf(ngx_conf_t *cf, ngx_goconnect_relay_conf_t *conf,
                              const gc_keys_t *ring)
{
    size_t n;
    const gc_key_t *key;
    ngx_pool_cleanup_t *cleanup;

    cleanup = ngx_pool_cleanup_add(cf->pool, 0);

    if (cleanup == NULL) {
        return NGX_ERROR;
    }

    cleanup->handler = ngx_goconnect_relay_wipe;
    cleanup->data = conf;

    if (conf->key.len == 0) {
        if (ngx_goconnect_relay_derive(cf, conf, ring) != NGX_OK) {
            return NGX_ERROR;
        }

    } else {
        for (n = 0; n < NGX_GOCONNECT_RELAY_KEYS; n++) {
            key = gc_keys_nth(ring, GC_KEY_RELAY, n);

            if (key == NULL) {
                break;
            }

            if (gc_relay_key_set(&conf->keys[n], key->secret) != 0) {
                return NGX_ERROR;
            }

            conf->nkeys++;
        }
    }

    /* a test of the configuration leaves the running server's table alone */

    return ngx_test_config ? NGX_OK : ngx_goconnect_relay_state_map(cf, conf);
}
