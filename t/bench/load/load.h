/*
 * The load client of `make bench`: one program in three parts, each led by
 * lines on its standard input and answering with lines on its standard output.
 * Times are microseconds; points in time are of CLOCK_REALTIME, so that other
 * programs on the machine can compare theirs.
 */


#ifndef LOAD_H
#define LOAD_H


#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>


#define LOAD_LINE_MAX 256 /* bytes of a command */


/* lines of standard input, read without blocking */
typedef struct {
    char text[LOAD_LINE_MAX];
    size_t len;
} load_input_t;


/* WebSockets: the table in `file` says with what; see sockets.c */
int load_sockets(const char *address, const char *file);

/* requests at a fixed rate: how long a reader waits */
int load_probe(const char *address, const char *path, const char *token,
               double rate);

/* a listener that sends to all who connected, as bare as it gets */
int load_bare(const char *address, size_t size);


int64_t load_now(void);

/* ends the program with a message and what errno says */
void load_die(const char *what) __attribute__((noreturn));

/* ADDRESS:PORT, IPv4; ends the program if it is none */
socklen_t load_address(const char *text, struct sockaddr_storage *address);

/*
 * The next whole line, without its end, in `line`; 0: none yet, -1: no more
 * will come.  Reads once if nothing is there.
 */
int load_line(load_input_t *input, char *line);

/* sorts n times in place; 0 for none */
int64_t load_percentile(int64_t *times, size_t n, double part);


#endif /* LOAD_H */
