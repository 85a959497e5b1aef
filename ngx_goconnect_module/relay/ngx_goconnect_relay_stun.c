/*
 * Binding requests (RFC 8489), with what tells a NAT's behaviour (RFC 5780):
 * answers from the other port, and from the other address where there is one.
 */


#include "relay/ngx_goconnect_relay_private.h"


/* Understood, or of no matter to who knows no users. */
static const uint16_t ngx_goconnect_relay_known[] = {
    GC_STUN_CHANGE_REQUEST, GC_STUN_USERNAME, GC_STUN_MESSAGE_INTEGRITY,
    GC_STUN_MESSAGE_INTEGRITY_SHA256, GC_STUN_PADDING};


/* A socket of another address of that family; itself: there is none. */
static ngx_uint_t
ngx_goconnect_relay_elsewhere(const ngx_goconnect_relay_conf_t *conf,
                              ngx_uint_t index)
{
    ngx_uint_t i;
    const ngx_goconnect_relay_socket_t *own, *s;

    own = &conf->sockets[index];

    for (i = index % 2; i < conf->nsockets; i += 2) {
        s = &conf->sockets[i];

        if (i != index && s->address.ss_family == own->address.ss_family &&
            !ngx_inet_wildcard((struct sockaddr *) &s->address)) {
            return i;
        }
    }

    return index;
}


/* Where a socket is; a wildcard's address is the one that was asked. */
static gc_stun_address_t
ngx_goconnect_relay_place(const ngx_goconnect_relay_conf_t *conf,
                          ngx_uint_t index, const gc_relay_address_t *from)
{
    gc_stun_address_t place;
    struct sockaddr *sa;

    sa = (struct sockaddr *) &conf->sockets[index].address;
    ngx_memzero(&place, sizeof(place));
    place.family = from->remote.family;
    place.port = ngx_inet_get_port(sa);

    if (ngx_inet_wildcard(sa)) {
        ngx_memcpy(place.bytes, from->local, sizeof(place.bytes));

    } else if (sa->sa_family == AF_INET) {
        ngx_memcpy(place.bytes, &((struct sockaddr_in *) sa)->sin_addr, 4);

    } else {
        ngx_memcpy(place.bytes, &((struct sockaddr_in6 *) sa)->sin6_addr, 16);
    }

    return place;
}


static void
ngx_goconnect_relay_unknown(const gc_stun_t *stun, const uint16_t *unknown,
                            size_t n, const gc_relay_address_t *from)
{
    size_t i, len;
    uint8_t out[GC_RELAY_OUT], list[8];
    gc_stun_writer_t writer;

    for (i = 0; i < n; i++) {
        list[i * 2] = (uint8_t) (unknown[i] >> 8);
        list[i * 2 + 1] = (uint8_t) unknown[i];
    }

    gc_stun_begin(&writer, out, sizeof(out), GC_STUN_ERROR, GC_STUN_BINDING,
                  stun->transaction);
    gc_stun_put_error(&writer, 420, "");
    gc_stun_put(&writer, GC_STUN_UNKNOWN_ATTRIBUTES, list, n * 2);
    len = gc_stun_end(&writer);

    if (len <= stun->size) {
        ngx_goconnect_relay_say(from, out, len);
    }
}


void
ngx_goconnect_relay_binding(const ngx_goconnect_relay_conf_t *conf,
                            const gc_relay_message_t *message,
                            const gc_relay_address_t *from)
{
    size_t n, len;
    uint8_t out[GC_RELAY_OUT];
    uint16_t unknown[4];
    uint32_t change = 0;
    ngx_uint_t elsewhere;
    const gc_stun_t *stun = &message->stun;
    gc_stun_writer_t writer;
    gc_stun_address_t place;
    gc_relay_address_t to = *from;

    n = gc_stun_unknown(stun, ngx_goconnect_relay_known,
                        sizeof(ngx_goconnect_relay_known) / sizeof(uint16_t),
                        unknown, sizeof(unknown) / sizeof(uint16_t));

    if (n != 0) {
        ngx_goconnect_relay_unknown(stun, unknown, n, from);
        return;
    }

    elsewhere = ngx_goconnect_relay_elsewhere(conf, from->socket);

    if (gc_stun_u32(stun, GC_STUN_CHANGE_REQUEST, &change) == 0) {

        if ((change & GC_STUN_CHANGE_IP) && elsewhere == from->socket) {
            unknown[0] = GC_STUN_CHANGE_REQUEST;
            ngx_goconnect_relay_unknown(stun, unknown, 1, from);
            return;
        }

        if (change & GC_STUN_CHANGE_IP) {
            to.socket = (uint32_t) elsewhere;
        }

        if (change & GC_STUN_CHANGE_PORT) {
            to.socket ^= 1;
        }
    }

    place = ngx_goconnect_relay_place(conf, to.socket, from);
    ngx_memcpy(to.local, place.bytes, sizeof(to.local));

    gc_stun_begin(&writer, out, sizeof(out), GC_STUN_SUCCESS, GC_STUN_BINDING,
                  stun->transaction);
    gc_stun_put_address(&writer, GC_STUN_XOR_MAPPED_ADDRESS, &from->remote);
    len = writer.size;
    gc_stun_put_address(&writer, GC_STUN_RESPONSE_ORIGIN, &place);
    place = ngx_goconnect_relay_place(conf, elsewhere ^ 1, from);
    gc_stun_put_address(&writer, GC_STUN_OTHER_ADDRESS, &place);

    /*
     * Who has proved no address is sent no more than it sent, but for the one
     * attribute that it is all about: whoever wants the others pads (RFC 5780,
     * section 7.6).
     */

    if (writer.size > stun->size) {
        writer.size = len;
    }

    len = gc_stun_end(&writer);

    ngx_goconnect_relay_say(&to, out, len);
}
