/* The sockets: a batch of datagrams is read, worked on and sent at once. */


#include "relay/ngx_goconnect_relay_private.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <ngx_event.h>
#include <sys/socket.h>


#define NGX_GOCONNECT_RELAY_BATCH 32
#define NGX_GOCONNECT_RELAY_BATCHES 4 /* before others have their turn */
#define NGX_GOCONNECT_RELAY_TRAIN 65536


typedef struct {
    size_t control[NGX_GOCONNECT_RELAY_CONTROL / sizeof(size_t)];
    struct sockaddr_storage from;
    struct iovec iov;
} ngx_goconnect_relay_in_t;


static ngx_goconnect_relay_conf_t *ngx_goconnect_relay_conf_used;
static u_char *ngx_goconnect_relay_memory;
static ngx_goconnect_relay_in_t
    ngx_goconnect_relay_ins[NGX_GOCONNECT_RELAY_BATCH];
static struct mmsghdr ngx_goconnect_relay_received[NGX_GOCONNECT_RELAY_BATCH];


static void
ngx_goconnect_relay_remote(const struct sockaddr_storage *sa,
                           gc_stun_address_t *remote)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *) sa;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) sa;

    ngx_memzero(remote, sizeof(gc_stun_address_t));

    if (sa->ss_family == AF_INET) {
        remote->family = 4;
        remote->port = ntohs(in->sin_port);
        ngx_memcpy(remote->bytes, &in->sin_addr, 4);
        return;
    }

    remote->family = 6;
    remote->port = ntohs(in6->sin6_port);
    ngx_memcpy(remote->bytes, &in6->sin6_addr, 16);
}


/* Which of our addresses was asked; how long a train's segments are, or 0. */
static size_t
ngx_goconnect_relay_told(struct msghdr *message, gc_relay_address_t *from)
{
    int segment = 0;
    struct cmsghdr *header;
    struct in_pktinfo four;
    struct in6_pktinfo six;

    for (header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {

        if (header->cmsg_level == IPPROTO_IP &&
            header->cmsg_type == IP_PKTINFO) {
            ngx_memcpy(&four, CMSG_DATA(header), sizeof(four));
            ngx_memcpy(from->local, &four.ipi_addr, 4);

        } else if (header->cmsg_level == IPPROTO_IPV6 &&
                   header->cmsg_type == IPV6_PKTINFO) {
            ngx_memcpy(&six, CMSG_DATA(header), sizeof(six));
            ngx_memcpy(from->local, &six.ipi6_addr, 16);

        } else if (header->cmsg_level == SOL_UDP &&
                   header->cmsg_type == UDP_GRO) {
            ngx_memcpy(&segment, CMSG_DATA(header), sizeof(segment));
        }
    }

    return segment > 0 ? (size_t) segment : 0;
}


static int
ngx_goconnect_relay_receive(ngx_socket_t fd)
{
    ngx_uint_t i;
    struct msghdr *message;
    ngx_goconnect_relay_in_t *in;

    for (i = 0; i < NGX_GOCONNECT_RELAY_BATCH; i++) {
        in = &ngx_goconnect_relay_ins[i];
        message = &ngx_goconnect_relay_received[i].msg_hdr;
        in->iov.iov_base =
            ngx_goconnect_relay_memory + i * NGX_GOCONNECT_RELAY_TRAIN;
        in->iov.iov_len = NGX_GOCONNECT_RELAY_TRAIN;
        message->msg_name = &in->from;
        message->msg_namelen = sizeof(in->from);
        message->msg_iov = &in->iov;
        message->msg_iovlen = 1;
        message->msg_control = in->control;
        message->msg_controllen = sizeof(in->control);
        message->msg_flags = 0;
    }

    return recvmmsg(fd, ngx_goconnect_relay_received, NGX_GOCONNECT_RELAY_BATCH,
                    MSG_DONTWAIT, NULL);
}


static void
ngx_goconnect_relay_read(ngx_event_t *rev)
{
    int i, n;
    size_t segment;
    uint64_t now;
    ngx_uint_t batch;
    ngx_connection_t *c = rev->data;
    gc_relay_address_t from;
    const ngx_goconnect_relay_socket_t *s = c->listening->servers;

    for (batch = 0; batch < NGX_GOCONNECT_RELAY_BATCHES; batch++) {

        n = ngx_goconnect_relay_receive(c->fd);

        if (n <= 0) {
            break;
        }

        now = ngx_goconnect_relay_now();

        for (i = 0; i < n; i++) {

            if (ngx_goconnect_relay_received[i].msg_hdr.msg_flags &
                (MSG_TRUNC | MSG_CTRUNC)) {
                continue;
            }

            ngx_memzero(&from, sizeof(from));
            from.socket = (uint32_t) s->index;
            ngx_goconnect_relay_remote(&ngx_goconnect_relay_ins[i].from,
                                       &from.remote);
            segment = ngx_goconnect_relay_told(
                &ngx_goconnect_relay_received[i].msg_hdr, &from);

            ngx_goconnect_relay_packets(ngx_goconnect_relay_conf_used,
                                        ngx_goconnect_relay_ins[i].iov.iov_base,
                                        ngx_goconnect_relay_received[i].msg_len,
                                        segment, &from, now);
        }

        /* before the next batch is read where this one lies */

        ngx_goconnect_relay_flush();
        ngx_goconnect_relay_count();

        if (n < NGX_GOCONNECT_RELAY_BATCH) {
            break;
        }
    }
}


static ngx_int_t
ngx_goconnect_relay_socket(ngx_cycle_t *cycle, ngx_listening_t *ls)
{
    int on = 1, rc;
    const ngx_goconnect_relay_socket_t *s = ls->servers;

    if (ls->sockaddr->sa_family == AF_INET) {
        rc = setsockopt(ls->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));

    } else {
        rc =
            setsockopt(ls->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
    }

    if (rc == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_socket_errno,
                      "goconnect_relay: no PKTINFO on %V", &ls->addr_text);
        return NGX_ERROR;
    }

    /* without it (Linux before 5.0) trains come as single packets */

    (void) setsockopt(ls->fd, SOL_UDP, UDP_GRO, &on, sizeof(on));

    ls->connection->read->handler = ngx_goconnect_relay_read;
    ngx_goconnect_relay_send_init(s->index, ls->fd, ls->sockaddr->sa_family);

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_relay_init_process(ngx_cycle_t *cycle,
                                 ngx_goconnect_relay_conf_t *conf)
{
    ngx_uint_t i;
    ngx_listening_t *ls;
    const ngx_goconnect_relay_socket_t *s;

    ngx_goconnect_relay_conf_used = conf;
    ngx_goconnect_relay_memory = ngx_palloc(
        cycle->pool, NGX_GOCONNECT_RELAY_BATCH * NGX_GOCONNECT_RELAY_TRAIN);

    if (ngx_goconnect_relay_memory == NULL) {
        return NGX_ERROR;
    }

    ls = cycle->listening.elts;

    for (i = 0; i < cycle->listening.nelts; i++) {
        s = ls[i].servers;

        if (s >= conf->sockets && s < conf->sockets + conf->nsockets &&
            ls[i].connection &&
            ngx_goconnect_relay_socket(cycle, &ls[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
