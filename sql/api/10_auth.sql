-- Accounts and sessions. Passwords, tokens and codes reach the database only as
-- hashes; the module makes them and adds them to the answers.

-- Keeps whoever takes a user's sessions away from doing so until the commit,
-- and refuses if he was a moment earlier: no session begins behind his back.
-- Before any device is locked.
CREATE FUNCTION api_1._hold_user(ctx api_1.ctx, owner uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM goconnect.users u WHERE u.id = owner AND u.suspended_at IS NULL
        FOR SHARE;
    IF NOT FOUND THEN
        PERFORM api_1._raise(403, 'suspended', 'This account is suspended.');
    END IF;
    IF ctx.session_id IS NOT NULL
       AND NOT EXISTS (SELECT FROM goconnect.sessions s WHERE s.id = ctx.session_id)
    THEN
        PERFORM api_1._raise(401, 'session_revoked', 'The session has ended; log in again.');
    END IF;
END
$$;

-- A new session and the hash of its first refresh token.
CREATE FUNCTION api_1._start_session(ctx api_1.ctx, owner uuid, device uuid, refresh text)
RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    session uuid;
BEGIN
    PERFORM api_1._hold_user(ctx, owner);
    INSERT INTO goconnect.sessions AS s (user_id, device_id, address, expires_at)
    VALUES (owner, device, ctx.address, now() + interval '30 days')
    RETURNING s.id INTO session;
    INSERT INTO goconnect.refresh_tokens (hash, session_id, generation)
    VALUES (api_1._hash(refresh), session, 1);
    RETURN session;
END
$$;

-- Ends a session and returns what must be told of it. With the session of a
-- device goes what it has in its networks: nobody could take it back later.
CREATE FUNCTION api_1._end_session(session uuid, owner uuid, device uuid, reason text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    evs api_1.event[] := '{}';
    nets uuid[];
BEGIN
    IF device IS NULL THEN
        DELETE FROM goconnect.sessions s WHERE s.id = session;
        RETURN evs || api_1._event('user:' || owner, 'revoked',
            api_1._revoked('session', session, NULL, NULL, NULL, '{}', reason));
    END IF;

    SELECT array_agg(p.network_id) INTO nets
      FROM goconnect.peers p WHERE p.device_id = device;
    PERFORM api_1._lock_networks(nets);
    PERFORM FROM goconnect.devices d WHERE d.id = device FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM goconnect.peers p
                WHERE p.device_id = device AND NOT p.network_id = ANY (coalesce(nets, '{}')))
    THEN
        PERFORM api_1._raise_moved();
    END IF;

    evs := api_1._remove_peers(ARRAY(SELECT p.id FROM goconnect.peers p
                                      WHERE p.device_id = device));
    DELETE FROM goconnect.sessions s WHERE s.id = session;
    RETURN evs || api_1._self_events(ARRAY[device])
        || api_1._event('device:' || device, 'revoked',
            api_1._revoked('session', session, device, NULL, NULL, '{}', reason));
END
$$;

-- body: username, password_hash, email?, refresh_hash
CREATE FUNCTION api_1.auth_register(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    errs json[] := '{}';
    mail text := nullif(btrim(body ->> 'email'), '');
    account uuid;
    session uuid;
BEGIN
    IF coalesce(lower((body ->> 'username') COLLATE "C") ~ '^[a-z0-9][a-z0-9_.-]{2,31}$', false) IS FALSE THEN
        errs := errs || api_1._wrong('username', 'invalid',
            'A username has 3 to 32 of a-z, 0-9, "_", "." and "-", and begins with a letter or digit.');
    END IF;
    IF mail IS NOT NULL AND (char_length(mail) > 254
        OR mail !~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+$')
    THEN
        errs := errs || api_1._wrong('email', 'invalid', 'This is not an e-mail address.');
    END IF;
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    IF EXISTS (SELECT FROM goconnect.users u
                WHERE u.username_norm = lower((body ->> 'username') COLLATE "C"))
    THEN
        RETURN api_1._refuse(409, 'username_taken', 'This username is taken.');
    END IF;

    INSERT INTO goconnect.users AS u (username, email, password_hash)
    VALUES (body ->> 'username', mail, body ->> 'password_hash')
    RETURNING u.id INTO account;
    session := api_1._start_session(ctx, account, NULL, body ->> 'refresh_hash');
    ctx.user_id := account;
    PERFORM api_1._audit(ctx, NULL, 'user.register', 'user', account,
        api_1._changes(NULL, (SELECT to_jsonb(u) - '{settings,password_hash}'::text[]
                                FROM goconnect.users u WHERE u.id = account)));
    RETURN api_1._ok(201, json_build_object('user', api_1._user_object(account),
                                            'session_id', session));
END
$$;

-- Too many wrong passwords close an account for a while, but not to an address
-- that the user is logged in from: else anybody could keep him out.
CREATE FUNCTION api_1._locked_out(ctx api_1.ctx, account uuid, until timestamptz)
RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN coalesce(until > now(), false)
       AND NOT EXISTS (SELECT FROM goconnect.sessions s
                        WHERE s.user_id = account AND s.address = ctx.address
                          AND s.expires_at > now());
END
$$;

-- What the module needs to check a password; nulls if there is no such user.
CREATE FUNCTION api_1.auth_login_begin(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    u record;
BEGIN
    SELECT x.id, x.password_hash, x.locked_until INTO u
      FROM goconnect.users x
     WHERE x.username_norm = lower((body ->> 'username') COLLATE "C") AND x.kind = 'person'
       AND x.deleted_at IS NULL;
    IF api_1._locked_out(ctx, u.id, u.locked_until) THEN
        RETURN api_1._refuse(429, 'too_many_attempts',
            'Too many wrong passwords for this account; try again in a minute.');
    END IF;
    RETURN api_1._ok(200, json_build_object('user_id', u.id,
                                            'password_hash', u.password_hash));
END
$$;

-- body: user_id, password_hash (as begin gave it), verified, refresh_hash
CREATE FUNCTION api_1.auth_login(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    u goconnect.users;
    session uuid;
BEGIN
    SELECT x.* INTO u FROM goconnect.users x
     WHERE x.id = (body ->> 'user_id')::uuid AND x.kind = 'person'
       AND x.deleted_at IS NULL
       FOR NO KEY UPDATE;
    IF NOT FOUND OR u.password_hash IS DISTINCT FROM body ->> 'password_hash'
       OR (body ->> 'verified')::boolean IS NOT TRUE
       OR api_1._locked_out(ctx, u.id, u.locked_until)
    THEN
        IF u.id IS NOT NULL AND (body ->> 'verified')::boolean IS NOT TRUE THEN
            UPDATE goconnect.users x
               SET failed_logins = x.failed_logins + 1,
                   locked_until = CASE WHEN x.failed_logins >= 19
                                       THEN now() + interval '1 minute' END
             WHERE x.id = u.id;
        END IF;
        RETURN api_1._refuse(401, 'invalid_credentials', 'The username or the password is wrong.');
    END IF;
    IF u.suspended_at IS NOT NULL THEN
        RETURN api_1._refuse(403, 'suspended', 'This account is suspended.');
    END IF;

    IF u.failed_logins > 0 THEN
        UPDATE goconnect.users x SET failed_logins = 0, locked_until = NULL WHERE x.id = u.id;
    END IF;
    session := api_1._start_session(ctx, u.id, NULL, body ->> 'refresh_hash');
    ctx.user_id := u.id;
    PERFORM api_1._audit(ctx, NULL, 'session.start', 'session', session,
        api_1._changes(NULL, jsonb_build_object('user_id', u.id)));
    RETURN api_1._ok(200, json_build_object('user', api_1._user_object(u.id),
                                            'session_id', session));
END
$$;

-- body: refresh_hash (of the token that was presented), next_refresh_hash
--
-- A token of the generation after the last used one is the normal case. The
-- last used one itself is taken again as long as none of its successors was
-- used: the answer with them may have been lost. Everything else that we know
-- was used before and comes from a copy, so the session ends.
CREATE FUNCTION api_1.auth_refresh(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    given bytea := api_1._hash(body ->> 'refresh_hash');
    s record;
    evs api_1.event[];
BEGIN
    SELECT t.generation, x.id, x.user_id, x.device_id, x.generation AS used, x.used_hash,
           x.expires_at
      INTO s
      FROM goconnect.refresh_tokens t
      JOIN goconnect.sessions x ON x.id = t.session_id
     WHERE t.hash = given
       FOR NO KEY UPDATE OF x;
    IF NOT FOUND OR s.expires_at <= now() THEN
        RETURN api_1._refuse(401, 'invalid_refresh_token', 'This refresh token is not valid.');
    END IF;

    ctx.user_id := s.user_id;
    IF NOT (s.generation = s.used + 1 OR s.generation = s.used AND s.used_hash = given) THEN
        PERFORM api_1._audit(ctx, NULL, 'session.token_reused', 'session', s.id,
            api_1._changes(jsonb_build_object('user_id', s.user_id, 'device_id', s.device_id),
                           NULL));
        evs := api_1._end_session(s.id, s.user_id, s.device_id, 'token_reused');
        RETURN ROW(401, json_build_object('code', 'invalid_refresh_token',
                       'detail', 'This refresh token was used before; log in again.'),
                   NULL, NULL, api_1._publish(evs))::api_1.reply;
    END IF;

    UPDATE goconnect.sessions x
       SET generation = s.generation, used_hash = given, last_used_at = now(),
           expires_at = now() + interval '30 days'
     WHERE x.id = s.id;
    INSERT INTO goconnect.refresh_tokens (hash, session_id, generation)
    VALUES (api_1._hash(body ->> 'next_refresh_hash'), s.id, s.generation + 1);
    -- bounds: what is far behind is not recognised as a copy any more, and of
    -- answers that were lost only the last few stay good
    DELETE FROM goconnect.refresh_tokens t
     WHERE t.session_id = s.id
       AND (t.generation < s.generation - 100
            OR t.generation = s.generation + 1
               AND t.hash NOT IN (SELECT n.hash FROM goconnect.refresh_tokens n
                                   WHERE n.session_id = s.id
                                     AND n.generation = s.generation + 1
                                   ORDER BY n.created_at DESC LIMIT 4));
    RETURN api_1._ok(200, json_build_object('user_id', s.user_id, 'session_id', s.id,
                                            'device_id', s.device_id));
END
$$;

CREATE FUNCTION api_1.auth_logout(ctx api_1.ctx) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    evs api_1.event[];
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    evs := api_1._end_session(ctx.session_id, ctx.user_id, ctx.device_id, 'logout');
    PERFORM api_1._audit(ctx, NULL, 'session.end', 'session', ctx.session_id,
        api_1._changes(jsonb_build_object('user_id', ctx.user_id, 'device_id', ctx.device_id),
                       NULL));
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;

CREATE FUNCTION api_1.auth_me(ctx api_1.ctx) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    me record;
BEGIN
    SELECT u.rev, s.id AS session,
           json_build_object(
               'user', json_build_object('id', u.id, 'username', u.username,
                   'email', u.email, 'settings', u.settings,
                   'server_admin', u.server_admin, 'created_at', u.created_at,
                   'updated_at', u.updated_at),
               'session', json_build_object('id', s.id, 'created_at', s.created_at),
               'device', (SELECT row_to_json(d) FROM api_1._devices d
                           WHERE d.id = s.device_id)) AS body
      INTO me
      FROM goconnect.sessions s
      JOIN goconnect.users u ON u.id = s.user_id
     WHERE s.id = ctx.session_id AND s.user_id = ctx.user_id
       AND s.device_id IS NOT DISTINCT FROM ctx.device_id AND s.expires_at > now();
    IF NOT FOUND THEN
        RETURN api_1._any(ctx);
    END IF;
    RETURN api_1._ok(200, me.body, api_1._etag(me.rev, left(me.session::text, 8)));
END
$$;
