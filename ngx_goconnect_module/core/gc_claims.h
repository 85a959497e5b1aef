/* What an access token must say, once its signature has been verified. */


#ifndef GC_CLAIMS_H
#define GC_CLAIMS_H


#include <stdint.h>


#define GC_CLAIMS_AUDIENCE "goconnect"
#define GC_CLAIMS_LEEWAY 5 /* seconds that a token outlives its end */
#define GC_CLAIMS_AHEAD 60 /* seconds that another clock may be ahead */


/* strings are NUL-terminated; NULL: the token has no such claim */
typedef struct {
    const char *issuer;
    const char *audience;
    const char *user;    /* sub */
    const char *session; /* sid */
    const char *device;  /* dev */
    int64_t issued;      /* iat, seconds since 1970 */
    int64_t expires;     /* exp */
} gc_claims_t;


typedef enum {
    GC_CLAIMS_OK = 0,
    GC_CLAIMS_ISSUER,
    GC_CLAIMS_AUDIENCE_OTHER,
    GC_CLAIMS_SUBJECT, /* an id that is missing or is not a UUID */
    GC_CLAIMS_EARLY,   /* issued in the future */
    GC_CLAIMS_EXPIRED
} gc_claims_e;


/* `now` in seconds since 1970; `issuer` is who we are */
gc_claims_e gc_claims_check(const gc_claims_t *claims, const char *issuer,
                            int64_t now);


#endif /* GC_CLAIMS_H */
