-- Tenants: the communities.

-- scope: mine (the caller's, pending invitations with a null role) or public.
CREATE FUNCTION api_1.tenants_list(ctx api_1.ctx, scope text, q text, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    pattern text := '%' || replace(replace(replace(btrim(q), '\', '\\'), '%', '\%'), '_', '\_') || '%';
    n integer := api_1._limit(lim);
    page record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF coalesce(scope, 'mine') NOT IN ('mine', 'public') THEN
        RETURN api_1._invalid('scope', 'invalid', 'One of: mine, public.');
    END IF;
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;

    IF scope = 'public' THEN
        SELECT array_agg(row_to_json(o)) AS items,
               array_agg(api_1._cursor(o.created_at, o.id)) AS cursors
          INTO page
          FROM (SELECT x.* FROM api_1._tenants(ctx.user_id) x
                 WHERE x.visibility = 'public'
                   AND (x.created_at, x.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
                   AND (pattern IS NULL OR x.name ILIKE pattern)
                   AND NOT EXISTS (SELECT FROM goconnect.memberships m
                                    WHERE m.tenant_id = x.id AND m.network_id IS NULL
                                      AND m.user_id = ctx.user_id AND m.status = 'banned')
                 ORDER BY x.created_at, x.id LIMIT n + 1) o;
    ELSE
        SELECT array_agg(row_to_json(o)) AS items,
               array_agg(api_1._cursor(o.created_at, o.id)) AS cursors
          INTO page
          FROM (SELECT x.* FROM api_1._tenants(ctx.user_id) x
                 WHERE x.id IN (SELECT m.tenant_id FROM goconnect.memberships m
                                 WHERE m.user_id = ctx.user_id AND m.network_id IS NULL
                                   AND m.status IN ('active', 'pending'))
                   AND (x.created_at, x.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
                   AND (pattern IS NULL OR x.name ILIKE pattern)
                 ORDER BY x.created_at, x.id LIMIT n + 1) o;
    END IF;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

CREATE FUNCTION api_1.tenants_create(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    errs json[];
    tenant uuid := gen_random_uuid();
    new_name text := btrim(body ->> 'name');
    new_slug text := body ->> 'slug';
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    errs := api_1._check_common('tenant', body, true);
    errs := api_1._check_word(errs, body, 'visibility', 'public', 'private');
    errs := api_1._check_word(errs, body, 'access', 'open', 'invite_only');
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    r := api_1._before(ctx, 'tenants_create', body);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF (SELECT count(*) FROM goconnect.memberships m
         WHERE m.user_id = ctx.user_id AND m.network_id IS NULL AND m.role = 'owner') >= 100
    THEN
        RETURN api_1._refuse(409, 'limit_reached', 'You own 100 tenants already.');
    END IF;
    IF new_slug IS NULL THEN
        new_slug := coalesce(api_1._slug(new_name), 'tenant');
        IF new_slug = 'tenant'
           OR EXISTS (SELECT FROM goconnect.tenants t
                       WHERE t.slug = new_slug AND t.deleted_at IS NULL)
        THEN
            new_slug := left(new_slug, 25) || '-' || left(tenant::text, 6);
        END IF;
    ELSIF EXISTS (SELECT FROM goconnect.tenants t
                   WHERE t.slug = new_slug AND t.deleted_at IS NULL)
    THEN
        RETURN api_1._refuse(409, 'slug_taken', 'Another tenant has this slug.');
    END IF;

    INSERT INTO goconnect.tenants (id, name, slug, description, visibility, access, settings)
    VALUES (tenant, new_name, new_slug, body ->> 'description',
            coalesce(body ->> 'visibility', 'private'),
            coalesce(body ->> 'access', 'invite_only'), coalesce(body -> 'settings', '{}'));
    INSERT INTO goconnect.memberships (tenant_id, user_id, role, joined_at)
    VALUES (tenant, ctx.user_id, 'owner', now());
    PERFORM api_1._audit(ctx, tenant, 'tenant.create', 'tenant', tenant,
        api_1._changes(NULL, (SELECT to_jsonb(t) FROM goconnect.tenants t
                               WHERE t.id = tenant)));
    r := api_1._ok(201, api_1._tenant_object(tenant, ctx.user_id),
                   api_1._tenant_etag(tenant, ctx.user_id), '/v1/tenants/' || tenant);
    PERFORM api_1._remember(ctx, 'tenants_create', body, r);
    r.events := api_1._publish(ARRAY[
        api_1._event('user:' || ctx.user_id, 'tenant',
            json_build_object('change', 'added', 'tenant', r.body))]);
    RETURN r;
END
$$;

CREATE FUNCTION api_1.tenants_get(ctx api_1.ctx, tenant uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._tenant_access(ctx.user_id, tenant)) THEN
        RETURN api_1._not_found();
    END IF;
    RETURN api_1._ok(200, api_1._tenant_object(tenant, ctx.user_id),
                     api_1._tenant_etag(tenant, ctx.user_id));
END
$$;

CREATE FUNCTION api_1.tenants_update(ctx api_1.ctx, tenant uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    old goconnect.tenants;
    new goconnect.tenants;
    errs json[];
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
    IF a.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    IF NOT api_1._matches(ctx.if_match, a.rev) THEN
        RETURN api_1._stale();
    END IF;
    errs := api_1._check_common('tenant', body, false);
    errs := api_1._check_word(errs, body, 'visibility', 'public', 'private');
    errs := api_1._check_word(errs, body, 'access', 'open', 'invite_only');
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;

    IF EXISTS (SELECT FROM goconnect.tenants t
                WHERE t.slug = body ->> 'slug' AND t.id <> tenant AND t.deleted_at IS NULL)
    THEN
        RETURN api_1._refuse(409, 'slug_taken', 'Another tenant has this slug.');
    END IF;

    SELECT t.* INTO old FROM goconnect.tenants t WHERE t.id = tenant;
    UPDATE goconnect.tenants t
       SET name = coalesce(btrim(body ->> 'name'), old.name),
           slug = coalesce(body ->> 'slug', old.slug),
           description = CASE WHEN body ? 'description' THEN body ->> 'description'
                              ELSE old.description END,
           visibility = coalesce(body ->> 'visibility', old.visibility),
           access = coalesce(body ->> 'access', old.access),
           settings = coalesce(body -> 'settings', old.settings)
     WHERE t.id = tenant
    RETURNING t.* INTO new;
    PERFORM api_1._audit(ctx, tenant, 'tenant.update', 'tenant', tenant,
                         api_1._changes(to_jsonb(old), to_jsonb(new)));
    RETURN api_1._ok(200, api_1._tenant_object(tenant, ctx.user_id),
        api_1._tenant_etag(tenant, ctx.user_id), NULL,
        api_1._publish(ARRAY[api_1._event('tenant:' || tenant, 'tenant',
            json_build_object('change', 'changed',
                              'tenant', api_1._tenant_object(tenant, NULL)))]));
END
$$;

-- Marks the tenant: from this commit on it is gone for everybody, its peers
-- with it. The sweep removes its rows in batches.
CREATE FUNCTION api_1.tenants_delete(ctx api_1.ctx, tenant uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    object json;
    nets uuid[];
    topics text[];
    devices uuid[];
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
    IF a.rank < 4 THEN
        RETURN api_1._forbidden('owner');
    END IF;
    IF NOT api_1._matches(ctx.if_match, a.rev) THEN
        RETURN api_1._stale();
    END IF;

    object := api_1._tenant_object(tenant, NULL);
    nets := ARRAY(SELECT n.id FROM goconnect.networks n WHERE n.tenant_id = tenant
                   ORDER BY n.id);
    PERFORM api_1._lock_networks(nets);
    topics := ARRAY['tenant:' || tenant, 'tenant:' || tenant || '/staff']
        || ARRAY(SELECT 'network:' || n.id || x.part
                   FROM unnest(nets) AS n (id), (VALUES (''), ('/staff')) AS x (part)
                  ORDER BY 1);
    devices := ARRAY(SELECT DISTINCT p.device_id FROM goconnect.peers p
                      WHERE p.tenant_id = tenant);

    evs := api_1._remove_peers(ARRAY(SELECT p.id FROM goconnect.peers p
                                      WHERE p.tenant_id = tenant));
    DELETE FROM goconnect.invites i WHERE i.tenant_id = tenant;
    UPDATE goconnect.tenants t SET deleted_at = now() WHERE t.id = tenant;
    PERFORM api_1._audit(ctx, tenant, 'tenant.delete', 'tenant', tenant,
        api_1._changes((SELECT to_jsonb(t) - 'deleted_at' FROM goconnect.tenants t
                         WHERE t.id = tenant), NULL));

    evs := evs || api_1._event('tenant:' || tenant, 'tenant',
                    json_build_object('change', 'removed', 'tenant', object))
        || ARRAY(SELECT api_1._event('user:' || m.user_id, 'revoked',
                            api_1._revoked('tenant', NULL, NULL, NULL, tenant, topics,
                                           'tenant_deleted'))
                   FROM goconnect.memberships m
                  WHERE m.tenant_id = tenant AND m.network_id IS NULL
                    AND m.status IN ('active', 'pending')
                  ORDER BY m.user_id)
        || ARRAY(SELECT api_1._event('device:' || d.id, 'revoked',
                            api_1._revoked('tenant', NULL, d.id, NULL, tenant, topics,
                                           'tenant_deleted'))
                   FROM unnest(devices) AS d (id) ORDER BY d.id)
        || api_1._self_events(devices);
    r := api_1._ok(204, events => api_1._publish(evs));
    PERFORM api_1._end_topics(topics);
    RETURN r;
END
$$;
