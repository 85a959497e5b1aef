#include "core/gc_rule.h"

#include <string.h>

#include "core/gc_prefix.h"
#include "core/gc_uuid.h"


/* RFC 1035, section 2.3.4 */
#define GC_RULE_LABEL_MAX 63


typedef struct {
    const char *prefix;
    int (*valid)(const char *text, size_t len);
} gc_rule_selector_t;


static int
gc_rule_role(const char *text, size_t len)
{
    static const char *const roles[] = {"member", "moderator", "admin",
                                        "owner"};
    size_t i;

    for (i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strlen(roles[i]) == len && memcmp(roles[i], text, len) == 0) {
            return 1;
        }
    }

    return 0;
}


static int
gc_rule_label(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (!((text[i] >= 'a' && text[i] <= 'z') ||
              (text[i] >= '0' && text[i] <= '9') ||
              (text[i] == '-' && i > 0 && i < len - 1))) {
            return 0;
        }
    }

    return len > 0 && len <= GC_RULE_LABEL_MAX;
}


static int
gc_rule_peer(const char *text, size_t len)
{
    return gc_uuid_valid(text, len);
}


static const gc_rule_selector_t gc_rule_selectors[] = {
    {"role:", gc_rule_role},
    {"tag:", gc_rule_label},
    {"peer:", gc_rule_peer},
};


int
gc_rule_selector_valid(const char *text, size_t len)
{
    const gc_rule_selector_t *s;
    size_t i, n;

    if (len == 3 && memcmp(text, "any", 3) == 0) {
        return 1;
    }

    for (i = 0; i < sizeof(gc_rule_selectors) / sizeof(gc_rule_selectors[0]);
         i++) {
        s = &gc_rule_selectors[i];
        n = strlen(s->prefix);

        if (len > n && memcmp(text, s->prefix, n) == 0) {
            return s->valid(text + n, len - n);
        }
    }

    return gc_address_valid(text, len) ||
           gc_prefix_check(text, len) == GC_PREFIX_OK;
}
