-- Coming into a tenant, leaving it, and being taken out of it.

-- What is told of users who go out of a tenant: to those who stay, and to them
-- and their devices. Called before anything is removed. Who ranks as an admin
-- may hold topics of networks that he never joined.
CREATE FUNCTION api_1._expelled_events(tenant uuid, users uuid[], reason text)
RETURNS api_1.event[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT CASE WHEN m.network_id IS NULL THEN
                   api_1._event('tenant:' || tenant
                       || CASE m.status WHEN 'active' THEN '' ELSE '/staff' END, 'member',
                       api_1._member_change('removed', tenant, NULL,
                           api_1._member_object(tenant, NULL, m.user_id)))
               WHEN m.status = 'active' THEN
                   api_1._event('network:' || m.network_id, 'member',
                       api_1._member_change('removed', tenant, m.network_id,
                           api_1._member_object(tenant, m.network_id, m.user_id)))
               ELSE
                   api_1._event('network:' || m.network_id || '/staff', 'request',
                       api_1._request_change('removed', tenant, m.network_id,
                           api_1._request_object(m.network_id, m.user_id), reason))
               END
          FROM goconnect.memberships m
         WHERE m.tenant_id = tenant AND m.user_id = ANY (users) AND m.status <> 'banned'
         ORDER BY m.network_id NULLS FIRST, m.user_id)
    || ARRAY(
        SELECT api_1._event('user:' || m.user_id, 'revoked',
                   api_1._revoked('tenant', NULL, NULL, NULL, tenant,
                       ARRAY['tenant:' || tenant, 'tenant:' || tenant || '/staff']
                       || ARRAY(SELECT 'network:' || n.id || x.part
                                  FROM goconnect.networks n,
                                       (VALUES (''), ('/staff')) AS x (part)
                                 WHERE n.tenant_id = tenant
                                   AND (goconnect.role_rank(m.role) >= 3
                                        OR EXISTS (SELECT FROM goconnect.memberships o
                                                    WHERE o.tenant_id = tenant
                                                      AND o.network_id = n.id
                                                      AND o.user_id = m.user_id))
                                 ORDER BY n.id, x.part),
                       reason))
          FROM goconnect.memberships m
         WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = ANY (users)
           AND m.status <> 'banned'
         ORDER BY m.user_id)
    || ARRAY(
        SELECT api_1._event('device:' || p.device_id, 'revoked',
                   api_1._revoked('tenant', NULL, p.device_id, NULL, tenant,
                       array_agg('network:' || p.network_id ORDER BY p.network_id), reason))
          FROM goconnect.peers p
         WHERE p.tenant_id = tenant AND p.user_id = ANY (users)
         GROUP BY p.device_id ORDER BY p.device_id);
END
$$;

-- Takes users out of a tenant and of all its networks, with their peers and
-- the invites that they made, and returns what must be told of it. Bans stay.
-- The caller has locked the tenant (FOR NO KEY UPDATE), so that nobody joins
-- anything in it meanwhile, and no network; those are locked here. A trigger
-- keeps the last owner in.
CREATE FUNCTION api_1._expel_tenant(tenant uuid, users uuid[], reason text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    evs api_1.event[];
    devices uuid[];
BEGIN
    PERFORM api_1._lock_networks(ARRAY(
        SELECT DISTINCT m.network_id FROM goconnect.memberships m
         WHERE m.tenant_id = tenant AND m.user_id = ANY (users)
           AND m.network_id IS NOT NULL));
    devices := ARRAY(SELECT DISTINCT p.device_id FROM goconnect.peers p
                      WHERE p.tenant_id = tenant AND p.user_id = ANY (users));
    evs := api_1._expelled_events(tenant, users, reason);
    evs := api_1._remove_peers(ARRAY(SELECT p.id FROM goconnect.peers p
                                      WHERE p.tenant_id = tenant
                                        AND p.user_id = ANY (users)))
        || evs;
    DELETE FROM goconnect.invites i
     WHERE i.tenant_id = tenant AND i.created_by = ANY (users);
    DELETE FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.user_id = ANY (users) AND m.status <> 'banned';
    RETURN evs || api_1._self_events(devices);
END
$$;

-- True if nobody else owns the tenant. The caller has locked it.
CREATE FUNCTION api_1._last_owner(tenant uuid, member uuid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN NOT EXISTS (SELECT FROM goconnect.memberships m
                        WHERE m.tenant_id = tenant AND m.network_id IS NULL
                          AND m.role = 'owner' AND m.status = 'active'
                          AND m.user_id <> member);
END
$$;

-- Leaving is open to everybody but the last owner; who is only asked declines.
CREATE FUNCTION api_1.tenants_leave(ctx api_1.ctx, tenant uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    object json;
    evs api_1.event[];
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._tenant_access(ctx.user_id, tenant)) THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    PERFORM FROM goconnect.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    SELECT x.* INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.status IS NULL THEN
        RETURN api_1._refuse(409, 'not_joined', 'You are not in this tenant.');
    END IF;
    IF a.role = 'owner' AND api_1._last_owner(tenant, ctx.user_id) THEN
        RETURN api_1._refuse(409, 'last_owner',
            'A tenant needs an owner; make somebody else one first.');
    END IF;

    evs := api_1._expel_tenant(tenant, ARRAY[ctx.user_id],
                               CASE a.status WHEN 'active' THEN 'left' ELSE 'declined' END);
    object := api_1._tenant_object(tenant, ctx.user_id);
    PERFORM api_1._audit(ctx, tenant,
        CASE a.status WHEN 'active' THEN 'tenant.leave' ELSE 'member.decline' END,
        'user', ctx.user_id,
        api_1._changes(jsonb_build_object('role', a.role, 'status', a.status), NULL));
    RETURN api_1._ok(204, events => api_1._publish(evs
        || api_1._event('user:' || ctx.user_id, 'tenant',
               json_build_object('change', 'removed', 'tenant', object))));
END
$$;

-- What the module needs to check a password: whether one decides, and its
-- hash. A private tenant lets in whoever knows its id and its password, so with
-- one any id takes as long as a real one.
-- body: given
CREATE FUNCTION api_1.tenants_join_begin(ctx api_1.ctx, tenant uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    t record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.status, true AS seen INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    SELECT x.access, x.password_hash INTO t FROM goconnect.tenants x
     WHERE x.id = tenant AND x.deleted_at IS NULL;
    RETURN api_1._ok(200, json_build_object(
        'check', (body ->> 'given')::boolean
                 AND (a.seen IS NOT TRUE OR a.status IS NULL AND t.access = 'password'),
        'password_hash', CASE t.access WHEN 'password' THEN t.password_hash END));
END
$$;

-- body: given, check, password_hash (as begin gave it), verified. Who was asked
-- in needs no password.
CREATE FUNCTION api_1.tenants_join(ctx api_1.ctx, tenant uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    t record;
    was record;
    right_one boolean;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    right_one := coalesce((body ->> 'verified')::boolean, false)
        AND EXISTS (SELECT FROM goconnect.tenants x
                     WHERE x.id = tenant AND x.deleted_at IS NULL
                       AND x.access = 'password' AND x.password_hash = body ->> 'password_hash');
    IF NOT right_one
       AND NOT EXISTS (SELECT FROM api_1._tenant_access(ctx.user_id, tenant))
    THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    PERFORM FROM goconnect.tenants x WHERE x.id = tenant FOR SHARE;
    SELECT x.access, x.password_hash, x.visibility INTO t FROM goconnect.tenants x
     WHERE x.id = tenant AND x.deleted_at IS NULL;
    SELECT m.role, m.status INTO was FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = ctx.user_id;
    right_one := right_one AND t.access = 'password'
        AND t.password_hash = body ->> 'password_hash';
    IF t.access IS NULL OR was.status = 'banned'
       OR t.visibility <> 'public' AND was.status IS NULL AND right_one IS NOT TRUE
    THEN
        RETURN api_1._not_found();
    END IF;
    IF was.status = 'active' THEN
        RETURN api_1._ok(200, api_1._tenant_object(tenant, ctx.user_id),
                         api_1._tenant_etag(tenant, ctx.user_id));
    END IF;
    IF was.status IS NULL AND t.access = 'invite_only' THEN
        RETURN api_1._refuse(403, 'invite_required', 'This tenant is joined by an invite.');
    ELSIF was.status IS NULL AND t.access = 'password'
          AND (body ->> 'given')::boolean IS NOT TRUE
    THEN
        RETURN api_1._refuse(403, 'password_required', 'This tenant is joined by its password.');
    ELSIF was.status IS NULL AND t.access = 'password' AND right_one IS NOT TRUE THEN
        RETURN api_1._refuse(403, 'wrong_password', 'This is not the password.');
    END IF;

    INSERT INTO goconnect.memberships AS m (tenant_id, user_id, joined_at)
    VALUES (tenant, ctx.user_id, now())
    ON CONFLICT ON CONSTRAINT memberships_member_key DO UPDATE
       SET status = 'active', joined_at = now()
     WHERE m.status = 'pending';
    IF NOT FOUND THEN
        PERFORM api_1._raise_moved();   -- he has come in, or was banned, meanwhile
    END IF;
    PERFORM api_1._audit(ctx, tenant, 'tenant.join', 'user', ctx.user_id,
        api_1._changes(to_jsonb(was),
                       jsonb_build_object('role', coalesce(was.role, 'member'),
                                          'status', 'active')));
    RETURN api_1._ok(200, api_1._tenant_object(tenant, ctx.user_id),
        api_1._tenant_etag(tenant, ctx.user_id), NULL,
        api_1._publish(api_1._joined_tenant(tenant, ctx.user_id)));
END
$$;
