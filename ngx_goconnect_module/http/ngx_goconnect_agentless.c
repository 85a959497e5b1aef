#include "http/ngx_goconnect_agentless.h"

#include <openssl/evp.h>

#include "core/gc_seal.h"
#include "core/gc_uuid.h"
#include "http/ngx_goconnect_conf.h"
#include "http/ngx_goconnect_http_steps.h"


#define NGX_GOCONNECT_KEY NGX_GOCONNECT_AGENTLESS_KEY
#define NGX_GOCONNECT_KEY_TEXT NGX_GOCONNECT_AGENTLESS_TEXT
#define NGX_GOCONNECT_SEALED_MAX GC_SEAL_SIZE(NGX_GOCONNECT_KEY)

#define NGX_GOCONNECT_ROW "peers/"
#define NGX_GOCONNECT_ROW_SIZE \
    (sizeof(NGX_GOCONNECT_ROW) + NGX_GOCONNECT_ID_LEN)


typedef struct {
    u_char private_key[NGX_GOCONNECT_KEY];
    u_char public_key[NGX_GOCONNECT_KEY];
} ngx_goconnect_pair_t;


/* An X25519 pair (RFC 7748, section 6.1), the private key clamped. */
static ngx_int_t
ngx_goconnect_agentless_pair(ngx_goconnect_pair_t *pair)
{
    size_t len;
    EVP_PKEY *key;
    ngx_int_t rc;

    if (ngx_goconnect_secret_random(pair->private_key, NGX_GOCONNECT_KEY) !=
        NGX_OK) {
        return NGX_ERROR;
    }

    /* section 5: so that every tool shows the same key */
    pair->private_key[0] &= 248;
    pair->private_key[31] = (u_char) ((pair->private_key[31] & 127) | 64);

    key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, pair->private_key,
                                       NGX_GOCONNECT_KEY);
    len = NGX_GOCONNECT_KEY;
    rc =
        key != NULL &&
                EVP_PKEY_get_raw_public_key(key, pair->public_key, &len) == 1 &&
                len == NGX_GOCONNECT_KEY
            ? NGX_OK
            : NGX_ERROR;
    EVP_PKEY_free(key);

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "goconnect: no X25519 from OpenSSL");
    }

    return rc;
}


static json_t *
ngx_goconnect_agentless_public(const ngx_goconnect_pair_t *pair)
{
    char text[NGX_GOCONNECT_KEY_TEXT];

    gc_base64_encode(text, pair->public_key, NGX_GOCONNECT_KEY);

    return json_stringn(text, sizeof(text));
}


ngx_int_t
ngx_goconnect_agentless_identity(json_t *body)
{
    ngx_goconnect_pair_t pair;
    ngx_int_t rc;

    if (ngx_goconnect_agentless_pair(&pair) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = json_object_set_new(body, "public_key",
                             ngx_goconnect_agentless_public(&pair)) == 0
             ? NGX_OK
             : NGX_ERROR;
    ngx_goconnect_secret_wipe(&pair, sizeof(pair));

    return rc;
}


/* The name under which a peer's private key is sealed. */
static void
ngx_goconnect_agentless_row(const char *peer, char *row)
{
    *ngx_snprintf((u_char *) row, NGX_GOCONNECT_ROW_SIZE - 1, "%s%s",
                  NGX_GOCONNECT_ROW, peer) = '\0';
}


/* A random UUID (RFC 9562, section 5.4). */
static ngx_int_t
ngx_goconnect_agentless_id(char *id)
{
    u_char bytes[16];
    u_char hex[2 * sizeof(bytes)];

    if (ngx_goconnect_secret_random(bytes, sizeof(bytes)) != NGX_OK) {
        return NGX_ERROR;
    }

    bytes[6] = (u_char) ((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (u_char) ((bytes[8] & 0x3f) | 0x80);
    (void) ngx_hex_dump(hex, bytes, sizeof(bytes));
    *ngx_snprintf((u_char *) id, NGX_GOCONNECT_ID_LEN, "%*s-%*s-%*s-%*s-%*s",
                  (size_t) 8, hex, (size_t) 4, hex + 8, (size_t) 4, hex + 12,
                  (size_t) 4, hex + 16, (size_t) 12, hex + 20) = '\0';

    return NGX_OK;
}


/* The private key as the row of this id may keep it, in hex. */
static json_t *
ngx_goconnect_agentless_seal(const char *id, const ngx_goconnect_pair_t *pair)
{
    char row[NGX_GOCONNECT_ROW_SIZE];
    size_t len;
    u_char nonce[GC_SEAL_NONCE];
    u_char sealed[NGX_GOCONNECT_SEALED_MAX];
    u_char hex[2 * NGX_GOCONNECT_SEALED_MAX];
    const gc_key_t *key;

    key = gc_keys_current(ngx_goconnect_main_conf()->keys, GC_KEY_SEAL);
    ngx_goconnect_agentless_row(id, row);

    if (key == NULL ||
        ngx_goconnect_secret_random(nonce, sizeof(nonce)) != NGX_OK ||
        gc_seal_close(key, nonce, row, pair->private_key, NGX_GOCONNECT_KEY,
                      sealed, &len) != GC_SEAL_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "goconnect: cannot seal a private key");
        return NULL;
    }

    (void) ngx_hex_dump(hex, sealed, len);

    return json_stringn((char *) hex, 2 * len);
}


/*
 * Without public_key the function is given a pair, and the id of the row that
 * it is sealed for: it takes them for a device without an agent.
 */
ngx_int_t
ngx_goconnect_step_peer_before(ngx_goconnect_http_ctx_t *ctx)
{
    char id[NGX_GOCONNECT_ID_LEN + 1];
    ngx_goconnect_pair_t pair;
    json_t *made;

    if (json_object_get(ctx->body, "public_key") != NULL) {
        return NGX_OK;
    }

    if (ngx_goconnect_agentless_id(id) != NGX_OK ||
        ngx_goconnect_agentless_pair(&pair) != NGX_OK) {
        return NGX_ERROR;
    }

    made = json_pack("{ss so so}", "id", id, "public_key",
                     ngx_goconnect_agentless_public(&pair), "private_key",
                     ngx_goconnect_agentless_seal(id, &pair));
    ngx_goconnect_secret_wipe(&pair, sizeof(pair));

    return json_object_set_new(ctx->body, "made", made) == 0 ? NGX_OK
                                                             : NGX_ERROR;
}


/* The bytes of a hex text, or -1. */
static ssize_t
ngx_goconnect_agentless_unhex(const char *hex, u_char *out, size_t size)
{
    size_t i, len;
    ngx_int_t byte;

    len = strlen(hex);

    if (len % 2 != 0 || len / 2 > size) {
        return -1;
    }

    for (i = 0; i < len / 2; i++) {
        byte = ngx_hextoi((u_char *) hex + 2 * i, 2);

        if (byte == NGX_ERROR) {
            return -1;
        }

        out[i] = (u_char) byte;
    }

    return (ssize_t) i;
}


ngx_int_t
ngx_goconnect_agentless_open(const char *peer, const char *sealed, u_char *key)
{
    static const char *const why[] = {
        [GC_SEAL_OK] = "",
        [GC_SEAL_MALFORMED] = "it is malformed",
        [GC_SEAL_NO_KEY] = "its seal key is not in goconnect_keys any more",
        [GC_SEAL_FORGED] = "it was changed, or moved from another row",
        [GC_SEAL_FAILED] = "OpenSSL has failed",
    };
    char row[NGX_GOCONNECT_ROW_SIZE];
    size_t len;
    ssize_t n;
    u_char bytes[NGX_GOCONNECT_SEALED_MAX];
    u_char opened[NGX_GOCONNECT_KEY];
    gc_seal_result_e rc;

    rc = GC_SEAL_MALFORMED;
    len = 0;
    n = ngx_goconnect_agentless_unhex(sealed, bytes, sizeof(bytes));

    if (n >= 0) {
        ngx_goconnect_agentless_row(peer, row);
        rc = gc_seal_open(ngx_goconnect_main_conf()->keys, row, bytes,
                          (size_t) n, opened, sizeof(opened), &len);
    }

    if (rc == GC_SEAL_OK && len != NGX_GOCONNECT_KEY) {
        rc = GC_SEAL_MALFORMED;
    }

    if (rc != GC_SEAL_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "goconnect: the private key of peer %s does not open: %s",
                      peer, why[rc]);
        return NGX_ERROR;
    }

    gc_base64_encode((char *) key, opened, NGX_GOCONNECT_KEY);
    ngx_goconnect_secret_wipe(opened, sizeof(opened));

    return NGX_OK;
}
