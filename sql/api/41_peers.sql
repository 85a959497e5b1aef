-- Peers: a device's place in a network.

-- The busiest read: one statement decides on session and access, one reads the
-- page in the order of an index; only a refusal looks closer.
CREATE FUNCTION api_1.peers_list(ctx api_1.ctx, network uuid, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    n integer := api_1._limit(lim);
    page record;
BEGIN
    PERFORM FROM api_1._network_access(ctx.user_id, network) x
      WHERE (x.joined OR x.tenant_rank >= 3 AND ctx.device_id IS NULL)
        AND EXISTS (SELECT FROM goconnect.sessions s
                     WHERE s.id = ctx.session_id AND s.user_id = ctx.user_id
                       AND s.device_id IS NOT DISTINCT FROM ctx.device_id
                       AND s.expires_at > now());
    IF NOT FOUND THEN
        r := api_1._network_reader(ctx, network);
        IF r.status IS NOT NULL THEN
            RETURN r;
        END IF;
        RETURN api_1._not_found();
    END IF;
    IF cur !~ '^[a-z0-9-]{1,63}$' THEN
        RETURN api_1._bad_cursor();
    END IF;
    SELECT json_agg(row_to_json(o)) AS items, count(*) AS n, max(o.name) AS last
      INTO page
      FROM (SELECT v.* FROM api_1._peers v
             WHERE v.network_id = network AND v.name > coalesce(cur, '')
             ORDER BY v.name LIMIT n) o;
    IF page.n < n OR NOT EXISTS (SELECT FROM goconnect.peers p
                                  WHERE p.network_id = network AND p.name > page.last)
    THEN
        page.last := NULL;
    END IF;
    RETURN ROW(200, json_build_object('items', coalesce(page.items, '[]'::json),
                                      'next_cursor', page.last),
               NULL, NULL, NULL)::api_1.reply;
END
$$;

-- Who is there to reach each other: all peers of a small network, or one with
-- those that it could reach. The links are the node's to add.
CREATE FUNCTION api_1.networks_mesh(ctx api_1.ctx, network uuid, peer uuid)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._network_reader(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF peer IS NOT NULL AND NOT EXISTS (SELECT FROM goconnect.peers p
                                         WHERE p.id = peer AND p.network_id = network)
    THEN
        RETURN api_1._invalid('peer', 'unknown', 'The network has no such peer.');
    ELSIF peer IS NULL AND (SELECT count(*)
                              FROM (SELECT FROM goconnect.peers p
                                     WHERE p.network_id = network LIMIT 201) c) > 200
    THEN
        RETURN api_1._invalid('peer', 'required',
            'The network has more than 200 peers: say whose links you want.');
    END IF;
    RETURN api_1._ok(200, json_build_object('peers', (
        SELECT coalesce(json_agg(json_build_object('id', v.id, 'name', v.name,
                            'ip_address', v.ip_address, 'online', v.online) ORDER BY v.name),
                        '[]'::json)
          FROM api_1._peers v WHERE v.network_id = network)));
END
$$;

-- The n-th address of a range.
CREATE FUNCTION api_1._address(range cidr, n bigint) RETURNS inet
LANGUAGE sql IMMUTABLE AS $$
    SELECT host(range::inet + n)::inet
$$;

-- What is held for a device that comes, its address being free: for itself
-- first, then for the name that it comes by, then for its user. No row if
-- nothing is.
CREATE FUNCTION api_1._held(network uuid, device uuid, owner uuid, wish text)
RETURNS TABLE (ip_address inet, name text)
LANGUAGE sql STABLE AS $$
    SELECT v.ip_address, v.name
      FROM goconnect.reservations v
      JOIN goconnect.networks n ON n.id = v.network_id
     WHERE v.network_id = network AND v.ip_address << n.cidr
       AND (v.device_id = device OR v.user_id = owner
            OR v.name = wish AND num_nonnulls(v.device_id, v.user_id) = 0)
       AND NOT EXISTS (SELECT FROM goconnect.peers p
                        WHERE p.network_id = network AND p.ip_address = v.ip_address)
     ORDER BY v.device_id IS NULL, v.user_id IS NOT NULL, v.name IS DISTINCT FROM wish,
              v.ip_address
     LIMIT 1
$$;

-- An address of the network that nobody has and none is held for; NULL if there
-- is none. The caller has locked the network in an earlier statement, so that
-- what is searched here is what the holder of the lock left.
CREATE FUNCTION api_1._take_free(network uuid) RETURNS inet
LANGUAGE plpgsql AS $$
DECLARE
    n record;
    top bigint;
    mark bigint;
    found_one inet;
BEGIN
    SELECT w.cidr, w.high_water INTO n FROM goconnect.networks w WHERE w.id = network;
    top := (2::bigint ^ (32 - masklen(n.cidr)))::bigint - 2;    -- without broadcast

    -- one that has rested
    found_one := api_1._take_released(network, now() - interval '24 hours');
    IF found_one IS NOT NULL THEN
        RETURN found_one;
    END IF;

    -- the next that nobody ever had; one above the mark that was held and is
    -- released rests like any other
    mark := n.high_water + 1;
    WHILE mark <= top AND EXISTS (
        SELECT FROM goconnect.reservations v
         WHERE v.network_id = network AND v.ip_address = api_1._address(n.cidr, mark)
        UNION ALL
        SELECT FROM goconnect.peers p
         WHERE p.network_id = network AND p.ip_address = api_1._address(n.cidr, mark)
        UNION ALL
        SELECT FROM goconnect.released_addresses a
         WHERE a.network_id = network AND a.ip_address = api_1._address(n.cidr, mark))
    LOOP
        mark := mark + 1;
    END LOOP;
    IF mark <= top THEN
        UPDATE goconnect.networks w SET high_water = mark WHERE w.id = network;
        RETURN api_1._address(n.cidr, mark);
    END IF;

    RETURN api_1._take_released(network, now());
END
$$;

-- The address that has rested longest among those released until then.
CREATE FUNCTION api_1._take_released(network uuid, until timestamptz) RETURNS inet
LANGUAGE plpgsql AS $$
DECLARE
    taken inet;
BEGIN
    DELETE FROM goconnect.released_addresses a
     WHERE a.network_id = network
       AND a.ip_address = (
           SELECT o.ip_address FROM goconnect.released_addresses o
            WHERE o.network_id = network AND o.released_at <= until
              AND NOT EXISTS (SELECT FROM goconnect.reservations v
                               WHERE v.network_id = network
                                 AND v.ip_address = o.ip_address)
              AND NOT EXISTS (SELECT FROM goconnect.peers p
                               WHERE p.network_id = network
                                 AND p.ip_address = o.ip_address)
            ORDER BY o.released_at, o.ip_address LIMIT 1)
    RETURNING a.ip_address INTO taken;
    RETURN taken;
END
$$;

-- A name that no other peer of the network has, out of the device's.
CREATE FUNCTION api_1._free_name(network uuid, wish text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    stem text := coalesce(api_1._slug(wish, 48), 'device');
    candidate text := stem;
    i integer := 1;
BEGIN
    WHILE EXISTS (SELECT FROM goconnect.peers p
                   WHERE p.network_id = network AND p.name = candidate
                  UNION ALL
                  SELECT FROM goconnect.reservations v
                   WHERE v.network_id = network AND v.name = candidate)
    LOOP
        i := i + 1;
        candidate := stem || '-' || CASE WHEN i <= 100 THEN i::text
                                    ELSE left(gen_random_uuid()::text, 8) END;
    END LOOP;
    RETURN candidate;
END
$$;

-- The frames of a peer's change and, behind them, that it is online if its
-- device is: presence tells only of devices that come and go.
CREATE FUNCTION api_1._tell_online(frames json, peer uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
    status json := (SELECT json_build_object('type', 'peer_status',
                               'topic', 'network:' || p.network_id,
                               'data', json_build_object('network_id', p.network_id,
                                   'peer_id', p.id, 'status', 'online',
                                   'endpoint', p.endpoints[1]))
                      FROM goconnect.peers p
                      JOIN goconnect.presence i ON i.device_id = p.device_id
                     WHERE p.id = peer);
BEGIN
    IF status IS NULL THEN
        RETURN frames;
    END IF;
    RETURN left(frames::text, -1) || ', ' || status || ']';
END
$$;

-- body: device_id (implied by device scope), public_key, name?, endpoints?,
-- subnets?. Posted again by the same device it replaces key, name and endpoints.
-- Without public_key there is made: {id, public_key, private_key}, for a device
-- without an agent: the private key is sealed for the peer of that id. Such a
-- one keeps the key that it has.
CREATE FUNCTION api_1.peers_create(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    d record;
    n record;
    errs json[] := '{}';
    device uuid := coalesce((body ->> 'device_id')::uuid, ctx.device_id);
    e record;
    subnets cidr[];
    old goconnect.peers;
    new goconnect.peers;
    peer uuid;
    held record;
    ip inet;
    clash text;
    wg_key text := body ->> 'public_key';
    evs api_1.event[];
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._network_access(ctx.user_id, network)) THEN
        RETURN api_1._not_found();      -- strangers take no locks
    END IF;
    -- in one statement the lock, in the next ones the search
    PERFORM api_1._lock_networks(ARRAY[network]);
    SELECT x.* INTO a FROM api_1._network_access(ctx.user_id, network) x;
    IF NOT FOUND OR ctx.device_id IS NOT NULL AND NOT a.joined THEN
        RETURN api_1._not_found();
    END IF;
    IF NOT a.joined THEN
        RETURN api_1._refuse(403, 'membership_required', 'Join the network first.');
    END IF;

    IF device IS NULL THEN
        errs := errs || api_1._wrong('device_id', 'required', 'Name the device.');
    ELSIF ctx.device_id <> device THEN
        RETURN api_1._refuse(403, 'forbidden', 'A device speaks only for itself.');
    END IF;
    SELECT x.id, x.name, x.agent INTO d FROM goconnect.devices x
     WHERE x.id = device AND x.user_id = ctx.user_id
       FOR NO KEY UPDATE;
    IF NOT FOUND AND ctx.device_id IS NOT NULL THEN
        RETURN api_1._refuse(401, 'session_revoked', 'The device was deleted meanwhile.');
    ELSIF NOT FOUND AND device IS NOT NULL THEN
        errs := errs || api_1._wrong('device_id', 'unknown', 'You have no such device.');
    END IF;
    IF NOT d.agent AND wg_key IS NOT NULL THEN
        errs := errs || api_1._wrong('public_key', 'not_allowed',
            'The server makes the key of a device without an agent.');
    ELSIF wg_key IS NULL AND (d.agent OR NOT body ? 'made') THEN
        errs := errs || api_1._wrong('public_key', 'required',
            'The agent of a device makes its key.');
    ELSIF d.agent IS NOT FALSE AND NOT api_1._is_key(wg_key) THEN
        errs := errs || api_1._wrong('public_key', 'invalid',
            'A key is 32 bytes in base64 (44 characters), not all zero.');
    END IF;
    IF body ->> 'name' IS NOT NULL AND NOT api_1._is_slug(body ->> 'name') THEN
        errs := errs || api_1._wrong('name', 'invalid',
            'A name is a DNS label: 1 to 63 of a-z, 0-9 and inner hyphens.');
    END IF;
    SELECT x.list, x.errors INTO e FROM api_1._endpoints(body -> 'endpoints') x;
    errs := errs || e.errors;
    SELECT x.list, errs || x.errors INTO subnets, errs FROM api_1._subnets(body) x;
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;

    SELECT p.* INTO old FROM goconnect.peers p
     WHERE p.network_id = network AND p.device_id = device;
    IF NOT d.agent THEN
        wg_key := coalesce(old.public_key, body #>> '{made,public_key}');
    END IF;
    IF EXISTS (SELECT FROM goconnect.peer_keys k
                WHERE k.public_key = wg_key AND k.peer_id IS DISTINCT FROM old.id)
    THEN
        RETURN api_1._refuse(409, 'key_in_use', 'This public key is in use.');
    END IF;
    IF api_1._name_taken(network, body ->> 'name', old.id, device, ctx.user_id) THEN
        RETURN api_1._refuse(409, 'name_taken', 'The network has a peer of this name.');
    END IF;

    IF old.id IS NOT NULL THEN
        peer := old.id;
        IF old.public_key = wg_key
           AND old.name = coalesce(body ->> 'name', old.name)
           AND (NOT body ? 'endpoints' OR old.endpoints = e.list)
        THEN
            IF api_1._set_subnets(ctx, device, subnets) THEN
                evs := api_1._self_events(ARRAY[device]);
            END IF;
            RETURN api_1._ok(200, api_1._peer_with_warnings(peer), api_1._etag(old.rev),
                             events => api_1._publish(evs));
        END IF;
        UPDATE goconnect.peers p
           SET public_key = wg_key,
               next_public_key = CASE WHEN old.public_key = wg_key
                                      THEN old.next_public_key END,
               name = coalesce(body ->> 'name', old.name),
               endpoints = CASE WHEN body ? 'endpoints' THEN e.list ELSE old.endpoints END
         WHERE p.id = peer
        RETURNING p.* INTO new;
        PERFORM api_1._audit(ctx, old.tenant_id, 'peer.update', 'peer', peer,
                             api_1._changes(to_jsonb(old), to_jsonb(new))
                             || jsonb_build_object('network_id', network, 'device_id', device));
    ELSE
        SELECT w.cidr, w.cidr6, w.mode, w.tenant_id INTO n
          FROM goconnect.networks w WHERE w.id = network;
        IF NOT d.agent AND n.mode = 'l2' THEN
            RETURN api_1._refuse(409, 'agent_required',
                'A network of mode l2 is for devices with an agent.');
        END IF;
        -- one device cannot stand in two networks with the same addresses
        SELECT w.name INTO clash
          FROM goconnect.peers p
          JOIN goconnect.networks w ON w.id = p.network_id
         WHERE p.device_id = device AND w.cidr && n.cidr
         ORDER BY w.name LIMIT 1;
        IF FOUND THEN
            RETURN api_1._refuse(409, 'address_overlap', format(
                'The range of the network "%s" overlaps the one of "%s", in which this device is already.',
                (SELECT w.name FROM goconnect.networks w WHERE w.id = network), clash));
        END IF;
        IF n.mode = 'l2' AND (SELECT count(*) FROM goconnect.peers p
                               WHERE p.network_id = network) >= 64
        THEN
            RETURN api_1._refuse(409, 'network_full', 'A network of mode l2 holds 64 peers.');
        END IF;
        SELECT h.* INTO held FROM api_1._held(network, device, ctx.user_id,
            coalesce(body ->> 'name', api_1._slug(d.name, 48))) h;
        ip := coalesce(held.ip_address, api_1._take_free(network));
        IF ip IS NULL THEN
            RETURN api_1._refuse(409, 'network_full', 'The network has no address left.');
        END IF;
        DELETE FROM goconnect.released_addresses x
         WHERE x.network_id = network AND x.ip_address = ip;
        INSERT INTO goconnect.peers AS p (id, tenant_id, network_id, device_id, user_id, name,
                                          ip_address, ip6_address, public_key,
                                          private_key_encrypted, via, endpoints)
        VALUES (CASE WHEN d.agent THEN gen_random_uuid() ELSE (body #>> '{made,id}')::uuid END,
                n.tenant_id, network, device, ctx.user_id,
                coalesce(body ->> 'name',
                         (SELECT held.name
                           WHERE NOT api_1._name_taken(network, held.name, NULL, device,
                                                       ctx.user_id)),
                         api_1._free_name(network, d.name)), ip,
                api_1._address(n.cidr6, ip - network(n.cidr)::inet), wg_key,
                CASE WHEN NOT d.agent THEN decode(body #>> '{made,private_key}', 'hex') END,
                CASE WHEN NOT d.agent THEN api_1._gateway(network) END,
                e.list)
        RETURNING p.* INTO new;
        peer := new.id;
        PERFORM api_1._audit(ctx, n.tenant_id, 'peer.create', 'peer', peer,
                             api_1._changes(NULL, to_jsonb(new))
                             || jsonb_build_object('network_id', network, 'device_id', device));
    END IF;

    PERFORM api_1._set_subnets(ctx, device, subnets);
    evs := ARRAY[api_1._event('network:' || network, 'netmap_delta',
                     api_1._delta(network, ARRAY[peer], '{}'))];
    evs := evs || api_1._self_events(ARRAY[device]);
    RETURN (SELECT api_1._ok(CASE WHEN old.id IS NULL THEN 201 ELSE 200 END,
                             api_1._peer_with_warnings(peer), api_1._etag(p.rev),
                             '/v1/peers/' || peer || '/config',
                             api_1._tell_online(api_1._publish(evs), peer))
              FROM goconnect.peers p WHERE p.id = peer);
END
$$;

-- For the device's own configuration file: its user and it itself may have it.
CREATE FUNCTION api_1.peers_config(ctx api_1.ctx, peer uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    p record;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.network_id, x.device_id, x.user_id,
           x.private_key_encrypted IS NULL AS agent INTO p
      FROM goconnect.peers x,
           api_1._network_access(ctx.user_id, x.network_id) a
     WHERE x.id = peer AND (a.joined OR a.tenant_rank >= 3 AND ctx.device_id IS NULL);
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF p.user_id <> ctx.user_id OR ctx.device_id <> p.device_id THEN
        RETURN api_1._refuse(403, 'forbidden', 'Only the device''s own user gets its configuration.');
    END IF;
    IF NOT p.agent THEN
        RETURN api_1._agentless_config(ctx, peer);
    END IF;
    RETURN api_1._ok(200, json_build_object(
        'peer', api_1._peer_object(peer),
        'network', api_1._network_object(p.network_id, ctx.user_id),
        'private_key', NULL,
        'gateway', NULL,
        'peers', (SELECT coalesce(json_agg(row_to_json(o)), '[]'::json)
                    FROM (SELECT v.* FROM api_1._peers v
                           WHERE v.network_id = p.network_id AND v.id <> peer
                           ORDER BY v.name) o)));
END
$$;

-- Who may: the device, its user, and moderators of the network above its role.
CREATE FUNCTION api_1.peers_delete(ctx api_1.ctx, peer uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    p goconnect.peers;
    a record;
    evs api_1.event[];
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    PERFORM api_1._lock_networks(ARRAY(SELECT x.network_id FROM goconnect.peers x
                                        WHERE x.id = peer));
    SELECT x.* INTO p FROM goconnect.peers x WHERE x.id = peer;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    SELECT x.* INTO a FROM api_1._network_access(ctx.user_id, p.network_id) x;
    IF NOT FOUND OR NOT (a.joined OR a.tenant_rank >= 3 AND ctx.device_id IS NULL) THEN
        RETURN api_1._not_found();
    END IF;
    IF p.user_id <> ctx.user_id AND (ctx.device_id IS NOT NULL OR a.rank < 2)
       OR ctx.device_id <> p.device_id
    THEN
        RETURN api_1._forbidden('moderator');
    END IF;
    IF p.user_id <> ctx.user_id AND goconnect.role_rank(p.role) >= a.rank AND a.rank < 4 THEN
        RETURN api_1._refuse(403, 'role_too_low', 'The peer belongs to somebody of your role or above.');
    END IF;
    IF NOT api_1._matches(ctx.if_match, p.rev) THEN
        RETURN api_1._stale();
    END IF;

    evs := api_1._remove_peers(ARRAY[peer]);
    -- in a statement of its own: it has to see what is left
    evs := evs || api_1._event('device:' || p.device_id, 'revoked',
               api_1._revoked('network', NULL, p.device_id, p.network_id, p.tenant_id,
                              '{}', 'peer_deleted'))
        || api_1._self_events(ARRAY[p.device_id]);
    PERFORM api_1._audit(ctx, p.tenant_id, 'peer.delete', 'peer', peer,
                         api_1._changes(to_jsonb(p), NULL)
                         || jsonb_build_object('network_id', p.network_id,
                                               'device_id', p.device_id));
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;
