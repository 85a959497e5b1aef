-- What people do with their own account: name, password, sessions.

-- Locks what belongs to a user, in the order of all: the networks that his
-- devices are in, his row (and another's), his devices. After it nobody adds a
-- peer or a session to him.
CREATE FUNCTION api_1._lock_account(account uuid, other uuid DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    nets uuid[] := ARRAY(SELECT DISTINCT p.network_id FROM goconnect.peers p
                          WHERE p.user_id = account);
BEGIN
    PERFORM api_1._lock_networks(nets);
    PERFORM FROM goconnect.users u WHERE u.id IN (account, other)
      ORDER BY u.id FOR NO KEY UPDATE;
    PERFORM FROM goconnect.devices d WHERE d.user_id = account
      ORDER BY d.id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM goconnect.peers p
                WHERE p.user_id = account AND NOT p.network_id = ANY (nets))
    THEN
        PERFORM api_1._raise_moved();
    END IF;
END
$$;

-- Ends sessions of a user, all but one that may be named, and returns what must
-- be told of it. what: 'people' those without a device; 'sessions' those of
-- devices too, with what they have in their networks; 'all' also the peers of
-- devices that have no session. The caller holds _lock_account.
CREATE FUNCTION api_1._end_sessions(account uuid, keep uuid, what text, reason text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    gone uuid[] := '{}';
    devices uuid[] := '{}';
    ended api_1.event[];
    evs api_1.event[] := '{}';
BEGIN
    IF what <> 'people' THEN
        SELECT coalesce(array_agg(p.id), '{}'), coalesce(array_agg(DISTINCT p.device_id), '{}')
          INTO gone, devices
          FROM goconnect.peers p
         WHERE p.user_id = account
           AND (what = 'all'
                OR EXISTS (SELECT FROM goconnect.sessions s WHERE s.device_id = p.device_id));
        evs := api_1._remove_peers(gone);
    END IF;
    WITH d AS (
        DELETE FROM goconnect.sessions s
         WHERE s.user_id = account AND s.id IS DISTINCT FROM keep
           AND (s.device_id IS NULL OR what <> 'people')
        RETURNING s.id, s.device_id
    )
    SELECT coalesce(array_agg(api_1._event(
               CASE WHEN d.device_id IS NULL THEN 'user:' || account
                    ELSE 'device:' || d.device_id END, 'revoked',
               api_1._revoked('session', d.id, d.device_id, NULL, NULL, '{}', reason))
               ORDER BY d.id), '{}')
      INTO ended FROM d;
    RETURN evs || ended || api_1._self_events(devices);
END
$$;

-- What is told of a new username: the maps, and the lists of members.
CREATE FUNCTION api_1._renamed_events(account uuid) RETURNS api_1.event[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT api_1._event('network:' || p.network_id, 'netmap_delta',
                   api_1._delta(p.network_id, array_agg(p.id ORDER BY p.id), '{}'))
          FROM goconnect.peers p WHERE p.user_id = account
         GROUP BY p.network_id ORDER BY p.network_id)
    || ARRAY(
        SELECT api_1._event(
                   CASE WHEN m.network_id IS NOT NULL THEN 'network:' || m.network_id
                        WHEN m.status = 'active' THEN 'tenant:' || m.tenant_id
                        ELSE 'tenant:' || m.tenant_id || '/staff' END, 'member',
                   api_1._member_change('changed', m.tenant_id, m.network_id,
                       api_1._member_object(m.tenant_id, m.network_id, account)))
          FROM goconnect.memberships m
          JOIN goconnect.tenants t ON t.id = m.tenant_id AND t.deleted_at IS NULL
         WHERE m.user_id = account
           AND (m.status = 'active' OR m.status = 'pending' AND m.network_id IS NULL)
         ORDER BY m.tenant_id, m.network_id NULLS FIRST);
END
$$;

-- body: username?, email?, settings?
CREATE FUNCTION api_1.users_update(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    old goconnect.users;
    new goconnect.users;
    mail text := nullif(btrim(body ->> 'email'), '');
    errs json[] := '{}';
    evs api_1.event[];
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF body ? 'username' THEN
        PERFORM api_1._lock_account(ctx.user_id);
    END IF;
    SELECT u.* INTO old FROM goconnect.users u WHERE u.id = ctx.user_id FOR NO KEY UPDATE;
    IF NOT api_1._matches(ctx.if_match, old.rev) THEN
        RETURN api_1._stale();
    END IF;
    IF body ? 'username'
       AND coalesce(lower((body ->> 'username') COLLATE "C") ~ '^[a-z0-9][a-z0-9_.-]{2,31}$', false) IS FALSE
    THEN
        errs := errs || api_1._wrong('username', 'invalid',
            'A username has 3 to 32 of a-z, 0-9, "_", "." and "-", and begins with a letter or digit.');
    END IF;
    IF mail IS NOT NULL AND (char_length(mail) > 254
        OR mail !~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+$')
    THEN
        errs := errs || api_1._wrong('email', 'invalid', 'This is not an e-mail address.');
    END IF;
    IF body ? 'settings' AND goconnect.settings_valid('user', body -> 'settings') IS NOT TRUE THEN
        errs := errs || api_1._wrong('settings', 'invalid',
            'Settings have a fixed set of members, at most 8 KiB together.');
    END IF;
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    IF EXISTS (SELECT FROM goconnect.users u
                WHERE u.username_norm = lower((body ->> 'username') COLLATE "C")
                  AND u.id <> ctx.user_id)
    THEN
        RETURN api_1._refuse(409, 'username_taken', 'This username is taken.');
    END IF;

    UPDATE goconnect.users u
       SET username = coalesce(body ->> 'username', old.username),
           email = CASE WHEN body ? 'email' THEN mail ELSE old.email END,
           settings = coalesce(body -> 'settings', old.settings)
     WHERE u.id = ctx.user_id
    RETURNING u.* INTO new;
    PERFORM api_1._audit(ctx, NULL, 'user.update', 'user', ctx.user_id,
        api_1._changes(to_jsonb(old) - 'email_norm', to_jsonb(new) - 'email_norm'));
    evs := ARRAY[api_1._event('user:' || ctx.user_id, 'user',
        json_build_object('change', 'changed', 'user', api_1._user_object(ctx.user_id)))];
    IF new.username <> old.username THEN
        evs := evs || api_1._renamed_events(ctx.user_id);
    END IF;
    RETURN api_1._ok(200, api_1._user_object(ctx.user_id),
        api_1._etag(new.rev, left(ctx.session_id::text, 8)), NULL, api_1._publish(evs));
END
$$;

-- ------------------------------------------------------------------- passwords

CREATE FUNCTION api_1.auth_password_begin(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    u record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.password_hash, x.locked_until INTO u FROM goconnect.users x
     WHERE x.id = ctx.user_id;
    IF u.locked_until > now() THEN
        RETURN api_1._refuse(429, 'too_many_attempts',
            'Too many wrong passwords for this account; try again in a minute.');
    END IF;
    RETURN api_1._ok(200, json_build_object('password_hash', u.password_hash));
END
$$;

-- body: devices?, old_hash (as begin gave it), verified, password_hash (the new
-- one). The session that asks stays; the others end, and so do those of devices
-- unless devices is false.
CREATE FUNCTION api_1.auth_password(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    u record;
    with_devices boolean := coalesce((body ->> 'devices')::boolean, true);
    evs api_1.event[];
BEGIN
    PERFORM api_1._lock_account(ctx.user_id);
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.password_hash INTO u FROM goconnect.users x WHERE x.id = ctx.user_id;
    IF (body ->> 'verified')::boolean IS NOT TRUE THEN
        UPDATE goconnect.users x
           SET failed_logins = x.failed_logins + 1,
               locked_until = CASE WHEN x.failed_logins >= 19
                                   THEN now() + interval '1 minute' END
         WHERE x.id = ctx.user_id;
        RETURN api_1._refuse(403, 'wrong_password', 'This is not the password.');
    END IF;
    IF u.password_hash IS DISTINCT FROM body ->> 'old_hash' THEN
        RETURN api_1._refuse(403, 'wrong_password', 'The password was changed a moment ago.');
    END IF;

    UPDATE goconnect.users x
       SET password_hash = body ->> 'password_hash', failed_logins = 0, locked_until = NULL
     WHERE x.id = ctx.user_id;
    DELETE FROM goconnect.reset_links l WHERE l.user_id = ctx.user_id;
    evs := api_1._end_sessions(ctx.user_id, ctx.session_id,
        CASE WHEN with_devices THEN 'sessions' ELSE 'people' END, 'password_changed');
    PERFORM api_1._audit(ctx, NULL, 'user.password', 'user', ctx.user_id,
        api_1._changes(jsonb_build_object('password_hash', u.password_hash),
                       jsonb_build_object('password_hash', body ->> 'password_hash'))
        || jsonb_build_object('devices', with_devices));
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;

-- The user whom a link lets set a password; no row if it is none, was used or
-- is too old.
CREATE FUNCTION api_1._reset_user(token text) RETURNS TABLE (account uuid)
LANGUAGE sql STABLE AS $$
    SELECT l.user_id FROM goconnect.reset_links l
      JOIN goconnect.users u ON u.id = l.user_id
     WHERE l.hash = api_1._hash(token) AND l.expires_at > now() AND l.used_at IS NULL
       AND u.kind = 'person' AND u.deleted_at IS NULL
$$;

-- body: token_hash. Looked at first, so that only a good link costs a hash.
CREATE FUNCTION api_1.auth_reset_begin(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM api_1._reset_user(body ->> 'token_hash')) THEN
        RETURN api_1._refuse(403, 'invalid_reset_token',
            'This link is not valid, or was used before; ask for another.');
    END IF;
    RETURN api_1._ok(200, '{}');
END
$$;

-- body: token_hash, password_hash. Every session ends, those of devices too:
-- who asks for this may have lost them.
CREATE FUNCTION api_1.auth_reset(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    account uuid;
    evs api_1.event[];
BEGIN
    SELECT x.account INTO account FROM api_1._reset_user(body ->> 'token_hash') x;
    PERFORM api_1._lock_account(account);
    IF NOT EXISTS (SELECT FROM api_1._reset_user(body ->> 'token_hash')) THEN
        RETURN api_1._refuse(403, 'invalid_reset_token',
            'This link is not valid, or was used before; ask for another.');
    END IF;

    DELETE FROM goconnect.reset_links l WHERE l.user_id = account;
    UPDATE goconnect.users u
       SET password_hash = body ->> 'password_hash', failed_logins = 0, locked_until = NULL
     WHERE u.id = account;
    evs := api_1._end_sessions(account, NULL, 'sessions', 'password_changed');
    ctx.user_id := account;
    PERFORM api_1._audit(ctx, NULL, 'user.password_reset', 'user', account,
        api_1._changes('{"password_hash": "old"}', '{"password_hash": "new"}'));
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;

-- -------------------------------------------------------------------- sessions

CREATE FUNCTION api_1.auth_sessions_list(ctx api_1.ctx, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    n integer := api_1._limit(lim);
    page record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;
    SELECT array_agg(json_build_object('id', o.id, 'current', o.id = ctx.session_id,
                         'device', CASE WHEN o.device_id IS NOT NULL THEN
                             json_build_object('id', o.device_id, 'name', o.name) END,
                         'address', host(o.address), 'created_at', o.created_at,
                         'last_used_at', o.last_used_at, 'expires_at', o.expires_at)) AS items,
           array_agg(api_1._cursor(o.created_at, o.id)) AS cursors
      INTO page
      FROM (SELECT s.*, d.name FROM goconnect.sessions s
              LEFT JOIN goconnect.devices d ON d.id = s.device_id
             WHERE s.user_id = ctx.user_id AND s.expires_at > now()
               AND (s.created_at, s.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
             ORDER BY s.created_at, s.id LIMIT n + 1) o;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

CREATE FUNCTION api_1.auth_sessions_delete(ctx api_1.ctx, session uuid)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    s record;
    evs api_1.event[];
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.device_id INTO s FROM goconnect.sessions x
     WHERE x.id = session AND x.user_id = ctx.user_id;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    evs := api_1._end_session(session, ctx.user_id, s.device_id, 'ended');
    PERFORM api_1._audit(ctx, NULL, 'session.end', 'session', session,
        api_1._changes(jsonb_build_object('user_id', ctx.user_id, 'device_id', s.device_id),
                       NULL));
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;
