-- Tenants: the communities.

-- The parts of a text by which the index on goconnect.grams finds it: the
-- longest that the index knows.
CREATE FUNCTION api_1._grams(part text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(DISTINCT substr(v, i, n))
      FROM lower(part) v, least(3, char_length(v)) n,
           generate_series(1, char_length(v) - n + 1) i
$$;

-- A page of the public tenants that the viewer may see, by id.
CREATE FUNCTION api_1._public_tenants(viewer uuid, part text, n integer, cur text)
RETURNS uuid[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF part IS NULL THEN
        RETURN ARRAY(
            SELECT t.id FROM goconnect.tenants t
             WHERE t.visibility = 'public' AND t.deleted_at IS NULL
               AND (t.created_at, t.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
               AND NOT EXISTS (SELECT FROM goconnect.memberships m
                                WHERE m.tenant_id = t.id AND m.network_id IS NULL
                                  AND m.user_id = viewer AND m.status = 'banned')
             ORDER BY t.created_at, t.id LIMIT n);
    END IF;
    RETURN ARRAY(
        SELECT t.id FROM goconnect.tenants t
         WHERE t.visibility = 'public' AND t.deleted_at IS NULL
           AND goconnect.grams(t.name) @> api_1._grams(part)
           AND strpos(lower(t.name), lower(part)) > 0
           AND (t.created_at, t.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
           AND NOT EXISTS (SELECT FROM goconnect.memberships m
                            WHERE m.tenant_id = t.id AND m.network_id IS NULL
                              AND m.user_id = viewer AND m.status = 'banned')
         ORDER BY t.created_at, t.id LIMIT n);
END
$$;

-- A page of the tenants that the viewer is in or asked into, by id.
CREATE FUNCTION api_1._own_tenants(viewer uuid, part text, n integer, cur text)
RETURNS uuid[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT t.id FROM goconnect.memberships m
          JOIN goconnect.tenants t ON t.id = m.tenant_id AND t.deleted_at IS NULL
         WHERE m.user_id = viewer AND m.network_id IS NULL
           AND m.status IN ('active', 'pending')
           AND (part IS NULL OR strpos(lower(t.name), lower(part)) > 0)
           AND (t.created_at, t.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
         ORDER BY t.created_at, t.id LIMIT n);
END
$$;

-- scope: mine (the caller's, pending invitations with a null role) or public;
-- q: a part of the name.
CREATE FUNCTION api_1.tenants_list(ctx api_1.ctx, scope text, q text, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    part text := nullif(btrim(q), '');
    n integer := api_1._limit(lim);
    ids uuid[];
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

    ids := CASE scope WHEN 'public' THEN api_1._public_tenants(ctx.user_id, part, n + 1, cur)
                      ELSE api_1._own_tenants(ctx.user_id, part, n + 1, cur) END;
    SELECT array_agg(row_to_json(o) ORDER BY k.place) AS items,
           array_agg(api_1._cursor(o.created_at, o.id) ORDER BY k.place) AS cursors
      INTO page
      FROM unnest(ids) WITH ORDINALITY AS k (id, place)
      JOIN api_1._tenants(ctx.user_id) o ON o.id = k.id;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

-- errors, with what is wrong about the access that is asked for and its
-- password; was is the access up to now.
CREATE FUNCTION api_1._check_access(errors json[], body jsonb, was text) RETURNS json[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    wanted text := coalesce(body ->> 'access', was);
BEGIN
    errors := api_1._check_word(errors, body, 'access', 'open', 'password', 'invite_only');
    IF wanted = 'password' AND was IS DISTINCT FROM 'password'
       AND body ->> 'password_hash' IS NULL
    THEN
        RETURN errors || api_1._wrong('password', 'required',
            'The access "password" needs one.');
    ELSIF wanted <> 'password' AND body ->> 'password_hash' IS NOT NULL THEN
        RETURN errors || api_1._wrong('password', 'invalid',
            'A password goes with the access "password" only.');
    END IF;
    RETURN errors;
END
$$;

-- body: name, slug?, description?, visibility?, access?, password_hash?,
-- settings?
CREATE FUNCTION api_1.tenants_create(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    errs json[];
    tenant uuid := gen_random_uuid();
    new_name text := btrim(body ->> 'name');
    new_slug text := body ->> 'slug';
    asked jsonb;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    errs := api_1._check_common('tenant', body, true);
    errs := api_1._check_word(errs, body, 'visibility', 'public', 'private');
    errs := api_1._check_access(errs, body, 'invite_only');
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    -- the same password has another hash each time
    asked := body - 'password_hash';
    r := api_1._before(ctx, 'tenants_create', asked);
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

    INSERT INTO goconnect.tenants (id, name, slug, description, visibility, access,
                                   password_hash, settings)
    VALUES (tenant, new_name, new_slug, body ->> 'description',
            coalesce(body ->> 'visibility', 'private'),
            coalesce(body ->> 'access', 'invite_only'), body ->> 'password_hash',
            coalesce(body -> 'settings', '{}'));
    INSERT INTO goconnect.memberships (tenant_id, user_id, role, joined_at)
    VALUES (tenant, ctx.user_id, 'owner', now());
    PERFORM api_1._audit(ctx, tenant, 'tenant.create', 'tenant', tenant,
        api_1._changes(NULL, (SELECT to_jsonb(t) FROM goconnect.tenants t
                               WHERE t.id = tenant)));
    r := api_1._ok(201, api_1._tenant_object(tenant, ctx.user_id),
                   api_1._tenant_etag(tenant, ctx.user_id), '/v1/tenants/' || tenant);
    PERFORM api_1._remember(ctx, 'tenants_create', asked, r);
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
    nets uuid[];
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
    IF a.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    IF NOT api_1._matches(ctx.if_match, a.rev) THEN
        RETURN api_1._stale();
    END IF;
    errs := api_1._check_common('tenant', body, false);
    errs := api_1._check_word(errs, body, 'visibility', 'public', 'private');
    SELECT t.* INTO old FROM goconnect.tenants t WHERE t.id = tenant;
    errs := api_1._check_access(errs, body, old.access);
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;

    IF EXISTS (SELECT FROM goconnect.tenants t
                WHERE t.slug = body ->> 'slug' AND t.id <> tenant AND t.deleted_at IS NULL)
    THEN
        RETURN api_1._refuse(409, 'slug_taken', 'Another tenant has this slug.');
    END IF;

    UPDATE goconnect.tenants t
       SET name = coalesce(btrim(body ->> 'name'), old.name),
           slug = coalesce(body ->> 'slug', old.slug),
           description = CASE WHEN body ? 'description' THEN body ->> 'description'
                              ELSE old.description END,
           visibility = coalesce(body ->> 'visibility', old.visibility),
           access = coalesce(body ->> 'access', old.access),
           password_hash = CASE coalesce(body ->> 'access', old.access)
               WHEN 'password' THEN coalesce(body ->> 'password_hash', old.password_hash) END,
           settings = coalesce(body -> 'settings', old.settings)
     WHERE t.id = tenant
    RETURNING t.* INTO new;
    PERFORM api_1._audit(ctx, tenant, 'tenant.update', 'tenant', tenant,
                         api_1._changes(to_jsonb(old), to_jsonb(new)));
    evs := ARRAY[api_1._event('tenant:' || tenant, 'tenant',
        json_build_object('change', 'changed', 'tenant', api_1._tenant_object(tenant, NULL)))];
    -- the names in all its networks end in the slug
    IF new.slug <> old.slug THEN
        nets := ARRAY(SELECT n.id FROM goconnect.networks n WHERE n.tenant_id = tenant
                       ORDER BY n.id);
        PERFORM api_1._lock_networks(nets);
        evs := evs || ARRAY(SELECT api_1._event('network:' || x.id, 'netmap_delta',
                                       api_1._delta_parts(x.id, 'dns'))
                              FROM unnest(nets) WITH ORDINALITY AS x (id, place)
                             ORDER BY x.place);
    END IF;
    RETURN api_1._ok(200, api_1._tenant_object(tenant, ctx.user_id),
        api_1._tenant_etag(tenant, ctx.user_id), NULL, api_1._publish(evs));
END
$$;

-- Marks the tenant: from this commit on it is gone for everybody, its peers
-- with it, and returns the events. The sweep removes its rows in batches. The
-- caller has locked the tenant.
CREATE FUNCTION api_1._delete_tenant(ctx api_1.ctx, tenant uuid) RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    object json := api_1._tenant_object(tenant, NULL);
    nets uuid[] := ARRAY(SELECT n.id FROM goconnect.networks n WHERE n.tenant_id = tenant
                          ORDER BY n.id);
    topics text[] := api_1._tenant_topics(tenant);
    devices uuid[];
    evs api_1.event[];
BEGIN
    PERFORM api_1._lock_networks(nets);
    devices := ARRAY(SELECT DISTINCT p.device_id FROM goconnect.peers p
                      WHERE p.tenant_id = tenant);
    evs := api_1._remove_peers(ARRAY(SELECT p.id FROM goconnect.peers p
                                      WHERE p.tenant_id = tenant));
    DELETE FROM goconnect.invites i WHERE i.tenant_id = tenant;
    UPDATE goconnect.tenants t SET deleted_at = now() WHERE t.id = tenant;
    PERFORM api_1._audit(ctx, tenant, 'tenant.delete', 'tenant', tenant,
        api_1._changes((SELECT to_jsonb(t) - 'deleted_at' FROM goconnect.tenants t
                         WHERE t.id = tenant), NULL));
    RETURN evs || api_1._event('tenant:' || tenant, 'tenant',
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
END
$$;

-- The topics that end with a tenant.
CREATE FUNCTION api_1._tenant_topics(tenant uuid) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY['tenant:' || tenant, 'tenant:' || tenant || '/staff']
        || ARRAY(SELECT 'network:' || n.id || x.part
                   FROM goconnect.networks n, (VALUES (''), ('/staff')) AS x (part)
                  WHERE n.tenant_id = tenant
                  ORDER BY 1);
END
$$;

CREATE FUNCTION api_1.tenants_delete(ctx api_1.ctx, tenant uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
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
    r := api_1._ok(204, events => api_1._publish(api_1._delete_tenant(ctx, tenant)));
    PERFORM api_1._end_topics(api_1._tenant_topics(tenant));
    RETURN r;
END
$$;
