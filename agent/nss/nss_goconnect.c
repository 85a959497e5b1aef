/*
 * The module of the C library that knows the names of a device's GoConnect
 * networks (nsswitch.conf: "hosts: files goconnect dns").  It reads
 * goconnectd's table, a file in the form of hosts(5) that is only ever replaced
 * as a whole: names are there whether goconnectd runs or not.
 *
 * It runs inside every program that looks a name up: it keeps nothing, logs
 * nothing, and takes at most NSS_TABLE_MAX bytes to read.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <nss.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NSS_TABLE "/run/goconnect/names"
#define NSS_TABLE_MAX (64 * 1024 * 1024)
#define NSS_NAME_SIZE 320
#define NSS_ADDRESSES_MAX 8

typedef enum nss_status nss_status_t;

typedef struct {
    int family;
    uint8_t bytes[16];
} nss_address_t;

/* What is looked for: a name of a family (AF_UNSPEC: any), or an address. */
typedef struct {
    const char *name; /* NULL: the address */
    size_t length;
    int family;
    const nss_address_t *address;
} nss_wish_t;

typedef struct {
    char name[NSS_NAME_SIZE]; /* in full */
    nss_address_t addresses[NSS_ADDRESSES_MAX];
    size_t count;
} nss_found_t;

/* Where a caller's buffer is filled. */
typedef struct {
    char *at;
    size_t left;
} nss_buffer_t;

/* What programs call: nss.h names none of them. */
nss_status_t _nss_goconnect_gethostbyname4_r(const char *name,
                                             struct gaih_addrtuple **tuples,
                                             char *buffer, size_t size,
                                             int *error, int *host_error,
                                             int32_t *ttl);
nss_status_t _nss_goconnect_gethostbyname3_r(const char *name, int family,
                                             struct hostent *host, char *buffer,
                                             size_t size, int *error,
                                             int *host_error, int32_t *ttl,
                                             char **canonical);
nss_status_t _nss_goconnect_gethostbyname2_r(const char *name, int family,
                                             struct hostent *host, char *buffer,
                                             size_t size, int *error,
                                             int *host_error);
nss_status_t _nss_goconnect_gethostbyname_r(const char *name,
                                            struct hostent *host, char *buffer,
                                            size_t size, int *error,
                                            int *host_error);
nss_status_t _nss_goconnect_gethostbyaddr2_r(const void *address,
                                             socklen_t length, int family,
                                             struct hostent *host, char *buffer,
                                             size_t size, int *error,
                                             int *host_error, int32_t *ttl);
nss_status_t _nss_goconnect_gethostbyaddr_r(const void *address,
                                            socklen_t length, int family,
                                            struct hostent *host, char *buffer,
                                            size_t size, int *error,
                                            int *host_error);


static size_t
nss_address_size(int family)
{
    return family == AF_INET ? 4 : 16;
}


/* The next word of a line; NULL at its end. */
static const char *
nss_word(const char **at, const char *end, size_t *length)
{
    const char *word;

    while (*at < end && (**at == ' ' || **at == '\t')) {
        (*at)++;
    }

    word = *at;

    while (*at < end && **at != ' ' && **at != '\t') {
        (*at)++;
    }

    *length = (size_t) (*at - word);

    return *length > 0 ? word : NULL;
}


static bool
nss_parse(const char *word, size_t length, nss_address_t *address)
{
    char text[INET6_ADDRSTRLEN];

    if (length >= sizeof(text)) {
        return false;
    }

    memcpy(text, word, length);
    text[length] = '\0';
    memset(address, 0, sizeof(*address));
    address->family = memchr(text, ':', length) != NULL ? AF_INET6 : AF_INET;

    return inet_pton(address->family, text, address->bytes) == 1;
}


/* Whether one of the line's names is the one. */
static bool
nss_named(const nss_wish_t *wish, const char *at, const char *end)
{
    const char *word;
    size_t length;

    while ((word = nss_word(&at, end, &length)) != NULL) {
        if (length == wish->length &&
            strncasecmp(word, wish->name, length) == 0) {
            return true;
        }
    }

    return false;
}


static void
nss_line(const nss_wish_t *wish, const char *at, const char *end,
         nss_found_t *found)
{
    const char *word, *name;
    nss_address_t address;
    size_t length, named;

    word = nss_word(&at, end, &length);

    /* most lines are of others: names are compared before they are parsed */
    if (word == NULL || *word == '#' ||
        (wish->name != NULL && !nss_named(wish, at, end)) ||
        !nss_parse(word, length, &address)) {
        return;
    }

    if (wish->name != NULL
            ? wish->family != AF_UNSPEC && wish->family != address.family
            : memcmp(&address, wish->address, sizeof(address)) != 0) {
        return;
    }

    name = nss_word(&at, end, &named);

    if (name == NULL || named >= NSS_NAME_SIZE ||
        found->count == NSS_ADDRESSES_MAX) {
        return;
    }

    if (found->count == 0) {
        memcpy(found->name, name, named);
        found->name[named] = '\0';
    }

    found->addresses[found->count++] = address;
}


static void
nss_scan(const nss_wish_t *wish, const char *table, size_t size,
         nss_found_t *found)
{
    const char *at, *end, *line;

    for (at = table; at < table + size; at = line + 1) {
        end = table + size;
        line = memchr(at, '\n', (size_t) (end - at));
        line = line != NULL ? line : end;
        nss_line(wish, at, line, found);
    }
}


/* SUCCESS, NOTFOUND, or UNAVAIL: there is no table that one could trust. */
static nss_status_t
nss_find(const nss_wish_t *wish, nss_found_t *found)
{
    struct stat st;
    size_t size;
    void *table;
    int fd;

    found->count = 0;
    fd = open(NSS_TABLE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd == -1) {
        return NSS_STATUS_UNAVAIL;
    }

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_uid != 0 ||
        (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 || st.st_size <= 0 ||
        st.st_size > NSS_TABLE_MAX) {
        (void) close(fd);
        return NSS_STATUS_UNAVAIL;
    }

    size = (size_t) st.st_size;
    table = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void) close(fd);

    if (table == MAP_FAILED) {
        return NSS_STATUS_UNAVAIL;
    }

    nss_scan(wish, table, size, found);
    (void) munmap(table, size);

    return found->count > 0 ? NSS_STATUS_SUCCESS : NSS_STATUS_NOTFOUND;
}


static nss_status_t
nss_find_name(const char *name, int family, nss_found_t *found)
{
    nss_wish_t wish = {.name = name, .family = family};

    wish.length = strlen(name);

    if (wish.length > 0 && name[wish.length - 1] == '.') {
        wish.length--;
    }

    if (wish.length == 0) {
        return NSS_STATUS_NOTFOUND;
    }

    return nss_find(&wish, found);
}


/* Room of the caller's, aligned for pointers; NULL: it is too small. */
static void *
nss_take(nss_buffer_t *buffer, size_t size)
{
    size_t odd;
    void *taken;

    odd = (uintptr_t) buffer->at % sizeof(void *);
    odd = odd != 0 ? sizeof(void *) - odd : 0;

    if (buffer->left < odd || buffer->left - odd < size) {
        return NULL;
    }

    taken = buffer->at + odd;
    buffer->at += odd + size;
    buffer->left -= odd + size;

    return taken;
}


static nss_status_t
nss_fail(nss_status_t status, int *error, int *host_error)
{
    *error = status == NSS_STATUS_TRYAGAIN ? ERANGE : ENOENT;
    *host_error = status == NSS_STATUS_TRYAGAIN  ? NETDB_INTERNAL
                  : status == NSS_STATUS_UNAVAIL ? NO_RECOVERY
                                                 : HOST_NOT_FOUND;

    return status;
}


static char *
nss_take_text(nss_buffer_t *buffer, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = nss_take(buffer, size);

    return copy != NULL ? memcpy(copy, text, size) : NULL;
}


static nss_status_t
nss_fill(const nss_found_t *found, struct hostent *host, char *at, size_t size,
         int *error, int *host_error)
{
    nss_buffer_t buffer = {at, size};
    char **aliases, **list, *bytes;
    size_t i, length;

    host->h_addrtype = found->addresses[0].family;
    length = nss_address_size(host->h_addrtype);
    host->h_length = (int) length;
    host->h_name = nss_take_text(&buffer, found->name);
    aliases = nss_take(&buffer, sizeof(*aliases));
    list = nss_take(&buffer, (found->count + 1) * sizeof(*list));
    bytes = nss_take(&buffer, found->count * length);

    if (host->h_name == NULL || aliases == NULL || list == NULL ||
        bytes == NULL) {
        return nss_fail(NSS_STATUS_TRYAGAIN, error, host_error);
    }

    aliases[0] = NULL;

    for (i = 0; i < found->count; i++) {
        list[i] = bytes + i * length;
        memcpy(list[i], found->addresses[i].bytes, length);
    }

    list[i] = NULL;
    host->h_aliases = aliases;
    host->h_addr_list = list;

    return NSS_STATUS_SUCCESS;
}


/* For getaddrinfo(3): all families at once. */
nss_status_t
_nss_goconnect_gethostbyname4_r(const char *name,
                                struct gaih_addrtuple **tuples, char *at,
                                size_t size, int *error, int *host_error,
                                int32_t *ttl)
{
    nss_buffer_t buffer = {at, size};
    struct gaih_addrtuple *tuple, *list;
    nss_status_t status;
    nss_found_t found;
    char *full;
    size_t i;

    (void) ttl;

    status = nss_find_name(name, AF_UNSPEC, &found);

    if (status != NSS_STATUS_SUCCESS) {
        return nss_fail(status, error, host_error);
    }

    full = nss_take_text(&buffer, found.name);
    list = nss_take(&buffer, found.count * sizeof(*list));

    if (full == NULL || list == NULL) {
        return nss_fail(NSS_STATUS_TRYAGAIN, error, host_error);
    }

    memset(list, 0, found.count * sizeof(*list));

    for (i = 0; i < found.count; i++) {
        /* the first one may be the caller's own */
        tuple = i == 0 && *tuples != NULL ? *tuples : &list[i];
        tuple->name = full;
        tuple->family = found.addresses[i].family;
        tuple->scopeid = 0;
        tuple->next = i + 1 < found.count ? &list[i + 1] : NULL;
        memcpy(tuple->addr, found.addresses[i].bytes, sizeof(tuple->addr));

        if (i == 0) {
            *tuples = tuple;
        }
    }

    return NSS_STATUS_SUCCESS;
}


nss_status_t
_nss_goconnect_gethostbyname3_r(const char *name, int family,
                                struct hostent *host, char *buffer, size_t size,
                                int *error, int *host_error, int32_t *ttl,
                                char **canonical)
{
    nss_status_t status;
    nss_found_t found;

    (void) ttl;

    if (family == AF_UNSPEC) {
        family = AF_INET;
    }

    if (family != AF_INET && family != AF_INET6) {
        *error = EAFNOSUPPORT;
        *host_error = NO_DATA;
        return NSS_STATUS_UNAVAIL;
    }

    status = nss_find_name(name, family, &found);

    if (status != NSS_STATUS_SUCCESS) {
        return nss_fail(status, error, host_error);
    }

    status = nss_fill(&found, host, buffer, size, error, host_error);

    if (status == NSS_STATUS_SUCCESS && canonical != NULL) {
        *canonical = host->h_name;
    }

    return status;
}


nss_status_t
_nss_goconnect_gethostbyname2_r(const char *name, int family,
                                struct hostent *host, char *buffer, size_t size,
                                int *error, int *host_error)
{
    return _nss_goconnect_gethostbyname3_r(name, family, host, buffer, size,
                                           error, host_error, NULL, NULL);
}


nss_status_t
_nss_goconnect_gethostbyname_r(const char *name, struct hostent *host,
                               char *buffer, size_t size, int *error,
                               int *host_error)
{
    return _nss_goconnect_gethostbyname3_r(name, AF_INET, host, buffer, size,
                                           error, host_error, NULL, NULL);
}


nss_status_t
_nss_goconnect_gethostbyaddr2_r(const void *address, socklen_t length,
                                int family, struct hostent *host, char *buffer,
                                size_t size, int *error, int *host_error,
                                int32_t *ttl)
{
    nss_address_t wanted;
    nss_wish_t wish = {.address = &wanted};
    nss_status_t status;
    nss_found_t found;

    (void) ttl;

    if ((family != AF_INET && family != AF_INET6) ||
        length != nss_address_size(family)) {
        *error = EAFNOSUPPORT;
        *host_error = NO_DATA;
        return NSS_STATUS_UNAVAIL;
    }

    memset(&wanted, 0, sizeof(wanted));
    wanted.family = family;
    memcpy(wanted.bytes, address, length);
    status = nss_find(&wish, &found);

    if (status != NSS_STATUS_SUCCESS) {
        return nss_fail(status, error, host_error);
    }

    found.count = 1;

    return nss_fill(&found, host, buffer, size, error, host_error);
}


nss_status_t
_nss_goconnect_gethostbyaddr_r(const void *address, socklen_t length,
                               int family, struct hostent *host, char *buffer,
                               size_t size, int *error, int *host_error)
{
    return _nss_goconnect_gethostbyaddr2_r(
        address, length, family, host, buffer, size, error, host_error, NULL);
}
