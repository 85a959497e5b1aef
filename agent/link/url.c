#include "link/url.h"

#include "core/gc_crockford.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>


static int
url_scheme(url_t *url, const char **rest, err_t *err)
{
    const char *at = strstr(*rest, "://");

    url->tls = 1;

    if (at == NULL) {
        return 0;
    }

    if (strncasecmp(*rest, "https://", 8) == 0) {
        *rest += 8;
        return 0;
    }

    if (strncasecmp(*rest, "http://", 7) == 0) {
        url->tls = 0;
        *rest += 7;
        return 0;
    }

    return err_set(err, "bad_url", "a server's address begins with https://");
}


static int
url_port(url_t *url, const char *text, err_t *err)
{
    char *end;
    long port;

    if (*text == '\0') {
        url->port = url->tls ? 443 : 80;
        return 0;
    }

    port = strtol(text + 1, &end, 10);

    if (*text != ':' || text[1] < '0' || text[1] > '9' || *end != '\0' ||
        port < 1 || port > 65535) {
        return err_set(err, "bad_url", "not a port: \"%.40s\"", text);
    }

    url->port = (int) port;
    return 0;
}


static int
url_is_host(const char *host)
{
    unsigned char bytes[16];

    if (inet_pton(AF_INET6, host, bytes) == 1) {
        return 1;
    }

    return *host != '\0' && *host != '-' &&
           strspn(host,
                  "abcdefghijklmnopqrstuvwxyz"
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == strlen(host);
}


static void
url_text(url_t *url)
{
    int v6 = strchr(url->host, ':') != NULL;
    int usual = url->port == (url->tls ? 443 : 80);

    if (usual) {
        snprintf(url->authority, sizeof(url->authority), "%s%s%s",
                 v6 ? "[" : "", url->host, v6 ? "]" : "");

    } else {
        snprintf(url->authority, sizeof(url->authority), "%s%s%s:%d",
                 v6 ? "[" : "", url->host, v6 ? "]" : "", url->port);
    }

    snprintf(url->text, sizeof(url->text), "%s://%.270s",
             url->tls ? "https" : "http", url->authority);
}


int
url_parse(url_t *url, const char *text, err_t *err)
{
    char authority[URL_TEXT_SIZE];
    char *host, *port;
    size_t len;

    memset(url, 0, sizeof(*url));

    if (url_scheme(url, &text, err) == -1) {
        return -1;
    }

    len = strcspn(text, "/?#");

    if (strcmp(text + len, "/") != 0 && text[len] != '\0') {
        return err_set(err, "bad_url",
                       "a server's address has no path: \"%.100s\"", text);
    }

    if (len == 0 || len >= sizeof(authority)) {
        return err_set(err, "bad_url", "not a server's address: \"%.100s\"",
                       text);
    }

    memcpy(authority, text, len);
    authority[len] = '\0';

    host = authority;

    if (*host == '[') {
        host++;
        port = strchr(host, ']');
        if (port == NULL) {
            return err_set(err, "bad_url", "a bracket is not closed");
        }

        *port++ = '\0';

    } else {
        port = host + strcspn(host, ":");
    }

    if (url_port(url, port, err) == -1) {
        return -1;
    }

    *port = '\0';

    if (strlen(host) >= sizeof(url->host) || !url_is_host(host)) {
        return err_set(err, "bad_url", "not a host: \"%.100s\"", host);
    }

    strcpy(url->host, host);
    url_text(url);
    return 0;
}


static int
url_is_loopback(const url_t *url)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (strcasecmp(url->host, "localhost") == 0) {
        return 1;
    }

    if (inet_pton(AF_INET, url->host, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == 127;
    }

    return inet_pton(AF_INET6, url->host, &v6) == 1 &&
           IN6_IS_ADDR_LOOPBACK(&v6);
}


int
url_check_secure(const url_t *url, int insecure, err_t *err)
{
    if (url->tls || insecure || url_is_loopback(url)) {
        return 0;
    }

    return err_set(err, "insecure",
                   "%s is not encrypted: tokens would travel in the clear. "
                   "Use https, or --insecure if you know the path is safe",
                   url->text);
}


int
url_invite(const char *text, url_t *url, int *linked, char code[URL_CODE_SIZE])
{
    char server[URL_TEXT_SIZE];
    const char *at = NULL, *next;
    err_t err;

    for (next = strstr(text, "/i/"); next != NULL;
         next = strstr(next + 1, "/i/")) {
        at = next;
    }

    *linked = at != NULL;

    if (gc_code_normalise(at != NULL ? at + 3 : text,
                          strlen(at != NULL ? at + 3 : text), code) == -1) {
        return 0;
    }

    code[URL_CODE_SIZE - 1] = '\0';

    if (at == NULL) {
        return 1;
    }

    if ((size_t) (at - text) >= sizeof(server)) {
        return 0;
    }

    memcpy(server, text, (size_t) (at - text));
    server[at - text] = '\0';
    return url_parse(url, server, &err) == 0;
}
