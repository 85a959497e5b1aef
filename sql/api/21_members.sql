-- Members of tenants and of networks.

-- Members see who is active; moderators see the rest too.
CREATE FUNCTION api_1.members_list(ctx api_1.ctx, tenant uuid, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    n integer := api_1._limit(lim);
    page record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 1 THEN
        RETURN api_1._refuse(403, 'membership_required', 'Only members see the members.');
    END IF;
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;

    SELECT array_agg(json_build_object('user_id', o.user_id, 'username', o.username,
                        'kind', o.kind, 'role', o.role, 'status', o.status,
                        'joined_at', o.joined_at, 'online', o.online,
                        'last_seen', o.last_seen)) AS items,
           array_agg(api_1._cursor(o.at, o.key)) AS cursors
      INTO page
      FROM (SELECT v.* FROM api_1._members v
             WHERE v.tenant_id = tenant AND v.network_id IS NULL
               AND (v.status = 'active' OR a.rank >= 2)
               AND (v.at, v.key) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
             ORDER BY v.at, v.key LIMIT n + 1) o;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

-- body: username or user_id, role? -> pending until the user accepts
CREATE FUNCTION api_1.members_add(ctx api_1.ctx, tenant uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    wanted text := coalesce(body ->> 'role', 'member');
    field text := CASE WHEN body ->> 'user_id' IS NULL THEN 'username' ELSE 'user_id' END;
    errs json[] := '{}';
    member uuid;
    old text;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._tenant_access(ctx.user_id, tenant)) THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    PERFORM FROM goconnect.tenants t WHERE t.id = tenant FOR SHARE;
    SELECT x.* INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    IF num_nonnulls(body ->> 'user_id', body ->> 'username') <> 1 THEN
        RETURN api_1._invalid('username', 'required', 'Name one user, by username or by user_id.');
    END IF;
    errs := api_1._check_word(errs, body, 'role', 'member', 'moderator', 'admin', 'owner');
    SELECT u.id INTO member FROM goconnect.users u
     WHERE (u.id = (body ->> 'user_id')::uuid
            OR u.username_norm = lower((body ->> 'username') COLLATE "C"))
       AND u.deleted_at IS NULL AND u.kind = 'person';
    IF NOT FOUND THEN
        errs := errs || api_1._wrong(field, 'unknown', 'There is no such user.');
    END IF;
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    IF goconnect.role_rank(wanted) >= a.rank AND a.rank < 4 THEN
        RETURN api_1._refuse(403, 'role_too_high', 'You can give only roles below your own.');
    END IF;

    SELECT m.status INTO old FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = member;
    IF old = 'banned' THEN
        RETURN api_1._refuse(409, 'banned', 'This user is banned here.');
    ELSIF old IS NOT NULL THEN
        RETURN api_1._refuse(409, 'already_member', 'This user is a member or is asked already.');
    END IF;

    INSERT INTO goconnect.memberships (tenant_id, user_id, role, status)
    VALUES (tenant, member, wanted, 'pending');
    PERFORM api_1._audit(ctx, tenant, 'member.add', 'user', member,
        api_1._changes(NULL, jsonb_build_object('role', wanted, 'status', 'pending')));
    RETURN api_1._ok(201, api_1._member_object(tenant, NULL, member), NULL,
        '/v1/tenants/' || tenant || '/members',
        api_1._publish(ARRAY[
            api_1._event('tenant:' || tenant || '/staff', 'member',
                api_1._member_change('added', tenant, NULL,
                                     api_1._member_object(tenant, NULL, member))),
            api_1._event('user:' || member, 'tenant',
                json_build_object('change', 'added',
                                  'tenant', api_1._tenant_object(tenant, member)))]));
END
$$;

CREATE FUNCTION api_1.members_accept(ctx api_1.ctx, tenant uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    object json;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._tenant_access(ctx.user_id, tenant)) THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    PERFORM FROM goconnect.tenants t WHERE t.id = tenant FOR SHARE;
    SELECT x.* INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.status IS NULL THEN
        RETURN api_1._refuse(403, 'invite_required', 'Nobody has asked you to join.');
    END IF;
    IF a.status = 'active' THEN
        RETURN api_1._ok(200, api_1._member_object(tenant, NULL, ctx.user_id));
    END IF;

    UPDATE goconnect.memberships m SET status = 'active', joined_at = now()
     WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = ctx.user_id
       AND m.status = 'pending';
    IF NOT FOUND THEN
        PERFORM api_1._raise_moved();
    END IF;
    PERFORM api_1._audit(ctx, tenant, 'member.accept', 'user', ctx.user_id,
        api_1._changes('{"status": "pending"}', '{"status": "active"}'));
    object := api_1._member_object(tenant, NULL, ctx.user_id);
    RETURN api_1._ok(200, object, NULL, NULL,
        api_1._publish(api_1._joined_tenant(tenant, ctx.user_id)));
END
$$;

-- What is told when somebody becomes an active member of a tenant.
CREATE FUNCTION api_1._joined_tenant(tenant uuid, member uuid) RETURNS api_1.event[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT ARRAY[
                api_1._event('tenant:' || tenant, 'member',
                    api_1._member_change('added', tenant, NULL,
                                         api_1._member_object(tenant, NULL, member))),
                api_1._event('user:' || member, 'tenant',
                    json_build_object('change', 'added',
                                      'tenant', api_1._tenant_object(tenant, member)))]);
END
$$;

-- The same for a network.
CREATE FUNCTION api_1._joined_network(tenant uuid, network uuid, member uuid)
RETURNS api_1.event[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT ARRAY[
                api_1._event('network:' || network, 'member',
                    api_1._member_change('added', tenant, network,
                                         api_1._member_object(tenant, network, member))),
                api_1._event('user:' || member, 'network',
                    json_build_object('change', 'added',
                                      'network', api_1._network_object(network, member)))]);
END
$$;

CREATE FUNCTION api_1.network_members_list(ctx api_1.ctx, network uuid, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    n integer := api_1._limit(lim);
    staff boolean;
    page record;
BEGIN
    r := api_1._network_reader(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;
    SELECT x.rank >= 2 AND ctx.device_id IS NULL INTO staff
      FROM api_1._network_access(ctx.user_id, network) x;

    SELECT array_agg(json_build_object('user_id', o.user_id, 'username', o.username,
                        'kind', o.kind, 'role', o.role, 'status', o.status,
                        'joined_at', o.joined_at, 'online', o.online,
                        'last_seen', o.last_seen)) AS items,
           array_agg(api_1._cursor(o.at, o.key)) AS cursors
      INTO page
      FROM (SELECT v.* FROM api_1._members v
             WHERE v.network_id = network AND (v.status = 'active' OR staff)
               AND (v.at, v.key) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
             ORDER BY v.at, v.key LIMIT n + 1) o;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;
