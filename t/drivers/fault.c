/*
 * kill -9 after any step: preloaded into goconnectd, whatever it changes
 * outside of itself (a netlink request, a transaction of nftables, a message
 * to wireguard-go, a process, a file, a signal) is counted in the file named
 * by GOCONNECT_FAULT, and after the step that this file asks for it dies of
 * SIGKILL.  The file is two numbers of 32 bits in this machine's order, the
 * step to die after (0: none) and how many there were, and 56 bytes for what
 * the last one was; it may be written to while the daemon runs.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define NFNL_BATCH_BEGIN 16 /* linux/netfilter/nfnetlink.h */

struct fault {
    uint32_t die_after;
    uint32_t count;
    char last[56];
};

static struct fault *fault;
static pid_t daemon_pid;


/* Not what the daemon starts: it has neither the library nor the file. */
__attribute__((constructor)) static void
fault_open(void)
{
    const char *name;
    void *memory;
    int fd;

    name = getenv("GOCONNECT_FAULT");

    if (name == NULL ||
        strcmp(program_invocation_short_name, "goconnectd") != 0) {
        return;
    }

    fd = open(name, O_RDWR | O_CLOEXEC);

    if (fd == -1) {
        abort();
    }

    memory =
        mmap(NULL, sizeof(*fault), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED) {
        abort();
    }

    (void) close(fd);
    (void) unsetenv("LD_PRELOAD");
    daemon_pid = getpid();
    fault = memory;
}


/* A step is done.  Of a child, too: its parent dies then, as if by chance. */
static void
fault_step(const char *what)
{
    int kept = errno;
    uint32_t n;

    n = __atomic_add_fetch(&fault->count, 1, __ATOMIC_SEQ_CST);

    if (n == fault->die_after) {
        (void) snprintf(fault->last, sizeof(fault->last), "%s", what);
        (void) kill(daemon_pid, SIGKILL);
    }

    errno = kept;
}


#define FAULT_ARMED (fault != NULL && fault->die_after != 0)

#define FAULT_REAL(name)                            \
    static __typeof__(name) *real;                  \
                                                    \
    if (real == NULL) {                             \
        *(void **) &real = dlsym(RTLD_NEXT, #name); \
    }

#define FAULT_WRAP(name, parameters, arguments) \
    int name parameters                         \
    {                                           \
        int rc;                                 \
        FAULT_REAL(name)                        \
                                                \
        rc = real arguments;                    \
                                                \
        if (FAULT_ARMED && rc == 0) {           \
            fault_step(#name);                  \
        }                                       \
                                                \
        return rc;                              \
    }

FAULT_WRAP(rename, (const char *from, const char *to), (from, to))
FAULT_WRAP(unlink, (const char *path), (path))
FAULT_WRAP(mkdir, (const char *path, mode_t mode), (path, mode))


/* A socket that others find by its path. */
int
bind(int fd, const struct sockaddr *to, socklen_t size)
{
    int rc;
    FAULT_REAL(bind)

    rc = real(fd, to, size);

    if (FAULT_ARMED && rc == 0 && to->sa_family == AF_UNIX) {
        fault_step("bind");
    }

    return rc;
}


int
pidfd_send_signal(int fd, int number, siginfo_t *info, unsigned int flags)
{
    static int (*real)(int, int, siginfo_t *, unsigned int);
    int rc;

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "pidfd_send_signal");
    }

    rc = real(fd, number, info, flags);

    if (FAULT_ARMED && rc == 0 && number != 0) {
        fault_step("pidfd_send_signal");
    }

    return rc;
}


pid_t
fork(void)
{
    pid_t pid;
    FAULT_REAL(fork)

    pid = real();

    if (FAULT_ARMED && pid > 0) {
        fault_step("fork");
    }

    return pid;
}


/* What a request changes; NULL for a question. */
static const char *
fault_netlink(int fd, const void *bytes, size_t length)
{
    const struct nlmsghdr *header = bytes;
    const struct genlmsghdr *generic = NLMSG_DATA(header);
    int protocol = -1;
    socklen_t size = sizeof(protocol);

    (void) getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size);

    if (length < sizeof(*header)) {
        return NULL;
    }

    switch (protocol) {
    case NETLINK_ROUTE: /* new, delete, get, set: by turns */
        return (header->nlmsg_type - RTM_BASE) % 4 == 2 ? NULL : "rtnetlink";

    case NETLINK_NETFILTER:
        return header->nlmsg_type == NFNL_BATCH_BEGIN ? "nftables" : NULL;

    case NETLINK_GENERIC: /* WG_CMD_SET_DEVICE */
        return header->nlmsg_type > GENL_ID_CTRL && generic->cmd == 1
                   ? "genetlink"
                   : NULL;
    }

    return NULL;
}


static const char *
fault_sent(int fd, const void *bytes, size_t length)
{
    struct sockaddr_un peer;
    int domain = -1;
    socklen_t size = sizeof(domain);

    (void) getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);

    if (domain == AF_NETLINK) {
        return fault_netlink(fd, bytes, length);
    }

    if (domain != AF_UNIX) {
        return NULL;
    }

    if (length == 1) {
        return "wireguard-go may run";
    }

    /* who asks us has no name: answers change nothing */
    memset(&peer, 0, sizeof(peer));
    size = sizeof(peer);

    if (getpeername(fd, (struct sockaddr *) &peer, &size) != 0 ||
        size <= sizeof(peer.sun_family)) {
        return NULL;
    }

    return length >= 4 && memcmp(bytes, "get=", 4) == 0 ? NULL : "UAPI";
}


static void
fault_send(int fd, const void *bytes, size_t length)
{
    const char *what;
    int kept = errno;

    what = fault_sent(fd, bytes, length);
    errno = kept;

    if (what != NULL) {
        fault_step(what);
    }
}


ssize_t
send(int fd, const void *bytes, size_t length, int flags)
{
    ssize_t n;
    FAULT_REAL(send)

    n = real(fd, bytes, length, flags);

    if (FAULT_ARMED && n > 0) {
        fault_send(fd, bytes, length);
    }

    return n;
}


ssize_t
sendto(int fd, const void *bytes, size_t length, int flags,
       const struct sockaddr *to, socklen_t size)
{
    ssize_t n;
    FAULT_REAL(sendto)

    n = real(fd, bytes, length, flags, to, size);

    if (FAULT_ARMED && n > 0) {
        fault_send(fd, bytes, length);
    }

    return n;
}


ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t n;
    FAULT_REAL(sendmsg)

    n = real(fd, message, flags);

    if (FAULT_ARMED && n > 0 && message->msg_iovlen > 0) {
        fault_send(fd, message->msg_iov[0].iov_base,
                   message->msg_iov[0].iov_len);
    }

    return n;
}


/* Files, those of /proc/sys too; not the log. */
ssize_t
write(int fd, const void *bytes, size_t length)
{
    ssize_t n;
    struct stat st;
    FAULT_REAL(write)

    n = real(fd, bytes, length);

    if (FAULT_ARMED && n > 0 && fd > STDERR_FILENO && fstat(fd, &st) == 0 &&
        S_ISREG(st.st_mode)) {
        fault_step("write");
    }

    return n;
}
