/*
 * What leaves: gathered while a batch is worked on and sent by as few system
 * calls as can be, trains as trains (UDP_SEGMENT).  Packets that came singly,
 * one behind the other for the same peer, leave as one train as well.
 */


#include "relay/ngx_goconnect_relay_private.h"
#include "shm/ngx_goconnect_metrics.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>


#define NGX_GOCONNECT_RELAY_OUT 64
#define NGX_GOCONNECT_RELAY_PIECES 512  /* that they are made of */
#define NGX_GOCONNECT_RELAY_SEGMENTS 64 /* of a train: UDP_MAX_SEGMENTS */
#define NGX_GOCONNECT_RELAY_BYTES 65000 /* of a train */


typedef struct {
    union {
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } to;
    size_t control[NGX_GOCONNECT_RELAY_CONTROL / sizeof(size_t)];
    gc_relay_address_t address;
    size_t bytes;
    size_t packets;
    size_t segment; /* bytes of each but the last one; 0: the relay's own */
    ngx_socket_t fd;
    u_char said[GC_RELAY_OUT];
} ngx_goconnect_relay_out_t;


typedef struct {
    ngx_socket_t fd;
    int family;
} ngx_goconnect_relay_way_t;


static ngx_goconnect_relay_way_t
    ngx_goconnect_relay_ways[NGX_GOCONNECT_RELAY_SOCKETS];
static ngx_goconnect_relay_out_t
    ngx_goconnect_relay_outs[NGX_GOCONNECT_RELAY_OUT];
static struct mmsghdr ngx_goconnect_relay_messages[NGX_GOCONNECT_RELAY_OUT];
static ngx_uint_t ngx_goconnect_relay_nouts;
static struct iovec ngx_goconnect_relay_pieces[NGX_GOCONNECT_RELAY_PIECES];
static ngx_uint_t ngx_goconnect_relay_npieces;


void
ngx_goconnect_relay_send_init(ngx_uint_t index, ngx_socket_t fd, int family)
{
    ngx_goconnect_relay_ways[index].fd = fd;
    ngx_goconnect_relay_ways[index].family = family;
}


static void
ngx_goconnect_relay_control(struct msghdr *message, int level, int type,
                            const void *value, size_t size)
{
    struct cmsghdr *header;

    header = (struct cmsghdr *) (void *) ((u_char *) message->msg_control +
                                          message->msg_controllen);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(size);
    ngx_memcpy(CMSG_DATA(header), value, size);
    message->msg_controllen += CMSG_SPACE(size);
}


/* It leaves from the address that the peer has asked. */
static void
ngx_goconnect_relay_address(ngx_goconnect_relay_out_t *out,
                            struct msghdr *message,
                            const gc_relay_address_t *to)
{
    struct in_pktinfo four;
    struct in6_pktinfo six;

    ngx_memzero(&out->to, sizeof(out->to));
    message->msg_name = &out->to;

    if (to->remote.family == 4) {
        out->to.in.sin_family = AF_INET;
        out->to.in.sin_port = htons(to->remote.port);
        ngx_memcpy(&out->to.in.sin_addr, to->remote.bytes, 4);
        message->msg_namelen = sizeof(struct sockaddr_in);
        ngx_memzero(&four, sizeof(four));
        ngx_memcpy(&four.ipi_spec_dst, to->local, 4);
        ngx_goconnect_relay_control(message, IPPROTO_IP, IP_PKTINFO, &four,
                                    sizeof(four));
        return;
    }

    out->to.in6.sin6_family = AF_INET6;
    out->to.in6.sin6_port = htons(to->remote.port);
    ngx_memcpy(&out->to.in6.sin6_addr, to->remote.bytes, 16);
    message->msg_namelen = sizeof(struct sockaddr_in6);
    ngx_memzero(&six, sizeof(six));
    ngx_memcpy(&six.ipi6_addr, to->local, 16);
    ngx_goconnect_relay_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &six,
                                sizeof(six));
}


/* NULL: such a socket is not there (any more). */
static ngx_goconnect_relay_out_t *
ngx_goconnect_relay_next(const gc_relay_address_t *to)
{
    struct msghdr *message;
    ngx_goconnect_relay_out_t *out;
    const ngx_goconnect_relay_way_t *way;

    if (to->socket >= NGX_GOCONNECT_RELAY_SOCKETS) {
        return NULL;
    }

    way = &ngx_goconnect_relay_ways[to->socket];

    if (way->family != (to->remote.family == 4 ? AF_INET : AF_INET6)) {
        return NULL;
    }

    if (ngx_goconnect_relay_nouts == NGX_GOCONNECT_RELAY_OUT ||
        ngx_goconnect_relay_npieces == NGX_GOCONNECT_RELAY_PIECES) {
        ngx_goconnect_relay_flush();
    }

    out = &ngx_goconnect_relay_outs[ngx_goconnect_relay_nouts];
    message = &ngx_goconnect_relay_messages[ngx_goconnect_relay_nouts].msg_hdr;
    ngx_goconnect_relay_nouts++;

    ngx_memzero(message, sizeof(struct msghdr));
    message->msg_control = out->control;
    message->msg_iov = &ngx_goconnect_relay_pieces[ngx_goconnect_relay_npieces];
    out->fd = way->fd;
    out->address = *to;
    out->bytes = 0;
    out->packets = 0;
    out->segment = 0;
    ngx_goconnect_relay_address(out, message, to);

    return out;
}


int
ngx_goconnect_relay_same(const gc_relay_address_t *a,
                         const gc_relay_address_t *b)
{
    return a->socket == b->socket && a->remote.port == b->remote.port &&
           a->remote.family == b->remote.family &&
           ngx_memcmp(a->remote.bytes, b->remote.bytes,
                      sizeof(a->remote.bytes)) == 0 &&
           ngx_memcmp(a->local, b->local, sizeof(a->local)) == 0;
}


/* to the message that was begun last */
static void
ngx_goconnect_relay_append(void *data, size_t len)
{
    struct iovec *piece;

    piece = &ngx_goconnect_relay_pieces[ngx_goconnect_relay_npieces++];
    piece->iov_base = data;
    piece->iov_len = len;
    ngx_goconnect_relay_messages[ngx_goconnect_relay_nouts - 1]
        .msg_hdr.msg_iovlen++;
}


/* The last message, if these packets may go with it; else NULL. */
static ngx_goconnect_relay_out_t *
ngx_goconnect_relay_joined(const gc_relay_address_t *to, size_t len,
                           size_t segment)
{
    ngx_goconnect_relay_out_t *out;

    if (ngx_goconnect_relay_nouts == 0 ||
        ngx_goconnect_relay_npieces == NGX_GOCONNECT_RELAY_PIECES) {
        return NULL;
    }

    out = &ngx_goconnect_relay_outs[ngx_goconnect_relay_nouts - 1];

    /* a shorter one ends its train, and a longer one begins another */

    if (out->segment == 0 || out->bytes != out->packets * out->segment ||
        (segment != out->segment && len >= out->segment) ||
        out->bytes + len > NGX_GOCONNECT_RELAY_BYTES ||
        out->packets + (len + segment - 1) / segment >
            NGX_GOCONNECT_RELAY_SEGMENTS) {
        return NULL;
    }

    /* a short train's own packets must not become longer ones */

    return (segment == out->segment || segment >= len) &&
                   ngx_goconnect_relay_same(&out->address, to)
               ? out
               : NULL;
}


void
ngx_goconnect_relay_send(const gc_relay_address_t *to, void *data, size_t len,
                         size_t segment)
{
    ngx_goconnect_relay_out_t *out;

    segment = segment != 0 && segment < len ? segment : len;
    out = ngx_goconnect_relay_joined(to, len, segment);

    if (out == NULL) {
        out = ngx_goconnect_relay_next(to);

        if (out == NULL) {
            return;
        }

        out->segment = segment;
    }

    out->bytes += len;
    out->packets += (len + segment - 1) / segment;
    ngx_goconnect_relay_append(data, len);
}


void
ngx_goconnect_relay_say(const gc_relay_address_t *to, const void *data,
                        size_t len)
{
    ngx_goconnect_relay_out_t *out;

    out = ngx_goconnect_relay_next(to);

    if (out) {
        ngx_memcpy(out->said, data, len);
        ngx_goconnect_relay_append(out->said, len);
    }
}


/*
 * A train that cannot be sent as one: its segments do not fit into the path's
 * MTU, or the device cannot do it.
 */
static void
ngx_goconnect_relay_singly(ngx_uint_t n)
{
    u_char *data;
    size_t i, left, size;
    struct iovec iov;
    struct msghdr message;
    const struct iovec *piece;
    const ngx_goconnect_relay_out_t *out;

    out = &ngx_goconnect_relay_outs[n];
    message = ngx_goconnect_relay_messages[n].msg_hdr;
    piece = message.msg_iov;
    message.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));

    for (i = 0; i < ngx_goconnect_relay_messages[n].msg_hdr.msg_iovlen; i++) {
        data = piece[i].iov_base;

        for (left = piece[i].iov_len; left; left -= size, data += size) {
            size = ngx_min(left, out->segment);
            iov.iov_base = data;
            iov.iov_len = size;
            message.msg_iov = &iov;
            message.msg_iovlen = 1;

            if (sendmsg(out->fd, &message, MSG_DONTWAIT) == -1) {
                ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_RELAY_UNSENT, 1);
            }
        }
    }
}


void
ngx_goconnect_relay_flush(void)
{
    int sent;
    uint16_t size;
    ngx_uint_t n, last;
    const ngx_goconnect_relay_out_t *out;

    for (n = 0; n < ngx_goconnect_relay_nouts; n++) {
        out = &ngx_goconnect_relay_outs[n];

        if (out->packets > 1) {
            size = (uint16_t) out->segment;
            ngx_goconnect_relay_control(
                &ngx_goconnect_relay_messages[n].msg_hdr, SOL_UDP, UDP_SEGMENT,
                &size, sizeof(size));
        }
    }

    for (n = 0; n < ngx_goconnect_relay_nouts;) {

        for (last = n + 1; last < ngx_goconnect_relay_nouts &&
                           ngx_goconnect_relay_outs[last].fd ==
                               ngx_goconnect_relay_outs[n].fd;
             last++) {
            /* void */
        }

        sent = sendmmsg(ngx_goconnect_relay_outs[n].fd,
                        &ngx_goconnect_relay_messages[n], (unsigned) (last - n),
                        MSG_DONTWAIT);

        if (sent > 0) {
            n += (ngx_uint_t) sent;
            continue;
        }

        /* the first one is at fault */

        if (ngx_goconnect_relay_outs[n].packets > 1 &&
            ngx_errno != NGX_EAGAIN) {
            ngx_goconnect_relay_singly(n);

        } else {
            ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_RELAY_UNSENT, 1);
        }

        n++;
    }

    ngx_goconnect_relay_nouts = 0;
    ngx_goconnect_relay_npieces = 0;
}
