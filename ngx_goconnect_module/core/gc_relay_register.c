#include "core/gc_relay_rules.h"

#include <openssl/crypto.h>
#include <string.h>


#define GC_RELAY_SECOND 1000000ULL /* of a pace */


static void
gc_relay_refuse(const gc_relay_message_t *message,
                const gc_relay_address_t *from, int error, const uint8_t *nonce,
                gc_relay_send_t *send)
{
    gc_relay_message_t answer;
    gc_relay_out_t *out = &send->outs[0];

    memset(&answer, 0, sizeof(answer));
    answer.kind = GC_RELAY_ERROR;
    answer.transaction = message->transaction;
    answer.error = error;
    answer.nonce = nonce;
    out->to = *from;
    out->size =
        gc_relay_message_write(&answer, NULL, out->data, sizeof(out->data));

    /* nobody is sent more than came */
    send->nouts = out->size != 0 && out->size < message->stun.size;
}


static gc_relay_verdict_e
gc_relay_accept(gc_relay_t *relay, uint32_t peer,
                const gc_relay_message_t *message,
                const gc_relay_address_t *from, uint64_t now,
                gc_relay_send_t *send)
{
    uint8_t nonce[GC_RELAY_NONCE];
    gc_relay_message_t answer;
    gc_relay_out_t *out = &send->outs[0];

    if (gc_relay_nonce(relay, &from->remote, now, nonce) != 0) {
        return GC_RELAY_DROP_MAC;
    }

    memset(&answer, 0, sizeof(answer));
    answer.kind = GC_RELAY_REGISTERED;
    answer.transaction = message->transaction;
    answer.mapped = from->remote;
    answer.lifetime = GC_RELAY_REGISTERED_MS / 1000;
    answer.boot = gc_relay_boot(relay);
    answer.nonce = nonce;
    out->to = *from;
    out->size =
        gc_relay_message_write(&answer, gc_relay_peer(relay, peer)->secret,
                               out->data, sizeof(out->data));
    send->nouts = out->size != 0;

    return GC_RELAY_ANSWERED;
}


/* 0 or the peer that both may reach and that is in their network */
static uint32_t
gc_relay_mate(gc_relay_t *relay, uint32_t peer, const uint8_t *id)
{
    uint32_t mate = gc_relay_peer_find(relay, id);

    return mate != 0 && mate != peer &&
                   memcmp(gc_relay_peer(relay, peer)->network,
                          gc_relay_peer(relay, mate)->network, GC_RELAY_ID) == 0
               ? mate
               : 0;
}


static void
gc_relay_hint(gc_relay_t *relay, uint32_t peer, const gc_relay_hint_t *hint,
              uint64_t now)
{
    uint32_t mate = gc_relay_mate(relay, peer, hint->peer);
    gc_relay_binding_t held, binding;

    /* 4 a second, so that no peer fills the table */
    if (mate == 0 ||
        !gc_relay_pace(&gc_relay_peer(relay, peer)->hint_pace, now,
                       GC_RELAY_SECOND / 4, 16 * GC_RELAY_SECOND) ||
        (gc_relay_binding_read(relay, peer, hint->index, now, &held) == 0 &&
         held.owner != mate)) {
        return;
    }

    binding = (gc_relay_binding_t){.sender = peer,
                                   .index = hint->index,
                                   .owner = mate,
                                   .state = GC_RELAY_LIVE,
                                   .answers = GC_RELAY_ANSWERS,
                                   .expires = now + GC_RELAY_LIVE_MS};
    (void) gc_relay_binding_write(relay, &binding, now);
}


/* The one that ends first makes room; 0 seconds end the peer's own. */
static void
gc_relay_hold(gc_relay_t *relay, uint32_t peer, const gc_relay_hold_t *hold,
              uint64_t now)
{
    unsigned i, at = 0;
    uint64_t until;
    uint32_t mate = gc_relay_mate(relay, peer, hold->peer);
    gc_relay_place_t *place = &gc_relay_peer(relay, peer)->place;

    if (mate == 0) {
        return;
    }

    for (i = 0; i < GC_RELAY_PEER_HOLDS; i++) {
        if (place->holds[i].peer == mate) {
            at = i;
            break;
        }

        if (place->holds[i].until < place->holds[at].until) {
            at = i;
        }
    }

    until =
        now + 1000ULL * (hold->seconds < GC_RELAY_HOLD_MAX ? hold->seconds
                                                           : GC_RELAY_HOLD_MAX);
    gc_relay_peer_begin(gc_relay_peer(relay, peer));
    place->holds[at] = (gc_relay_held_t){mate, until};
    place->held_until = until > place->held_until ? until : place->held_until;
    gc_relay_peer_end(gc_relay_peer(relay, peer));

    /* either side may end it */
    if (hold->seconds == 0) {
        place = &gc_relay_peer(relay, mate)->place;
        gc_relay_peer_begin(gc_relay_peer(relay, mate));

        for (i = 0; i < GC_RELAY_PEER_HOLDS; i++) {
            if (place->holds[i].peer == peer) {
                place->holds[i].until = 0;
            }
        }

        gc_relay_peer_end(gc_relay_peer(relay, mate));
    }
}


/* What a verified credential says of a peer. */
static void
gc_relay_believe(gc_relay_peer_t *peer, const gc_relay_credential_t *credential,
                 const unsigned char *secret)
{
    unsigned i;
    unsigned char any = 0;

    for (i = 0; i < GC_WG_KEY; i++) {
        any |= credential->next_key[i];
    }

    gc_relay_peer_begin(peer);
    gc_wg_mac1_init(&peer->mac1, credential->public_key);
    gc_wg_mac1_init(&peer->next_mac1, credential->next_key);
    peer->has_next = any != 0;
    peer->issued = credential->issued;
    peer->expires = credential->expires;
    memcpy(peer->secret, secret, GC_RELAY_SECRET);
    gc_relay_peer_end(peer);
}


/* The record of a credential that was verified, made if need be. */
static uint32_t
gc_relay_admit(gc_relay_t *relay, const gc_relay_credential_t *credential,
               uint64_t serial, uint64_t now, gc_relay_verdict_e *verdict)
{
    uint32_t i;
    const gc_relay_peer_t *peer;

    i = gc_relay_peer_find(relay, credential->peer);

    if (i == 0) {
        *verdict = GC_RELAY_DROP_ROOM;

        return gc_relay_peer_make(relay, credential->peer, credential->network,
                                  now);
    }

    peer = gc_relay_peer(relay, i);

    /* an older one than is known, or of a peer of another network */
    if (credential->issued < peer->issued ||
        memcmp(peer->network, credential->network, GC_RELAY_ID) != 0) {
        *verdict = GC_RELAY_DROP_CREDENTIAL;
        return 0;
    }

    *verdict = GC_RELAY_DROP_REPLAY;

    return serial > peer->serial ? i : 0;
}


/* Who shows a credential; 0: the verdict says why not. */
static uint32_t
gc_relay_shown(gc_relay_t *relay, const gc_relay_key_t *keys, size_t nkeys,
               const gc_relay_message_t *message, uint64_t now, uint64_t date,
               gc_relay_verdict_e *verdict)
{
    size_t used;
    uint32_t i = 0;
    gc_relay_credential_t credential;
    unsigned char secret[GC_RELAY_SECRET];

    *verdict = GC_RELAY_DROP_CREDENTIAL;

    if (gc_relay_credential_verify(keys, nkeys, message->credential,
                                   GC_RELAY_CREDENTIAL, date, &credential,
                                   &used) != GC_RELAY_CREDENTIAL_OK ||
        gc_relay_secret(&keys[used], message->credential, secret) != 0) {
        return 0;
    }

    *verdict = GC_RELAY_DROP_MAC;

    if (gc_relay_message_verify(message, secret) == 0) {
        i = gc_relay_admit(relay, &credential, message->serial, now, verdict);
    }

    if (i != 0) {
        gc_relay_believe(gc_relay_peer(relay, i), &credential, secret);
    }

    OPENSSL_cleanse(secret, sizeof(secret));

    return i;
}


/* Whose REGISTER this is, its MAC verified; 0: the verdict says why not. */
static uint32_t
gc_relay_who(gc_relay_t *relay, const gc_relay_key_t *keys, size_t nkeys,
             const gc_relay_message_t *message, uint64_t now, uint64_t date,
             gc_relay_verdict_e *verdict)
{
    uint32_t i;

    if (message->credential != NULL) {
        return gc_relay_shown(relay, keys, nkeys, message, now, date, verdict);
    }

    *verdict = GC_RELAY_DROP_CREDENTIAL;
    i = message->peer != NULL ? gc_relay_peer_find(relay, message->peer) : 0;

    if (i == 0 || gc_relay_peer(relay, i)->expires <= date) {
        return 0;
    }

    *verdict = GC_RELAY_DROP_MAC;

    return gc_relay_message_verify(message, gc_relay_peer(relay, i)->secret) ==
                   0
               ? i
               : 0;
}


/* What each refusal is answered with; 0: nothing. */
static int
gc_relay_error_of(gc_relay_verdict_e verdict, int shown)
{
    return verdict == GC_RELAY_DROP_ROOM         ? GC_RELAY_FULL
           : verdict != GC_RELAY_DROP_CREDENTIAL ? 0
           : shown                               ? GC_RELAY_REFUSE
                                                 : GC_RELAY_SHOW;
}


gc_relay_verdict_e
gc_relay_register(gc_relay_t *relay, const gc_relay_key_t *keys, size_t nkeys,
                  const gc_relay_message_t *message,
                  const gc_relay_address_t *from, uint64_t now, uint64_t date,
                  gc_relay_send_t *send)
{
    int error;
    unsigned i;
    uint32_t peer;
    uint8_t nonce[GC_RELAY_NONCE];
    gc_relay_verdict_e verdict;

    send->nouts = 0;

    if (message->serial == 0) {
        return GC_RELAY_DROP_MALFORMED;
    }

    if (message->nonce == NULL ||
        !gc_relay_nonce_valid(relay, &from->remote, now, message->nonce)) {
        if (gc_relay_nonce(relay, &from->remote, now, nonce) == 0) {
            gc_relay_refuse(message, from, GC_RELAY_PROVE, nonce, send);
        }

        return GC_RELAY_ANSWERED;
    }

    peer = gc_relay_who(relay, keys, nkeys, message, now, date, &verdict);

    if (peer == 0) {
        error = gc_relay_error_of(verdict, message->credential != NULL);

        if (error != 0) {
            gc_relay_refuse(message, from, error, NULL, send);
        }

        return verdict;
    }

    if (message->serial <= gc_relay_peer(relay, peer)->serial) {
        return GC_RELAY_DROP_REPLAY;
    }

    if (gc_relay_address_set(relay, peer, from, now) != 0) {
        gc_relay_refuse(message, from, GC_RELAY_FULL, NULL, send);
        return GC_RELAY_DROP_ROOM;
    }

    gc_relay_peer(relay, peer)->serial = message->serial;

    for (i = 0; i < message->nhints; i++) {
        gc_relay_hint(relay, peer, &message->hints[i], now);
    }

    for (i = 0; i < message->nholds; i++) {
        gc_relay_hold(relay, peer, &message->holds[i], now);
    }

    return gc_relay_accept(relay, peer, message, from, now, send);
}
