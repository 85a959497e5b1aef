-- Enrolment keys: devices without a user at hand, and what ends with them.

-- A key makes one service user, and all its devices belong to that one.
CREATE VIEW api_1._enrollment_keys AS
    SELECT k.id, k.tenant_id, k.name, k.user_id, u.username, k.reusable, k.ephemeral,
           ARRAY(SELECT x.network_id FROM goconnect.enrollment_key_networks x
                  WHERE x.key_id = k.id ORDER BY x.network_id) AS networks,
           k.uses,
           (SELECT count(*) FROM goconnect.devices d WHERE d.user_id = k.user_id)
               AS device_count,
           k.last_used_at, k.expires_at, k.created_by, k.created_at
      FROM goconnect.enrollment_keys k
      JOIN goconnect.users u ON u.id = k.user_id;

CREATE FUNCTION api_1.enrollment_keys_list(ctx api_1.ctx, tenant uuid, lim integer, cur text)
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
      FROM (SELECT v.* FROM api_1._enrollment_keys v
             WHERE v.tenant_id = tenant
               AND (v.created_at, v.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
             ORDER BY v.created_at, v.id LIMIT n + 1) o;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

-- The name of a key's service user: device-NAME, with a tail if it is taken.
CREATE FUNCTION api_1._service_name(wish text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    stem text := 'device-' || coalesce(api_1._slug(wish, 24), 'key');
    candidate text := stem;
    i integer := 1;
BEGIN
    WHILE EXISTS (SELECT FROM goconnect.users u
                   WHERE u.username_norm = candidate COLLATE "C")
    LOOP
        i := i + 1;
        candidate := left(stem, 23) || '-'
            || CASE WHEN i <= 20 THEN i::text ELSE left(gen_random_uuid()::text, 8) END;
    END LOOP;
    RETURN candidate;
END
$$;

-- The ids of a body's list of networks, each once.
CREATE FUNCTION api_1._network_ids(body jsonb) RETURNS uuid[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT DISTINCT x.value::uuid
                   FROM jsonb_array_elements_text(
                            CASE jsonb_typeof(body -> 'networks') WHEN 'array'
                                 THEN body -> 'networks' ELSE '[]' END) x
                  ORDER BY 1)
$$;

-- Two of these networks in which one device cannot be at once; NULL if none.
CREATE FUNCTION api_1._overlapping(networks uuid[]) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT format('The ranges of the networks "%s" and "%s" overlap: no device can be in both.',
                          a.name, b.name)
              FROM goconnect.networks a
              JOIN goconnect.networks b ON a.cidr && b.cidr AND a.id < b.id
             WHERE a.id = ANY (networks) AND b.id = ANY (networks)
             ORDER BY a.id, b.id LIMIT 1);
END
$$;

-- body: name, reusable?, ephemeral?, expires_in? (seconds; null never; without
-- it 90 days), networks?, key_hash
CREATE FUNCTION api_1.enrollment_keys_create(ctx api_1.ctx, tenant uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    n record;
    errs json[] := '{}';
    title text := btrim(body ->> 'name');
    life numeric := CASE WHEN body ? 'expires_in' THEN (body ->> 'expires_in')::numeric
                         ELSE 7776000 END;
    networks uuid[] := api_1._network_ids(body);
    clash text;
    service uuid;
    key uuid;
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
    IF a.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    IF coalesce(char_length(title), 0) NOT BETWEEN 1 AND 64 OR title ~ '[[:cntrl:]]' THEN
        errs := errs || api_1._wrong('name', 'invalid',
            'A name has 1 to 64 characters and no control characters.');
    END IF;
    IF life NOT BETWEEN 60 AND 31536000 THEN
        errs := errs || api_1._wrong('expires_in', 'out_of_range',
            'From a minute to a year, or null.');
    END IF;
    IF cardinality(networks) > 32 THEN
        errs := errs || api_1._wrong('networks', 'too_long', 'At most 32 networks.');
    END IF;
    FOR n IN
        SELECT x.place - 1 AS at, w.required_role
          FROM jsonb_array_elements_text(CASE WHEN cardinality(networks) > 0
                   THEN body -> 'networks' ELSE '[]' END) WITH ORDINALITY AS x (id, place)
          LEFT JOIN LATERAL (SELECT o.required_role FROM goconnect.networks o
                              WHERE o.id = x.id::uuid AND o.tenant_id = tenant
                                AND EXISTS (SELECT FROM api_1._network_access(ctx.user_id,
                                                                              o.id))) w ON true
         ORDER BY x.place LIMIT 32
    LOOP
        IF n.required_role IS NULL THEN
            errs := errs || api_1._wrong('networks[' || n.at || ']', 'unknown',
                'There is no such network in this tenant.');
        ELSIF n.required_role <> 'member' THEN
            errs := errs || api_1._wrong('networks[' || n.at || ']', 'invalid',
                'This network needs the role ' || n.required_role
                || '; what a key enrolls is a member.');
        END IF;
    END LOOP;
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    clash := api_1._overlapping(networks);
    IF clash IS NOT NULL THEN
        RETURN api_1._refuse(409, 'address_overlap', clash);
    END IF;
    IF (SELECT count(*) FROM goconnect.enrollment_keys k WHERE k.tenant_id = tenant) >= 1000 THEN
        RETURN api_1._refuse(409, 'limit_reached', 'The tenant has 1,000 enrolment keys already.');
    END IF;

    LOOP
        INSERT INTO goconnect.users AS u (kind, username)
        VALUES ('service', api_1._service_name(title))
        ON CONFLICT (username_norm) WHERE username_norm IS NOT NULL DO NOTHING
        RETURNING u.id INTO service;
        EXIT WHEN FOUND;    -- else somebody took the name meanwhile
    END LOOP;
    INSERT INTO goconnect.enrollment_keys AS k (tenant_id, key_hash, name, user_id, reusable,
                                                ephemeral, expires_at, created_by)
    VALUES (tenant, api_1._hash(body ->> 'key_hash'), title, service,
            coalesce((body ->> 'reusable')::boolean, false),
            coalesce((body ->> 'ephemeral')::boolean, false),
            now() + life * interval '1 second', ctx.user_id)
    RETURNING k.id INTO key;
    INSERT INTO goconnect.enrollment_key_networks (tenant_id, key_id, network_id)
    SELECT tenant, key, x.id FROM unnest(networks) AS x (id);

    SELECT row_to_json(v) INTO object FROM api_1._enrollment_keys v WHERE v.id = key;
    PERFORM api_1._audit(ctx, tenant, 'enrollment_key.create', 'enrollment_key', key,
                         api_1._changes(NULL, object::jsonb));
    RETURN api_1._ok(201, object, NULL, '/v1/tenants/' || tenant || '/enrollment-keys');
END
$$;

-- A service user that nothing needs any more goes; one that has said something
-- stays as the name of that. The caller has locked the networks it is in.
CREATE FUNCTION api_1._retire_service(service uuid, reason text) RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    tenant uuid;
    evs api_1.event[] := '{}';
BEGIN
    FOR tenant IN
        SELECT DISTINCT m.tenant_id FROM goconnect.memberships m
         WHERE m.user_id = service ORDER BY m.tenant_id
    LOOP
        evs := evs || api_1._expel_tenant(tenant, ARRAY[service], reason);
    END LOOP;
    IF EXISTS (SELECT FROM goconnect.messages m WHERE m.user_id = service) THEN
        UPDATE goconnect.users u SET deleted_at = now() WHERE u.id = service;
    ELSE
        DELETE FROM goconnect.users u WHERE u.id = service;
    END IF;
    RETURN evs;
END
$$;

-- The key opens nothing any more; what it has enrolled stays. A service user
-- without a device goes with it.
CREATE FUNCTION api_1.enrollment_keys_delete(ctx api_1.ctx, key uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    k record;
    object jsonb;
    left_over boolean;
    evs api_1.event[] := '{}';
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT v.tenant_id, v.user_id, a.rank INTO k
      FROM goconnect.enrollment_keys v, api_1._tenant_access(ctx.user_id, v.tenant_id) a
     WHERE v.id = key AND a.rank >= 1;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF k.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    PERFORM FROM goconnect.tenants t WHERE t.id = k.tenant_id FOR SHARE;
    PERFORM api_1._lock_networks(ARRAY(SELECT m.network_id FROM goconnect.memberships m
                                        WHERE m.tenant_id = k.tenant_id
                                          AND m.user_id = k.user_id
                                          AND m.network_id IS NOT NULL));
    PERFORM FROM goconnect.enrollment_keys v WHERE v.id = key FOR UPDATE;
    SELECT to_jsonb(v) INTO object FROM api_1._enrollment_keys v WHERE v.id = key;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;

    DELETE FROM goconnect.enrollment_keys v WHERE v.id = key;
    left_over := EXISTS (SELECT FROM goconnect.devices d WHERE d.user_id = k.user_id);
    IF NOT left_over THEN
        evs := api_1._retire_service(k.user_id, 'key_deleted');
    END IF;
    PERFORM api_1._audit(ctx, k.tenant_id, 'enrollment_key.delete', 'enrollment_key', key,
                         api_1._changes(object, NULL));
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;

-- What opens with the answer to a device: its tokens (the module adds them),
-- itself, whose it is, and the networks that it may enter now.
CREATE FUNCTION api_1._enrolled(device uuid, session uuid, owner uuid, networks uuid[])
RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT json_build_object(
                'device', api_1._device_object(device),
                'user', (SELECT json_build_object('id', u.id, 'username', u.username)
                           FROM goconnect.users u WHERE u.id = owner),
                'session_id', session,
                'networks', (SELECT coalesce(json_agg(api_1._network_object(n.id, owner)
                                                      ORDER BY n.created_at, n.id), '[]'::json)
                               FROM goconnect.networks n
                              WHERE n.id = ANY (networks)
                                AND EXISTS (SELECT FROM api_1._network_access(owner, n.id) a
                                             WHERE a.joined))));
END
$$;

-- body: key_hash, name, platform, public_key, refresh_hash. The service user
-- becomes a member of the tenant and of the key's networks with its first
-- device. A key that is good once may be shown again by the device that used
-- it, until that device has come on line: the answer may have been lost.
CREATE FUNCTION api_1.auth_enroll(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    k goconnect.enrollment_keys;
    errs json[] := api_1._check_device(body, true);
    networks uuid[];
    wall record;
    again boolean;
    network uuid;
    d record;
    evs api_1.event[] := '{}';
BEGIN
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    SELECT v.* INTO k FROM goconnect.enrollment_keys v
     WHERE v.key_hash = api_1._hash(body ->> 'key_hash');
    IF FOUND THEN
        PERFORM FROM goconnect.tenants t WHERE t.id = k.tenant_id FOR SHARE;
        networks := ARRAY(SELECT x.network_id FROM goconnect.enrollment_key_networks x
                           WHERE x.key_id = k.id ORDER BY x.network_id);
        PERFORM api_1._lock_networks(networks);
        SELECT v.* INTO k FROM goconnect.enrollment_keys v
          JOIN goconnect.tenants t ON t.id = v.tenant_id AND t.deleted_at IS NULL
         WHERE v.id = k.id
           FOR UPDATE OF v;
    END IF;
    IF NOT FOUND THEN
        RETURN api_1._refuse(401, 'invalid_key', 'There is no such enrolment key.');
    END IF;
    IF k.expires_at <= now() THEN
        RETURN api_1._refuse(403, 'key_expired', 'This enrolment key has expired.');
    END IF;
    IF EXISTS (SELECT FROM goconnect.users u
                WHERE u.id = k.user_id AND u.suspended_at IS NOT NULL)
    THEN
        RETURN api_1._refuse(403, 'suspended', 'The devices of this enrolment key are suspended.');
    END IF;

    SELECT o.created_at > now() - interval '10 minutes' AND o.last_seen IS NULL INTO again
      FROM goconnect.devices o
     WHERE o.public_key = body ->> 'public_key' AND o.user_id = k.user_id;
    IF NOT k.reusable AND k.uses > 0 AND again IS NOT TRUE THEN
        RETURN api_1._refuse(403, 'key_used', 'This enrolment key was good for one device, and is used.');
    END IF;
    networks := ARRAY(SELECT x.network_id FROM goconnect.enrollment_key_networks x
                       WHERE x.key_id = k.id ORDER BY x.network_id);
    IF EXISTS (SELECT FROM goconnect.memberships m
                WHERE m.tenant_id = k.tenant_id AND m.user_id = k.user_id
                  AND m.status = 'banned'
                  AND (m.network_id IS NULL OR m.network_id = ANY (networks)))
    THEN
        RETURN api_1._refuse(403, 'banned', 'The devices of this enrolment key are banned.');
    END IF;
    SELECT n.name, n.required_role INTO wall FROM goconnect.networks n
     WHERE n.id = ANY (networks)
       AND goconnect.role_rank(n.required_role)
           > greatest(1, goconnect.role_rank(goconnect.effective_role(k.tenant_id, n.id,
                                                                      k.user_id)))
     ORDER BY n.name LIMIT 1;
    IF FOUND THEN
        RETURN api_1._refuse(403, 'role_too_low', format(
            'The network "%s" needs the role %s; what a key enrolls is a member.',
            wall.name, wall.required_role));
    END IF;

    ctx.user_id := k.user_id;
    SELECT x.* INTO d FROM api_1._enroll_device(ctx, k.user_id, body, k.ephemeral) x;
    IF (d.refusal).status IS NOT NULL THEN
        RETURN d.refusal;
    END IF;
    UPDATE goconnect.enrollment_keys v
       SET uses = v.uses + CASE WHEN d.fresh THEN 1 ELSE 0 END, last_used_at = now()
     WHERE v.id = k.id;

    evs := d.evs;
    INSERT INTO goconnect.memberships (tenant_id, user_id, joined_at)
    VALUES (k.tenant_id, k.user_id, now())
    ON CONFLICT ON CONSTRAINT memberships_member_key DO NOTHING;
    IF FOUND THEN
        evs := evs || api_1._joined_tenant(k.tenant_id, k.user_id);
    END IF;
    FOREACH network IN ARRAY networks
    LOOP
        -- the key is the approval, and the invite
        INSERT INTO goconnect.memberships AS m (tenant_id, network_id, user_id, joined_at)
        VALUES (k.tenant_id, network, k.user_id, now())
        ON CONFLICT ON CONSTRAINT memberships_member_key DO UPDATE
           SET status = 'active', joined_at = now() WHERE m.status = 'pending';
        IF FOUND THEN
            evs := evs || api_1._joined_network(k.tenant_id, network, k.user_id);
        END IF;
    END LOOP;
    PERFORM api_1._audit(ctx, k.tenant_id, 'device.enroll', 'device', d.device,
        d.detail || jsonb_build_object('enrollment_key_id', k.id));
    RETURN api_1._ok(201, api_1._enrolled(d.device, d.session, k.user_id, networks), NULL,
                     '/v1/devices/' || d.device, api_1._publish(evs));
END
$$;

-- Locks these networks, if nobody else holds one of them; true if so. For the
-- sweep, which waits for nothing: it may hold what others wait for.
CREATE FUNCTION api_1._try_networks(ids uuid[]) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN cardinality(ARRAY(SELECT n.id FROM goconnect.networks n WHERE n.id = ANY (ids)
                              ORDER BY n.id FOR NO KEY UPDATE SKIP LOCKED))
         = (SELECT count(*) FROM goconnect.networks n WHERE n.id = ANY (ids));
END
$$;

-- Ephemeral devices that have been away for an hour. One that something holds
-- is passed over, until the next time.
CREATE FUNCTION api_1._sweep_ephemeral(batch integer) RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    old record;
    evs api_1.event[] := '{}';
BEGIN
    FOR old IN
        SELECT d.id, d.user_id,
               ARRAY(SELECT p.network_id FROM goconnect.peers p
                      WHERE p.device_id = d.id ORDER BY p.network_id) AS networks
          FROM goconnect.devices d
         WHERE d.ephemeral AND coalesce(d.last_seen, d.created_at) < now() - interval '1 hour'
           AND NOT EXISTS (SELECT FROM goconnect.presence s WHERE s.device_id = d.id)
         ORDER BY d.created_at, d.id LIMIT batch
    LOOP
        CONTINUE WHEN NOT api_1._try_networks(old.networks);
        PERFORM FROM goconnect.devices d
          WHERE d.id = old.id AND coalesce(d.last_seen, d.created_at) < now() - interval '1 hour'
            AND NOT EXISTS (SELECT FROM goconnect.presence s WHERE s.device_id = d.id)
            FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND
            OR EXISTS (SELECT FROM goconnect.peers p
                        WHERE p.device_id = old.id AND NOT p.network_id = ANY (old.networks));
        PERFORM api_1._audit(NULL::api_1.ctx,
            (SELECT m.tenant_id FROM goconnect.memberships m
              WHERE m.user_id = old.user_id AND m.network_id IS NULL
              ORDER BY m.created_at LIMIT 1),
            'device.vanish', 'device', old.id,
            (SELECT api_1._changes(to_jsonb(d), NULL) FROM goconnect.devices d WHERE d.id = old.id));
        evs := evs || api_1._drop_device(old.id, old.user_id, old.networks, 'device_vanished');
    END LOOP;
    RETURN evs;
END
$$;

-- Service users without a key that have no device left, or belong nowhere; and
-- keys that are long over.
CREATE FUNCTION api_1._sweep_services(batch integer) RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    service record;
    device uuid;
    evs api_1.event[] := '{}';
BEGIN
    DELETE FROM goconnect.enrollment_keys k WHERE k.id IN (
        SELECT o.id FROM goconnect.enrollment_keys o
         WHERE o.expires_at < now() - interval '30 days'
            OR NOT o.reusable AND o.uses > 0 AND o.last_used_at < now() - interval '30 days'
         ORDER BY o.id LIMIT batch FOR UPDATE SKIP LOCKED);
    FOR service IN
        SELECT u.id, ARRAY(SELECT m.network_id FROM goconnect.memberships m
                            WHERE m.user_id = u.id AND m.network_id IS NOT NULL
                            ORDER BY m.network_id) AS networks
          FROM goconnect.users u
         WHERE u.kind = 'service' AND u.deleted_at IS NULL
           AND NOT EXISTS (SELECT FROM goconnect.enrollment_keys k WHERE k.user_id = u.id)
           AND (NOT EXISTS (SELECT FROM goconnect.devices d WHERE d.user_id = u.id)
                OR NOT EXISTS (SELECT FROM goconnect.memberships m WHERE m.user_id = u.id))
         ORDER BY u.created_at, u.id LIMIT batch
    LOOP
        CONTINUE WHEN NOT api_1._try_networks(service.networks);
        PERFORM FROM goconnect.users u WHERE u.id = service.id FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        FOR device IN
            SELECT d.id FROM goconnect.devices d WHERE d.user_id = service.id
               AND NOT EXISTS (SELECT FROM goconnect.memberships m WHERE m.user_id = service.id)
             ORDER BY d.id
        LOOP
            evs := evs || api_1._drop_device(device, service.id, '{}', 'device_deleted');
        END LOOP;
        evs := evs || api_1._retire_service(service.id, 'key_deleted');
    END LOOP;
    RETURN evs;
END
$$;

-- The topics of devices and service users that the sweep has removed: nobody
-- subscribes to them again.
CREATE FUNCTION api_1._end_swept_topics(evs api_1.event[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM api_1._end_topics(ARRAY(
        SELECT DISTINCT e.topic FROM unnest(evs) e
         WHERE e.topic ~ '^(device|user):'
           AND NOT EXISTS (SELECT FROM goconnect.devices d
                            WHERE d.id = split_part(e.topic, ':', 2)::uuid
                           UNION ALL
                           SELECT FROM goconnect.users u
                            WHERE u.id = split_part(e.topic, ':', 2)::uuid)));
END
$$;
