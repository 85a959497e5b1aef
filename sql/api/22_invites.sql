-- Invites. The database knows a code only by its HMAC.

CREATE FUNCTION api_1.invites_list(ctx api_1.ctx, tenant uuid, lim integer, cur text)
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
    IF a.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;

    SELECT array_agg(row_to_json(o)) AS items,
           array_agg(api_1._cursor(o.created_at, o.id)) AS cursors
      INTO page
      FROM (SELECT v.* FROM api_1._invites v
             WHERE v.tenant_id = tenant
               AND (v.created_at, v.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
             ORDER BY v.created_at, v.id LIMIT n + 1) o;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

-- body: role?, network_id?, max_uses?, expires_in? (seconds), code_hmac
CREATE FUNCTION api_1.invites_create(ctx api_1.ctx, tenant uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    errs json[] := '{}';
    wanted text := coalesce(body ->> 'role', 'member');
    network uuid := (body ->> 'network_id')::uuid;
    life numeric := coalesce((body ->> 'expires_in')::numeric, 604800);
    invite uuid;
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
    IF body ->> 'role' IS NOT NULL THEN
        errs := api_1._check_word(errs, body, 'role', 'member', 'moderator', 'admin', 'owner');
    END IF;
    IF (body ->> 'max_uses')::numeric NOT BETWEEN 1 AND 100000 THEN
        errs := errs || api_1._wrong('max_uses', 'out_of_range', 'From 1 to 100,000, or null.');
    END IF;
    IF life NOT BETWEEN 1 AND 31536000 THEN
        errs := errs || api_1._wrong('expires_in', 'out_of_range',
            'From 1 second to a year.');
    END IF;
    IF network IS NOT NULL
       AND NOT EXISTS (SELECT FROM api_1._network_access(ctx.user_id, network) x
                        WHERE x.tenant_id = tenant)
    THEN
        errs := errs || api_1._wrong('network_id', 'unknown',
            'There is no such network in this tenant.');
    END IF;
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    IF goconnect.role_rank(wanted) >= a.rank AND a.rank < 4 THEN
        RETURN api_1._refuse(403, 'role_too_high', 'You can give only roles below your own.');
    END IF;
    IF (SELECT count(*) FROM goconnect.invites i WHERE i.tenant_id = tenant) >= 1000 THEN
        RETURN api_1._refuse(409, 'limit_reached', 'The tenant has 1,000 invites already.');
    END IF;

    INSERT INTO goconnect.invites AS i (tenant_id, network_id, code_hmac, role, max_uses,
                                        expires_at, created_by)
    VALUES (tenant, network, api_1._hash(body ->> 'code_hmac'), wanted,
            (body ->> 'max_uses')::integer, now() + life * interval '1 second', ctx.user_id)
    RETURNING i.id INTO invite;
    PERFORM api_1._audit(ctx, tenant, 'invite.create', 'invite', invite,
        api_1._changes(NULL, (SELECT to_jsonb(v) FROM api_1._invites v WHERE v.id = invite)));
    RETURN api_1._ok(201,
        (SELECT row_to_json(v) FROM api_1._invites v WHERE v.id = invite), NULL,
        '/v1/tenants/' || tenant || '/invites');
END
$$;

CREATE FUNCTION api_1.invites_delete(ctx api_1.ctx, invite uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    i record;
    gone goconnect.invites;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT v.tenant_id, v.created_by, a.rank INTO i
      FROM goconnect.invites v, api_1._tenant_access(ctx.user_id, v.tenant_id) a
     WHERE v.id = invite AND a.rank >= 1;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF i.rank < 3 AND i.created_by IS DISTINCT FROM ctx.user_id THEN
        RETURN api_1._forbidden('admin');
    END IF;
    DELETE FROM goconnect.invites v WHERE v.id = invite
    RETURNING v.* INTO gone;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    PERFORM api_1._audit(ctx, i.tenant_id, 'invite.delete', 'invite', invite,
                         api_1._changes(to_jsonb(gone), NULL));
    RETURN api_1._ok(204);
END
$$;

-- What everybody who holds the link may read. An unknown code, an expired and
-- a used up one look alike.
CREATE FUNCTION api_1.invites_preview(ctx api_1.ctx, code_hmac text) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    object json;
BEGIN
    SELECT json_build_object('tenant_name', t.name, 'network_name', n.name,
               'member_count', (SELECT count(*) FROM goconnect.memberships m
                                 WHERE m.tenant_id = t.id AND m.network_id IS NULL
                                   AND m.status = 'active'))
      INTO object
      FROM goconnect.invites i
      JOIN goconnect.tenants t ON t.id = i.tenant_id AND t.deleted_at IS NULL
      LEFT JOIN goconnect.networks n ON n.id = i.network_id
     WHERE i.code_hmac = api_1._hash(invites_preview.code_hmac)
       AND i.expires_at > now() AND (i.max_uses IS NULL OR i.uses < i.max_uses);
    IF NOT FOUND THEN
        RETURN api_1._refuse(404, 'not_found', 'This invite does not exist or is not valid any more.');
    END IF;
    RETURN api_1._ok(200, object);
END
$$;

-- Takes an invite: makes the caller an active member of its tenant and, if it
-- names one, of its network. Returns the refusal or the events. Locks the
-- tenant, the network and the invite. Nothing was written if it refuses.
CREATE FUNCTION api_1._take_invite(ctx api_1.ctx, code text, only_network uuid,
                                   OUT refusal api_1.reply, OUT tenant uuid,
                                   OUT network uuid, OUT evs api_1.event[])
LANGUAGE plpgsql AS $$
DECLARE
    i goconnect.invites;
    in_tenant text;
    in_network text;
BEGIN
    evs := '{}';
    SELECT v.* INTO i FROM goconnect.invites v WHERE v.code_hmac = api_1._hash(code);
    IF FOUND AND (only_network IS NULL OR i.network_id = only_network) THEN
        PERFORM FROM goconnect.tenants t WHERE t.id = i.tenant_id FOR SHARE;
        PERFORM api_1._lock_networks(ARRAY[i.network_id]);
        SELECT v.* INTO i FROM goconnect.invites v
          JOIN goconnect.tenants t ON t.id = v.tenant_id AND t.deleted_at IS NULL
         WHERE v.id = i.id
           FOR UPDATE OF v;
        IF FOUND THEN
            tenant := i.tenant_id;
            network := i.network_id;
        END IF;
    END IF;
    IF tenant IS NULL THEN
        refusal := api_1._refuse(404, 'not_found',
            'This invite does not exist or is not valid any more.');
        RETURN;
    END IF;

    SELECT m.status INTO in_tenant FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = ctx.user_id;
    SELECT m.status INTO in_network FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id = _take_invite.network
       AND m.user_id = ctx.user_id;
    IF in_tenant = 'active' AND (network IS NULL OR in_network = 'active') THEN
        RETURN;
    END IF;
    IF 'banned' IN (in_tenant, in_network) THEN
        refusal := api_1._refuse(403, 'banned', 'You are banned here.');
        RETURN;
    END IF;
    IF i.expires_at <= now() OR i.uses >= i.max_uses THEN
        refusal := api_1._refuse(404, 'not_found',
            'This invite does not exist or is not valid any more.');
        RETURN;
    END IF;
    IF network IS NOT NULL AND EXISTS (
        SELECT FROM goconnect.networks n
         WHERE n.id = network
           -- an invite raises nobody who is a member already
           AND goconnect.role_rank(n.required_role) > CASE in_tenant
                   WHEN 'active' THEN api_1._rank_of(tenant, NULL, ctx.user_id)
                   ELSE greatest(goconnect.role_rank(i.role), (
                       SELECT goconnect.role_rank(m.role) FROM goconnect.memberships m
                        WHERE m.tenant_id = tenant AND m.network_id IS NULL
                          AND m.user_id = ctx.user_id)) END)
    THEN
        refusal := api_1._refuse(403, 'role_too_low', 'The network needs a higher role.');
        RETURN;
    END IF;

    UPDATE goconnect.invites v SET uses = v.uses + 1 WHERE v.id = i.id;
    IF in_tenant IS DISTINCT FROM 'active' THEN
        -- a pending member takes the higher of the two roles offered
        INSERT INTO goconnect.memberships AS m (tenant_id, user_id, role, joined_at)
        VALUES (tenant, ctx.user_id, i.role, now())
        ON CONFLICT ON CONSTRAINT memberships_member_key DO UPDATE
           SET status = 'active', joined_at = now(),
               role = CASE WHEN goconnect.role_rank(m.role) > goconnect.role_rank(i.role)
                           THEN m.role ELSE i.role END;
        evs := evs || api_1._joined_tenant(tenant, ctx.user_id);
    END IF;
    IF network IS NOT NULL AND in_network IS DISTINCT FROM 'active' THEN
        evs := evs || api_1._request_events('removed', tenant, network, ctx.user_id, 'joined');
        INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, joined_at)
        VALUES (tenant, network, ctx.user_id, now())
        ON CONFLICT ON CONSTRAINT memberships_member_key DO UPDATE
           SET status = 'active', joined_at = now(), note = NULL;
        evs := evs || api_1._joined_network(tenant, network, ctx.user_id);
    END IF;
    PERFORM api_1._audit(ctx, tenant, 'invite.accept', 'invite', i.id,
        api_1._changes(jsonb_build_object('uses', i.uses, 'tenant_status', in_tenant,
                                          'network_status', in_network),
                       jsonb_build_object('uses', i.uses + 1, 'tenant_status', 'active',
                           'network_status', CASE WHEN network IS NULL THEN in_network
                                                  ELSE 'active' END))
        || jsonb_build_object('network_id', network, 'role', i.role));
END
$$;

CREATE FUNCTION api_1.invites_accept(ctx api_1.ctx, code_hmac text) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    t record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO t FROM api_1._take_invite(ctx, code_hmac, NULL) x;
    IF (t.refusal).status IS NOT NULL THEN
        RETURN t.refusal;
    END IF;
    RETURN api_1._ok(200,
        json_build_object('tenant', api_1._tenant_object(t.tenant, ctx.user_id),
                          'network', api_1._network_object(t.network, ctx.user_id)),
        events => api_1._publish(t.evs));
END
$$;
