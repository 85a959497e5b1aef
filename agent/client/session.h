#ifndef GC_CLIENT_SESSION_H
#define GC_CLIENT_SESSION_H

#include "client/client.h"

/*
 * The user's session is one document, session.json of mode 0600, in
 * $XDG_STATE_HOME/goconnect (~/.local/state/goconnect).
 */

/* -1: code "not_logged_in" if there is none. */
int session_load(session_t *session, err_t *err);

/*
 * Takes a token answer of the server (access_token, refresh_token,
 * expires_in; user where it has one) and keeps the session durably.
 */
int session_take(session_t *session, const json_t *answer, err_t *err);

int session_remove(err_t *err);
void session_wipe(session_t *session);

/* Waits its turn among the user's programs: a descriptor to close, or -1. */
int session_lock(err_t *err);

#endif
