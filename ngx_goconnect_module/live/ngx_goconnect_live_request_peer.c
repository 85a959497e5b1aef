/*
 * What devices tell: where they are, and what one says to another.
 */

#include "live/ngx_goconnect_live_request.h"


/* home_relay that is absent stays what it was; null takes it away */
void
ngx_goconnect_request_endpoints(ngx_goconnect_session_t *s, json_t *id,
                                json_t *data)
{
    ngx_goconnect_pg_call_t *call;
    ngx_goconnect_request_t *rq;
    ngx_int_t rc;

    call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_ENDPOINTS);

    rc = ngx_goconnect_request_ctx(s, call, NULL);

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_param(
            call, ngx_goconnect_request_string(data, "network_id"));
    }

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_json(call, data);
    }

    if (rc != NGX_OK) {
        ngx_goconnect_request_broken(s, id, call);
        return;
    }

    rq = ngx_goconnect_request_create(s, id);
    (void) ngx_goconnect_request_send(rq, call, ngx_goconnect_request_answer);
}


/* {"bus":"signal","to":PEER,"frame":FRAME}; frame is released */
static ngx_int_t
ngx_goconnect_request_forward(const char *to, json_t *frame)
{
    json_t *envelope;
    char *text;

    envelope = json_pack("{sssssO}", "bus", "signal", "to", to, "frame", frame);
    json_decref(frame);

    text = json_dumps(envelope, JSON_COMPACT);
    json_decref(envelope);

    if (text == NULL) {
        return NGX_ERROR;
    }

    ngx_goconnect_event_ephemeral(ngx_goconnect_slice(text, strlen(text)));
    free(text);

    return NGX_OK;
}


void
ngx_goconnect_request_signal(ngx_goconnect_session_t *s, json_t *id,
                             json_t *data)
{
    ngx_goconnect_peer_t *from;
    const char *network;
    json_t *inner, *frame;

    network = ngx_goconnect_request_string(data, "network_id");
    inner = json_object_get(data, "data");

    if (json_dumpb(inner, NULL, 0, JSON_COMPACT) > NGX_GOCONNECT_SIGNAL_MAX) {
        ngx_goconnect_session_error(s, id, 413, "signal_too_large",
                                    "A signal has at most 4,000 bytes.");
        return;
    }

    from = ngx_goconnect_session_peer(
        s, ngx_goconnect_slice(network, strlen(network)));

    if (from == NULL) {
        ngx_goconnect_session_error(s, id, 403, "not_a_peer",
                                    "This is no peer of that network.");
        return;
    }

    frame = json_pack(
        "{ss s{ss# ss# sO}}", "type", "signal", "data", "network_id",
        (const char *) from->network, NGX_GOCONNECT_ID_LEN, "from_peer_id",
        (const char *) from->id, NGX_GOCONNECT_ID_LEN, "data", inner);

    if (ngx_goconnect_request_forward(
            ngx_goconnect_request_string(data, "to_peer_id"), frame) !=
        NGX_OK) {
        ngx_goconnect_request_broken(s, id, NULL);
        return;
    }

    ngx_goconnect_session_ok(s, id, ngx_goconnect_slice("", 0));
}


/* the database has found that the two share the network, and the key is it */
static void
ngx_goconnect_request_acknowledged(ngx_goconnect_request_t *rq,
                                   ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_reply_t reply;
    json_error_t error;
    json_t *data;
    ngx_int_t rc;
    char to[NGX_GOCONNECT_ID_LEN + 1];

    if (ngx_goconnect_request_row(rq, call, &reply) != NGX_OK) {
        return;
    }

    data = json_loadb(reply.body.data, reply.body.len, 0, &error);
    rc = NGX_ERROR;

    if (data) {
        ngx_cpystrn((u_char *) to,
                    (u_char *) ngx_goconnect_request_string(data, "peer_id"),
                    sizeof(to));
        rc = ngx_goconnect_request_forward(
            to, json_pack("{ssso}", "type", "rotation_ack", "data", data));
    }

    if (rc != NGX_OK) {
        ngx_goconnect_request_broken(rq->session, rq->id, NULL);
        return;
    }

    ngx_goconnect_session_ok(rq->session, rq->id, ngx_goconnect_slice("", 0));
}


void
ngx_goconnect_request_rotation_ack(ngx_goconnect_session_t *s, json_t *id,
                                   json_t *data)
{
    ngx_goconnect_pg_call_t *call;
    ngx_goconnect_request_t *rq;
    ngx_int_t rc;

    call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_ROTATION_ACK);

    rc = ngx_goconnect_request_ctx(s, call, NULL);

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_param(
            call, ngx_goconnect_request_string(data, "peer_id"));
    }

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_param(
            call, ngx_goconnect_request_string(data, "next_public_key"));
    }

    if (rc != NGX_OK) {
        ngx_goconnect_request_broken(s, id, call);
        return;
    }

    rq = ngx_goconnect_request_create(s, id);
    (void) ngx_goconnect_request_send(rq, call,
                                      ngx_goconnect_request_acknowledged);
}
