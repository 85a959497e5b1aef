#include <criterion/criterion.h>

#include "core/gc_claims.h"


#define ISSUER "https://gc.example"
#define USER "0123abcd-0123-4bcd-8bcd-0123456789ab"
#define NOW 1000000


static gc_claims_t
good(void)
{
    gc_claims_t claims = {
        .issuer = ISSUER,
        .audience = "goconnect",
        .user = USER,
        .session = USER,
        .device = NULL,
        .issued = NOW - 10,
        .expires = NOW + 10,
    };

    return claims;
}


static gc_claims_e
check(const gc_claims_t *claims)
{
    return gc_claims_check(claims, ISSUER, NOW);
}


Test(claims, accepted)
{
    gc_claims_t claims = good();

    cr_assert_eq(check(&claims), GC_CLAIMS_OK);

    claims.device = USER;
    cr_assert_eq(check(&claims), GC_CLAIMS_OK);
}


Test(claims, of_somebody_else)
{
    gc_claims_t claims = good();

    claims.issuer = "https://gc.example.org";
    cr_assert_eq(check(&claims), GC_CLAIMS_ISSUER);
    claims.issuer = NULL;
    cr_assert_eq(check(&claims), GC_CLAIMS_ISSUER);

    claims = good();
    claims.audience = "Goconnect";
    cr_assert_eq(check(&claims), GC_CLAIMS_AUDIENCE_OTHER);
    claims.audience = NULL;
    cr_assert_eq(check(&claims), GC_CLAIMS_AUDIENCE_OTHER);
}


Test(claims, ids_are_uuids)
{
    gc_claims_t claims = good();

    claims.user = NULL;
    cr_assert_eq(check(&claims), GC_CLAIMS_SUBJECT);
    claims.user = "admin";
    cr_assert_eq(check(&claims), GC_CLAIMS_SUBJECT);

    claims = good();
    claims.session = "";
    cr_assert_eq(check(&claims), GC_CLAIMS_SUBJECT);

    claims = good();
    claims.device = "";
    cr_assert_eq(check(&claims), GC_CLAIMS_SUBJECT);
    claims.device = "0123ABCD-0123-4bcd-8bcd-0123456789ab";
    cr_assert_eq(check(&claims), GC_CLAIMS_SUBJECT);
}


Test(claims, times_with_a_small_leeway)
{
    gc_claims_t claims = good();

    claims.expires = NOW - GC_CLAIMS_LEEWAY + 1;
    cr_assert_eq(check(&claims), GC_CLAIMS_OK);
    claims.expires = NOW - GC_CLAIMS_LEEWAY;
    cr_assert_eq(check(&claims), GC_CLAIMS_EXPIRED);

    /* libjwt gives 0 for a claim that is absent */
    claims.expires = 0;
    cr_assert_eq(check(&claims), GC_CLAIMS_EXPIRED);

    claims = good();
    claims.issued = NOW + GC_CLAIMS_AHEAD;
    cr_assert_eq(check(&claims), GC_CLAIMS_OK);
    claims.issued = NOW + GC_CLAIMS_AHEAD + 1;
    cr_assert_eq(check(&claims), GC_CLAIMS_EARLY);
}
