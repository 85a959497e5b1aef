/*
 * Drives a borrowed port by hand, for the suite `agent`:
 *
 *   borrowed MARK
 *
 * reads lines and says what it hears:
 *
 *   listen [PORT...]                    -> listening
 *   send PORT TO:PORT FROM|- TTL HEX    -> sent, or error TEXT
 *   (STUN or a handshake arrives)       -> KIND FROM:PORT TO PORT HEX
 *
 * and ends at the end of its input.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/borrowed_port.h"

#define LINE 8192


static void
listen_to(struct borrowed_port *borrowed, char *rest)
{
    uint16_t ports[BORROWED_PORTS_MAX + 1];
    size_t count = 0;
    struct error error;
    char *word, *save = NULL;

    for (word = strtok_r(rest, " ", &save);
         word != NULL && count <= BORROWED_PORTS_MAX;
         word = strtok_r(NULL, " ", &save)) {
        ports[count++] = (uint16_t) strtol(word, NULL, 10);
    }

    if (borrowed_port_listen(borrowed, ports, count, &error) == -1) {
        (void) printf("error %s\n", error.text);
    } else {
        (void) printf("listening\n");
    }
}


static void
send_from(struct borrowed_port *borrowed, const char *rest)
{
    char to_text[ADDRESS_TEXT], from_text[ADDRESS_TEXT], hex[LINE];
    struct address from = {.family = ADDRESS_NONE};
    struct endpoint to;
    uint8_t data[LINE / 2];
    unsigned port, ttl, byte;
    size_t size;
    int number;

    if (sscanf(rest, "%u %63s %63s %u %8191s", &port, to_text, from_text, &ttl,
               hex) != 5 ||
        !endpoint_parse(to_text, &to)) {
        (void) printf("error usage\n");
        return;
    }

    (void) address_parse(from_text, &from);

    for (size = 0; sscanf(hex + 2 * size, "%2x", &byte) == 1; size++) {
        data[size] = (uint8_t) byte;
    }

    number = borrowed_port_send(borrowed, (uint16_t) port, &from, &to,
                                (uint8_t) ttl, data, size);

    if (number != 0) {
        (void) printf("error %s\n", strerror(number));
    } else {
        (void) printf("sent\n");
    }
}


static void
hear(struct borrowed_port *borrowed, enum address_family family)
{
    static const char *kinds[] = {"none", "stun", "initiation", "response"};
    char from[ADDRESS_TEXT], to[ADDRESS_TEXT];
    struct borrowed_packet packet;
    size_t i;

    while (borrowed_port_receive(borrowed, family, &packet)) {
        (void) printf("%s %s %s %u ", kinds[packet.kind],
                      endpoint_format(&packet.from, from),
                      address_format(&packet.to, to), (unsigned) packet.port);

        for (i = 0; i < packet.size; i++) {
            (void) printf("%02x", packet.data[i]);
        }

        (void) printf("\n");
    }
}


/* False: the input has ended. */
static int
obey(struct borrowed_port *borrowed)
{
    char line[LINE + 128];

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return 0;
    }

    line[strcspn(line, "\n")] = '\0';

    if (strncmp(line, "listen", 6) == 0) {
        listen_to(borrowed, line + 6);

    } else if (strncmp(line, "send ", 5) == 0) {
        send_from(borrowed, line + 5);

    } else {
        (void) printf("error usage\n");
    }

    return 1;
}


int
main(int argc, char **argv)
{
    struct borrowed_port *borrowed;
    struct pollfd wait[3];
    struct error error;

    (void) setvbuf(stdout, NULL, _IOLBF, 0);
    (void) setvbuf(stdin, NULL, _IONBF, 0);
    borrowed = borrowed_port_open(
        argc > 1 ? (uint32_t) strtoul(argv[1], NULL, 0) : 0, &error);

    if (borrowed == NULL) {
        (void) printf("error %d %s\n", (int) error.code, error.text);
        return 1;
    }

    (void) printf("ready\n");
    memset(wait, 0, sizeof(wait));
    wait[0].events = wait[1].events = wait[2].events = POLLIN;
    wait[1].fd = borrowed_port_fd(borrowed, ADDRESS_IPV4);
    wait[2].fd = borrowed_port_fd(borrowed, ADDRESS_IPV6);

    while (poll(wait, 3, -1) > 0) {
        if (wait[1].revents != 0) {
            hear(borrowed, ADDRESS_IPV4);
        }

        if (wait[2].revents != 0) {
            hear(borrowed, ADDRESS_IPV6);
        }

        if (wait[0].revents != 0 && !obey(borrowed)) {
            break;
        }
    }

    borrowed_port_close(borrowed);

    return 0;
}
