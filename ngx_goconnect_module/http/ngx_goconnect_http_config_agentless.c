#include "http/ngx_goconnect_http_config.h"

#include "http/ngx_goconnect_agentless.h"
#include "http/ngx_goconnect_http_qr.h"


/*
 * A device without an agent: all that the stock WireGuard app needs, with the
 * network's gateway as its one peer.
 */


/* more than any such file has, so that it is never moved */
#define NGX_GOCONNECT_AGENTLESS_FILE 4096


static void
ngx_goconnect_agentless_interface(ngx_goconnect_text_t *text,
                                  const json_t *answer, const u_char *key)
{
    const json_t *peer;

    peer = json_object_get(answer, "peer");

    ngx_goconnect_text_add(text, "[Interface]\nPrivateKey = ", NULL);
    ngx_goconnect_text_bytes(text, key, NGX_GOCONNECT_AGENTLESS_TEXT);
    ngx_goconnect_text_add(
        text, "\nAddress = ", ngx_goconnect_config_string(peer, "ip_address"),
        "/32, ", ngx_goconnect_config_string(peer, "ip6_address"), "/128\n",
        NULL);
    ngx_goconnect_config_mtu(text, json_object_get(answer, "network"));
}


static void
ngx_goconnect_agentless_gateway(ngx_goconnect_text_t *text,
                                const json_t *gateway)
{
    const json_t *range;
    size_t i;

    ngx_goconnect_text_add(
        text, "\n[Peer]\nPublicKey = ",
        ngx_goconnect_config_string(gateway, "public_key"),
        "\nEndpoint = ", ngx_goconnect_config_string(gateway, "endpoint"),
        "\nAllowedIPs = ", NULL);

    json_array_foreach(json_object_get(gateway, "allowed_ips"), i, range)
    {
        ngx_goconnect_text_add(text, i > 0 ? ", " : "",
                               json_string_value(range), NULL);
    }

    ngx_goconnect_text_add(text, "\nPersistentKeepalive = ", NULL);
    ngx_goconnect_text_number(
        text, json_integer_value(json_object_get(gateway, "keepalive")));
    ngx_goconnect_text_add(text, "\n", NULL);
}


/* Who this is, for those who read the file. */
static void
ngx_goconnect_agentless_head(ngx_goconnect_text_t *text, const json_t *answer)
{
    const json_t *gateway;

    gateway = json_object_get(answer, "gateway");

    ngx_goconnect_text_add(
        text, "# GoConnect network ",
        ngx_goconnect_config_string(json_object_get(answer, "network"), "name"),
        "\n# peer ",
        ngx_goconnect_config_string(json_object_get(answer, "peer"), "name"),
        ", by the gateway ", ngx_goconnect_config_string(gateway, "name"),
        " of ", ngx_goconnect_config_string(gateway, "username"),
        "\n# This file holds a private key: whoever has it is this peer.\n\n",
        NULL);
}


static ngx_int_t
ngx_goconnect_agentless_text(ngx_goconnect_http_ctx_t *ctx,
                             const json_t *answer, const u_char *key,
                             ngx_goconnect_config_e kind)
{
    ngx_goconnect_text_t text, svg;
    ngx_int_t rc;

    ngx_goconnect_text_init(&text, ctx->request->pool,
                            NGX_GOCONNECT_AGENTLESS_FILE);

    if (kind == NGX_GOCONNECT_CONFIG_TEXT) {
        ngx_goconnect_agentless_head(&text, answer);
    }

    ngx_goconnect_agentless_interface(&text, answer, key);
    ngx_goconnect_agentless_gateway(&text, json_object_get(answer, "gateway"));
    rc = text.failed ? NGX_ERROR : NGX_OK;
    ngx_str_set(&ctx->answer.content_type, "text/plain; charset=utf-8");

    if (rc == NGX_OK && kind == NGX_GOCONNECT_CONFIG_SVG) {
        ngx_goconnect_text_init(&svg, ctx->request->pool, 0);
        rc = ngx_goconnect_qr_svg(&svg, text.data, text.len);
        ngx_goconnect_secret_wipe(text.data, text.len);
        text = svg;
        ngx_str_set(&ctx->answer.content_type, "image/svg+xml");
    }

    ctx->answer.body.data = text.data;
    ctx->answer.body.len = text.len;

    return rc == NGX_OK ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_goconnect_agentless_json(ngx_goconnect_http_ctx_t *ctx, json_t *answer,
                             const u_char *key)
{
    ngx_int_t rc;
    json_t *value;

    value = json_stringn((const char *) key, NGX_GOCONNECT_AGENTLESS_TEXT);

    if (json_object_del(answer, "sealed") != 0 ||
        json_object_set_new(answer, "private_key", value) != 0) {
        return NGX_ERROR;
    }

    rc = ngx_goconnect_http_dump(ctx, answer, &ctx->answer.body);
    ngx_goconnect_secret_wipe((char *) json_string_value(value),
                              json_string_length(value));

    return rc;
}


ngx_int_t
ngx_goconnect_config_agentless(ngx_goconnect_http_ctx_t *ctx, json_t *answer,
                               ngx_goconnect_config_e kind)
{
    ngx_int_t rc;
    u_char key[NGX_GOCONNECT_AGENTLESS_TEXT];

    if (ngx_goconnect_agentless_open(
            ngx_goconnect_config_string(json_object_get(answer, "peer"), "id"),
            ngx_goconnect_config_string(answer, "sealed"), key) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = kind == NGX_GOCONNECT_CONFIG_JSON
             ? ngx_goconnect_agentless_json(ctx, answer, key)
             : ngx_goconnect_agentless_text(ctx, answer, key, kind);

    ngx_goconnect_secret_wipe(key, sizeof(key));

    if (rc == NGX_OK) {
        ctx->secret = ctx->answer.body;
    }

    return rc;
}
