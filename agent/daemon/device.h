#ifndef GC_DAEMON_DEVICE_H
#define GC_DAEMON_DEVICE_H

#include "daemon/daemon.h"

#define DEVICE_EARLY_MS 60000 /* a token is renewed so long before its end */

/*
 * Reads the device's document. A damaged one is put aside and said: the
 * device is then enrolled for nobody.
 */
int device_load(daemon_t *daemon, err_t *err);

/* Makes the identity key, if there is none, and keeps it. */
int device_identity(daemon_t *daemon, err_t *err);

/* Takes what the client hands over (`enroll`), durably. */
int device_enroll(daemon_t *daemon, const json_t *request, err_t *err);

/* Forgets account, identity and tokens, durably. */
int device_forget(daemon_t *daemon, err_t *err);

/* Forgets the access token: the next use begins with a refresh. */
void device_token_refused(daemon_t *daemon);

/*
 * A request as this device. Waits for a token that lives (the new refresh
 * token is on disk before its access token is used); if the server refuses
 * the token, once more with a new one. done is called once, never from inside
 * this call; with status 401 the device is no longer accepted.
 * method NULL: only the token is wanted (status 200).
 */
device_call_t *device_call(daemon_t *daemon, const char *method,
                           const char *path, json_t *body, http_done_pt done,
                           void *arg);
void device_call_cancel(device_call_t *call);

/* Ends everything under way. */
void device_stop(daemon_t *daemon);

#endif
