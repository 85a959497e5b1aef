-- Networks: the virtual LANs of a tenant, and joining and leaving them.

CREATE FUNCTION api_1.networks_list(ctx api_1.ctx, tenant uuid, lim integer, cur text)
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
        RETURN api_1._refuse(403, 'membership_required', 'Only members see the networks.');
    END IF;
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;

    SELECT array_agg(row_to_json(o)) AS items,
           array_agg(api_1._cursor(o.created_at, o.id)) AS cursors
      INTO page
      FROM (SELECT v.* FROM api_1._networks(ctx.user_id) v
             WHERE v.tenant_id = tenant
               AND EXISTS (SELECT FROM api_1._network_access(ctx.user_id, v.id))
               AND (v.created_at, v.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
             ORDER BY v.created_at, v.id LIMIT n + 1) o;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

-- A CIDR as a client wrote it; NULL if it is none that a network may have.
CREATE FUNCTION api_1._private_cidr(value text) RETURNS cidr
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    range cidr;
BEGIN
    IF value !~ '^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$' THEN
        RETURN NULL;
    END IF;
    range := value::cidr;
    IF masklen(range) NOT BETWEEN 8 AND 29
       OR NOT (range <<= '10.0.0.0/8'::cidr OR range <<= '172.16.0.0/12'::cidr
               OR range <<= '192.168.0.0/16'::cidr OR range <<= '100.64.0.0/10'::cidr)
    THEN
        RETURN NULL;
    END IF;
    RETURN range;
EXCEPTION WHEN invalid_text_representation OR data_exception THEN
    RETURN NULL;    -- host bits, or numbers above 255
END
$$;

CREATE FUNCTION api_1._check_cidr(errors json[], body jsonb) RETURNS json[]
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN body ->> 'cidr' IS NULL OR api_1._private_cidr(body ->> 'cidr') IS NOT NULL
                THEN errors
                ELSE errors || api_1._wrong('cidr', 'invalid',
                    'A private IPv4 range from /8 to /29 without host bits, such as 10.20.0.0/24.')
           END
$$;

-- The ULA /64 of a network: fd00::/8 and 56 bits of a hash of its id.
CREATE FUNCTION api_1._cidr6(network uuid, salt integer) RETURNS cidr
LANGUAGE sql IMMUTABLE AS $$
    SELECT (regexp_replace('fd' || left(encode(sha256(convert_to(network::text || salt, 'UTF8')),
                                               'hex'), 14),
                           '(....)(....)(....)(....)', '\1:\2:\3:\4') || '::/64')::cidr
$$;

-- body: name, slug?, description?, cidr?, visibility?, join_policy?,
-- required_role?, mode?, settings?. Who makes a network is in it.
CREATE FUNCTION api_1.networks_create(ctx api_1.ctx, tenant uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    errs json[];
    network uuid := gen_random_uuid();
    new_name text := btrim(body ->> 'name');
    new_slug text := body ->> 'slug';
    range cidr;
    range6 cidr;
    salt integer := 0;
    evs api_1.event[];
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
    errs := api_1._check_common('network', body, true);
    errs := api_1._check_cidr(errs, body);
    errs := api_1._check_word(errs, body, 'visibility', 'public', 'private');
    errs := api_1._check_word(errs, body, 'join_policy', 'open', 'invite', 'approval');
    errs := api_1._check_word(errs, body, 'required_role', 'member', 'moderator', 'admin', 'owner');
    errs := api_1._check_word(errs, body, 'mode', 'l3', 'l2');
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    IF goconnect.role_rank(body ->> 'required_role') > a.rank THEN
        RETURN api_1._refuse(403, 'role_too_high', 'You could not enter this network yourself.');
    END IF;
    r := api_1._before(ctx, 'networks_create/' || tenant, body);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF EXISTS (SELECT FROM goconnect.networks n
                WHERE n.tenant_id = tenant AND lower(n.name) = lower(new_name))
    THEN
        RETURN api_1._refuse(409, 'name_taken', 'The tenant has a network of this name.');
    END IF;
    IF (SELECT count(*) FROM goconnect.networks n WHERE n.tenant_id = tenant) >= 500 THEN
        RETURN api_1._refuse(409, 'limit_reached', 'The tenant has 500 networks already.');
    END IF;
    IF new_slug IS NULL THEN
        new_slug := coalesce(api_1._slug(new_name), 'network');
        IF EXISTS (SELECT FROM goconnect.networks n
                    WHERE n.tenant_id = tenant AND n.slug = new_slug)
        THEN
            new_slug := left(new_slug, 25) || '-' || left(network::text, 6);
        END IF;
    ELSIF EXISTS (SELECT FROM goconnect.networks n
                   WHERE n.tenant_id = tenant AND n.slug = new_slug)
    THEN
        RETURN api_1._refuse(409, 'slug_taken', 'The tenant has a network with this slug.');
    END IF;
    LOOP
        range6 := api_1._cidr6(network, salt);
        EXIT WHEN NOT EXISTS (SELECT FROM goconnect.networks n WHERE n.cidr6 = range6);
        salt := salt + 1;
    END LOOP;
    range := api_1._private_cidr(body ->> 'cidr');
    IF range IS NULL THEN
        SELECT p.block INTO range FROM goconnect.cidr_pool p
         WHERE p.network_id IS NULL
         ORDER BY p.released_at NULLS FIRST, p.block LIMIT 1
           FOR UPDATE SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN api_1._refuse(409, 'pool_exhausted',
                'The server has no address range left; name one yourself.');
        END IF;
    END IF;

    INSERT INTO goconnect.networks (id, tenant_id, name, slug, description, cidr, cidr6,
                                    visibility, join_policy, required_role, mode, settings)
    VALUES (network, tenant, new_name, new_slug, body ->> 'description', range, range6,
            coalesce(body ->> 'visibility', 'private'),
            coalesce(body ->> 'join_policy', 'invite'),
            coalesce(body ->> 'required_role', 'member'),
            coalesce(body ->> 'mode', 'l3'), coalesce(body -> 'settings', '{}'));
    IF body ->> 'cidr' IS NULL THEN
        UPDATE goconnect.cidr_pool p SET network_id = network WHERE p.block = range;
    END IF;
    INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, joined_at)
    VALUES (tenant, network, ctx.user_id, now());
    PERFORM api_1._audit(ctx, tenant, 'network.create', 'network', network,
        api_1._changes(NULL, (SELECT to_jsonb(n) FROM goconnect.networks n
                               WHERE n.id = network)));
    r := api_1._ok(201, api_1._network_object(network, ctx.user_id),
                   api_1._network_etag(network, ctx.user_id), '/v1/networks/' || network);
    PERFORM api_1._remember(ctx, 'networks_create/' || tenant, body, r);

    evs := ARRAY[api_1._event('user:' || ctx.user_id, 'network',
                     json_build_object('change', 'added', 'network', r.body))];
    IF api_1._is_open_to_all(network) THEN
        evs := evs || api_1._event('tenant:' || tenant, 'network',
            json_build_object('change', 'added',
                              'network', api_1._network_object(network, NULL)));
    END IF;
    r.events := api_1._publish(evs);
    RETURN r;
END
$$;

-- True if every member of the tenant may know of the network: only then may
-- its events enter the tenant's topic.
CREATE FUNCTION api_1._is_open_to_all(network uuid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT n.visibility = 'public' AND n.required_role = 'member'
              FROM goconnect.networks n WHERE n.id = network);
END
$$;

CREATE FUNCTION api_1.networks_get(ctx api_1.ctx, network uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._network_access(ctx.user_id, network) a
                    WHERE a.joined OR ctx.device_id IS NULL)
    THEN
        RETURN api_1._not_found();
    END IF;
    RETURN api_1._ok(200, api_1._network_object(network, ctx.user_id),
                     api_1._network_etag(network, ctx.user_id));
END
$$;

CREATE FUNCTION api_1.networks_update(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    errs json[];
    old goconnect.networks;
    new goconnect.networks;
    was_open boolean;
    object json;
    out_of uuid[];
    evs api_1.event[] := '{}';
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._network_access(ctx.user_id, network)) THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    PERFORM FROM goconnect.tenants t
      WHERE t.id = (SELECT n.tenant_id FROM goconnect.networks n WHERE n.id = network)
        FOR SHARE;
    PERFORM api_1._lock_networks(ARRAY[network]);
    SELECT x.* INTO a FROM api_1._network_access(ctx.user_id, network) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    IF NOT api_1._matches(ctx.if_match, a.rev) THEN
        RETURN api_1._stale();
    END IF;
    errs := api_1._check_common('network', body, false);
    errs := api_1._check_cidr(errs, body);
    errs := api_1._check_word(errs, body, 'visibility', 'public', 'private');
    errs := api_1._check_word(errs, body, 'join_policy', 'open', 'invite', 'approval');
    errs := api_1._check_word(errs, body, 'required_role', 'member', 'moderator', 'admin', 'owner');
    errs := api_1._check_word(errs, body, 'mode', 'l3', 'l2');
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    IF goconnect.role_rank(body ->> 'required_role') > a.rank THEN
        RETURN api_1._refuse(403, 'role_too_high', 'You could not enter this network yourself.');
    END IF;

    SELECT n.* INTO old FROM goconnect.networks n WHERE n.id = network;
    IF (api_1._private_cidr(body ->> 'cidr') <> old.cidr OR body ->> 'mode' <> old.mode)
       AND EXISTS (SELECT FROM goconnect.peers p WHERE p.network_id = network)
    THEN
        RETURN api_1._refuse(409, 'network_in_use',
            'The range and the mode cannot change while the network has peers.');
    END IF;
    IF EXISTS (SELECT FROM goconnect.networks n
                WHERE n.tenant_id = a.tenant_id AND n.id <> network
                  AND lower(n.name) = lower(btrim(body ->> 'name')))
    THEN
        RETURN api_1._refuse(409, 'name_taken', 'The tenant has a network of this name.');
    END IF;
    IF EXISTS (SELECT FROM goconnect.networks n
                WHERE n.tenant_id = a.tenant_id AND n.id <> network
                  AND n.slug = body ->> 'slug')
    THEN
        RETURN api_1._refuse(409, 'slug_taken', 'The tenant has a network with this slug.');
    END IF;
    was_open := api_1._is_open_to_all(network);
    object := api_1._network_object(network, NULL);
    UPDATE goconnect.networks n
       SET name = coalesce(btrim(body ->> 'name'), old.name),
           slug = coalesce(body ->> 'slug', old.slug),
           description = CASE WHEN body ? 'description' THEN body ->> 'description'
                              ELSE old.description END,
           cidr = coalesce(api_1._private_cidr(body ->> 'cidr'), old.cidr),
           high_water = CASE WHEN api_1._private_cidr(body ->> 'cidr') <> old.cidr
                             THEN 0 ELSE old.high_water END,
           visibility = coalesce(body ->> 'visibility', old.visibility),
           join_policy = coalesce(body ->> 'join_policy', old.join_policy),
           required_role = coalesce(body ->> 'required_role', old.required_role),
           mode = coalesce(body ->> 'mode', old.mode),
           settings = coalesce(body -> 'settings', old.settings)
     WHERE n.id = network
    RETURNING n.* INTO new;
    IF new.cidr <> old.cidr THEN
        UPDATE goconnect.cidr_pool p SET network_id = NULL WHERE p.network_id = network;
        DELETE FROM goconnect.released_addresses x WHERE x.network_id = network;
        DELETE FROM goconnect.reservations x WHERE x.network_id = network;
    END IF;

    -- whom a higher required_role leaves outside is out at once
    out_of := ARRAY(SELECT m.user_id FROM goconnect.memberships m
                     WHERE m.tenant_id = new.tenant_id AND m.network_id = network
                       AND m.status = 'active'
                       AND goconnect.role_rank(goconnect.effective_role(new.tenant_id, network,
                                                                        m.user_id))
                           < goconnect.role_rank(new.required_role)
                     ORDER BY m.user_id);
    IF cardinality(out_of) > 0 THEN
        evs := api_1._expel(new.tenant_id, network, out_of, 'role_too_low');
    END IF;
    IF new.required_role <> old.required_role THEN
        evs := evs || api_1._role_raised(new.tenant_id, network, old.required_role,
                                         new.required_role);
    END IF;
    PERFORM api_1._audit(ctx, new.tenant_id, 'network.update', 'network', network,
                         api_1._changes(to_jsonb(old), to_jsonb(new))
                         || CASE WHEN cardinality(out_of) > 0
                                 THEN jsonb_build_object('expelled', cardinality(out_of))
                                 ELSE '{}' END);

    -- the map holds the network too
    IF new.rev <> old.rev THEN
        evs := evs || api_1._event('network:' || network, 'netmap_delta',
            CASE WHEN new.slug = old.slug THEN api_1._delta_parts(network, 'network')
                 ELSE api_1._delta_parts(network, 'network', 'dns') END);
    END IF;
    evs := evs || api_1._event('network:' || network, 'network',
        json_build_object('change', 'changed', 'network', api_1._network_object(network, NULL)));
    IF api_1._is_open_to_all(network) THEN
        evs := evs || api_1._event('tenant:' || new.tenant_id, 'network',
            json_build_object('change', CASE WHEN was_open THEN 'changed' ELSE 'added' END,
                              'network', api_1._network_object(network, NULL)));
    ELSIF was_open THEN
        -- as it was: what it became is not for everybody
        evs := evs || api_1._event('tenant:' || new.tenant_id, 'network',
            json_build_object('change', 'removed', 'network', object));
    END IF;
    RETURN api_1._ok(200, api_1._network_object(network, ctx.user_id),
        api_1._network_etag(network, ctx.user_id), NULL, api_1._publish(evs));
END
$$;

-- What else a higher required_role ends: requests of those below it, and what
-- admins may hold of a network without being in it.
CREATE FUNCTION api_1._role_raised(tenant uuid, network uuid, was text, is_now text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
BEGIN
    RETURN api_1._drop_requests(tenant, network, ARRAY(
            SELECT m.user_id FROM goconnect.memberships m
             WHERE m.tenant_id = tenant AND m.network_id = network AND m.status = 'pending'
               AND api_1._rank_of(tenant, NULL, m.user_id) < goconnect.role_rank(is_now)
             ORDER BY m.user_id), 'role_too_low')
        || ARRAY(
            SELECT api_1._event('user:' || m.user_id, 'revoked',
                       api_1._revoked('role', NULL, NULL, NULL, tenant,
                           ARRAY['network:' || network, 'network:' || network || '/staff'],
                           'role_too_low'))
              FROM goconnect.memberships m
             WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.status = 'active'
               AND m.role = 'admin' AND goconnect.role_rank(was) <= 3
               AND goconnect.role_rank(is_now) > 3
               AND NOT EXISTS (SELECT FROM goconnect.memberships o
                                WHERE o.tenant_id = tenant AND o.network_id = network
                                  AND o.user_id = m.user_id)
             ORDER BY m.user_id);
END
$$;

-- Takes users out of a network, with their peers, and returns what must be told
-- of it. The caller has locked the network.
CREATE FUNCTION api_1._expel(tenant uuid, network uuid, users uuid[], reason text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    members json[];
    devices uuid[];
    topics text[] := ARRAY['network:' || network, 'network:' || network || '/staff'];
    evs api_1.event[];
BEGIN
    members := ARRAY(SELECT api_1._member_object(tenant, network, u.id)
                       FROM unnest(users) AS u (id) ORDER BY u.id);
    devices := ARRAY(SELECT p.device_id FROM goconnect.peers p
                      WHERE p.network_id = network AND p.user_id = ANY (users)
                      ORDER BY p.device_id);
    evs := api_1._remove_peers(ARRAY(SELECT p.id FROM goconnect.peers p
                                      WHERE p.network_id = network
                                        AND p.user_id = ANY (users)));
    DELETE FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id = network AND m.user_id = ANY (users);

    RETURN evs
        || ARRAY(SELECT api_1._event('network:' || network, 'member',
                            api_1._member_change('removed', tenant, network, m.object))
                   FROM unnest(members) WITH ORDINALITY AS m (object, place)
                  ORDER BY m.place)
        || ARRAY(SELECT api_1._event('user:' || u.id, 'revoked',
                            api_1._revoked('network', NULL, NULL, network, tenant, topics,
                                           reason))
                   FROM unnest(users) AS u (id) ORDER BY u.id)
        || ARRAY(SELECT api_1._event('device:' || d.id, 'revoked',
                            api_1._revoked('network', NULL, d.id, network, tenant, topics,
                                           reason))
                   FROM unnest(devices) AS d (id) ORDER BY d.id)
        || api_1._self_events(devices);
END
$$;

CREATE FUNCTION api_1.networks_delete(ctx api_1.ctx, network uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    object json;
    was_open boolean;
    topics text[] := ARRAY['network:' || network, 'network:' || network || '/staff'];
    members uuid[];
    asking uuid[];
    devices uuid[];
    evs api_1.event[];
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._network_access(ctx.user_id, network)) THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    PERFORM FROM goconnect.tenants t
      WHERE t.id = (SELECT n.tenant_id FROM goconnect.networks n WHERE n.id = network)
        FOR SHARE;
    PERFORM api_1._lock_networks(ARRAY[network]);
    SELECT x.* INTO a FROM api_1._network_access(ctx.user_id, network) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    IF NOT api_1._matches(ctx.if_match, a.rev) THEN
        RETURN api_1._stale();
    END IF;

    object := api_1._network_object(network, NULL);
    was_open := api_1._is_open_to_all(network);
    -- admins may hold its topics without being in it
    members := ARRAY(SELECT DISTINCT m.user_id FROM goconnect.memberships m
                      WHERE m.tenant_id = a.tenant_id AND m.status = 'active'
                        AND (m.network_id = network
                             OR m.network_id IS NULL AND m.role IN ('admin', 'owner'))
                      ORDER BY m.user_id);
    asking := ARRAY(SELECT m.user_id FROM goconnect.memberships m
                     WHERE m.tenant_id = a.tenant_id AND m.network_id = network
                       AND m.status = 'pending'
                     ORDER BY m.user_id);
    devices := ARRAY(SELECT p.device_id FROM goconnect.peers p
                      WHERE p.network_id = network ORDER BY p.device_id);
    evs := api_1._remove_peers(ARRAY(SELECT p.id FROM goconnect.peers p
                                      WHERE p.network_id = network))
        || api_1._event('network:' || network, 'network',
               json_build_object('change', 'removed', 'network', object));
    IF was_open THEN
        evs := evs || api_1._event('tenant:' || a.tenant_id, 'network',
            json_build_object('change', 'removed', 'network', object));
    END IF;
    evs := evs
        || api_1._drop_requests(a.tenant_id, network, asking, 'network_deleted')
        || ARRAY(SELECT api_1._event('user:' || u.id, 'revoked',
                            api_1._revoked('network', NULL, NULL, network, a.tenant_id,
                                           topics, 'network_deleted'))
                   FROM unnest(members) AS u (id) ORDER BY u.id)
        || ARRAY(SELECT api_1._event('device:' || d.id, 'revoked',
                            api_1._revoked('network', NULL, d.id, network, a.tenant_id,
                                           topics, 'network_deleted'))
                   FROM unnest(devices) AS d (id) ORDER BY d.id)
        || api_1._self_events(devices);
    PERFORM api_1._audit(ctx, a.tenant_id, 'network.delete', 'network', network,
        api_1._changes((SELECT to_jsonb(n) FROM goconnect.networks n WHERE n.id = network),
                       NULL));
    -- the row goes after the events: the last delta counts on from its version
    r := api_1._ok(204, events => api_1._publish(evs));
    DELETE FROM goconnect.networks n WHERE n.id = network;
    PERFORM api_1._end_topics(topics);
    RETURN r;
END
$$;

-- body: code_hmac? of an invite to this network, note? for those who decide
CREATE FUNCTION api_1.networks_join(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    policy text;
    t record;
    seen boolean;
    evs api_1.event[];
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF body ->> 'code_hmac' IS NOT NULL THEN
        seen := EXISTS (SELECT FROM api_1._network_access(ctx.user_id, network));
        SELECT x.* INTO t FROM api_1._take_invite(ctx, body ->> 'code_hmac', network) x;
        IF (t.refusal).status = 404 AND seen THEN
            RETURN api_1._refuse(403, 'invite_required', 'This invite is not valid for the network.');
        ELSIF (t.refusal).status IS NOT NULL THEN
            RETURN t.refusal;
        END IF;
        RETURN api_1._ok(200, api_1._network_object(network, ctx.user_id),
            api_1._network_etag(network, ctx.user_id), NULL, api_1._publish(t.evs));
    END IF;

    IF NOT EXISTS (SELECT FROM api_1._network_access(ctx.user_id, network)) THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    PERFORM FROM goconnect.tenants o
      WHERE o.id = (SELECT n.tenant_id FROM goconnect.networks n WHERE n.id = network)
        FOR SHARE;
    PERFORM api_1._lock_networks(ARRAY[network]);
    SELECT x.* INTO a FROM api_1._network_access(ctx.user_id, network) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.joined THEN
        RETURN api_1._ok(200, api_1._network_object(network, ctx.user_id),
                         api_1._network_etag(network, ctx.user_id));
    END IF;
    IF a.status = 'banned' THEN
        RETURN api_1._refuse(403, 'banned', 'You are banned from this network'
            || coalesce((SELECT to_char(b.until AT TIME ZONE 'UTC',
                                        '" until "YYYY-MM-DD HH24:MI" UTC"')
                           FROM goconnect.bans b
                          WHERE b.network_id = network AND b.user_id = ctx.user_id), '') || '.');
    END IF;
    SELECT n.join_policy INTO policy FROM goconnect.networks n WHERE n.id = network;
    -- who may change the policy need not ask
    IF policy = 'invite' AND a.tenant_rank < 3 THEN
        RETURN api_1._refuse(403, 'invite_required', 'This network is joined by an invite.');
    END IF;
    IF policy = 'approval' AND a.tenant_rank < 3 THEN
        IF a.status = 'pending' THEN
            RETURN api_1._ok(202, api_1._network_object(network, ctx.user_id));
        END IF;
        INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, status, note)
        VALUES (a.tenant_id, network, ctx.user_id, 'pending',
                nullif(btrim(body ->> 'note'), ''));
        PERFORM api_1._audit(ctx, a.tenant_id, 'network.request', 'network', network,
            api_1._changes(NULL, '{"status": "pending"}'));
        RETURN api_1._ok(202, api_1._network_object(network, ctx.user_id), events =>
            api_1._publish(api_1._request_events('added', a.tenant_id, network, ctx.user_id,
                                                 NULL)));
    END IF;

    evs := api_1._request_events('removed', a.tenant_id, network, ctx.user_id, 'joined');
    INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, joined_at)
    VALUES (a.tenant_id, network, ctx.user_id, now())
    ON CONFLICT ON CONSTRAINT memberships_member_key DO UPDATE
       SET status = 'active', joined_at = now(), note = NULL;
    PERFORM api_1._audit(ctx, a.tenant_id, 'network.join', 'network', network,
        api_1._changes(jsonb_build_object('status', a.status), '{"status": "active"}'));
    RETURN api_1._ok(200, api_1._network_object(network, ctx.user_id),
        api_1._network_etag(network, ctx.user_id), NULL,
        api_1._publish(evs || api_1._joined_network(a.tenant_id, network, ctx.user_id)));
END
$$;

CREATE FUNCTION api_1.networks_leave(ctx api_1.ctx, network uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    m record;
    evs api_1.event[];
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    PERFORM api_1._lock_networks(ARRAY[network]);
    SELECT x.tenant_id, x.status INTO m
      FROM goconnect.memberships x
      JOIN goconnect.tenants t ON t.id = x.tenant_id AND t.deleted_at IS NULL
     WHERE x.network_id = network AND x.user_id = ctx.user_id AND x.status <> 'banned';
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM api_1._network_access(ctx.user_id, network)) THEN
            RETURN api_1._refuse(409, 'not_joined', 'You are not in this network.');
        END IF;
        RETURN api_1._not_found();
    END IF;

    IF m.status = 'pending' THEN
        evs := api_1._drop_requests(m.tenant_id, network, ARRAY[ctx.user_id], 'withdrawn');
    ELSE
        evs := api_1._expel(m.tenant_id, network, ARRAY[ctx.user_id], 'left')
            || api_1._event('user:' || ctx.user_id, 'network',
                   json_build_object('change', 'removed',
                                     'network', api_1._network_object(network, ctx.user_id)));
    END IF;
    PERFORM api_1._audit(ctx, m.tenant_id, 'network.leave', 'network', network,
        api_1._changes(jsonb_build_object('status', m.status), NULL));
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;
