/*
 * Lists of who of a topic is here: from frames, and into frames.
 */

#include "live/ngx_goconnect_live_state.h"


#define NGX_GOCONNECT_STATE_PART 32768 /* bytes of a list in a frame */
#define NGX_GOCONNECT_STATE_TEXT 384   /* bytes of an item */
#define NGX_GOCONNECT_STATE_ITEMS 1024 /* before a list is made smaller */


static const ngx_goconnect_state_kind_t ngx_goconnect_state_kinds[] = {
    {"network:", sizeof("network:") - 1, "peer_status", "network_id", "peers",
     "peer_id"},
    {"tenant:", sizeof("tenant:") - 1, "presence", "tenant_id", "users",
     "user_id"},
};


const ngx_goconnect_state_kind_t *
ngx_goconnect_state_kind(gc_slice_t topic)
{
    const ngx_goconnect_state_kind_t *kind;
    size_t i;

    for (i = 0; i < sizeof(ngx_goconnect_state_kinds) / sizeof(*kind); i++) {
        kind = &ngx_goconnect_state_kinds[i];

        if (topic.len == kind->len + NGX_GOCONNECT_ID_LEN &&
            ngx_memcmp(topic.data, kind->prefix, kind->len) == 0) {
            return kind;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_goconnect_state_is(const ngx_goconnect_event_t *event)
{
    const ngx_goconnect_state_kind_t *kind;

    kind = event->seq == 0 ? ngx_goconnect_state_kind(event->topic) : NULL;

    return kind && gc_slice_is(event->type, kind->type);
}


ngx_uint_t
ngx_goconnect_state_topic(gc_slice_t topic)
{
    return ngx_goconnect_state_kind(topic) != NULL;
}


void
ngx_goconnect_state_list_clear(ngx_goconnect_state_list_t *list)
{
    while (list->n) {
        ngx_free(list->items[--list->n].text);
    }

    if (list->items) {
        ngx_free(list->items);
        list->items = NULL;
    }

    list->room = 0;
}


static int ngx_libc_cdecl
ngx_goconnect_state_compare(const void *one, const void *two)
{
    const ngx_goconnect_state_item_t *a, *b;
    int rc;

    a = one;
    b = two;
    rc = ngx_memcmp(a->id, b->id, NGX_GOCONNECT_ID_LEN);

    return rc ? rc : (a->at > b->at) - (a->at < b->at);
}


/* the last word for each */
static void
ngx_goconnect_state_list_settle(ngx_goconnect_state_list_t *list)
{
    ngx_goconnect_state_item_t *items;
    ngx_uint_t i, n;

    items = list->items;

    if (list->n == 0) {
        return;
    }

    qsort(items, list->n, sizeof(*items), ngx_goconnect_state_compare);
    n = 0;

    for (i = 0; i < list->n; i++) {
        if (i + 1 < list->n && ngx_memcmp(items[i].id, items[i + 1].id,
                                          NGX_GOCONNECT_ID_LEN) == 0) {
            ngx_free(items[i].text);
            continue;
        }

        items[n] = items[i];
        items[n].at = (uint32_t) n;
        n++;
    }

    list->n = n;
}


static ngx_int_t
ngx_goconnect_state_list_grow(ngx_goconnect_state_list_t *list)
{
    ngx_goconnect_state_item_t *items;
    ngx_uint_t room;

    if (list->n >= NGX_GOCONNECT_STATE_ITEMS) {
        ngx_goconnect_state_list_settle(list);

        if (list->n <= list->room / 2) {
            return NGX_OK;
        }
    }

    room = list->room ? list->room * 2 : 4;
    items = ngx_alloc(room * sizeof(*items), ngx_cycle->log);

    if (items == NULL) {
        return NGX_ERROR;
    }

    if (list->items) {
        ngx_memcpy(items, list->items, list->n * sizeof(*items));
        ngx_free(list->items);
    }

    list->items = items;
    list->room = room;

    return NGX_OK;
}


static void
ngx_goconnect_state_list_add(ngx_goconnect_state_list_t *list, gc_slice_t id,
                             gc_slice_t text)
{
    ngx_goconnect_state_item_t *item;

    if (id.len != NGX_GOCONNECT_ID_LEN || text.len > NGX_GOCONNECT_STATE_TEXT ||
        (list->n == list->room &&
         ngx_goconnect_state_list_grow(list) != NGX_OK)) {
        return;
    }

    item = &list->items[list->n];
    item->text = ngx_alloc(text.len, ngx_cycle->log);

    if (item->text == NULL) {
        return;
    }

    ngx_memcpy(item->text, text.data, text.len);
    ngx_memcpy(item->id, id.data, NGX_GOCONNECT_ID_LEN);
    item->len = (uint32_t) text.len;
    item->at = (uint32_t) list->n++;
}


/* data: {SCOPE, ID, "status", "endpoint"?}, or an item of a list of them */
static void
ngx_goconnect_state_list_word(ngx_goconnect_state_list_t *list,
                              const ngx_goconnect_state_kind_t *kind,
                              gc_slice_t data)
{
    gc_slice_t id, status, endpoint;
    u_char buf[NGX_GOCONNECT_STATE_TEXT], *p, *last;

    if (!gc_json_find_plain(data, kind->id, &id) ||
        !gc_json_find_plain(data, "status", &status)) {
        return;
    }

    last = buf + sizeof(buf);
    p = ngx_slprintf(buf, last, "{\"%s\":\"%*s\",\"status\":\"%*s\"", kind->id,
                     id.len, id.data, status.len, status.data);

    if (gc_json_find(data, "endpoint", &endpoint)) {
        p = ngx_slprintf(p, last, ",\"endpoint\":%*s", endpoint.len,
                         endpoint.data);
    }

    if (p < last) {
        *p++ = '}';
        ngx_goconnect_state_list_add(
            list, id, ngx_goconnect_slice(buf, (size_t) (p - buf)));
    }
}


void
ngx_goconnect_state_list_data(ngx_goconnect_state_list_t *list,
                              const ngx_goconnect_state_kind_t *kind,
                              gc_slice_t data)
{
    gc_json_iter_t it;
    gc_slice_t items, item;

    if (!gc_json_find(data, kind->list, &items)) {
        ngx_goconnect_state_list_word(list, kind, data);
        return;
    }

    if (gc_json_array(&it, items) == 0) {
        while (gc_json_item(&it, &item)) {
            ngx_goconnect_state_list_word(list, kind, item);
        }
    }
}


/* {"type","topic","data":{SCOPE,ITEM}}, or {SCOPE,LIST:[ITEM,...]} */
static ngx_goconnect_ws_frame_t *
ngx_goconnect_state_frame(const ngx_goconnect_state_kind_t *kind,
                          gc_slice_t topic,
                          const ngx_goconnect_state_item_t *items, ngx_uint_t n)
{
    ngx_goconnect_ws_frame_t *frame;
    u_char *buf, *p, *last;
    ngx_uint_t i;
    size_t size;

    size = 192 + 2 * topic.len;

    for (i = 0; i < n; i++) {
        size += items[i].len + 1;
    }

    buf = ngx_alloc(size, ngx_cycle->log);
    if (buf == NULL) {
        return NULL;
    }

    last = buf + size;
    p = ngx_slprintf(buf, last,
                     "{\"type\":\"%s\",\"topic\":\"%*s\",\"data\":{"
                     "\"%s\":\"%*s\",",
                     kind->type, topic.len, topic.data, kind->scope,
                     topic.len - kind->len, topic.data + kind->len);

    if (n == 1) {
        p = ngx_slprintf(p, last, "%*s}", (size_t) items->len - 1,
                         items->text + 1);

    } else {
        p = ngx_slprintf(p, last, "\"%s\":[", kind->list);

        for (i = 0; i < n; i++) {
            p = ngx_slprintf(p, last, i ? ",%*s" : "%*s", (size_t) items[i].len,
                             items[i].text);
        }

        p = ngx_slprintf(p, last, "]}}");
    }

    frame = ngx_goconnect_ws_frame_text(buf, (size_t) (p - buf));
    ngx_free(buf);

    return frame;
}


/* as many items as a frame takes */
static ngx_uint_t
ngx_goconnect_state_part(const ngx_goconnect_state_item_t *items, ngx_uint_t n)
{
    ngx_uint_t i;
    size_t size;

    size = 0;

    for (i = 0; i < n; i++) {
        size += items[i].len + 1;

        if (i && size > NGX_GOCONNECT_STATE_PART) {
            break;
        }
    }

    return i;
}


ngx_int_t
ngx_goconnect_state_list_tell(ngx_goconnect_state_list_t *list,
                              gc_slice_t topic,
                              ngx_goconnect_state_tell_pt tell, void *data)
{
    const ngx_goconnect_state_kind_t *kind;
    ngx_goconnect_ws_frame_t *frame;
    ngx_uint_t i, n;
    ngx_int_t rc;

    kind = ngx_goconnect_state_kind(topic);
    rc = NGX_OK;

    ngx_goconnect_state_list_settle(list);

    for (i = 0; i < list->n && rc == NGX_OK; i += n) {
        n = ngx_goconnect_state_part(list->items + i, list->n - i);
        frame = ngx_goconnect_state_frame(kind, topic, list->items + i, n);
        rc = frame ? tell(data, frame) : NGX_ERROR;

        if (frame) {
            ngx_goconnect_ws_frame_unref(frame);
        }
    }

    return rc;
}


ngx_int_t
ngx_goconnect_state_snapshot(gc_slice_t topic, gc_slice_t items,
                             ngx_goconnect_state_tell_pt tell, void *data)
{
    const ngx_goconnect_state_kind_t *kind;
    ngx_goconnect_state_list_t list;
    gc_json_iter_t it;
    gc_slice_t item;
    ngx_int_t rc;

    kind = ngx_goconnect_state_kind(topic);

    if (kind == NULL || gc_json_array(&it, items) != 0) {
        return NGX_OK;
    }

    ngx_memzero(&list, sizeof(list));

    while (gc_json_item(&it, &item)) {
        ngx_goconnect_state_list_word(&list, kind, item);
    }

    rc = ngx_goconnect_state_list_tell(&list, topic, tell, data);
    ngx_goconnect_state_list_clear(&list);

    return rc;
}
