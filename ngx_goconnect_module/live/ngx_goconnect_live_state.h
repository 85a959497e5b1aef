/*
 * What the files of a topic's state share: lists of who is here.
 */


#ifndef NGX_GOCONNECT_LIVE_STATE_H
#define NGX_GOCONNECT_LIVE_STATE_H


#include "live/ngx_goconnect_live_topic.h"


/* what there is state of */
typedef struct {
    const char *prefix; /* of the topic */
    size_t len;
    const char *type; /* of the frame */
    const char *scope;
    const char *list;
    const char *id;
} ngx_goconnect_state_kind_t;


/* what is to be told of one peer or user: {"peer_id":...,"status":...} */
typedef struct {
    u_char id[NGX_GOCONNECT_ID_LEN];
    uint32_t at; /* in the list, as they came */
    uint32_t len;
    u_char *text;
} ngx_goconnect_state_item_t;


typedef struct {
    ngx_goconnect_state_item_t *items;
    ngx_uint_t n;
    ngx_uint_t room;
} ngx_goconnect_state_list_t;


/* NULL: there is no state of this topic */
const ngx_goconnect_state_kind_t *ngx_goconnect_state_kind(gc_slice_t topic);

/* adds what the data of a frame says, of one or of many */
void ngx_goconnect_state_list_data(ngx_goconnect_state_list_t *list,
                                   const ngx_goconnect_state_kind_t *kind,
                                   gc_slice_t data);

/* calls tell with each frame: the last word for each; NGX_ERROR ends it */
ngx_int_t ngx_goconnect_state_list_tell(ngx_goconnect_state_list_t *list,
                                        gc_slice_t topic,
                                        ngx_goconnect_state_tell_pt tell,
                                        void *data);

void ngx_goconnect_state_list_clear(ngx_goconnect_state_list_t *list);


#endif /* NGX_GOCONNECT_LIVE_STATE_H */
