#include "http/ngx_goconnect_http_config.h"
#include "http/ngx_goconnect_http_steps.h"


/*
 * A peer's configuration for wg-quick. The private key never leaves the
 * device, so the file has a place for it instead.
 */


const char *
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


void
ngx_goconnect_config_mtu(ngx_goconnect_text_t *text, const json_t *network)
{
    json_int_t mtu;

    mtu = json_integer_value(
        json_object_get(json_object_get(network, "settings"), "mtu"));

    if (mtu > 0) {
        ngx_goconnect_text_add(text, "MTU = ", NULL);
        ngx_goconnect_text_number(text, mtu);
        ngx_goconnect_text_add(text, "\n", NULL);
    }
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
    ngx_goconnect_config_mtu(text, network);
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


static ngx_uint_t
ngx_goconnect_config_named(const ngx_table_elt_t *accept, const char *type)
{
    return ngx_strlcasestrn(accept->value.data,
                            accept->value.data + accept->value.len,
                            (u_char *) type, strlen(type) - 1) != NULL;
}


/*
 * JSON or a QR code only for who names it and no text: a browser or curl gets
 * the file.
 */
static ngx_goconnect_config_e
ngx_goconnect_config_wanted(ngx_http_request_t *r)
{
    ngx_table_elt_t *accept;

    accept = ngx_goconnect_http_header_in(r, "Accept");

    if (accept == NULL || ngx_goconnect_config_named(accept, "text/plain") ||
        ngx_goconnect_config_named(accept, "text/html")) {
        return NGX_GOCONNECT_CONFIG_TEXT;
    }

    if (ngx_goconnect_config_named(accept, "application/json")) {
        return NGX_GOCONNECT_CONFIG_JSON;
    }

    return ngx_goconnect_config_named(accept, "image/svg+xml")
               ? NGX_GOCONNECT_CONFIG_SVG
               : NGX_GOCONNECT_CONFIG_TEXT;
}


static ngx_int_t
ngx_goconnect_config_agent(ngx_goconnect_http_ctx_t *ctx, const json_t *answer,
                           ngx_goconnect_config_e kind)
{
    ngx_goconnect_text_t text;

    if (kind == NGX_GOCONNECT_CONFIG_SVG) {
        return ngx_goconnect_http_problem(
            ctx, NGX_HTTP_CONFLICT, "has_agent",
            "There is a QR code only for a device without an agent: the "
            "private key of this one is not the server's.");
    }

    if (kind == NGX_GOCONNECT_CONFIG_JSON) {
        return NGX_OK;
    }

    ngx_goconnect_text_init(&text, ctx->request->pool, 0);
    ngx_goconnect_config_text(&text, answer);

    ctx->answer.body.data = text.data;
    ctx->answer.body.len = text.len;
    ngx_str_set(&ctx->answer.content_type, "text/plain; charset=utf-8");

    return text.failed ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_goconnect_step_config_after(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_config_e kind;
    ngx_int_t rc;
    json_t *answer;

    ctx->answer.vary_accept = 1;
    kind = ngx_goconnect_config_wanted(ctx->request);

    answer = ngx_goconnect_http_answer(ctx);
    if (answer == NULL) {
        return NGX_ERROR;
    }

    rc = json_object_get(answer, "sealed")
             ? ngx_goconnect_config_agentless(ctx, answer, kind)
             : ngx_goconnect_config_agent(ctx, answer, kind);
    json_decref(answer);

    return rc;
}
