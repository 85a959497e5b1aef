#include "core/gc_audit.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>


#define GC_AUDIT_ROW "goconnect audit row 1"
#define GC_AUDIT_NUMBER 20 /* digits of 64 bits, and a sign */


struct gc_audit_mac_s {
    EVP_MAC *mac;
    EVP_MAC_CTX *ctx;
    unsigned failed : 1; /* since it was last begun */
};


static const char *const gc_audit_marks[] = {
    [GC_AUDIT_HEAD] = "goconnect audit head 1",
    [GC_AUDIT_ANCHOR] = "goconnect audit anchor 1",
};


gc_audit_mac_t *
gc_audit_mac_create(void)
{
    gc_audit_mac_t *mac;

    mac = calloc(1, sizeof(gc_audit_mac_t));
    if (mac == NULL) {
        return NULL;
    }

    mac->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    mac->ctx = mac->mac ? EVP_MAC_CTX_new(mac->mac) : NULL;

    if (mac->ctx == NULL) {
        gc_audit_mac_destroy(mac);
        return NULL;
    }

    return mac;
}


void
gc_audit_mac_destroy(gc_audit_mac_t *mac)
{
    if (mac) {
        EVP_MAC_CTX_free(mac->ctx);
        EVP_MAC_free(mac->mac);
        free(mac);
    }
}


static void
gc_audit_put(gc_audit_mac_t *mac, const void *data, size_t len)
{
    unsigned char head[4];

    if (len > UINT32_MAX) {
        mac->failed = 1;
        return;
    }

    head[0] = (unsigned char) (len >> 24);
    head[1] = (unsigned char) (len >> 16);
    head[2] = (unsigned char) (len >> 8);
    head[3] = (unsigned char) len;

    if (EVP_MAC_update(mac->ctx, head, sizeof(head)) != 1 ||
        EVP_MAC_update(mac->ctx, data, len) != 1) {
        mac->failed = 1;
    }
}


static void
gc_audit_put_slice(gc_audit_mac_t *mac, gc_slice_t slice)
{
    gc_audit_put(mac, slice.data, slice.len);
}


/* in decimal, as JSON has it */
static void
gc_audit_put_number(gc_audit_mac_t *mac, int64_t number)
{
    char digits[GC_AUDIT_NUMBER];
    size_t i;
    uint64_t n;

    i = sizeof(digits);
    n = number < 0 ? 0 - (uint64_t) number : (uint64_t) number;

    do {
        digits[--i] = (char) ('0' + n % 10);
        n /= 10;
    } while (n);

    if (number < 0) {
        digits[--i] = '-';
    }

    gc_audit_put(mac, digits + i, sizeof(digits) - i);
}


static void
gc_audit_begin(gc_audit_mac_t *mac, const gc_key_t *key, const char *what)
{
    OSSL_PARAM params[2];
    char digest[] = "SHA256";

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
                                                 sizeof(digest) - 1);
    params[1] = OSSL_PARAM_construct_end();

    mac->failed =
        EVP_MAC_init(mac->ctx, key->secret, GC_KEYS_SECRET, params) != 1;

    gc_audit_put(mac, what, strlen(what));
}


static gc_audit_result_e
gc_audit_end(gc_audit_mac_t *mac, unsigned char *out)
{
    size_t len;

    if (EVP_MAC_final(mac->ctx, out, &len, GC_AUDIT_HASH) != 1 ||
        len != GC_AUDIT_HASH || mac->failed) {
        memset(out, 0, GC_AUDIT_HASH);
        return GC_AUDIT_FAILED;
    }

    return GC_AUDIT_OK;
}


/* the next n items of an array: 1; 0: there are fewer */
static int
gc_audit_items(gc_json_iter_t *it, gc_slice_t *items, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (!gc_json_item(it, &items[i])) {
            return 0;
        }
    }

    return 1;
}


gc_audit_result_e
gc_audit_row_parse(gc_audit_row_t *row, gc_slice_t json)
{
    gc_json_iter_t it;
    gc_slice_t items[12];

    memset(row, 0, sizeof(gc_audit_row_t));

    if (gc_json_array(&it, json) != 0 || !gc_audit_items(&it, items, 12)) {
        return GC_AUDIT_MALFORMED;
    }

    row->id = items[0];
    row->actor = items[1];
    row->device = items[2];
    row->action = items[3];
    row->target_kind = items[4];
    row->target = items[5];
    row->detail = items[6];
    row->created_at = items[7];
    row->personal = items[8];

    if (gc_slice_is(items[9], "null")) {
        return GC_AUDIT_OK;
    }

    if (!gc_json_integer(items[9], &row->number) ||
        !gc_audit_unhex(items[10], row->hash) ||
        !gc_json_plain(items[11], &row->key)) {
        return GC_AUDIT_MALFORMED;
    }

    return GC_AUDIT_OK;
}


/* the number of fields, then each with its salted hash */
static gc_audit_result_e
gc_audit_put_personal(gc_audit_mac_t *mac, gc_slice_t personal)
{
    gc_json_iter_t it, field;
    gc_slice_t item, parts[2];
    unsigned char hash[GC_AUDIT_HASH];
    int64_t n;

    if (gc_json_array(&it, personal) != 0) {
        return GC_AUDIT_MALFORMED;
    }

    for (n = 0; gc_json_item(&it, &item); n++) {
        if (gc_json_array(&field, item) != 0 ||
            !gc_audit_items(&field, parts, 2) ||
            !gc_audit_unhex(parts[1], hash)) {
            return GC_AUDIT_MALFORMED;
        }

        gc_audit_put_slice(mac, parts[0]);
        gc_audit_put(mac, hash, sizeof(hash));
    }

    gc_audit_put_number(mac, n);

    return GC_AUDIT_OK;
}


gc_audit_result_e
gc_audit_row_hash(gc_audit_mac_t *mac, const gc_key_t *key, gc_slice_t chain,
                  int64_t number, const unsigned char *prev,
                  const gc_audit_row_t *row, unsigned char *hash)
{
    gc_audit_result_e rc;

    gc_audit_begin(mac, key, GC_AUDIT_ROW);
    gc_audit_put(mac, prev, GC_AUDIT_HASH);
    gc_audit_put_slice(mac, chain);
    gc_audit_put_number(mac, number);
    gc_audit_put_slice(mac, row->id);
    gc_audit_put_slice(mac, row->actor);
    gc_audit_put_slice(mac, row->device);
    gc_audit_put_slice(mac, row->action);
    gc_audit_put_slice(mac, row->target_kind);
    gc_audit_put_slice(mac, row->target);
    gc_audit_put_slice(mac, row->detail);
    gc_audit_put_slice(mac, row->created_at);
    rc = gc_audit_put_personal(mac, row->personal);

    return gc_audit_end(mac, hash) != GC_AUDIT_OK ? GC_AUDIT_FAILED : rc;
}


gc_audit_result_e
gc_audit_sign(gc_audit_mac_t *mac, const gc_key_t *key, gc_audit_mark_e mark,
              gc_slice_t chain, const gc_audit_point_t *point,
              unsigned char *signature)
{
    gc_audit_begin(mac, key, gc_audit_marks[mark]);
    gc_audit_put_slice(mac, chain);
    gc_audit_put_number(mac, point->number);
    gc_audit_put(mac, point->hash, GC_AUDIT_HASH);
    gc_audit_put_number(mac, point->signed_at);

    return gc_audit_end(mac, signature);
}


static int
gc_audit_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


/* n bytes from 2n lower-case digits: 1; 0 */
static int
gc_audit_bytes(const char *hex, size_t n, unsigned char *bytes)
{
    int high, low;
    size_t i;

    for (i = 0; i < n; i++) {
        high = gc_audit_digit(hex[2 * i]);
        low = gc_audit_digit(hex[2 * i + 1]);

        if (high < 0 || low < 0) {
            return 0;
        }

        bytes[i] = (unsigned char) (high << 4 | low);
    }

    return 1;
}


int
gc_audit_unhex(gc_slice_t json, unsigned char *hash)
{
    gc_slice_t text;

    return gc_json_plain(json, &text) &&
           text.len == (size_t) 2 * GC_AUDIT_HASH &&
           gc_audit_bytes(text.data, GC_AUDIT_HASH, hash);
}


/* SHA-256 of salt and value, both in hexadecimal: 1 if it is the hash */
static gc_audit_result_e
gc_audit_salted(gc_slice_t salt, gc_slice_t value, const unsigned char *hash,
                int *same)
{
    unsigned char bytes[1024], md[EVP_MAX_MD_SIZE];
    size_t i, n;
    int ok;
    EVP_MD_CTX *ctx;
    gc_slice_t parts[2] = {salt, value};

    ctx = EVP_MD_CTX_new();
    ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    *same = salt.len == (size_t) 2 * GC_AUDIT_SALT && value.len % 2 == 0;

    for (i = 0; i < 2; i++) {
        while (ok && *same && parts[i].len) {
            n = parts[i].len / 2;
            n = n < sizeof(bytes) ? n : sizeof(bytes);

            *same = gc_audit_bytes(parts[i].data, n, bytes);
            ok = EVP_DigestUpdate(ctx, bytes, n) == 1;

            parts[i].data += 2 * n;
            parts[i].len -= 2 * n;
        }
    }

    ok = ok && EVP_DigestFinal_ex(ctx, md, NULL) == 1;
    EVP_MD_CTX_free(ctx);

    *same = *same && ok && gc_audit_equal(md, hash);

    return ok ? GC_AUDIT_OK : GC_AUDIT_FAILED;
}


gc_audit_result_e
gc_audit_personal(const gc_audit_row_t *row, gc_audit_personal_t *personal)
{
    gc_json_iter_t it, field;
    gc_slice_t item, parts[4], salt, value;
    unsigned char hash[GC_AUDIT_HASH];
    int same;

    memset(personal, 0, sizeof(gc_audit_personal_t));

    if (gc_json_array(&it, row->personal) != 0) {
        return GC_AUDIT_MALFORMED;
    }

    while (gc_json_item(&it, &item)) {
        if (gc_json_array(&field, item) != 0 ||
            !gc_audit_items(&field, parts, 4) ||
            !gc_audit_unhex(parts[1], hash)) {
            return GC_AUDIT_MALFORMED;
        }

        personal->fields++;

        if (gc_slice_is(parts[2], "null") && gc_slice_is(parts[3], "null")) {
            personal->erased++;
            continue;
        }

        if (!gc_json_plain(parts[2], &salt) ||
            !gc_json_plain(parts[3], &value)) {
            return GC_AUDIT_MALFORMED;
        }

        if (gc_audit_salted(salt, value, hash, &same) != GC_AUDIT_OK) {
            return GC_AUDIT_FAILED;
        }

        personal->wrong += !same;
    }

    return GC_AUDIT_OK;
}


const gc_key_t *
gc_audit_key(const gc_keys_t *ring, gc_slice_t id)
{
    const gc_key_t *key;
    size_t n;

    for (n = 0; (key = gc_keys_nth(ring, GC_KEY_AUDIT, n)) != NULL; n++) {
        if (gc_slice_is(id, key->id)) {
            return key;
        }
    }

    return NULL;
}


int
gc_audit_equal(const unsigned char *a, const unsigned char *b)
{
    return CRYPTO_memcmp(a, b, GC_AUDIT_HASH) == 0;
}
