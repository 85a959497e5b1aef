#include "http/ngx_goconnect_http_check_list.h"

#include "core/gc_prefix.h"
#include "core/gc_rule.h"


/* What one item of a list must be: a field like those of routes.def. */
#define NGX_GOCONNECT_ITEM(type, min, max)                                   \
    {                                                                        \
        "", NGX_GOCONNECT_FIELD_##type, min, max, NGX_GOCONNECT_REQUIRED, "" \
    }

#define NGX_GOCONNECT_MEMBER(name, type, min, max, presence, detail)          \
    {                                                                         \
        name, NGX_GOCONNECT_FIELD_##type, min, max, NGX_GOCONNECT_##presence, \
            detail                                                            \
    }


static const ngx_goconnect_field_t ngx_goconnect_item_uuid =
    NGX_GOCONNECT_ITEM(UUID, 0, 0);
static const ngx_goconnect_field_t ngx_goconnect_item_label =
    NGX_GOCONNECT_ITEM(LABEL, 1, 63);
static const ngx_goconnect_field_t ngx_goconnect_item_prefix =
    NGX_GOCONNECT_ITEM(PREFIX, 0, 0);
static const ngx_goconnect_field_t ngx_goconnect_item_rule =
    NGX_GOCONNECT_ITEM(RULE, 0, 0);

/* no port_first: every port; no port_last: port_first alone */
static const ngx_goconnect_field_t ngx_goconnect_rule_members[] = {
    NGX_GOCONNECT_MEMBER("action", CHOICE, 0, 0, REQUIRED, "allow|deny"),
    NGX_GOCONNECT_MEMBER("source", SELECTOR, 0, 0, OPTIONAL, ""),
    NGX_GOCONNECT_MEMBER("destination", SELECTOR, 0, 0, OPTIONAL, ""),
    NGX_GOCONNECT_MEMBER("protocol", CHOICE, 0, 0, OPTIONAL,
                         "any|tcp|udp|icmp"),
    NGX_GOCONNECT_MEMBER("port_first", INT, 1, 65535, NULLABLE, ""),
    NGX_GOCONNECT_MEMBER("port_last", INT, 1, 65535, NULLABLE, ""),
    NGX_GOCONNECT_MEMBER(NULL, TEXT, 0, 0, OPTIONAL, NULL)};


/* item, counted from 1, of the list is not good */
static ngx_goconnect_verdict_t
ngx_goconnect_bad_item(ngx_goconnect_verdict_t verdict, size_t item)
{
    verdict.item = item;

    return verdict;
}


static ngx_goconnect_verdict_t
ngx_goconnect_check_items(const ngx_goconnect_field_t *field,
                          const json_t *value,
                          const ngx_goconnect_field_t *item)
{
    ngx_goconnect_verdict_t verdict;
    size_t i, n;

    n = json_array_size(value);

    if ((int64_t) n < field->min) {
        return ngx_goconnect_bad("too_short", "The list is too short.");
    }

    if ((int64_t) n > field->max) {
        return ngx_goconnect_bad("too_long", "The list is too long.");
    }

    for (i = 0; i < n; i++) {
        verdict = ngx_goconnect_check_value(item, json_array_get(value, i));

        if (verdict.code != NULL) {
            return ngx_goconnect_bad_item(verdict, i + 1);
        }
    }

    return ngx_goconnect_good();
}


ngx_goconnect_verdict_t
ngx_goconnect_check_uuids(const ngx_goconnect_field_t *field,
                          const json_t *value)
{
    return ngx_goconnect_check_items(field, value, &ngx_goconnect_item_uuid);
}


ngx_goconnect_verdict_t
ngx_goconnect_check_labels(const ngx_goconnect_field_t *field,
                           const json_t *value)
{
    return ngx_goconnect_check_items(field, value, &ngx_goconnect_item_label);
}


ngx_goconnect_verdict_t
ngx_goconnect_check_cidrs(const ngx_goconnect_field_t *field,
                          const json_t *value)
{
    return ngx_goconnect_check_items(field, value, &ngx_goconnect_item_prefix);
}


ngx_goconnect_verdict_t
ngx_goconnect_check_rules(const ngx_goconnect_field_t *field,
                          const json_t *value)
{
    return ngx_goconnect_check_items(field, value, &ngx_goconnect_item_rule);
}


ngx_goconnect_verdict_t
ngx_goconnect_check_prefix(const ngx_goconnect_field_t *field,
                           const json_t *value)
{
    (void) field;

    switch (
        gc_prefix_check(json_string_value(value), json_string_length(value))) {
    case GC_PREFIX_OK:
        break;
    case GC_PREFIX_SYNTAX:
        return ngx_goconnect_bad("invalid_format",
                                 "This is not a range such as 10.20.0.0/24 or "
                                 "fd00:1::/64.");
    case GC_PREFIX_HOST_BITS:
        return ngx_goconnect_bad("host_bits",
                                 "The range has bits set behind its prefix.");
    }

    return ngx_goconnect_good();
}


ngx_goconnect_verdict_t
ngx_goconnect_check_selector(const ngx_goconnect_field_t *field,
                             const json_t *value)
{
    (void) field;

    if (!gc_rule_selector_valid(json_string_value(value),
                                json_string_length(value))) {
        return ngx_goconnect_bad("invalid_format",
                                 "This is one of: any, role:ROLE, tag:NAME, "
                                 "peer:ID, an address, a range.");
    }

    return ngx_goconnect_good();
}


static ngx_uint_t
ngx_goconnect_rule_has_member(const char *name)
{
    const ngx_goconnect_field_t *member;

    for (member = ngx_goconnect_rule_members; member->name; member++) {
        if (strcmp(member->name, name) == 0) {
            return 1;
        }
    }

    return 0;
}


/* Only TCP and UDP have ports, and the last is not before the first. */
static ngx_goconnect_verdict_t
ngx_goconnect_check_ports(const json_t *rule)
{
    const char *protocol;
    const json_t *first, *last;

    first = json_object_get(rule, "port_first");
    last = json_object_get(rule, "port_last");

    if (!json_is_integer(first)) {
        return json_is_integer(last)
                   ? ngx_goconnect_bad_member("port_first", "required",
                                              "port_last needs it.")
                   : ngx_goconnect_good();
    }

    protocol = json_string_value(json_object_get(rule, "protocol"));

    if (protocol == NULL ||
        (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)) {
        return ngx_goconnect_bad_member("protocol", "invalid",
                                        "Only tcp and udp have ports.");
    }

    if (json_is_integer(last) &&
        json_integer_value(last) < json_integer_value(first)) {
        return ngx_goconnect_bad_member("port_last", "out_of_range",
                                        "It is below port_first.");
    }

    return ngx_goconnect_good();
}


ngx_goconnect_verdict_t
ngx_goconnect_check_rule(const ngx_goconnect_field_t *field,
                         const json_t *value)
{
    const ngx_goconnect_field_t *member;
    ngx_goconnect_verdict_t verdict;
    const char *name;
    json_t *any;

    (void) field;

    for (member = ngx_goconnect_rule_members; member->name; member++) {
        verdict = ngx_goconnect_check_value(
            member, json_object_get(value, member->name));

        if (verdict.code != NULL) {
            return ngx_goconnect_bad_member(member->name, verdict.code,
                                            verdict.detail);
        }
    }

    json_object_foreach((json_t *) value, name, any)
    {
        if (!ngx_goconnect_rule_has_member(name)) {
            return ngx_goconnect_bad("unknown_field",
                                     "A rule has action, source, destination, "
                                     "protocol, port_first and port_last.");
        }
    }

    return ngx_goconnect_check_ports(value);
}
