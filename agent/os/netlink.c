#include "os/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* Not in every libc's sys/socket.h. */
#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

/*
 * A dump message is as large as the reader's buffer, up to 32 KiB; the
 * kernel remembers the largest one.
 */
#define NETLINK_BUFFER (64 * 1024)

/* Room in the socket: one SET message of 48 KiB, and bursts of replies. */
#define NETLINK_QUEUE (1024 * 1024)

/* The kernel answers at once; should it not, we do not hang. */
#define NETLINK_WAIT_S 5

/* A dump is begun again so often before we give up. */
#define NETLINK_TRIES 10


struct netlink_wait {
    const struct netlink_reader *reader;
    void *data;
    int number; /* errno of the kernel or of the reader */
    bool done;
};


struct nl_sock *
netlink_open(int protocol, struct error *error)
{
    struct timeval limit;
    struct nl_sock *sk;
    int rc, on;

    sk = nl_socket_alloc();

    if (sk == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    rc = nl_connect(sk, protocol);

    if (rc == 0) {
        rc = nl_socket_set_buffer_size(sk, NETLINK_QUEUE, NETLINK_QUEUE);
    }

    if (rc == 0) {
        rc = nl_socket_set_msg_buf_size(sk, NETLINK_BUFFER);
    }

    if (rc != 0) {
        (void) error_set(error, ERROR_SYSTEM, "netlink: %s", nl_geterror(rc));
        nl_socket_free(sk);
        return NULL;
    }

    limit.tv_sec = NETLINK_WAIT_S;
    limit.tv_usec = 0;

    if (setsockopt(nl_socket_get_fd(sk), SOL_SOCKET, SO_RCVTIMEO, &limit,
                   sizeof(limit)) != 0) {
        (void) error_set(error, ERROR_SYSTEM, "netlink: %s", strerror(errno));
        nl_socket_free(sk);
        return NULL;
    }

    /* lets the kernel filter dumps; an older one lists everything */
    on = 1;
    (void) setsockopt(nl_socket_get_fd(sk), SOL_NETLINK, NETLINK_GET_STRICT_CHK,
                      &on, sizeof(on));

    return sk;
}


void
netlink_close(struct nl_sock *socket)
{
    if (socket != NULL) {
        nl_socket_free(socket);
    }
}


static int
netlink_on_error(struct sockaddr_nl *from, struct nlmsgerr *reply, void *data)
{
    struct netlink_wait *wait = data;

    (void) from;

    wait->number = -reply->error;
    wait->done = true;

    return NL_STOP;
}


static int
netlink_on_ack(struct nl_msg *message, void *data)
{
    struct netlink_wait *wait = data;

    (void) message;

    wait->done = true;

    return NL_STOP;
}


static int
netlink_on_message(struct nl_msg *message, void *data)
{
    struct netlink_wait *wait = data;

    if (wait->number == 0 && wait->reader != NULL) {
        wait->number = wait->reader->message(nlmsg_hdr(message), wait->data);
    }

    return NL_OK;
}


/* Receives until the acknowledgement, the error or the end of a dump. */
static int
netlink_wait(struct nl_sock *sk, struct netlink_wait *wait)
{
    struct nl_cb *cb;
    int rc;

    cb = nl_cb_alloc(NL_CB_DEFAULT);

    if (cb == NULL) {
        return ENOMEM;
    }

    nl_cb_err(cb, NL_CB_CUSTOM, netlink_on_error, wait);
    nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, netlink_on_ack, wait);
    nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, netlink_on_ack, wait);
    nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, netlink_on_message, wait);

    do {
        rc = nl_recvmsgs(sk, cb);
    } while (rc >= 0 && !wait->done);

    nl_cb_put(cb);

    if (wait->number != 0) {
        return wait->number;
    }

    if (rc == -NLE_DUMP_INTR) {
        return EINTR;
    }

    return rc < 0 ? EIO : 0;
}


int
netlink_request(struct nl_sock *socket, struct nl_msg *message)
{
    struct netlink_wait wait;
    int rc;

    memset(&wait, 0, sizeof(wait));
    nlmsg_hdr(message)->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;

    rc = nl_send_auto(socket, message);
    nlmsg_free(message);

    return rc < 0 ? EIO : netlink_wait(socket, &wait);
}


static int
netlink_dump_once(int protocol, struct nl_msg *message,
                  struct netlink_wait *wait)
{
    struct nl_sock *sk;
    int rc;

    sk = netlink_open(protocol, NULL);

    if (sk == NULL) {
        return ENOBUFS;
    }

    wait->number = 0;
    wait->done = false;
    wait->reader->begin(wait->data);

    /* port and sequence number are those of this socket */
    nlmsg_hdr(message)->nlmsg_pid = NL_AUTO_PORT;
    nlmsg_hdr(message)->nlmsg_seq = NL_AUTO_SEQ;
    nlmsg_hdr(message)->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;

    rc = nl_send_auto(sk, message);
    rc = rc < 0 ? EIO : netlink_wait(sk, wait);

    nl_socket_free(sk);

    return rc;
}


int
netlink_dump(int protocol, struct nl_msg *message,
             const struct netlink_reader *reader, void *data)
{
    struct netlink_wait wait;
    int rc, tries;

    wait.reader = reader;
    wait.data = data;
    tries = 0;

    do {
        rc = netlink_dump_once(protocol, message, &wait);
    } while (rc == EINTR && ++tries < NETLINK_TRIES);

    nlmsg_free(message);

    return rc;
}


int
netlink_error(struct error *error, int number, const char *what)
{
    static const struct {
        int number;
        enum error_code code;
    } codes[] = {
        {EPERM, ERROR_PERMISSION},
        {EACCES, ERROR_PERMISSION},
        {EADDRINUSE, ERROR_PORT_IN_USE},
        {ENODEV, ERROR_GONE},
        {ENXIO, ERROR_GONE},
        {ENETDOWN, ERROR_GONE},
        {EOPNOTSUPP, ERROR_UNSUPPORTED},
        {ENOMEM, ERROR_NO_MEMORY},
    };
    enum error_code code;
    size_t i;

    code = ERROR_SYSTEM;

    for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].number == number) {
            code = codes[i].code;
        }
    }

    return error_set(error, code, "%s: %s", what, strerror(number));
}
