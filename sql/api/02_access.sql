-- Who may do what. Every function that the module calls begins here.

-- Empty (status NULL) if the session lives; the refusal otherwise. A user who
-- is suspended or erased has no session, so this is one indexed look-up.
CREATE FUNCTION api_1._any(ctx api_1.ctx) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM FROM goconnect.sessions s
      WHERE s.id = ctx.session_id AND s.user_id = ctx.user_id
        AND s.device_id IS NOT DISTINCT FROM ctx.device_id
        AND s.expires_at > now();
    IF FOUND THEN
        RETURN NULL;
    END IF;
    RETURN api_1._refuse(401, 'session_revoked', 'The session has ended; log in again.');
END
$$;

-- The same for what only a user session may do.
CREATE FUNCTION api_1._user(ctx api_1.ctx) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF ctx.device_id IS NOT NULL THEN
        RETURN api_1._refuse(403, 'user_session_required',
            'A device may not do this; use a user session.');
    END IF;
    RETURN api_1._any(ctx);
END
$$;

-- The tenant as the viewer stands to it: no row if he may not know of it.
-- rank is 0 unless the membership is active.
CREATE FUNCTION api_1._tenant_access(viewer uuid, tenant uuid)
RETURNS TABLE (rank integer, role text, status text, rev bigint)
LANGUAGE sql STABLE AS $$
    SELECT CASE m.status WHEN 'active' THEN goconnect.role_rank(m.role) ELSE 0 END,
           CASE m.status WHEN 'active' THEN m.role END,
           m.status, t.rev
      FROM goconnect.tenants t
      LEFT JOIN goconnect.memberships m
        ON m.tenant_id = t.id AND m.network_id IS NULL AND m.user_id = viewer
     WHERE t.id = tenant AND t.deleted_at IS NULL
       AND (m.status IN ('active', 'pending')
            OR t.visibility = 'public' AND m.status IS DISTINCT FROM 'banned')
$$;

-- The network as the viewer stands to it: no row if he may not know of it.
-- rank is the effective one, joined says that both memberships are active. To
-- the banned a public network is there, but no role of theirs counts in it.
CREATE FUNCTION api_1._network_access(viewer uuid, network uuid)
RETURNS TABLE (tenant_id uuid, rank integer, tenant_rank integer, joined boolean,
               status text, rev bigint, username text)
LANGUAGE sql STABLE AS $$
    SELECT n.tenant_id,
           CASE m.status WHEN 'active'
                THEN greatest(goconnect.role_rank(t.role), goconnect.role_rank(m.role))
                WHEN 'banned' THEN 0 ELSE goconnect.role_rank(t.role) END,
           CASE m.status WHEN 'banned' THEN 0 ELSE goconnect.role_rank(t.role) END,
           coalesce(m.status = 'active', false),
           m.status, n.rev, u.username
      FROM goconnect.networks n
      JOIN goconnect.tenants o ON o.id = n.tenant_id AND o.deleted_at IS NULL
      JOIN goconnect.memberships t
        ON t.tenant_id = n.tenant_id AND t.network_id IS NULL
       AND t.user_id = viewer AND t.status = 'active'
      JOIN goconnect.users u ON u.id = viewer
      LEFT JOIN goconnect.memberships m
        ON m.tenant_id = n.tenant_id AND m.network_id = n.id AND m.user_id = viewer
     WHERE n.id = network
       AND greatest(goconnect.role_rank(t.role),
                    CASE m.status WHEN 'active' THEN goconnect.role_rank(m.role) ELSE 0 END)
           >= goconnect.role_rank(n.required_role)
       AND (n.visibility = 'public' OR m.status = 'active'
            OR goconnect.role_rank(t.role) >= 3 AND m.status IS DISTINCT FROM 'banned')
$$;

-- Empty if the caller may read what the members of a network share: its peers,
-- members and chat. Admins of the tenant may without having joined.
CREATE FUNCTION api_1._network_reader(ctx api_1.ctx, network uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r api_1.reply;
    a record;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.joined, x.tenant_rank INTO a
      FROM api_1._network_access(ctx.user_id, network) x;
    IF NOT FOUND OR ctx.device_id IS NOT NULL AND NOT a.joined THEN
        RETURN api_1._not_found();
    END IF;
    IF a.joined OR a.tenant_rank >= 3 THEN
        RETURN NULL;
    END IF;
    RETURN api_1._refuse(403, 'membership_required', 'Join the network first.');
END
$$;

CREATE FUNCTION api_1._forbidden(lowest text) RETURNS api_1.reply
LANGUAGE sql STABLE AS $$
    SELECT api_1._refuse(403, 'forbidden', 'This needs the role ' || lowest || ' or a higher one.')
$$;

-- What a request with this Idempotency-Key was answered before; empty if it is
-- the first. The lock makes a second one wait for the first to end.
CREATE FUNCTION api_1._before(ctx api_1.ctx, route text, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql AS $$
DECLARE
    old goconnect.idempotency;
BEGIN
    IF ctx.idempotency_key IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(
        hashtextextended(ctx.user_id::text || ctx.idempotency_key::text, 0));
    SELECT i.* INTO old FROM goconnect.idempotency i
     WHERE i.user_id = ctx.user_id AND i.key = ctx.idempotency_key;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF old.route <> route OR old.request <> sha256(convert_to(body::text, 'UTF8')) THEN
        RETURN api_1._refuse(409, 'idempotency_conflict',
            'This Idempotency-Key came with another request before.');
    END IF;
    RETURN ROW(old.status, old.body, old.etag, old.location, NULL)::api_1.reply;
END
$$;

CREATE FUNCTION api_1._remember(ctx api_1.ctx, route text, body jsonb, answer api_1.reply)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF ctx.idempotency_key IS NOT NULL THEN
        INSERT INTO goconnect.idempotency (user_id, key, route, request, status, body,
                                           etag, location)
        VALUES (ctx.user_id, ctx.idempotency_key, route,
                sha256(convert_to(body::text, 'UTF8')), answer.status, answer.body,
                answer.etag, answer.location);
    END IF;
END
$$;
