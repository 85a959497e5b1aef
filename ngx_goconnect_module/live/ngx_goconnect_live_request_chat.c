/*
 * What is said in the channels of tenants and networks: messages, by the rules
 * and with the answers of the POST, and that somebody is typing.
 */

#include "live/ngx_goconnect_live_request.h"


#define GC_FIELD(name, type, min, max, presence)                              \
    {                                                                         \
        name, NGX_GOCONNECT_FIELD_##type, min, max, NGX_GOCONNECT_##presence, \
            ""                                                                \
    }
#define GC_NO_FIELD                                                        \
    {                                                                      \
        NULL, NGX_GOCONNECT_FIELD_TEXT, 0, 0, NGX_GOCONNECT_OPTIONAL, NULL \
    }

/* a message object names both for a network's channel: then that is meant */
#define GC_CHANNEL                               \
    GC_FIELD("tenant_id", UUID, 0, 0, NULLABLE), \
        GC_FIELD("network_id", UUID, 0, 0, NULLABLE)


static const ngx_goconnect_field_t ngx_goconnect_chat_fields[] = {
    GC_CHANNEL, GC_FIELD("content", LINES, 1, 4000, REQUIRED),
    GC_FIELD("key", UUID, 0, 0, REQUIRED), GC_NO_FIELD};

static const ngx_goconnect_field_t ngx_goconnect_typing_fields[] = {
    GC_CHANNEL, GC_NO_FIELD};


/*
 * What comes before the database is asked, in the order of a REST request: a
 * device has no business in a tenant's channel, then the fields.
 */
static ngx_int_t
ngx_goconnect_request_channel(ngx_goconnect_session_t *s, json_t *id,
                              const ngx_goconnect_field_t *fields, json_t *data)
{
    const char *tenant, *network;

    tenant = ngx_goconnect_request_string(data, "tenant_id");
    network = ngx_goconnect_request_string(data, "network_id");

    if (tenant && network == NULL && ngx_goconnect_session_device(s)) {
        ngx_goconnect_session_error(s, id, 403, "insufficient_scope",
                                    "A device may not do this: it needs its "
                                    "user's session.");
        return NGX_DECLINED;
    }

    if (ngx_goconnect_request_check(s, id, fields, data) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (tenant == NULL && network == NULL) {
        ngx_goconnect_request_wrong(s, id, "tenant_id", "required",
                                    "Either tenant_id or network_id is "
                                    "required.");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


void
ngx_goconnect_request_chat(ngx_goconnect_session_t *s, json_t *id, json_t *data)
{
    ngx_goconnect_pg_call_t *call;
    ngx_goconnect_request_t *rq;
    const char *network, *channel;
    ngx_str_t key;
    json_t *body;
    ngx_int_t rc;

    if (ngx_goconnect_request_channel(s, id, ngx_goconnect_chat_fields, data) !=
        NGX_OK) {
        return;
    }

    network = ngx_goconnect_request_string(data, "network_id");
    channel =
        network ? network : ngx_goconnect_request_string(data, "tenant_id");
    key.data = (u_char *) ngx_goconnect_request_string(data, "key");
    key.len = NGX_GOCONNECT_ID_LEN;

    call = ngx_goconnect_live_call(network ? NGX_GOCONNECT_LIVE_NETWORK_CHAT
                                           : NGX_GOCONNECT_LIVE_TENANT_CHAT);
    body = json_pack("{sO}", "content", json_object_get(data, "content"));

    rc = ngx_goconnect_request_ctx(s, call, &key);

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_param(call, channel);
    }

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_json(call, body);
    }

    json_decref(body);

    if (rc != NGX_OK) {
        ngx_goconnect_request_broken(s, id, call);
        return;
    }

    ngx_goconnect_pg_call_group(call, (const u_char *) channel,
                                NGX_GOCONNECT_ID_LEN);

    rq = ngx_goconnect_request_create(s, id);
    (void) ngx_goconnect_request_send(rq, call, ngx_goconnect_request_answer);
}


/* body: {tenant_id, network_id, user_id, username} of who may write there */
static void
ngx_goconnect_request_typing_done(ngx_goconnect_request_t *rq,
                                  ngx_goconnect_pg_call_t *call)
{
    static const char head[] = "{\"bus\":\"typing\",\"data\":";
    ngx_goconnect_reply_t reply;
    u_char text[NGX_GOCONNECT_BELL_MAX], *p;

    if (ngx_goconnect_request_row(rq, call, &reply) != NGX_OK) {
        return;
    }

    p = ngx_snprintf(text, sizeof(text), "%s%*s}", head, reply.body.len,
                     reply.body.data);

    ngx_goconnect_event_ephemeral(
        ngx_goconnect_slice(text, (size_t) (p - text)));
    ngx_goconnect_session_ok(rq->session, rq->id, ngx_goconnect_slice("", 0));
}


void
ngx_goconnect_request_typing(ngx_goconnect_session_t *s, json_t *id,
                             json_t *data)
{
    ngx_goconnect_pg_call_t *call;
    ngx_goconnect_request_t *rq;
    ngx_goconnect_identity_t identity;
    const char *tenant, *network;
    ngx_int_t rc;

    if (ngx_goconnect_request_channel(s, id, ngx_goconnect_typing_fields,
                                      data) != NGX_OK) {
        return;
    }

    network = ngx_goconnect_request_string(data, "network_id");
    tenant = network ? NULL : ngx_goconnect_request_string(data, "tenant_id");

    ngx_goconnect_session_identity(s, &identity);

    /* the others know it: the database need not be asked again */
    if (ngx_goconnect_typing_known(network ? "network" : "tenant",
                                   network ? network : tenant, identity.user)) {
        ngx_goconnect_session_ok(s, id, ngx_goconnect_slice("", 0));
        return;
    }

    call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_TYPING);

    rc = ngx_goconnect_request_ctx(s, call, NULL);

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_param(call, tenant);
    }

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_param(call, network);
    }

    if (rc != NGX_OK) {
        ngx_goconnect_request_broken(s, id, call);
        return;
    }

    rq = ngx_goconnect_request_create(s, id);
    (void) ngx_goconnect_request_send(rq, call,
                                      ngx_goconnect_request_typing_done);
}
