#include "daemon/arguments.h"

#include "base/version.h"

#include <getopt.h>
#include <stdio.h>

static const struct option arguments_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"state", required_argument, NULL, 's'},
    {"socket", required_argument, NULL, 's'},
    {"backend", required_argument, NULL, 's'},
    {"names", required_argument, NULL, 's'},
    {"log-level", required_argument, NULL, 's'},
    {"ca", required_argument, NULL, 's'},
    {"local-api", required_argument, NULL, 's'},
    {"insecure", no_argument, NULL, 'i'},
    {"foreground", no_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const char arguments_help[] =
    "usage: goconnectd [OPTIONS]\n"
    "\n"
    "Keeps this device in its GoConnect networks: one WireGuard interface\n"
    "for each, as the server's netmaps say. It is told what to do by\n"
    "goconnect(1) and runs in the foreground, under systemd or not.\n"
    "\n"
    "  --config FILE      settings (" CONFIG_FILE ");\n"
    "                     the options below go before them\n"
    "  --state DIR        keys and netmaps, mode 0700 (" CONFIG_STATE ")\n"
    "  --socket PATH      control socket (" CONFIG_SOCKET ")\n"
    "  --backend NAME     auto (the kernel if it can), kernel, or userspace\n"
    "                     (a wireguard-go process for each interface)\n"
    "  --names WHERE      tell the peers' names to: auto (systemd-resolved "
    "where\n"
    "                     it runs, and the C library's module), resolved, "
    "nss,\n"
    "                     hosts (lines in /etc/hosts), or off\n"
    "  --ca FILE          trust the certificates in FILE, not the system's\n"
    "  --local-api on     a page and a JSON API at 127.0.0.1 (off)\n"
    "  --insecure         allow plain http to another machine\n"
    "  --log-level LEVEL  error, warn, info or debug (info)\n"
    "  --foreground       accepted, and always so\n"
    "  --help, --version\n"
    "\n"
    "On SIGTERM it ends and leaves the interfaces up: the mesh works on, and\n"
    "the next start takes them over. To take them down: goconnect down.\n"
    "On SIGHUP it reads its settings anew, as for goconnect reload.\n"
    "\n"
    "Exit codes: 0 ended by a signal, 1 failed, 2 wrong usage or settings.\n";


int
arguments_read(config_t *config, int argc, char **argv, int *done, err_t *err)
{
    const char *file = NULL;
    int index = 0, option;

    *done = 0;
    optind = 1;

    while ((option = getopt_long(argc, argv, "hV", arguments_options, NULL)) !=
           -1) {
        switch (option) {
        case 'c':
            file = optarg;
            break;

        case 'h':
            fputs(arguments_help, stdout);
            *done = 1;
            return 0;

        case 'V':
            puts("goconnectd " GOCONNECT_VERSION);
            *done = 1;
            return 0;

        case '?':
            return err_set(err, "usage", "see goconnectd --help");

        default:
            break;
        }
    }

    if (optind < argc) {
        return err_set(err, "usage", "not an option: \"%.60s\"", argv[optind]);
    }

    if (config_read(config, file != NULL ? file : CONFIG_FILE, file != NULL,
                    err) == -1) {
        return -1;
    }

    optind = 1;

    while ((option = getopt_long(argc, argv, "hV", arguments_options,
                                 &index)) != -1) {
        if (option == 's' && config_set(config, arguments_options[index].name,
                                        optarg, err) == -1) {
            return -1;
        }

        if (option == 'i') {
            config->insecure = 1;
        }
    }

    return 0;
}
