#include "http/ngx_goconnect_http_check.h"

#include "core/gc_json.h"


typedef struct {
    enum json_error_code error;
    const char *code;
    const char *detail;
} ngx_goconnect_json_error_t;


/* the last one stands for all others */
static const ngx_goconnect_json_error_t ngx_goconnect_json_errors[] = {
    {json_error_invalid_utf8, "invalid_utf8", "This is not UTF-8."},
    {json_error_duplicate_key, "duplicate_member",
     "An object has a member twice."},
    {json_error_null_character, "nul_character",
     "The character NUL is not allowed."},
    {json_error_null_byte_in_key, "nul_character",
     "The character NUL is not allowed."},
    {json_error_numeric_overflow, "number_out_of_range",
     "A number is too large."},
    {json_error_stack_overflow, "too_deep", "This nests too deeply."},
    {json_error_unknown, "malformed_json", "This is not JSON."}};


static ngx_goconnect_verdict_t
ngx_goconnect_json_verdict(enum json_error_code error)
{
    const ngx_goconnect_json_error_t *known;

    for (known = ngx_goconnect_json_errors;
         known->error != error && known->error != json_error_unknown; known++) {
        /* void */
    }

    return ngx_goconnect_bad(known->code, known->detail);
}


ngx_goconnect_verdict_t
ngx_goconnect_check_json(const u_char *text, size_t len, size_t depth,
                         json_t **value)
{
    json_error_t error;

    *value = NULL;

    /* before a parser that recurses sees it */
    if (gc_json_depth(text, len) > depth) {
        return ngx_goconnect_json_verdict(json_error_stack_overflow);
    }

    *value = json_loadb((const char *) text, len,
                        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

    return *value ? ngx_goconnect_good()
                  : ngx_goconnect_json_verdict(json_error_code(&error));
}
