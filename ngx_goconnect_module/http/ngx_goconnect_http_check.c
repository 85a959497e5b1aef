#include "http/ngx_goconnect_http_check_list.h"

#include "core/gc_cidr.h"
#include "core/gc_endpoint.h"
#include "core/gc_utf8.h"
#include "core/gc_uuid.h"
#include "core/gc_wgkey.h"


typedef ngx_goconnect_verdict_t (*ngx_goconnect_check_pt)(
    const ngx_goconnect_field_t *field, const json_t *value);


ngx_goconnect_verdict_t
ngx_goconnect_good(void)
{
    return ngx_goconnect_bad(NULL, NULL);
}


ngx_goconnect_verdict_t
ngx_goconnect_bad(const char *code, const char *detail)
{
    return ngx_goconnect_bad_member(NULL, code, detail);
}


ngx_goconnect_verdict_t
ngx_goconnect_bad_member(const char *member, const char *code,
                         const char *detail)
{
    ngx_goconnect_verdict_t verdict;

    verdict.code = code;
    verdict.detail = detail;
    verdict.item = 0;
    verdict.member = member;

    return verdict;
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_length(const ngx_goconnect_field_t *field, size_t len)
{
    if ((int64_t) len < field->min) {
        return ngx_goconnect_bad("too_short", "This is too short.");
    }

    if ((int64_t) len > field->max) {
        return ngx_goconnect_bad("too_long", "This is too long.");
    }

    return ngx_goconnect_good();
}


/* Cc of Unicode: C0, DEL and C1, save those C0 in `allowed` */
static ngx_uint_t
ngx_goconnect_is_control(const u_char *p, const char *allowed)
{
    if (p[0] < ' ') {
        return strchr(allowed, p[0]) == NULL;
    }

    return p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}


/* allowed: controls that may stand in the text, which is NUL-terminated */
static ngx_goconnect_verdict_t
ngx_goconnect_check_characters(const ngx_goconnect_field_t *field,
                               const char *p, size_t len, const char *allowed)
{
    size_t i, chars;
    ngx_uint_t visible;

    if (gc_utf8_count(p, len, &chars) != 0) {
        return ngx_goconnect_bad("invalid_utf8", "This is not UTF-8.");
    }

    for (i = 0, visible = 0; i < len; i++) {
        if (ngx_goconnect_is_control((const u_char *) p + i, allowed)) {
            return ngx_goconnect_bad("control_character",
                                     "Control characters are not allowed.");
        }

        visible |= (u_char) p[i] > ' ';
    }

    if (!visible && field->min > 0 && chars > 0) {
        return ngx_goconnect_bad("blank", "This must not be blank.");
    }

    return ngx_goconnect_check_length(field, chars);
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_text(const ngx_goconnect_field_t *field,
                         const json_t *value)
{
    const char *p;
    size_t len;

    p = json_string_value(value);
    len = json_string_length(value);

    if (len > 0 && (p[0] == ' ' || p[len - 1] == ' ')) {
        return ngx_goconnect_bad("outer_space",
                                 "This begins or ends with a space.");
    }

    return ngx_goconnect_check_characters(field, p, len, "");
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_lines(const ngx_goconnect_field_t *field,
                          const json_t *value)
{
    return ngx_goconnect_check_characters(field, json_string_value(value),
                                          json_string_length(value), "\n\r\t");
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_bytes(const ngx_goconnect_field_t *field,
                          const json_t *value)
{
    return ngx_goconnect_check_length(field, json_string_length(value));
}


/* letters, digits and what else may stand inside; the first is alphanumeric */
static ngx_uint_t
ngx_goconnect_is_name(const char *p, size_t len, const char *inside)
{
    size_t i;
    char c;

    for (i = 0; i < len; i++) {
        c = (char) ngx_tolower(p[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (i > 0 && strchr(inside, c) != NULL))) {
            return 0;
        }
    }

    return 1;
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_username(const ngx_goconnect_field_t *field,
                             const json_t *value)
{
    if (!ngx_goconnect_is_name(json_string_value(value),
                               json_string_length(value), "_.-")) {
        return ngx_goconnect_bad("invalid_format",
                                 "A username has letters, digits, '_', '.' and "
                                 "'-', and begins with a letter or digit.");
    }

    return ngx_goconnect_check_length(field, json_string_length(value));
}


/* RFC 1035, section 2.3.1, with the digits of RFC 1123, section 2.1 */
static ngx_goconnect_verdict_t
ngx_goconnect_check_label(const ngx_goconnect_field_t *field,
                          const json_t *value)
{
    const char *p;
    size_t i, len;

    p = json_string_value(value);
    len = json_string_length(value);

    for (i = 0; i < len && (p[i] < 'A' || p[i] > 'Z'); i++) {
        /* void */
    }

    if (i < len || !ngx_goconnect_is_name(p, len, "-") ||
        (len > 0 && p[len - 1] == '-')) {
        return ngx_goconnect_bad("invalid_format",
                                 "This has lower-case letters, digits and "
                                 "inner hyphens.");
    }

    return ngx_goconnect_check_length(field, len);
}


/* As much as can be said without sending a mail. */
static ngx_goconnect_verdict_t
ngx_goconnect_check_email(const ngx_goconnect_field_t *field,
                          const json_t *value)
{
    const char *p, *at;
    size_t len;

    p = json_string_value(value);
    len = json_string_length(value);
    at = strchr(p, '@');

    if (at == NULL || at == p || at == p + len - 1 ||
        strchr(at + 1, '@') != NULL || strpbrk(p, " \t\r\n") != NULL) {
        return ngx_goconnect_bad("invalid_format",
                                 "This is not an e-mail address.");
    }

    return ngx_goconnect_check_text(field, value);
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_int(const ngx_goconnect_field_t *field, const json_t *value)
{
    json_int_t number;

    number = json_integer_value(value);

    if (number < field->min || number > field->max) {
        return ngx_goconnect_bad("out_of_range",
                                 "This number is out of range.");
    }

    return ngx_goconnect_good();
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_uuid(const ngx_goconnect_field_t *field,
                         const json_t *value)
{
    (void) field;

    if (!gc_uuid_valid(json_string_value(value), json_string_length(value))) {
        return ngx_goconnect_bad("invalid_format",
                                 "This is not a UUID in lower case.");
    }

    return ngx_goconnect_good();
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_choice(const ngx_goconnect_field_t *field,
                           const json_t *value)
{
    const char *choice, *end, *text;
    size_t len;

    text = json_string_value(value);
    len = json_string_length(value);

    for (choice = field->detail; choice; choice = end ? end + 1 : NULL) {
        end = strchr(choice, '|');

        if ((end ? (size_t) (end - choice) : strlen(choice)) == len &&
            ngx_memcmp(choice, text, len) == 0) {
            return ngx_goconnect_good();
        }
    }

    return ngx_goconnect_bad("invalid_choice",
                             "This is not one of the choices.");
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_object(const ngx_goconnect_field_t *field,
                           const json_t *value)
{
    return ngx_goconnect_check_length(field,
                                      json_dumpb(value, NULL, 0, JSON_COMPACT));
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_key(const ngx_goconnect_field_t *field, const json_t *value)
{
    (void) field;

    if (!gc_wgkey_valid(json_string_value(value), json_string_length(value))) {
        return ngx_goconnect_bad("invalid_key",
                                 "This is not a public key: 32 bytes in "
                                 "base64, not all zero.");
    }

    return ngx_goconnect_good();
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_cidr(const ngx_goconnect_field_t *field,
                         const json_t *value)
{
    gc_cidr_t cidr;

    (void) field;

    switch (gc_cidr_parse(json_string_value(value), json_string_length(value),
                          &cidr)) {
    case GC_CIDR_OK:
        break;
    case GC_CIDR_SYNTAX:
        return ngx_goconnect_bad("invalid_format",
                                 "This is not an IPv4 range such as "
                                 "10.20.0.0/24.");
    case GC_CIDR_PREFIX:
        return ngx_goconnect_bad("invalid_prefix",
                                 "A network's range is a /8 to a /29.");
    case GC_CIDR_HOST_BITS:
        return ngx_goconnect_bad("host_bits",
                                 "The range has bits set behind its prefix.");
    case GC_CIDR_PUBLIC:
        return ngx_goconnect_bad("not_private",
                                 "The range is not private address space.");
    }

    return ngx_goconnect_good();
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_endpoints(const ngx_goconnect_field_t *field,
                              const json_t *value)
{
    const json_t *endpoint;
    size_t i;

    for (i = 0; i < json_array_size(value); i++) {
        endpoint = json_array_get(value, i);

        if (!json_is_string(endpoint) ||
            !gc_endpoint_valid(json_string_value(endpoint),
                               json_string_length(endpoint))) {
            return ngx_goconnect_bad("invalid_endpoint",
                                     "An endpoint is ADDRESS:PORT or "
                                     "[ADDRESS]:PORT.");
        }
    }

    return ngx_goconnect_check_length(field, json_array_size(value));
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_array(const ngx_goconnect_field_t *field,
                          const json_t *value)
{
    return ngx_goconnect_check_length(field, json_array_size(value));
}


/* There is nothing to it but its type. */
static ngx_goconnect_verdict_t
ngx_goconnect_check_bool(const ngx_goconnect_field_t *field,
                         const json_t *value)
{
    (void) field;
    (void) value;

    return ngx_goconnect_good();
}


typedef struct {
    json_type type;
    ngx_goconnect_check_pt check;
} ngx_goconnect_field_kind_t;


static const ngx_goconnect_field_kind_t ngx_goconnect_field_kinds[] = {
    [NGX_GOCONNECT_FIELD_TEXT] = {JSON_STRING, ngx_goconnect_check_text},
    [NGX_GOCONNECT_FIELD_LINES] = {JSON_STRING, ngx_goconnect_check_lines},
    [NGX_GOCONNECT_FIELD_BYTES] = {JSON_STRING, ngx_goconnect_check_bytes},
    [NGX_GOCONNECT_FIELD_USERNAME] = {JSON_STRING,
                                      ngx_goconnect_check_username},
    [NGX_GOCONNECT_FIELD_EMAIL] = {JSON_STRING, ngx_goconnect_check_email},
    [NGX_GOCONNECT_FIELD_SLUG] = {JSON_STRING, ngx_goconnect_check_label},
    [NGX_GOCONNECT_FIELD_LABEL] = {JSON_STRING, ngx_goconnect_check_label},
    [NGX_GOCONNECT_FIELD_INT] = {JSON_INTEGER, ngx_goconnect_check_int},
    [NGX_GOCONNECT_FIELD_UUID] = {JSON_STRING, ngx_goconnect_check_uuid},
    [NGX_GOCONNECT_FIELD_CHOICE] = {JSON_STRING, ngx_goconnect_check_choice},
    [NGX_GOCONNECT_FIELD_OBJECT] = {JSON_OBJECT, ngx_goconnect_check_object},
    [NGX_GOCONNECT_FIELD_KEY] = {JSON_STRING, ngx_goconnect_check_key},
    [NGX_GOCONNECT_FIELD_CIDR] = {JSON_STRING, ngx_goconnect_check_cidr},
    [NGX_GOCONNECT_FIELD_ENDPOINTS] = {JSON_ARRAY,
                                       ngx_goconnect_check_endpoints},
    [NGX_GOCONNECT_FIELD_CODE] = {JSON_STRING, ngx_goconnect_check_text},
    [NGX_GOCONNECT_FIELD_TOKEN] = {JSON_STRING, ngx_goconnect_check_text},
    [NGX_GOCONNECT_FIELD_BOOL] = {JSON_TRUE, ngx_goconnect_check_bool},
    [NGX_GOCONNECT_FIELD_PREFIX] = {JSON_STRING, ngx_goconnect_check_prefix},
    [NGX_GOCONNECT_FIELD_SELECTOR] = {JSON_STRING,
                                      ngx_goconnect_check_selector},
    [NGX_GOCONNECT_FIELD_RULE] = {JSON_OBJECT, ngx_goconnect_check_rule},
    [NGX_GOCONNECT_FIELD_UUIDS] = {JSON_ARRAY, ngx_goconnect_check_uuids},
    [NGX_GOCONNECT_FIELD_LABELS] = {JSON_ARRAY, ngx_goconnect_check_labels},
    [NGX_GOCONNECT_FIELD_CIDRS] = {JSON_ARRAY, ngx_goconnect_check_cidrs},
    [NGX_GOCONNECT_FIELD_RULES] = {JSON_ARRAY, ngx_goconnect_check_rules},
    [NGX_GOCONNECT_FIELD_ARRAY] = {JSON_ARRAY, ngx_goconnect_check_array},
};


/* Jansson has a type for each boolean; here both are JSON_TRUE. */
static json_type
ngx_goconnect_json_type(const json_t *value)
{
    return json_is_boolean(value) ? JSON_TRUE : json_typeof(value);
}


ngx_goconnect_verdict_t
ngx_goconnect_check_value(const ngx_goconnect_field_t *field,
                          const json_t *value)
{
    const ngx_goconnect_field_kind_t *kind;

    if (value == NULL) {
        return field->presence == NGX_GOCONNECT_REQUIRED
                   ? ngx_goconnect_bad("required", "This is required.")
                   : ngx_goconnect_good();
    }

    if (json_is_null(value) && field->presence == NGX_GOCONNECT_NULLABLE) {
        return ngx_goconnect_good();
    }

    kind = &ngx_goconnect_field_kinds[field->type];

    if (ngx_goconnect_json_type(value) != kind->type) {
        return ngx_goconnect_bad("invalid_type",
                                 "This has another type than it must have.");
    }

    return kind->check(field, value);
}
