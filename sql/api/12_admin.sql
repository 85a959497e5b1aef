-- The server's administration: for users who are server admins.

-- Empty if the caller is a server admin with a session of his own.
CREATE FUNCTION api_1._server_admin(ctx api_1.ctx) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NULL
       AND NOT EXISTS (SELECT FROM goconnect.users u
                        WHERE u.id = ctx.user_id AND u.server_admin)
    THEN
        r := api_1._refuse(403, 'forbidden', 'This is for server admins.');
    END IF;
    RETURN r;
END
$$;

CREATE VIEW api_1._accounts AS
    SELECT u.id, u.username, u.email, u.kind, u.server_admin, u.suspended_at,
           u.suspended_reason, u.created_at, u.updated_at
      FROM goconnect.users u WHERE u.deleted_at IS NULL;

CREATE FUNCTION api_1._account_object(account uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT row_to_json(o) FROM api_1._accounts o WHERE o.id = account);
END
$$;

-- Cursors of lists that are ordered by a name.
CREATE FUNCTION api_1._name_cursor(name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT encode(convert_to(name, 'UTF8'), 'hex')
$$;

-- '' before the first; NULL if it is no cursor.
CREATE FUNCTION api_1._name_after(cur text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF cur IS NULL THEN
        RETURN '';
    END IF;
    RETURN CASE WHEN cur ~ '^([0-9a-f]{2})+$' THEN convert_from(decode(cur, 'hex'), 'UTF8') END;
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN NULL;
END
$$;

-- q: the beginning of a username, or a whole e-mail address.
CREATE FUNCTION api_1.admin_users_list(ctx api_1.ctx, q text, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    part text := lower(coalesce(btrim(q), '') COLLATE "C");
    after text := api_1._name_after(cur);
    n integer := api_1._limit(lim);
    ids uuid[];
    page record;
BEGIN
    r := api_1._server_admin(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF after IS NULL THEN
        RETURN api_1._bad_cursor();
    END IF;
    IF strpos(part, '@') > 1 THEN
        ids := ARRAY(SELECT u.id FROM goconnect.users u
                      WHERE u.email_norm = part AND u.deleted_at IS NULL
                        AND u.username_norm > after
                      ORDER BY u.username_norm LIMIT n + 1);
    ELSE
        ids := ARRAY(SELECT u.id FROM goconnect.users u
                      WHERE u.username_norm > after AND u.username_norm >= part
                        AND u.username_norm < part || chr(1114111)
                        AND u.deleted_at IS NULL
                      ORDER BY u.username_norm LIMIT n + 1);
    END IF;
    SELECT array_agg(row_to_json(o) ORDER BY k.place) AS items,
           array_agg(api_1._name_cursor(lower(o.username COLLATE "C")) ORDER BY k.place) AS cursors
      INTO page
      FROM unnest(ids) WITH ORDINALITY AS k (id, place)
      JOIN api_1._accounts o ON o.id = k.id;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

-- A tenant as a server admin sees it: how large it is and who answers for it,
-- not what is in it.
CREATE FUNCTION api_1._admin_tenants(ids uuid[])
RETURNS TABLE (id uuid, name text, slug text, visibility text, access text,
               member_count bigint, network_count bigint, owners json,
               created_at timestamptz, updated_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT t.id, t.name, t.slug, t.visibility, t.access,
           (SELECT count(*) FROM goconnect.memberships m
             WHERE m.tenant_id = t.id AND m.network_id IS NULL AND m.status = 'active'),
           (SELECT count(*) FROM goconnect.networks n WHERE n.tenant_id = t.id),
           (SELECT coalesce(json_agg(json_build_object('user_id', u.id, 'username', u.username)
                                     ORDER BY u.username_norm), '[]'::json)
              FROM (SELECT m.user_id FROM goconnect.memberships m
                     WHERE m.tenant_id = t.id AND m.network_id IS NULL
                       AND m.role = 'owner' AND m.status = 'active'
                     ORDER BY m.created_at LIMIT 10) o
              JOIN goconnect.users u ON u.id = o.user_id),
           t.created_at, t.updated_at
      FROM unnest(ids) WITH ORDINALITY AS k (id, place)
      JOIN goconnect.tenants t ON t.id = k.id
     ORDER BY k.place
$$;

-- q: a part of the name.
CREATE FUNCTION api_1.admin_tenants_list(ctx api_1.ctx, q text, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    part text := nullif(btrim(q), '');
    n integer := api_1._limit(lim);
    ids uuid[];
    page record;
BEGIN
    r := api_1._server_admin(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;
    IF part IS NULL THEN
        ids := ARRAY(SELECT t.id FROM goconnect.tenants t
                      WHERE t.deleted_at IS NULL
                        AND (t.created_at, t.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
                      ORDER BY t.created_at, t.id LIMIT n + 1);
    ELSE
        ids := ARRAY(SELECT t.id FROM goconnect.tenants t
                      WHERE t.deleted_at IS NULL
                        AND goconnect.grams(t.name) @> api_1._grams(part)
                        AND strpos(lower(t.name), lower(part)) > 0
                        AND (t.created_at, t.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
                      ORDER BY t.created_at, t.id LIMIT n + 1);
    END IF;
    SELECT array_agg(row_to_json(o)) AS items,
           array_agg(api_1._cursor(o.created_at, o.id)) AS cursors
      INTO page FROM api_1._admin_tenants(ids) o;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

-- How many rows a table has: counted as long as it is small, else the estimate
-- that PostgreSQL keeps.
CREATE FUNCTION api_1._tally(name text, OUT n bigint, OUT estimated boolean)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    small CONSTANT integer := 2000;
BEGIN
    n := (SELECT c.reltuples FROM pg_class c
           WHERE c.relnamespace = 'goconnect'::regnamespace AND c.relname = name);
    estimated := n > small;
    IF estimated THEN
        RETURN;
    END IF;
    CASE name
    WHEN 'users' THEN
        SELECT count(*) INTO n FROM (SELECT FROM goconnect.users LIMIT small + 1) x;
    WHEN 'tenants' THEN
        SELECT count(*) INTO n FROM (SELECT FROM goconnect.tenants t
                                      WHERE t.deleted_at IS NULL LIMIT small + 1) x;
    WHEN 'networks' THEN
        SELECT count(*) INTO n FROM (SELECT FROM goconnect.networks LIMIT small + 1) x;
    WHEN 'devices' THEN
        SELECT count(*) INTO n FROM (SELECT FROM goconnect.devices LIMIT small + 1) x;
    WHEN 'presence' THEN
        SELECT count(*) INTO n FROM (SELECT FROM goconnect.presence LIMIT small + 1) x;
    WHEN 'peers' THEN
        SELECT count(*) INTO n FROM (SELECT FROM goconnect.peers LIMIT small + 1) x;
    WHEN 'sessions' THEN
        SELECT count(*) INTO n FROM (SELECT FROM goconnect.sessions LIMIT small + 1) x;
    WHEN 'messages' THEN
        SELECT count(*) INTO n FROM (SELECT FROM goconnect.messages LIMIT small + 1) x;
    END CASE;
    estimated := n > small;
END
$$;

CREATE FUNCTION api_1.admin_stats(ctx api_1.ctx) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._server_admin(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN (SELECT api_1._ok(200, (jsonb_object_agg(
                       CASE x.name WHEN 'presence' THEN 'devices_online' ELSE x.name END, t.n)
                   || jsonb_build_object(
                       'database_bytes', pg_database_size(current_database()),
                       'estimated', coalesce(jsonb_agg(
                           CASE x.name WHEN 'presence' THEN 'devices_online' ELSE x.name END
                           ORDER BY x.name) FILTER (WHERE t.estimated), '[]')))::json)
              FROM unnest(ARRAY['users', 'tenants', 'networks', 'devices', 'presence', 'peers',
                                'sessions', 'messages']) AS x (name),
                   LATERAL api_1._tally(x.name) t);
END
$$;

-- body: reason?. From this commit on the user has no session, no socket and no
-- peer; his memberships stay for when he is restored.
CREATE FUNCTION api_1.admin_users_suspend(ctx api_1.ctx, account uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    old goconnect.users;
    new goconnect.users;
    evs api_1.event[];
BEGIN
    r := api_1._server_admin(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF account = ctx.user_id THEN
        RETURN api_1._refuse(409, 'own_account', 'Nobody suspends himself.');
    END IF;
    -- his own row too: two admins who suspend each other come one by one
    PERFORM api_1._lock_account(account, ctx.user_id);
    r := api_1._server_admin(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT u.* INTO old FROM goconnect.users u
     WHERE u.id = account AND u.deleted_at IS NULL;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF old.suspended_at IS NULL THEN
        evs := api_1._end_sessions(account, NULL, 'all', 'suspended');
        DELETE FROM goconnect.reset_links l WHERE l.user_id = account;
    END IF;
    UPDATE goconnect.users u
       SET suspended_at = coalesce(old.suspended_at, now()),
           suspended_reason = CASE WHEN body ? 'reason' THEN nullif(btrim(body ->> 'reason'), '')
                                   ELSE old.suspended_reason END
     WHERE u.id = account
    RETURNING u.* INTO new;
    PERFORM api_1._audit(ctx, NULL, 'user.suspend', 'user', account,
                         api_1._changes(to_jsonb(old), to_jsonb(new)));
    RETURN api_1._ok(200, api_1._account_object(account), api_1._etag(new.rev), NULL,
                     api_1._publish(evs));
END
$$;

CREATE FUNCTION api_1.admin_users_restore(ctx api_1.ctx, account uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    old goconnect.users;
    new goconnect.users;
BEGIN
    r := api_1._server_admin(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT u.* INTO old FROM goconnect.users u
     WHERE u.id = account AND u.deleted_at IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF old.suspended_at IS NULL THEN
        RETURN api_1._ok(200, api_1._account_object(account), api_1._etag(old.rev));
    END IF;
    UPDATE goconnect.users u SET suspended_at = NULL, suspended_reason = NULL
     WHERE u.id = account
    RETURNING u.* INTO new;
    PERFORM api_1._audit(ctx, NULL, 'user.restore', 'user', account,
                         api_1._changes(to_jsonb(old), to_jsonb(new)));
    RETURN api_1._ok(200, api_1._account_object(account), api_1._etag(new.rev));
END
$$;

-- body: token_hash. The link before it is void.
CREATE FUNCTION api_1.admin_users_reset_link(ctx api_1.ctx, account uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    until timestamptz;
BEGIN
    r := api_1._server_admin(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    PERFORM FROM goconnect.users u
      WHERE u.id = account AND u.deleted_at IS NULL AND u.kind = 'person'
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    DELETE FROM goconnect.reset_links l WHERE l.user_id = account;
    INSERT INTO goconnect.reset_links AS l (hash, user_id, created_by, expires_at)
    VALUES (api_1._hash(body ->> 'token_hash'), account, ctx.user_id,
            now() + interval '24 hours')
    RETURNING l.expires_at INTO until;
    PERFORM api_1._audit(ctx, NULL, 'user.reset_link', 'user', account,
        api_1._changes(NULL, jsonb_build_object('expires_at', until)));
    RETURN api_1._ok(201, json_build_object('expires_at', until));
END
$$;

CREATE FUNCTION api_1.admin_tenants_delete(ctx api_1.ctx, tenant uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    t record;
BEGIN
    r := api_1._server_admin(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.rev, x.name INTO t FROM goconnect.tenants x
     WHERE x.id = tenant AND x.deleted_at IS NULL
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF NOT api_1._matches(ctx.if_match, t.rev) THEN
        RETURN api_1._stale();
    END IF;
    -- in the server's trail too: the tenant's goes with the tenant
    PERFORM api_1._audit(ctx, NULL, 'server.delete_tenant', 'tenant', tenant,
                         api_1._changes(jsonb_build_object('name', t.name), NULL));
    r := api_1._ok(204, events => api_1._publish(api_1._delete_tenant(ctx, tenant)));
    PERFORM api_1._end_topics(api_1._tenant_topics(tenant));
    RETURN r;
END
$$;

-- For sql/server-admin, which the owner of the database runs.
CREATE FUNCTION api_1._set_server_admin(name text, wanted boolean) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    account uuid;
BEGIN
    SELECT u.id INTO account FROM goconnect.users u
     WHERE u.username_norm = lower(name COLLATE "C") AND u.kind = 'person'
       AND u.deleted_at IS NULL;
    IF NOT FOUND THEN
        RETURN 'unknown';
    END IF;
    UPDATE goconnect.users u SET server_admin = wanted
     WHERE u.id = account AND u.server_admin <> wanted;
    IF FOUND THEN
        PERFORM api_1._audit(NULL, NULL, 'user.server_admin', 'user', account,
            api_1._changes(jsonb_build_object('server_admin', NOT wanted),
                           jsonb_build_object('server_admin', wanted)));
        PERFORM api_1._publish(ARRAY[api_1._event('user:' || account, 'user',
            json_build_object('change', 'changed', 'user', api_1._user_object(account)))]);
    END IF;
    RETURN CASE WHEN wanted THEN 'a server admin' ELSE 'no server admin' END;
END
$$;
