#ifndef GC_CLIENT_OPTION_H
#define GC_CLIENT_OPTION_H

#include "client/client.h"

/*
 * Takes the options of a command line into client, moves the other words
 * behind them (getopt_long(3): optind is the first), and sets the CLIENT_OPT_
 * bits of those that not every command knows. 0; or -1: standard error says
 * what is wrong.
 */
int option_parse(client_t *client, int argc, char **argv, unsigned *used);

/* 1 if word is an option, all of it, whose value is the next word; else 0. */
int option_has_value(const char *word);

/* Those of the CLIENT_OPT_ bits and of every command, as "--name", to fn. */
void option_each(unsigned bits, const char *typed,
                 void (*fn)(const char *option, const char *typed));

#endif
