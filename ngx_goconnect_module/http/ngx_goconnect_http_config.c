#include "http/ngx_goconnect_http_steps.h"


/*
 * A peer's configuration for wg-quick. The private key never leaves the
 * device, so the file has a place for it instead.
 */


/* A text that grows; failed stays set once memory was short. */
typedef struct {
    ngx_pool_t *pool;
    u_char *data;
    size_t len;
    size_t size;
    ngx_uint_t failed;
} ngx_goconnect_text_t;


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

    if (text->len != 0) {
        ngx_memcpy(data, text->data, text->len);
    }

    text->data = data;
    text->size = size;

    return 1;
}


/* Appends strings up to a NULL. */
static void
ngx_goconnect_text_add(ngx_goconnect_text_t *text, ...)
{
    const char *part;
    va_list args;
    size_t len;

    va_start(args, text);

    while ((part = va_arg(args, const char *)) != NULL) {
        len = strlen(part);

        if (ngx_goconnect_text_reserve(text, len)) {
            ngx_memcpy(text->data + text->len, part, len);
            text->len += len;
        }
    }

    va_end(args);
}


/* object.NAME as a string, "" if it is null */
static const char *
ngx_goconnect_config_string(const json_t *object, const char *name)
{
    const char *value;

    value = json_string_value(json_object_get(object, name));

    return value ? value : "";
}


/* "/24" of "10.1.0.0/24" */
static const char *
ngx_goconnect_config_prefix(const json_t *network, const char *name)
{
    const char *slash;

    slash = strchr(ngx_goconnect_config_string(network, name), '/');

    return slash ? slash : "";
}


static void
ngx_goconnect_config_address(ngx_goconnect_text_t *text, const json_t *peer,
                             const json_t *network, const char *name,
                             const char *range)
{
    const char *address;

    address = ngx_goconnect_config_string(peer, name);

    if (address[0] != '\0') {
        ngx_goconnect_text_add(text, "Address = ", address,
                               ngx_goconnect_config_prefix(network, range),
                               "\n", NULL);
    }
}


static void
ngx_goconnect_config_interface(ngx_goconnect_text_t *text, const json_t *peer,
                               const json_t *network)
{
    u_char number[NGX_INT64_LEN + 1];
    json_int_t mtu;

    ngx_goconnect_text_add(
        text, "# GoConnect network ",
        ngx_goconnect_config_string(network, "name"), "\n# peer ",
        ngx_goconnect_config_string(peer, "name"), ", public key ",
        ngx_goconnect_config_string(peer, "public_key"), "\n\n[Interface]\n",
        "# The private key stays on the device; put it here, or run\n"
        "#   wg set %i private-key FILE\n"
        "# once the interface is up.\n"
        "#PrivateKey = \n",
        NULL);

    ngx_goconnect_config_address(text, peer, network, "ip_address", "cidr");
    ngx_goconnect_config_address(text, peer, network, "ip6_address", "cidr6");

    mtu = json_integer_value(
        json_object_get(json_object_get(network, "settings"), "mtu"));

    if (mtu > 0) {
        ngx_sprintf(number, "%L%Z", (int64_t) mtu);
        ngx_goconnect_text_add(text, "MTU = ", (char *) number, "\n", NULL);
    }
}


static void
ngx_goconnect_config_allowed(ngx_goconnect_text_t *text, const json_t *peer)
{
    const char *address;

    address = ngx_goconnect_config_string(peer, "ip_address");

    if (address[0] != '\0') {
        ngx_goconnect_text_add(text, "AllowedIPs = ", address, "/32\n", NULL);
    }

    address = ngx_goconnect_config_string(peer, "ip6_address");

    if (address[0] != '\0') {
        ngx_goconnect_text_add(text, "AllowedIPs = ", address, "/128\n", NULL);
    }
}


/* A peer's own addresses, and those of the devices that it stands in for. */
static void
ngx_goconnect_config_peer(ngx_goconnect_text_t *text, const json_t *peer,
                          const json_t *peers)
{
    const char *id, *endpoint;
    const json_t *other;
    size_t i;

    id = ngx_goconnect_config_string(peer, "id");
    endpoint = ngx_goconnect_config_string(peer, "endpoint");

    ngx_goconnect_text_add(
        text, "\n[Peer]\n# ", ngx_goconnect_config_string(peer, "name"), " of ",
        ngx_goconnect_config_string(peer, "username"),
        "\nPublicKey = ", ngx_goconnect_config_string(peer, "public_key"), "\n",
        NULL);

    ngx_goconnect_config_allowed(text, peer);

    json_array_foreach((json_t *) peers, i, other)
    {
        if (strcmp(ngx_goconnect_config_string(other, "via"), id) == 0) {
            ngx_goconnect_config_allowed(text, other);
        }
    }

    if (endpoint[0] != '\0') {
        ngx_goconnect_text_add(text, "Endpoint = ", endpoint, "\n", NULL);
    }
}


static void
ngx_goconnect_config_text(ngx_goconnect_text_t *text, const json_t *answer)
{
    const json_t *self, *peers, *peer;
    const char *id;
    size_t i;

    self = json_object_get(answer, "peer");
    peers = json_object_get(answer, "peers");
    id = ngx_goconnect_config_string(self, "id");

    ngx_goconnect_config_interface(text, self,
                                   json_object_get(answer, "network"));

    json_array_foreach((json_t *) peers, i, peer)
    {
        if (strcmp(ngx_goconnect_config_string(peer, "id"), id) != 0 &&
            ngx_goconnect_config_string(peer, "via")[0] == '\0') {
            ngx_goconnect_config_peer(text, peer, peers);
        }
    }
}


/* JSON only for who names it and not text: a browser or curl gets the file. */
static ngx_uint_t
ngx_goconnect_config_wants_json(ngx_http_request_t *r)
{
    static const char json[] = "application/json";
    static const char plain[] = "text/plain";
    ngx_table_elt_t *accept;

#if (NGX_HTTP_HEADERS)
    accept = r->headers_in.accept;
#else
    accept = NULL;
#endif

    return accept != NULL &&
           ngx_strlcasestrn(accept->value.data,
                            accept->value.data + accept->value.len,
                            (u_char *) json, sizeof(json) - 2) != NULL &&
           ngx_strlcasestrn(accept->value.data,
                            accept->value.data + accept->value.len,
                            (u_char *) plain, sizeof(plain) - 2) == NULL;
}


ngx_int_t
ngx_goconnect_step_config_after(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_text_t text;
    json_t *answer;

    ctx->answer.vary_accept = 1;

    if (ngx_goconnect_config_wants_json(ctx->request)) {
        return NGX_OK;
    }

    answer = ngx_goconnect_http_answer(ctx);
    if (answer == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&text, sizeof(text));
    text.pool = ctx->request->pool;

    ngx_goconnect_config_text(&text, answer);
    json_decref(answer);

    if (text.failed) {
        return NGX_ERROR;
    }

    ctx->answer.body.data = text.data;
    ctx->answer.body.len = text.len;
    ngx_str_set(&ctx->answer.content_type, "text/plain; charset=utf-8");

    return NGX_OK;
}
