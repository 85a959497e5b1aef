-- Reservations: addresses that are held. And the relays, which all may know.

CREATE VIEW api_1._reservations AS
    SELECT v.id, v.network_id, host(v.ip_address) AS ip_address, v.name, v.user_id,
           v.device_id, p.id AS peer_id, v.created_by, v.created_at
      FROM goconnect.reservations v
      LEFT JOIN goconnect.peers p
        ON p.network_id = v.network_id AND p.ip_address = v.ip_address;

-- Empty if the caller administers the network.
CREATE FUNCTION api_1._network_admin(ctx api_1.ctx, network uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    a record;
BEGIN
    SELECT x.rank INTO a FROM api_1._network_access(ctx.user_id, network) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION api_1.reservations_list(ctx api_1.ctx, network uuid, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    n integer := api_1._limit(lim);
    page record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NULL THEN
        r := api_1._network_admin(ctx, network);
    END IF;
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;
    SELECT array_agg(row_to_json(o)) AS items,
           array_agg(api_1._cursor(o.created_at, o.id)) AS cursors
      INTO page
      FROM (SELECT v.* FROM api_1._reservations v
             WHERE v.network_id = network
               AND (v.created_at, v.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
             ORDER BY v.created_at, v.id LIMIT n + 1) o;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

-- An address of a host in the range as a client wrote it; NULL if it is none.
CREATE FUNCTION api_1._host_of(range cidr, value text) RETURNS inet
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    address inet;
BEGIN
    IF value !~ '^[0-9]{1,3}(\.[0-9]{1,3}){3}$' THEN
        RETURN NULL;
    END IF;
    address := value::inet;
    IF address << range AND address <> host(range)::inet AND address <> host(broadcast(range))::inet
    THEN
        RETURN address;
    END IF;
    RETURN NULL;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN NULL;
END
$$;

-- What is wrong with the body of a reservation.
CREATE FUNCTION api_1._check_reservation(network uuid, body jsonb) RETURNS json[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    errs json[] := '{}';
    n record;
BEGIN
    SELECT w.cidr, w.tenant_id INTO n FROM goconnect.networks w WHERE w.id = network;
    IF num_nonnulls(body ->> 'ip_address', body ->> 'name', body ->> 'user_id',
                    body ->> 'device_id') = 0
    THEN
        errs := errs || api_1._wrong('ip_address', 'required',
            'Name an address, or for what the next free one is held.');
    END IF;
    IF body ->> 'ip_address' IS NOT NULL
       AND api_1._host_of(n.cidr, body ->> 'ip_address') IS NULL
    THEN
        errs := errs || api_1._wrong('ip_address', 'invalid',
            'An address of a host in ' || text(n.cidr) || '.');
    END IF;
    IF body ->> 'name' IS NOT NULL AND NOT api_1._is_slug(body ->> 'name') THEN
        errs := errs || api_1._wrong('name', 'invalid',
            'A name is a DNS label: 1 to 63 of a-z, 0-9 and inner hyphens.');
    END IF;
    IF num_nonnulls(body ->> 'user_id', body ->> 'device_id') = 2 THEN
        errs := errs || api_1._wrong('device_id', 'invalid', 'Either a user or a device.');
    END IF;
    IF body ->> 'user_id' IS NOT NULL
       AND NOT EXISTS (SELECT FROM goconnect.memberships m
                        WHERE m.tenant_id = n.tenant_id AND m.network_id IS NULL
                          AND m.user_id = (body ->> 'user_id')::uuid AND m.status = 'active')
    THEN
        errs := errs || api_1._wrong('user_id', 'unknown', 'The tenant has no such member.');
    END IF;
    IF body ->> 'device_id' IS NOT NULL
       AND NOT EXISTS (SELECT FROM goconnect.devices d
                         JOIN goconnect.memberships m
                           ON m.tenant_id = n.tenant_id AND m.network_id IS NULL
                          AND m.user_id = d.user_id AND m.status = 'active'
                        WHERE d.id = (body ->> 'device_id')::uuid)
    THEN
        errs := errs || api_1._wrong('device_id', 'unknown',
            'No member of the tenant has such a device.');
    END IF;
    RETURN errs;
END
$$;

-- body: ip_address? (or the next free one), name?, user_id? or device_id?
CREATE FUNCTION api_1.reservations_create(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    errs json[];
    n record;
    ip inet;
    owner uuid;
    device uuid;
    made uuid;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NULL THEN
        r := api_1._network_admin(ctx, network);    -- others take no locks
    END IF;
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    -- in one statement the lock, in the next ones the search
    PERFORM api_1._lock_networks(ARRAY[network]);
    r := api_1._network_admin(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    errs := api_1._check_reservation(network, body);
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    r := api_1._before(ctx, 'reservations_create/' || network, body);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;

    SELECT w.cidr, w.tenant_id INTO n FROM goconnect.networks w WHERE w.id = network;
    ip := api_1._host_of(n.cidr, body ->> 'ip_address');
    owner := (body ->> 'user_id')::uuid;
    device := (body ->> 'device_id')::uuid;
    IF (SELECT count(*) FROM goconnect.reservations v WHERE v.network_id = network) >= 1000 THEN
        RETURN api_1._refuse(409, 'limit_reached', 'The network has 1,000 reservations already.');
    END IF;
    IF EXISTS (SELECT FROM goconnect.reservations v
                WHERE v.network_id = network AND v.name = body ->> 'name'
               UNION ALL
               SELECT FROM goconnect.peers p
                WHERE p.network_id = network AND p.name = body ->> 'name'
                  AND (p.user_id <> owner OR p.device_id <> device))
    THEN
        RETURN api_1._refuse(409, 'name_taken', 'The name is somebody else''s.');
    END IF;
    IF EXISTS (SELECT FROM goconnect.reservations v
                WHERE v.network_id = network AND v.ip_address = ip
               UNION ALL
               SELECT FROM goconnect.peers p
                WHERE p.network_id = network AND p.ip_address = ip
                  AND (p.user_id = owner OR p.device_id = device
                       OR num_nonnulls(owner, device) = 0 AND p.name = body ->> 'name')
                      IS NOT TRUE)
    THEN
        RETURN api_1._refuse(409, 'address_taken', 'The address is somebody else''s.');
    END IF;
    IF ip IS NULL THEN
        ip := api_1._take_free(network);
        IF ip IS NULL THEN
            RETURN api_1._refuse(409, 'network_full', 'The network has no address left.');
        END IF;
    END IF;

    INSERT INTO goconnect.reservations AS v (network_id, ip_address, name, user_id, device_id,
                                             created_by)
    VALUES (network, ip, body ->> 'name', owner, device, ctx.user_id)
    RETURNING v.id INTO made;
    PERFORM api_1._audit(ctx, n.tenant_id, 'reservation.create', 'reservation', made,
        (SELECT jsonb_build_object('network_id', network) || api_1._changes(NULL, to_jsonb(v))
           FROM goconnect.reservations v WHERE v.id = made));
    r := (SELECT api_1._ok(201, row_to_json(v), api_1._etag(1), '/v1/reservations/' || made)
            FROM api_1._reservations v WHERE v.id = made);
    PERFORM api_1._remember(ctx, 'reservations_create/' || network, body, r);
    RETURN r;
END
$$;

-- What was held goes back: an address that may have been in use rests first.
CREATE FUNCTION api_1.reservations_delete(ctx api_1.ctx, reservation uuid)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    network uuid;
    old goconnect.reservations;
    n record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT v.network_id INTO network FROM goconnect.reservations v WHERE v.id = reservation;
    r := api_1._network_admin(ctx, network);        -- others take no locks
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    PERFORM api_1._lock_networks(ARRAY[network]);
    r := api_1._network_admin(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT v.* INTO old FROM goconnect.reservations v WHERE v.id = reservation;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF NOT api_1._matches(ctx.if_match, 1) THEN
        RETURN api_1._stale();
    END IF;

    DELETE FROM goconnect.reservations v WHERE v.id = reservation;
    SELECT w.tenant_id, w.cidr, w.high_water INTO n
      FROM goconnect.networks w WHERE w.id = network;
    IF old.ip_address - host(n.cidr)::inet <= n.high_water
       AND NOT EXISTS (SELECT FROM goconnect.peers p
                        WHERE p.network_id = network AND p.ip_address = old.ip_address)
    THEN
        INSERT INTO goconnect.released_addresses (network_id, ip_address)
        VALUES (network, old.ip_address)
        ON CONFLICT (network_id, ip_address) DO NOTHING;
    END IF;
    PERFORM api_1._audit(ctx, n.tenant_id, 'reservation.delete', 'reservation', reservation,
        jsonb_build_object('network_id', network) || api_1._changes(to_jsonb(old), NULL));
    RETURN api_1._ok(204);
END
$$;

CREATE FUNCTION api_1.relays_list(ctx api_1.ctx, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    n integer := api_1._limit(lim);
    last_one text;
    page record;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    -- a name may be any text, so the cursor is the id of the last one
    IF cur ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        SELECT v.name INTO last_one FROM goconnect.relays v WHERE v.id = cur::uuid;
    END IF;
    IF cur IS NOT NULL AND last_one IS NULL THEN
        RETURN api_1._bad_cursor();
    END IF;
    SELECT array_agg(row_to_json(o)) AS items, array_agg(o.id::text) AS cursors
      INTO page
      FROM (SELECT v.* FROM api_1._relays v
             WHERE v.name > coalesce(last_one, '')
             ORDER BY v.name LIMIT n + 1) o;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;
