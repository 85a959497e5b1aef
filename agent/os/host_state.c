#include "os/host_state.h"

#include <linux/capability.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


/* The effective set, as proc(5) tells it. */
static unsigned long long
host_capabilities(void)
{
    char line[256];
    unsigned long long set;
    FILE *file;

    set = 0;
    file = fopen("/proc/self/status", "re");

    if (file == NULL) {
        return 0;
    }

    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "CapEff:", 7) == 0) {
            set = strtoull(line + 7, NULL, 16);
            break;
        }
    }

    (void) fclose(file);

    return set;
}


/* Whether a file has the line. */
static bool
host_has_line(const char *path, const char *wanted)
{
    char line[256];
    bool found;
    FILE *file;

    found = false;
    file = fopen(path, "re");

    if (file == NULL) {
        return false;
    }

    while (!found && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        found = strcmp(line, wanted) == 0;
    }

    (void) fclose(file);

    return found;
}


static bool
host_nftables(void)
{
    int fd;

    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

    if (fd == -1) {
        return false;
    }

    (void) close(fd);

    return true;
}


void
host_state_get(struct host_state *state)
{
    unsigned long long set;

    set = host_capabilities();
    state->net_admin = (set >> CAP_NET_ADMIN & 1) != 0;
    state->net_raw = (set >> CAP_NET_RAW & 1) != 0;
    state->wireguard_module = access("/sys/module/wireguard", F_OK) == 0;
    state->vxlan = access("/sys/module/vxlan", F_OK) == 0;
    state->nftables = host_nftables();
    state->ufw = host_has_line("/etc/ufw/ufw.conf", "ENABLED=yes");
    state->firewalld = access("/run/firewalld", F_OK) == 0 ||
                       access("/run/firewalld.pid", F_OK) == 0;
}
