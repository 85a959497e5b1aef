#include "base/log.h"
#include "base/version.h"
#include "client/ask.h"
#include "client/command.h"
#include "client/option.h"
#include "client/session.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define GOCONNECT_SOCKET "/run/goconnect/goconnectd.sock"

static int goconnect_help(client_t *client);
static int goconnect_version(client_t *client);

#define GOCONNECT_SERVER_OPTS (CLIENT_OPT_CA | CLIENT_OPT_INSECURE)
#define GOCONNECT_LOGIN_OPTS                                                  \
    (GOCONNECT_SERVER_OPTS | CLIENT_OPT_USERNAME | CLIENT_OPT_PASSWORD_FILE | \
     CLIENT_OPT_NAME)
#define GOCONNECT_KEY_OPTS (GOCONNECT_LOGIN_OPTS | CLIENT_OPT_KEY)

static const command_t goconnect_commands[] = {
    {"login", account_login, 0, 1, GOCONNECT_KEY_OPTS, "login URL",
     "enroll this device at a server: by a code, a key, or as a user",
     "Shows a short code, also as a QR code. Approve it at the address that "
     "is\n"
     "shown, on whatever device you are logged in, and choose the networks "
     "that\n"
     "this device joins. Without URL: the server of the last login.\n"
     "\n"
     "  --key-file FILE        no code: an enrolment key, read from FILE "
     "(\"-\":\n"
     "                         standard input); --key KEY where nobody sees "
     "it\n"
     "  --username NAME        no code: log in as this user, by a password "
     "that\n"
     "                         is asked for. Keeps your session too, which "
     "join,\n"
     "                         leave, networks and chat need, in\n"
     "                         ~/.local/state/goconnect/session.json (0600)\n"
     "  --password-file FILE   read the password from FILE (\"-\": standard "
     "input)\n"
     "  --name NAME            call this device NAME instead of its host name\n"
     "  --ca FILE              trust the certificates in FILE, not the "
     "system's\n"
     "  --insecure             allow plain http to another machine\n"
     "\n"
     "  goconnect login https://play.example.org\n"
     "  goconnect login https://play.example.org --key-file /etc/key\n"
     "  goconnect login https://play.example.org --username ada "
     "--password-file pw\n"},
    {"register", account_register, 0, 1,
     GOCONNECT_LOGIN_OPTS | CLIENT_OPT_EMAIL, "register URL",
     "make an account at a server, then log in",
     "Usernames have 3 to 32 of a-z, 0-9, \"_\", \".\" and \"-\"; passwords "
     "10\n"
     "to 72 bytes.\n"
     "\n"
     "  --username NAME        what to be called; else it is asked for\n"
     "  --password-file FILE   read the password from FILE (\"-\": standard "
     "input)\n"
     "  --email ADDRESS        for the server to know\n"
     "  --name NAME            call this device NAME instead of its host name\n"
     "\n"
     "  goconnect register https://play.example.org\n"},
    {"join", network_join, 1, 1, GOCONNECT_SERVER_OPTS | CLIENT_OPT_NAME,
     "join LINK|CODE|NETWORK", "join a network by an invite or by its name",
     "Accepts the invite for you and brings this device into the network. A\n"
     "network that is open to you can be joined by its name, its slug,\n"
     "TENANT/NETWORK or its id.\n"
     "\n"
     "  --name NAME   if this enrolls the device too: what to call it\n"
     "\n"
     "  goconnect join https://play.example.org/i/7KQ2M9XNPA\n"
     "  goconnect join 7KQ2-M9XN-PA\n"
     "  goconnect join friends/lan\n"},
    {"leave", network_leave, 1, 1, GOCONNECT_SERVER_OPTS, "leave NETWORK",
     "leave a network, with all your devices",
     "Your membership ends, and every device of yours leaves the network. To\n"
     "take only this device out for a while: goconnect down NETWORK\n"},
    {"networks", network_list, 0, 0, GOCONNECT_SERVER_OPTS, "networks",
     "list the networks that you can see", ""},
    {"up", mesh_up, 0, 1, 0, "up [NETWORK]", "bring interfaces up again",
     "All joined networks, or one.\n"},
    {"down", mesh_down, 0, 1, 0, "down [NETWORK]",
     "take interfaces down; membership stays",
     "Removes every interface, address and route that goconnectd made, and\n"
     "nothing else. They stay down over a restart until \"goconnect up\".\n"},
    {"status", mesh_status, 0, 0, CLIENT_OPT_WATCH, "status",
     "what goconnectd is doing: server, networks, problems",
     "  -w, --watch   with all peers, anew every two seconds until Ctrl-C; "
     "with\n"
     "                --json one line each time\n"
     "\n"
     "  goconnect status\n"
     "  goconnect status --watch\n"},
    {"peers", mesh_peers, 0, 1, 0, "peers [NETWORK]",
     "the devices of a network, and how they are reached", ""},
    {"names", names_run, 0, 1, 0, "names [install|remove]",
     "the names of all devices, for every program here",
     "Every device has the name HOST.NETWORK.TENANT.gc, and the short ones\n"
     "HOST.NETWORK and HOST where they mean one device only and hide no name\n"
     "of the internet. \"install\" makes the programs of this machine ask for\n"
     "them (goconnect in /etc/nsswitch.conf; needs root), \"remove\" undoes "
     "it.\n"
     "Where systemd-resolved runs, it is told of the long ones by itself.\n"
     "\n"
     "  goconnect names\n"
     "  sudo goconnect names install\n"},
    {"doctor", doctor_ask, 0, 0, 0, "doctor",
     "what may keep this device from its networks, and what to do",
     "Looks at goconnectd's rights, WireGuard, the server and its clock, the\n"
     "networks, ports, MTU, firewalls and names. Each line is ok, warn or "
     "fail;\n"
     "exit code 1 when something fails.\n"
     "\n"
     "  goconnect doctor\n"
     "  goconnect doctor --json\n"},
    {"netcheck", netcheck_ask, 0, 1, 0, "netcheck [HOST[:PORT]]",
     "what is between this device and the internet: NAT, IPv6, UDP",
     "Asks a STUN server, from WireGuard's own port: how this device is seen\n"
     "outside, whether the router gives every other end another port, and "
     "whom it\n"
     "lets in. Without HOST: the server that this device is enrolled at. Port\n"
     "3478 unless said. Exit code 1 when nobody answers.\n"
     "\n"
     "  goconnect netcheck\n"
     "  goconnect netcheck stun.example.org --json\n"},
    {"ping", ping_run, 1, 1, CLIENT_OPT_COUNT | CLIENT_OPT_NETWORK, "ping PEER",
     "ask a peer's goconnectd: which path, how long it takes",
     "PEER is a name, NAME.NETWORK, an address or an id. The first one waits "
     "up to\n"
     "5 s: there may be no session yet. Exit code 1 when nothing came back.\n"
     "\n"
     "  -c, --count N      so many, one a second (4)\n"
     "  --network NETWORK  the peer of that network\n"
     "\n"
     "  goconnect ping bob\n"
     "  goconnect ping -c 1 bob.lan\n"},
    {"gateway", mesh_gateway, 1, 2, CLIENT_OPT_ENDPOINT,
     "gateway on|off [NETWORK]", "let devices without an agent in by this one",
     "Phones, and computers with the stock WireGuard app, reach the network "
     "by\n"
     "its gateway: a member that is always on and can be reached from the\n"
     "internet. \"on\" offers this device; an admin's is the gateway at once,\n"
     "another one when an admin approves it. \"off\" takes the offer back. "
     "Only\n"
     "packets from or to such devices are forwarded, and only inside the\n"
     "network's interface.\n"
     "\n"
     "  --endpoint ADDRESS:PORT  where a router forwards UDP to this device's\n"
     "                           port (goconnect status); kept until \"off\"\n"
     "\n"
     "  goconnect gateway on lan\n"
     "  goconnect gateway on lan --endpoint 203.0.113.7:51820\n"
     "  goconnect gateway off lan\n"},
    {"rotate", mesh_rotate, 0, 1, 0, "rotate [NETWORK]",
     "give this device a new key in a network",
     "Gives this device a new WireGuard key in the network. The members learn "
     "of it\n"
     "before it is used, so that connections stay; goconnectd does so by "
     "itself every\n"
     "30 days (rotate-days in goconnectd.conf).\n"
     "\n"
     "  goconnect rotate\n"
     "  goconnect rotate lan\n"},
    {"set", settings_set, 1, 9, 0, "set NETWORK [NAME VALUE]...",
     "what this device does differently in a network",
     "Kept on this device, and in effect at once. Without NAME: what they "
     "are.\n"
     "\n"
     "  mtu N|auto     of this device's interface, 1280 to 9000; auto is the\n"
     "                 network's. Paths that take less are found by "
     "themselves.\n"
     "\n"
     "  goconnect set lan\n"
     "  goconnect set lan mtu 1380\n"
     "  goconnect set lan mtu auto\n"},
    {"local", local_run, 0, 0, 0, "local",
     "the address of this device's own page in a browser",
     "Prints the address of a page on this device, with the token that opens "
     "it:\n"
     "networks on and off, peers, and how they are reached. Keep it to "
     "yourself;\n"
     "whoever has it can do the same. It is there when goconnectd.conf says\n"
     "local-api = on.\n"
     "\n"
     "  goconnect local\n"
     "  xdg-open \"$(goconnect local)\"\n"},
    {"reload", reload_run, 0, 0, 0, "reload",
     "have goconnectd read its settings anew",
     "Has goconnectd read /etc/goconnect/goconnectd.conf anew, as systemctl "
     "reload\n"
     "goconnectd does, and SIGHUP. A file with a mistake changes nothing; "
     "where it is\n"
     "is said. Which settings need a restart is in goconnectd.conf(5), and "
     "said if\n"
     "they differ.\n"
     "\n"
     "  goconnect reload\n"},
    {"chat", chat_run, 0, 1000,
     GOCONNECT_SERVER_OPTS | CLIENT_OPT_FOLLOW | CLIENT_OPT_LIMIT,
     "chat [NETWORK|TENANT] [MESSAGE]", "read a channel, or say something",
     "Without NETWORK: the one that this device is in.\n"
     "\n"
     "  -f, --follow     go on, line by line, until Ctrl-C\n"
     "  -n, --limit N    begin with the last N messages (20, at most 100)\n"
     "\n"
     "  goconnect chat lan\n"
     "  goconnect chat -f lan\n"
     "  goconnect chat lan \"who is in for a round?\"\n"},
    {"logout", account_logout, 0, 0, GOCONNECT_SERVER_OPTS, "logout",
     "forget the session and this device, take all down",
     "The device is deleted at the server, its networks go down, its keys are\n"
     "wiped. Works without the server too.\n"},
    {"completion", completion_run, 1, 1000, 0, "completion bash|zsh|fish",
     "make a shell complete commands, options, networks and peers",
     "Prints the lines that the shell reads; an installation has put them in\n"
     "their places already.\n"
     "\n"
     "  goconnect completion bash > ~/.bash_completion\n"
     "  goconnect completion fish > "
     "~/.config/fish/completions/goconnect.fish\n"},
    {"version", goconnect_version, 0, 0, 0, "version",
     "versions of goconnect and goconnectd", ""},
    {"help", goconnect_help, 0, 2, 0, "help [COMMAND]", "this, or one command",
     ""},
};

#define GOCONNECT_COMMANDS \
    (sizeof(goconnect_commands) / sizeof(goconnect_commands[0]))

static const struct {
    const char *code;
    int exit;
} goconnect_exits[] = {
    {"usage", CLIENT_USAGE},
    {"bad_url", CLIENT_USAGE},
    {"bad_ca", CLIENT_USAGE},
    {"insecure", CLIENT_USAGE},
    {"unknown_network", CLIENT_USAGE},
    {"ambiguous", CLIENT_USAGE},
    {"unknown_user", CLIENT_USAGE},
    {"no_daemon", CLIENT_NO_DAEMON},
    {"not_logged_in", CLIENT_NOT_LOGGED_IN},
    {"dns", CLIENT_UNREACHABLE},
    {"unreachable", CLIENT_UNREACHABLE},
    {"tls", CLIENT_UNREACHABLE},
    {"timeout", CLIENT_UNREACHABLE},
    {"closed", CLIENT_UNREACHABLE},
    /* ours too, but not for a server to have said */
    {"failed", CLIENT_FAILED},
    {"cancelled", CLIENT_FAILED},
    {"no_memory", CLIENT_FAILED},
    {"not_allowed", CLIENT_FAILED},
    {"other_account", CLIENT_FAILED},
    {"tenant_joined", CLIENT_FAILED},
    {"no_folder", CLIENT_FAILED},
    {"no_write", CLIENT_FAILED},
    {"no_lock", CLIENT_FAILED},
    {"damaged", CLIENT_FAILED},
    {"unreadable", CLIENT_FAILED},
    {"bad_request", CLIENT_FAILED},
    {"bad_answer", CLIENT_FAILED},
    {"too_large", CLIENT_FAILED},
    {"busy", CLIENT_FAILED},
    {"interface", CLIENT_FAILED},
    {"bad_config", CLIENT_FAILED},
    {"local_off", CLIENT_FAILED},
    {"overlap", CLIENT_FAILED},
};


int
client_fail(client_t *client, const err_t *err)
{
    int code = CLIENT_REFUSED; /* a code that is not ours is the server's */
    size_t i;

    for (i = 0; i < sizeof(goconnect_exits) / sizeof(goconnect_exits[0]); i++) {
        if (strcmp(err->code, goconnect_exits[i].code) == 0) {
            code = goconnect_exits[i].exit;
        }
    }

    if (!client_json(client,
                     json_pack("{s:{s:s, s:s, s:i}}", "error", "code",
                               err->code, "detail", err->text, "exit", code))) {
        fprintf(stderr, "goconnect: %s\n", err->text);
    }

    return code;
}


int
client_json(client_t *client, json_t *document)
{
    int json = client->json;

    if (json) {
        json_dumpf(document, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
        putchar('\n');
    }

    json_decref(document);
    return json;
}


void
client_print(const char *text)
{
    const unsigned char *p;

    for (p = (const unsigned char *) text; *p != '\0'; p++) {
        /* C0, DEL; C1 is U+0080..U+009F: C2 80..C2 9F */
        if (*p < 0x20 || *p == 0x7f ||
            (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)) {
            putchar(*p == '\t' || *p == '\n' ? ' ' : '?');
            p += *p == 0xc2;

        } else {
            putchar(*p);
        }
    }
}


static const command_t *
goconnect_find(const char *name)
{
    const command_t *command;
    size_t i;

    for (i = 0; i < GOCONNECT_COMMANDS; i++) {
        if (strcmp(goconnect_commands[i].name, name) == 0) {
            return &goconnect_commands[i];
        }
    }

    for (command = community_commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }

    return NULL;
}


const command_t *
command_at(size_t i)
{
    const command_t *command = community_commands;

    if (i < GOCONNECT_COMMANDS) {
        return &goconnect_commands[i];
    }

    for (i -= GOCONNECT_COMMANDS; i > 0 && command->name != NULL; i--) {
        command++;
    }

    return command->name != NULL ? command : NULL;
}


const command_t *
command_find(char **word, int words, int *used)
{
    char name[64];
    const command_t *command = NULL;

    if (words > 1) {
        snprintf(name, sizeof(name), "%.31s %.31s", word[0], word[1]);
        command = goconnect_find(name);
    }

    *used = command != NULL ? 2 : 1;
    return command != NULL ? command : goconnect_find(word[0]);
}


static void
goconnect_overview(void)
{
    const command_t *command;
    size_t i;

    printf(
        "goconnect: one local network with your people, over the internet\n"
        "\n"
        "The first five minutes:\n"
        "  goconnect register https://HOST      an account, and this device\n"
        "  goconnect join https://HOST/i/CODE   the invite that you were "
        "sent\n"
        "  goconnect peers                      who is there\n"
        "  ping ADDRESS                         as on a LAN\n"
        "\n"
        "Commands:\n");

    for (i = 0; i < GOCONNECT_COMMANDS; i++) {
        printf("  %-31s  %s\n", goconnect_commands[i].synopsis,
               goconnect_commands[i].summary);
    }

    printf("\nFor a community:\n");

    for (command = community_commands; command->name != NULL; command++) {
        printf("  %-31s  %s\n", command->synopsis, command->summary);
    }

    printf(
        "\n"
        "Options of every command:\n"
        "  --json          answer as one JSON document on standard output\n"
        "  --socket PATH   goconnectd's control socket (" GOCONNECT_SOCKET ";\n"
        "                  or GOCONNECT_SOCKET in the environment)\n"
        "  --help          about a command, with examples\n"
        "  --version       which one this is\n"
        "\n"
        "Of those that speak to a server:\n"
        "  --ca FILE       trust the certificates in FILE, not the system's\n"
        "  --insecure      allow plain http to another machine\n"
        "\n"
        "Exit codes:\n"
        "  0  done\n"
        "  1  failed\n"
        "  2  wrong usage, or no such network\n"
        "  3  goconnectd is not running\n"
        "  4  not logged in\n"
        "  5  refused by the server\n"
        "  6  server or network unreachable, or not trusted (TLS)\n");
}


static int
goconnect_help_of(const command_t *command)
{
    printf("usage: goconnect %s [--json] [--socket PATH]%s\n\n%s.\n",
           command->synopsis, command->options != 0 ? " [OPTIONS]" : "",
           command->summary);

    if (command->help[0] != '\0') {
        printf("\n%s", command->help);
    }

    return CLIENT_OK;
}


static int
goconnect_usage(client_t *client, const char *format, const char *what)
{
    err_t err;
    char text[200];

    snprintf(text, sizeof(text), format, what);
    err_set(&err, "usage", "%s", text);
    return client_fail(client, &err);
}


static int
goconnect_help(client_t *client)
{
    const command_t *command;
    int words;

    if (client->operands == 0) {
        goconnect_overview();
        return CLIENT_OK;
    }

    command = command_find(client->operand, client->operands, &words);
    if (command == NULL) {
        return goconnect_usage(client,
                               "there is no command \"%.40s\": goconnect help",
                               client->operand[0]);
    }

    return goconnect_help_of(command);
}


static int
goconnect_version(client_t *client)
{
    const char *running = NULL;
    err_t err;
    json_t *status;

    status = ask_daemon(client, json_pack("{s:s}", "command", "status"), &err);
    running = json_string_value(json_object_get(status, "version"));

    if (!client_json(client,
                     json_pack("{s:s, s:s?}", "goconnect", GOCONNECT_VERSION,
                               "goconnectd", running))) {
        printf("goconnect %s\ngoconnectd %s\n", GOCONNECT_VERSION,
               running != NULL ? running : "(not running)");
    }

    json_decref(status);
    return CLIENT_OK;
}


static int
goconnect_run(client_t *client, const command_t *command, unsigned used)
{
    if (used & ~command->options) {
        return goconnect_usage(client,
                               "an option is not one of \"goconnect %s\": see "
                               "its --help",
                               command->name);
    }

    if (client->operands < command->operands_min ||
        client->operands > command->operands_max) {
        return goconnect_usage(client, "usage: goconnect %s",
                               command->synopsis);
    }

    return command->run(client);
}


int
main(int argc, char **argv)
{
    const char *name;
    const command_t *command;
    client_t client;
    int code, words;
    unsigned used = 0;

    memset(&client, 0, sizeof(client));
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    log_init(getenv("GOCONNECT_DEBUG") != NULL ? LOG_LEVEL_DEBUG
                                               : LOG_LEVEL_ERROR);

    client.socket = getenv("GOCONNECT_SOCKET");
    if (client.socket == NULL) {
        client.socket = GOCONNECT_SOCKET;
    }

    if (option_parse(&client, argc, argv, &used) == -1) {
        return CLIENT_USAGE;
    }

    if (client.version) {
        return goconnect_version(&client);
    }

    if (optind == argc) {
        goconnect_overview();
        return client.help ? CLIENT_OK : CLIENT_USAGE;
    }

    name = argv[optind];
    command = command_find(argv + optind, argc - optind, &words);
    client.operands = argc - optind - words;
    client.operand = argv + optind + words;

    if (command == NULL) {
        return goconnect_usage(
            &client, "there is no command \"%.40s\": goconnect help", name);
    }

    if (client.help) {
        return goconnect_help_of(command);
    }

    code = goconnect_run(&client, command, used);

    session_wipe(&client.session);
    if (client.loop != NULL) {
        loop_destroy(client.loop);
    }

    return code;
}
