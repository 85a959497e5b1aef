#ifndef GC_LINK_URL_H
#define GC_LINK_URL_H

#include "base/err.h"

#define URL_HOST_SIZE 256 /* RFC 1035, 2.3.4: 255 */
#define URL_TEXT_SIZE (URL_HOST_SIZE + 32)
#define URL_CODE_SIZE 11

/* Where a server is: scheme, host and port (RFC 3986). */
typedef struct {
    int tls;
    int port;
    char host[URL_HOST_SIZE];      /* an IPv6 address without brackets */
    char authority[URL_TEXT_SIZE]; /* for Host: the port if unusual */
    char text[URL_TEXT_SIZE];      /* https://HOST[:PORT], no slash */
} url_t;


/*
 * Reads "https://HOST[:PORT][/]"; a bare "HOST[:PORT]" is taken as https.
 * User names, paths and queries are refused.
 */
int url_parse(url_t *url, const char *text, err_t *err);

/*
 * Plain http is for loopback (a numeric address or "localhost") unless
 * insecure: tokens would travel in the clear. -1, code "insecure".
 */
int url_check_secure(const url_t *url, int insecure, err_t *err);

/*
 * Whether text is an invite: a link SERVER/i/CODE (url filled, *linked 1) or
 * a bare code (*linked 0). code is normalised. 0 if it is neither.
 */
int url_invite(const char *text, url_t *url, int *linked,
               char code[URL_CODE_SIZE]);

#endif
