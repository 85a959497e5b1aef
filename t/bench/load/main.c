/*
 * The load client of `make bench`: arguments, and what its parts share.
 */

#define _GNU_SOURCE

#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


int64_t
load_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);

    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}


void
load_die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}


socklen_t
load_address(const char *text, struct sockaddr_storage *address)
{
    struct sockaddr_in *in;
    char host[64];
    unsigned port;

    memset(address, 0, sizeof(*address));
    in = (struct sockaddr_in *) address;

    if (sscanf(text, "%63[0-9.]:%u", host, &port) != 2 || port > 65535 ||
        inet_pton(AF_INET, host, &in->sin_addr) != 1) {
        fprintf(stderr, "load: \"%s\" is not ADDRESS:PORT\n", text);
        exit(2);
    }

    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t) port);

    return sizeof(*in);
}


int
load_line(load_input_t *input, char *line)
{
    char *end;
    ssize_t n;
    size_t len;

    end = memchr(input->text, '\n', input->len);

    if (end == NULL) {
        if (input->len == sizeof(input->text)) {
            errno = EMSGSIZE;
            load_die("a command");
        }

        n = read(STDIN_FILENO, input->text + input->len,
                 sizeof(input->text) - input->len);

        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
        }

        input->len += (size_t) n;
        end = memchr(input->text, '\n', input->len);

        if (end == NULL) {
            return 0;
        }
    }

    len = (size_t) (end - input->text);
    memcpy(line, input->text, len);
    line[len] = '\0';
    input->len -= len + 1;
    memmove(input->text, end + 1, input->len);

    return 1;
}


static int
load_compare(const void *one, const void *two)
{
    int64_t a, b;

    a = *(const int64_t *) one;
    b = *(const int64_t *) two;

    return (a > b) - (a < b);
}


int64_t
load_percentile(int64_t *times, size_t n, double part)
{
    if (n == 0) {
        return 0;
    }

    qsort(times, n, sizeof(times[0]), load_compare);

    return times[(size_t) ((double) (n - 1) * part)];
}


int
main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);

    if (argc == 4 && strcmp(argv[1], "sockets") == 0) {
        return load_sockets(argv[2], argv[3]);
    }

    if (argc == 6 && strcmp(argv[1], "probe") == 0 && atof(argv[5]) > 0) {
        return load_probe(argv[2], argv[3], argv[4], atof(argv[5]));
    }

    if (argc == 4 && strcmp(argv[1], "bare") == 0 && atoi(argv[3]) > 0) {
        return load_bare(argv[2], (size_t) atoi(argv[3]));
    }

    fprintf(stderr, "usage: load sockets ADDRESS:PORT FILE\n"
                    "       load probe ADDRESS:PORT PATH TOKEN RATE\n"
                    "       load bare ADDRESS:PORT BYTES\n");
    return 2;
}
