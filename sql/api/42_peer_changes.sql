-- What changes at a peer that is there: its name, tags, routes, whether it is a
-- gateway, and its key.

-- The peer and how the caller stands to it: no row if he may not know of it.
-- own: it is his, or the calling device's; admin: he may rule over it.
CREATE FUNCTION api_1._peer_access(ctx api_1.ctx, peer uuid)
RETURNS TABLE (network_id uuid, tenant_id uuid, device_id uuid, user_id uuid, rev bigint,
               rank integer, own boolean, admin boolean)
LANGUAGE sql STABLE AS $$
    SELECT p.network_id, p.tenant_id, p.device_id, p.user_id, p.rev, a.rank,
           p.user_id = ctx.user_id AND (ctx.device_id IS NULL OR ctx.device_id = p.device_id),
           ctx.device_id IS NULL AND a.rank >= 3
      FROM goconnect.peers p, api_1._network_access(ctx.user_id, p.network_id) a
     WHERE p.id = peer AND (a.joined OR a.tenant_rank >= 3 AND ctx.device_id IS NULL)
$$;

-- True if somebody else has the name in the network, or it is held for
-- somebody else. A name that is held for nobody by name is anybody's.
CREATE FUNCTION api_1._name_taken(network uuid, wish text, peer uuid, device uuid, owner uuid)
RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM goconnect.peers p
                    WHERE p.network_id = network AND p.name = wish
                      AND p.id IS DISTINCT FROM peer
                   UNION ALL
                   SELECT FROM goconnect.reservations v
                    WHERE v.network_id = network AND v.name = wish
                      AND (v.device_id <> device OR v.user_id <> owner));
END
$$;

-- The ranges of a body's list without what stands in it twice. NULL if the
-- member is not there; errors says what is wrong.
CREATE FUNCTION api_1._prefixes(body jsonb, field text, OUT list cidr[], OUT errors json[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
    item jsonb;
    prefix cidr;
    at integer := 0;
BEGIN
    errors := '{}';
    IF NOT body ? field THEN
        RETURN;
    END IF;
    list := '{}';
    IF jsonb_typeof(body -> field) <> 'array' OR jsonb_array_length(body -> field) > 32 THEN
        errors := ARRAY[api_1._wrong(field, 'invalid', 'At most 32 ranges in a list.')];
        RETURN;
    END IF;
    FOR item IN SELECT e.value FROM jsonb_array_elements(body -> field) e
    LOOP
        BEGIN
            prefix := NULL;
            prefix := (item #>> '{}')::cidr;
        EXCEPTION WHEN invalid_text_representation OR data_exception THEN
            NULL;       -- no range, or one with host bits
        END;
        IF prefix IS NULL OR strpos(item #>> '{}', '/') = 0 THEN
            errors := errors || api_1._wrong(field || '[' || at || ']', 'invalid',
                'A range such as 192.168.5.0/24 or fd00:5::/64, without host bits.');
        ELSIF NOT prefix = ANY (list) THEN
            list := list || prefix;
        END IF;
        at := at + 1;
    END LOOP;
    list := ARRAY(SELECT p FROM unnest(list) p ORDER BY p);
END
$$;

-- errors, with one more for each route that no peer may offer: what lies in
-- the network itself would take its peers' traffic.
CREATE FUNCTION api_1._check_routes(errors json[], network uuid, prefixes cidr[])
RETURNS json[]
LANGUAGE sql STABLE AS $$
    SELECT errors || coalesce(array_agg(
               CASE WHEN r.prefix <<= n.cidr OR r.prefix <<= n.cidr6
                    THEN api_1._wrong('routes', 'invalid',
                             text(r.prefix) || ' lies inside the network itself.')
                    ELSE api_1._wrong('routes', 'invalid',
                             text(r.prefix) || ' is no range that can be routed.') END
               ORDER BY r.place), '{}')
      FROM goconnect.networks n,
           unnest(prefixes) WITH ORDINALITY AS r (prefix, place)
     WHERE n.id = network
       AND (r.prefix <<= n.cidr OR r.prefix <<= n.cidr6
            OR r.prefix <<= '127.0.0.0/8' OR r.prefix <<= '169.254.0.0/16'
            OR r.prefix <<= '224.0.0.0/4' OR r.prefix <<= '240.0.0.0/4'
            OR r.prefix <<= '0.0.0.0/8' AND masklen(r.prefix) > 0
            OR r.prefix <<= 'fe80::/10' OR r.prefix <<= 'ff00::/8'
            OR r.prefix <<= '::/127')
$$;

-- Makes these the routes that a peer offers; what is no more among them loses
-- its approval. approved NULL leaves the rest as it is.
CREATE FUNCTION api_1._set_routes(ctx api_1.ctx, peer uuid, offered cidr[], approved cidr[])
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF offered IS NOT NULL THEN
        DELETE FROM goconnect.routes r
         WHERE r.peer_id = peer AND NOT r.prefix = ANY (offered);
        INSERT INTO goconnect.routes (peer_id, prefix)
        SELECT peer, x.prefix FROM unnest(offered) AS x (prefix)
        ON CONFLICT (peer_id, prefix) DO NOTHING;
    END IF;
    IF approved IS NOT NULL THEN
        UPDATE goconnect.routes r
           SET approved_at = CASE WHEN r.prefix = ANY (approved) THEN now() END,
               approved_by = CASE WHEN r.prefix = ANY (approved) THEN ctx.user_id END
         WHERE r.peer_id = peer
           AND (r.approved_at IS NOT NULL) <> (r.prefix = ANY (approved));
    END IF;
END
$$;

-- The tags of a network are those that its peers wear.
CREATE FUNCTION api_1._keep_tags(network uuid, worn text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO goconnect.tags (network_id, name)
    SELECT network, x.name FROM unnest(worn) AS x (name)
    ON CONFLICT (network_id, name) DO NOTHING;
    DELETE FROM goconnect.tags t
     WHERE t.network_id = network
       AND NOT EXISTS (SELECT FROM goconnect.peers p
                        WHERE p.network_id = network AND t.name = ANY (p.tags));
    IF (SELECT count(*) FROM goconnect.tags t WHERE t.network_id = network) > 256 THEN
        PERFORM api_1._raise(409, 'limit_reached', 'A network has at most 256 tags.');
    END IF;
END
$$;

-- What is wrong with the members of a body that this file does not store as
-- they are.
CREATE FUNCTION api_1._check_peer(body jsonb) RETURNS json[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    errs json[] := '{}';
    field text;
BEGIN
    IF body ? 'name' AND api_1._is_slug(body ->> 'name') IS NOT TRUE THEN
        errs := errs || api_1._wrong('name', 'invalid',
            'A name is a DNS label: 1 to 63 of a-z, 0-9 and inner hyphens.');
    END IF;
    IF body ? 'tags'
       AND (jsonb_typeof(body -> 'tags') <> 'array' OR jsonb_array_length(body -> 'tags') > 32
            OR EXISTS (SELECT FROM jsonb_array_elements(body -> 'tags') t
                        WHERE api_1._is_slug(t.value #>> '{}') IS NOT TRUE))
    THEN
        errs := errs || api_1._wrong('tags', 'invalid',
            'At most 32 tags of a-z, 0-9 and inner hyphens.');
    END IF;
    FOREACH field IN ARRAY ARRAY['gateway_offered', 'gateway']
    LOOP
        IF body ? field AND jsonb_typeof(body -> field) <> 'boolean' THEN
            errs := errs || api_1._wrong(field, 'invalid', 'True or false.');
        END IF;
    END LOOP;
    RETURN errs;
END
$$;

-- body: name?, tags?, routes?, approved_routes?, gateway_offered?, gateway?
-- A device and its user name it and say what it offers; admins name, tag and
-- approve.
CREATE FUNCTION api_1.peers_update(ctx api_1.ctx, peer uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    errs json[];
    offered record;
    approved record;
    old goconnect.peers;
    new goconnect.peers;
    gateway uuid;
    changed uuid[];
    evs api_1.event[] := '{}';
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO a FROM api_1._peer_access(ctx, peer) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    PERFORM api_1._lock_networks(ARRAY[a.network_id]);
    SELECT x.* INTO a FROM api_1._peer_access(ctx, peer) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF NOT a.own AND (NOT a.admin OR body ?| ARRAY['routes', 'gateway_offered']) THEN
        RETURN api_1._refuse(403, 'forbidden',
            'What a device offers is its own and its user''s to say, the rest an admin''s too.');
    END IF;
    IF NOT a.admin AND body ?| ARRAY['tags', 'approved_routes', 'gateway'] THEN
        RETURN api_1._forbidden('admin');
    END IF;
    IF NOT api_1._matches(ctx.if_match, a.rev) THEN
        RETURN api_1._stale();
    END IF;

    SELECT p.* INTO old FROM goconnect.peers p WHERE p.id = peer;
    errs := api_1._check_peer(body);
    SELECT x.list, x.errors INTO offered FROM api_1._prefixes(body, 'routes') x;
    SELECT x.list, x.errors INTO approved FROM api_1._prefixes(body, 'approved_routes') x;
    errs := errs || offered.errors || approved.errors;
    errs := api_1._check_routes(errs, a.network_id, offered.list);
    IF NOT coalesce(approved.list, '{}') <@ coalesce(offered.list, old.offered_routes) THEN
        errs := errs || api_1._wrong('approved_routes', 'unknown',
            'Only what the peer offers can be approved.');
    END IF;
    IF body -> 'gateway' = 'true'
       AND NOT coalesce(body -> 'gateway_offered' = 'true', old.gateway_offered)
    THEN
        errs := errs || api_1._wrong('gateway', 'invalid', 'The peer does not offer itself.');
    END IF;
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    IF old.private_key_encrypted IS NOT NULL AND body -> 'gateway_offered' = 'true' THEN
        RETURN api_1._refuse(409, 'no_agent', 'A device without an agent cannot be a gateway.');
    END IF;
    IF api_1._name_taken(a.network_id, body ->> 'name', peer, a.device_id, a.user_id) THEN
        RETURN api_1._refuse(409, 'name_taken', 'The network has a peer of this name.');
    END IF;

    gateway := api_1._gateway(a.network_id);
    changed := api_1._gateway_change(old, body);
    PERFORM api_1._set_routes(ctx, peer, offered.list, approved.list);
    UPDATE goconnect.peers p
       SET name = x.name, tags = x.tags
      FROM (SELECT coalesce(body ->> 'name', old.name) AS name,
                   CASE WHEN body ? 'tags'
                        THEN ARRAY(SELECT DISTINCT t
                                     FROM jsonb_array_elements_text(body -> 'tags') t ORDER BY t)
                        ELSE old.tags END AS tags) x
     WHERE p.id = peer
       AND (p.name, p.tags) IS DISTINCT FROM (x.name, x.tags);
    SELECT p.* INTO new FROM goconnect.peers p WHERE p.id = peer;
    IF new.tags <> old.tags THEN
        PERFORM api_1._keep_tags(a.network_id, new.tags);
    END IF;
    IF new.rev = old.rev THEN
        RETURN api_1._ok(200, api_1._peer_object(peer), api_1._etag(old.rev));
    END IF;

    -- also where the map stays the same: what is kept of the network's peers
    -- is renewed by an event
    evs := evs || api_1._event('network:' || a.network_id, 'netmap_delta',
        api_1._delta(a.network_id, changed || peer, '{}'));
    -- what is offered is for those who approve it
    IF (new.offered_routes, new.gateway_offered)
       IS DISTINCT FROM (old.offered_routes, old.gateway_offered)
    THEN
        evs := evs || api_1._event('network:' || a.network_id || '/staff', 'peer',
            json_build_object('change', 'changed', 'peer', api_1._peer_object(peer)));
    END IF;
    IF new.name <> old.name THEN
        evs := evs || api_1._self_events(ARRAY[a.device_id]);
    END IF;
    PERFORM api_1._audit(ctx, a.tenant_id, 'peer.update', 'peer', peer,
        jsonb_build_object('network_id', a.network_id)
            || CASE WHEN gateway <> peer AND new.gateway
               THEN jsonb_build_object('gateway_before', gateway) ELSE '{}' END
            || api_1._changes(to_jsonb(old), to_jsonb(new)));
    RETURN api_1._ok(200, api_1._peer_object(peer), api_1._etag(new.rev), NULL,
                     api_1._publish(evs));
END
$$;

-- body: public_key. The next key of a peer: the others get ready for it.
CREATE FUNCTION api_1.peers_rotate(ctx api_1.ctx, peer uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    old goconnect.peers;
    key text := body ->> 'public_key';
BEGIN
    r := api_1._rotating(ctx, peer, key);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT p.* INTO old FROM goconnect.peers p WHERE p.id = peer;
    IF old.public_key = key THEN
        RETURN api_1._refuse(409, 'key_in_use', 'This is the key that the peer has.');
    END IF;
    IF old.next_public_key = key THEN
        RETURN api_1._ok(200, api_1._peer_object(peer), api_1._etag(old.rev));
    END IF;
    IF EXISTS (SELECT FROM goconnect.peer_keys k WHERE k.public_key = key) THEN
        RETURN api_1._refuse(409, 'key_in_use', 'This public key is in use.');
    END IF;
    UPDATE goconnect.peers p SET next_public_key = key WHERE p.id = peer;
    RETURN api_1._rotated(ctx, peer, 'peer.rotate', old);
END
$$;

-- body: public_key, the next one. It is the peer's key from now on; said again
-- it changes nothing.
CREATE FUNCTION api_1.peers_rotate_commit(ctx api_1.ctx, peer uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    old goconnect.peers;
    key text := body ->> 'public_key';
BEGIN
    r := api_1._rotating(ctx, peer, key);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT p.* INTO old FROM goconnect.peers p WHERE p.id = peer;
    IF old.public_key = key THEN
        RETURN api_1._ok(200, api_1._peer_object(peer), api_1._etag(old.rev));
    END IF;
    IF old.next_public_key IS DISTINCT FROM key THEN
        RETURN api_1._refuse(409, 'no_rotation', 'This key was not announced, or another one since.');
    END IF;
    UPDATE goconnect.peers p SET public_key = key, next_public_key = NULL WHERE p.id = peer;
    RETURN api_1._rotated(ctx, peer, 'peer.rekey', old);
END
$$;

-- Who may rotate the key of a peer: the device itself, or its user. Locks the
-- network; empty if he may.
CREATE FUNCTION api_1._rotating(ctx api_1.ctx, peer uuid, key text) RETURNS api_1.reply
LANGUAGE plpgsql AS $$
DECLARE
    r api_1.reply;
    a record;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO a FROM api_1._peer_access(ctx, peer) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    PERFORM api_1._lock_networks(ARRAY[a.network_id]);
    SELECT x.* INTO a FROM api_1._peer_access(ctx, peer) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF NOT a.own THEN
        RETURN api_1._refuse(403, 'forbidden', 'A key is the device''s own, and its user''s.');
    END IF;
    IF api_1._is_key(key) IS NOT TRUE THEN
        RETURN api_1._invalid('public_key', 'invalid',
            'A key is 32 bytes in base64 (44 characters), not all zero.');
    END IF;
    IF EXISTS (SELECT FROM goconnect.peers p
                WHERE p.id = peer AND p.private_key_encrypted IS NOT NULL)
    THEN
        RETURN api_1._refuse(409, 'conflict', 'The server keeps the key of this peer.');
    END IF;
    -- their configuration names this key, and nothing tells them of another
    IF EXISTS (SELECT FROM goconnect.peers p WHERE p.via = peer) THEN
        RETURN api_1._refuse(409, 'conflict',
            'Devices without an agent know this gateway by its key: take the offer back first.');
    END IF;
    RETURN NULL;
END
$$;

-- The answer to a rotation that took place, and its events.
CREATE FUNCTION api_1._rotated(ctx api_1.ctx, peer uuid, action text, old goconnect.peers)
RETURNS api_1.reply
LANGUAGE plpgsql AS $$
DECLARE
    new goconnect.peers;
BEGIN
    SELECT p.* INTO new FROM goconnect.peers p WHERE p.id = peer;
    PERFORM api_1._audit(ctx, new.tenant_id, action, 'peer', peer,
        jsonb_build_object('network_id', new.network_id)
            || api_1._changes(to_jsonb(old), to_jsonb(new)));
    RETURN api_1._ok(200, api_1._peer_object(peer), api_1._etag(new.rev), NULL,
        api_1._publish(
            api_1._event('network:' || new.network_id, 'netmap_delta',
                         api_1._delta(new.network_id, ARRAY[peer], '{}'))
            || api_1._self_events(ARRAY[new.device_id])));
END
$$;
