-- Roles in a tenant: reading a membership, changing its role, ending it, and
-- handing the tenant over.

CREATE FUNCTION api_1._member_etag(tenant uuid, member uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT api_1._etag(m.rev, u.rev::text)
              FROM goconnect.memberships m JOIN goconnect.users u ON u.id = m.user_id
             WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = member);
END
$$;

-- A member as one who may do something about him finds him: his membership,
-- and the caller's rank. No row if the caller may not know of him: members see
-- who is active, moderators the rest too, and everybody sees himself.
CREATE FUNCTION api_1._member_access(viewer uuid, tenant uuid, member uuid)
RETURNS TABLE (rank integer, role text, status text, target_rank integer, rev bigint,
               kind text)
LANGUAGE sql STABLE AS $$
    SELECT a.rank, m.role, m.status, goconnect.role_rank(m.role), m.rev, u.kind
      FROM api_1._tenant_access(viewer, tenant) a
      JOIN goconnect.memberships m
        ON m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = member
      JOIN goconnect.users u ON u.id = m.user_id
     WHERE member = viewer OR m.status = 'active' AND a.rank >= 1 OR a.rank >= 2
$$;

CREATE FUNCTION api_1._outranked() RETURNS api_1.reply
LANGUAGE sql STABLE AS $$
    SELECT api_1._refuse(403, 'outranked', 'This is for members below your own role only.')
$$;

CREATE FUNCTION api_1.members_get(ctx api_1.ctx, tenant uuid, member uuid)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 1 AND member <> ctx.user_id THEN
        RETURN api_1._refuse(403, 'membership_required', 'Only members see the members.');
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._member_access(ctx.user_id, tenant, member)) THEN
        RETURN api_1._not_found();
    END IF;
    RETURN api_1._ok(200, api_1._member_object(tenant, NULL, member),
                     api_1._member_etag(tenant, member));
END
$$;

-- Gives a member another role and returns what must be told of it. The caller
-- holds _lock_member. Invites that give what their maker could not give any
-- more end with a demotion.
CREATE FUNCTION api_1._set_role(ctx api_1.ctx, tenant uuid, member uuid, wanted text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    was record;
    place text;
BEGIN
    SELECT m.role, m.status INTO was FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = member;
    UPDATE goconnect.memberships m SET role = wanted
     WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = member;
    DELETE FROM goconnect.invites i
     WHERE i.tenant_id = tenant AND i.created_by = member AND wanted <> 'owner'
       AND (goconnect.role_rank(wanted) < 3
            OR goconnect.role_rank(i.role) >= goconnect.role_rank(wanted));
    PERFORM api_1._audit(ctx, tenant, 'member.role', 'user', member,
        api_1._changes(jsonb_build_object('role', was.role),
                       jsonb_build_object('role', wanted)));
    place := 'tenant:' || tenant || CASE was.status WHEN 'active' THEN '' ELSE '/staff' END;
    RETURN CASE was.status WHEN 'active'
               THEN api_1._enforce_roles(tenant, member, was.role) ELSE '{}' END
        || api_1._event(place, 'member',
               api_1._member_change('changed', tenant, NULL,
                                    api_1._member_object(tenant, NULL, member)))
        || api_1._event('user:' || member, 'tenant',
               json_build_object('change', 'changed',
                                 'tenant', api_1._tenant_object(tenant, member)));
END
$$;

-- body: role. Admins give roles below their own to those below them; owners
-- give any role to anybody; whoever has a role may step down.
CREATE FUNCTION api_1.members_update(ctx api_1.ctx, tenant uuid, member uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    wanted text := body ->> 'role';
    rank integer := goconnect.role_rank(body ->> 'role');
    evs api_1.event[] := '{}';
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    IF a.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    PERFORM api_1._lock_member(tenant, member);
    SELECT x.* INTO a FROM api_1._member_access(ctx.user_id, tenant, member) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    IF a.rank < 4 AND a.target_rank >= a.rank AND member <> ctx.user_id THEN
        RETURN api_1._outranked();
    END IF;
    IF NOT api_1._matches(ctx.if_match, a.rev) THEN
        RETURN api_1._stale();
    END IF;
    IF rank = 0 OR wanted = 'owner' AND a.kind = 'service' THEN
        RETURN api_1._invalid('role', 'invalid',
            'One of: member, moderator, admin, owner; a service user owns nothing.');
    END IF;
    IF a.rank < 4 AND (rank > a.rank OR rank = a.rank AND member <> ctx.user_id) THEN
        RETURN api_1._refuse(403, 'role_too_high', 'You can give only roles below your own.');
    END IF;
    IF a.status = 'banned' THEN
        RETURN api_1._refuse(409, 'banned', 'This user is banned here.');
    END IF;
    IF a.role = 'owner' AND a.status = 'active' AND wanted <> 'owner'
       AND api_1._last_owner(tenant, member)
    THEN
        RETURN api_1._refuse(409, 'last_owner',
            'A tenant needs an owner; make somebody else one first.');
    END IF;
    IF wanted <> a.role THEN
        evs := api_1._set_role(ctx, tenant, member, wanted);
    END IF;
    RETURN api_1._ok(200, api_1._member_object(tenant, NULL, member),
        api_1._member_etag(tenant, member), NULL, api_1._publish(evs));
END
$$;

-- A kick; somebody who was only asked is not asked any more. Who is out may
-- come again as anybody may: a ban is another matter.
CREATE FUNCTION api_1.members_remove(ctx api_1.ctx, tenant uuid, member uuid)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    evs api_1.event[];
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    IF a.rank < 2 THEN
        RETURN api_1._forbidden('moderator');
    END IF;
    PERFORM FROM goconnect.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    SELECT x.* INTO a FROM api_1._member_access(ctx.user_id, tenant, member) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 2 THEN
        RETURN api_1._forbidden('moderator');
    END IF;
    IF a.target_rank >= a.rank THEN
        RETURN api_1._outranked();
    END IF;
    IF NOT api_1._matches(ctx.if_match, a.rev) THEN
        RETURN api_1._stale();
    END IF;
    IF a.status = 'banned' THEN
        RETURN api_1._refuse(409, 'banned', 'This user is banned here.');
    END IF;

    evs := api_1._expel_tenant(tenant, ARRAY[member],
                               CASE a.status WHEN 'active' THEN 'kicked' ELSE 'withdrawn' END);
    PERFORM api_1._audit(ctx, tenant,
        CASE a.status WHEN 'active' THEN 'member.kick' ELSE 'member.withdraw' END,
        'user', member,
        api_1._changes(jsonb_build_object('role', a.role, 'status', a.status), NULL));
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;

-- body: user_id, an active member: he becomes an owner, and the caller an
-- admin.
CREATE FUNCTION api_1.tenants_transfer(ctx api_1.ctx, tenant uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    heir uuid := (body ->> 'user_id')::uuid;
    h record;
    evs api_1.event[] := '{}';
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    IF a.rank < 4 THEN
        RETURN api_1._forbidden('owner');
    END IF;
    PERFORM FROM goconnect.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    PERFORM api_1._lock_networks(ARRAY(
        SELECT DISTINCT m.network_id FROM goconnect.memberships m
         WHERE m.tenant_id = tenant AND m.user_id IN (ctx.user_id, heir)
           AND m.network_id IS NOT NULL));
    SELECT x.* INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 4 THEN
        RETURN api_1._forbidden('owner');
    END IF;
    SELECT m.role INTO h FROM goconnect.memberships m
      JOIN goconnect.users u
        ON u.id = m.user_id AND u.kind = 'person' AND u.suspended_at IS NULL
     WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = heir
       AND m.status = 'active' AND m.user_id <> ctx.user_id;
    IF NOT FOUND THEN
        RETURN api_1._invalid('user_id', 'unknown',
            'The new owner is another active member, a person who is not suspended.');
    END IF;

    -- the heir first: there is an owner at every moment
    IF h.role <> 'owner' THEN
        evs := api_1._set_role(ctx, tenant, heir, 'owner');
    END IF;
    evs := evs || api_1._set_role(ctx, tenant, ctx.user_id, 'admin');
    PERFORM api_1._audit(ctx, tenant, 'tenant.transfer', 'tenant', tenant,
        api_1._changes(jsonb_build_object('owner', ctx.user_id),
                       jsonb_build_object('owner', heir)));
    RETURN api_1._ok(200, api_1._tenant_object(tenant, ctx.user_id),
        api_1._tenant_etag(tenant, ctx.user_id), NULL, api_1._publish(evs));
END
$$;
