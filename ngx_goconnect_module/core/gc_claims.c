#include "core/gc_claims.h"

#include <string.h>

#include "core/gc_uuid.h"


static int gc_claims_same(const char *claim, const char *expected);
static int gc_claims_id(const char *claim);


gc_claims_e
gc_claims_check(const gc_claims_t *claims, const char *issuer, int64_t now)
{
    if (!gc_claims_same(claims->issuer, issuer)) {
        return GC_CLAIMS_ISSUER;
    }

    if (!gc_claims_same(claims->audience, GC_CLAIMS_AUDIENCE)) {
        return GC_CLAIMS_AUDIENCE_OTHER;
    }

    if (!gc_claims_id(claims->user) || !gc_claims_id(claims->session) ||
        (claims->device && !gc_claims_id(claims->device))) {
        return GC_CLAIMS_SUBJECT;
    }

    /*
     * RFC 7519, section 4.1.4: a leeway for clock skew.  A new token must be
     * good at every node at once, or who has just come in is sent away again.
     */

    if (claims->issued > now + GC_CLAIMS_AHEAD) {
        return GC_CLAIMS_EARLY;
    }

    if (claims->expires <= now - GC_CLAIMS_LEEWAY) {
        return GC_CLAIMS_EXPIRED;
    }

    return GC_CLAIMS_OK;
}


static int
gc_claims_same(const char *claim, const char *expected)
{
    return claim && strcmp(claim, expected) == 0;
}


static int
gc_claims_id(const char *claim)
{
    return claim && gc_uuid_valid(claim, strlen(claim));
}
