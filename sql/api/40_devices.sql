-- Devices of a user.

CREATE FUNCTION api_1.devices_list(ctx api_1.ctx, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    n integer := api_1._limit(lim);
    page record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;
    SELECT array_agg(row_to_json(o)) AS items,
           array_agg(api_1._cursor(o.created_at, o.id)) AS cursors
      INTO page
      FROM (SELECT v.* FROM api_1._devices v
             WHERE v.user_id = ctx.user_id
               AND (v.created_at, v.id) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
             ORDER BY v.created_at, v.id LIMIT n + 1) o;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

CREATE FUNCTION api_1._check_device(body jsonb, need_all boolean) RETURNS json[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    errs json[] := '{}';
BEGIN
    IF (need_all OR body ? 'name')
       AND (coalesce(char_length(btrim(body ->> 'name')), 0) NOT BETWEEN 1 AND 64
            OR body ->> 'name' ~ '[[:cntrl:]]')
    THEN
        errs := errs || api_1._wrong('name', 'invalid',
            'A name has 1 to 64 characters and no control characters.');
    END IF;
    IF (need_all OR body ? 'platform')
       AND (body ->> 'platform' IN ('linux', 'windows', 'macos', 'android', 'ios', 'other'))
           IS NOT TRUE
    THEN
        errs := errs || api_1._wrong('platform', 'invalid',
            'One of: linux, windows, macos, android, ios, other.');
    END IF;
    IF (need_all OR body ? 'public_key')
       AND api_1._is_key(body ->> 'public_key') IS NOT TRUE
    THEN
        errs := errs || api_1._wrong('public_key', 'invalid',
            'A key is 32 bytes in base64 (44 characters), not all zero.');
    END IF;
    RETURN errs;
END
$$;

-- A session for the device of this key, which is made if it is not there: a
-- user who logs in again on it gets a new session for the same one, and its
-- older sessions end. body: name, platform, public_key, refresh_hash, agent?,
-- checked before; with agent: false the key is of the module's making and there
-- is no session. Nothing was written if it refuses; detail is for the audit
-- trail.
CREATE FUNCTION api_1._enroll_device(ctx api_1.ctx, owner uuid, body jsonb, vanishes boolean,
                                     OUT refusal api_1.reply, OUT device uuid,
                                     OUT session uuid, OUT fresh boolean,
                                     OUT detail jsonb, OUT evs api_1.event[])
LANGUAGE plpgsql AS $$
DECLARE
    old goconnect.devices;
    new goconnect.devices;
    has_agent boolean := coalesce((body -> 'agent')::boolean, true);
BEGIN
    evs := '{}';
    PERFORM api_1._hold_user(ctx, owner);
    SELECT d.* INTO old FROM goconnect.devices d
     WHERE d.public_key = body ->> 'public_key'
       FOR NO KEY UPDATE;
    IF old.id IS NOT NULL AND (old.user_id <> owner OR NOT old.agent OR NOT has_agent) THEN
        refusal := api_1._refuse(409, 'key_in_use', 'This public key is in use.');
        RETURN;
    END IF;
    IF old.id IS NOT NULL THEN
        device := old.id;
        UPDATE goconnect.devices d
           SET name = btrim(body ->> 'name'), platform = body ->> 'platform',
               ephemeral = vanishes
         WHERE d.id = device
        RETURNING d.* INTO new;
        WITH gone AS (
            DELETE FROM goconnect.sessions s WHERE s.device_id = device RETURNING s.id
        )
        SELECT coalesce(array_agg(api_1._event('device:' || device, 'revoked',
                   api_1._revoked('session', g.id, device, NULL, NULL, '{}', 'replaced'))), '{}')
          INTO evs FROM gone g;
    ELSE
        IF (SELECT count(*) FROM goconnect.devices d WHERE d.user_id = owner) >= 1000 THEN
            refusal := api_1._refuse(409, 'limit_reached', 'There are 1,000 devices already.');
            RETURN;
        END IF;
        INSERT INTO goconnect.devices AS d (user_id, name, platform, public_key, agent,
                                            ephemeral)
        VALUES (owner, btrim(body ->> 'name'), body ->> 'platform', body ->> 'public_key',
                has_agent, vanishes)
        RETURNING d.* INTO new;
        device := new.id;
    END IF;
    IF has_agent THEN
        session := api_1._start_session(ctx, owner, device, body ->> 'refresh_hash');
    END IF;
    fresh := old.id IS NULL;
    detail := api_1._changes(CASE WHEN old.id IS NOT NULL THEN to_jsonb(old) END, to_jsonb(new))
        || jsonb_build_object('session_id', session);
END
$$;

-- body: name, platform, public_key, refresh_hash, agent?. The key names the
-- device.
CREATE FUNCTION api_1.devices_create(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    errs json[];
    d record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    errs := api_1._check_device(body, true);
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    SELECT x.* INTO d FROM api_1._enroll_device(ctx, ctx.user_id, body, false) x;
    IF (d.refusal).status IS NOT NULL THEN
        RETURN d.refusal;
    END IF;
    PERFORM api_1._audit(ctx, NULL, CASE WHEN d.fresh THEN 'device.create'
                                         ELSE 'device.login' END,
                         'device', d.device, d.detail);
    RETURN api_1._ok(201,
        json_build_object('device', api_1._device_object(d.device), 'session_id', d.session),
        NULL, '/v1/devices/' || d.device, api_1._publish(d.evs));
END
$$;

-- True if the caller may read this device: its user, or it itself.
CREATE FUNCTION api_1._owns_device(ctx api_1.ctx, device uuid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT EXISTS (SELECT FROM goconnect.devices d
                            WHERE d.id = device AND d.user_id = ctx.user_id
                              AND (ctx.device_id IS NULL OR ctx.device_id = device)));
END
$$;

CREATE FUNCTION api_1.devices_get(ctx api_1.ctx, device uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT api_1._owns_device(ctx, device) THEN
        RETURN api_1._not_found();
    END IF;
    RETURN (SELECT api_1._ok(200, api_1._device_object(d.id), api_1._etag(d.rev))
              FROM goconnect.devices d WHERE d.id = device);
END
$$;

-- The local networks of a body; list is NULL if it names none.
CREATE FUNCTION api_1._subnets(body jsonb, OUT list cidr[], OUT errors json[])
LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT x.list, x.errors INTO list, errors FROM api_1._prefixes(body, 'subnets') x;
    IF '0.0.0.0/0' = ANY (list) OR '::/0' = ANY (list) THEN
        errors := errors || api_1._wrong('subnets', 'invalid', 'The internet is no local network.');
    END IF;
END
$$;

-- Makes these the local networks of a device, whose row is locked; NULL leaves
-- them. They are part of the device, so it gets a new version, and is told.
-- True if they are others than before.
CREATE FUNCTION api_1._set_subnets(ctx api_1.ctx, device uuid, list cidr[]) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    was cidr[] := ARRAY(SELECT s.subnet FROM goconnect.device_subnets s
                         WHERE s.device_id = device ORDER BY s.subnet);
BEGIN
    IF list IS NULL OR list = was THEN
        RETURN false;
    END IF;
    DELETE FROM goconnect.device_subnets s
     WHERE s.device_id = device AND NOT s.subnet = ANY (list);
    INSERT INTO goconnect.device_subnets (device_id, subnet)
    SELECT device, x.subnet FROM unnest(list) AS x (subnet)
    ON CONFLICT (device_id, subnet) DO NOTHING;
    UPDATE goconnect.devices d SET name = d.name WHERE d.id = device;
    PERFORM api_1._audit(ctx, NULL, 'device.subnets', 'device', device,
        api_1._changes(jsonb_build_object('subnets', to_jsonb(was)),
                       jsonb_build_object('subnets', to_jsonb(list))));
    RETURN true;
END
$$;

-- What may not work: a local network of the device lies in the range of one of
-- its networks (of this one, if it is named), and draws its traffic.
CREATE FUNCTION api_1._warnings(device uuid, network uuid DEFAULT NULL) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT coalesce(json_agg(json_build_object(
                       'code', 'local_subnet_overlap',
                       'detail', format('The local network %s of this device overlaps the range %s of the network "%s".',
                                        text(s.subnet), text(c.range), n.name),
                       'network_id', n.id, 'subnet', s.subnet) ORDER BY n.id, s.subnet), '[]'::json)
              FROM goconnect.peers p
              JOIN goconnect.networks n ON n.id = p.network_id
              JOIN goconnect.device_subnets s ON s.device_id = p.device_id
             CROSS JOIN LATERAL (VALUES (n.cidr), (n.cidr6)) AS c (range)
             WHERE p.device_id = device AND (network IS NULL OR n.id = network)
               AND s.subnet && c.range);
END
$$;

-- A device as the answer to a change of it: with what it should know.
CREATE FUNCTION api_1._device_with_warnings(device uuid) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT (left(api_1._device_object(device)::text, -1) || ',"warnings":'
            || api_1._warnings(device) || '}')::json
$$;

-- body: name?, platform?, subnets?. The device itself says where it sits.
CREATE FUNCTION api_1.devices_update(ctx api_1.ctx, device uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    old goconnect.devices;
    new goconnect.devices;
    errs json[];
    subnets cidr[];
    moved boolean;
    evs api_1.event[];
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT d.* INTO old FROM goconnect.devices d
     WHERE d.id = device AND d.user_id = ctx.user_id
       AND (ctx.device_id IS NULL OR ctx.device_id = device)
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF ctx.device_id IS NOT NULL AND body - 'subnets' <> '{}' THEN
        RETURN api_1._refuse(403, 'user_session_required',
            'A device says where it sits; the rest is its user''s.');
    END IF;
    IF NOT api_1._matches(ctx.if_match, old.rev) THEN
        RETURN api_1._stale();
    END IF;
    errs := api_1._check_device(body - 'public_key', false);
    SELECT x.list, errs || x.errors INTO subnets, errs FROM api_1._subnets(body) x;
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;

    IF body - 'subnets' <> '{}' THEN
        UPDATE goconnect.devices d
           SET name = coalesce(btrim(body ->> 'name'), old.name),
               platform = coalesce(body ->> 'platform', old.platform)
         WHERE d.id = device
        RETURNING d.* INTO new;
        PERFORM api_1._audit(ctx, NULL, 'device.update', 'device', device,
                             api_1._changes(to_jsonb(old), to_jsonb(new)));
    END IF;
    moved := api_1._set_subnets(ctx, device, subnets);
    IF moved OR new.id IS NOT NULL THEN
        evs := api_1._self_events(ARRAY[device]);
    END IF;
    RETURN (SELECT api_1._ok(200, api_1._device_with_warnings(device), api_1._etag(d.rev), NULL,
                             api_1._publish(evs))
              FROM goconnect.devices d WHERE d.id = device);
END
$$;

-- Removes a device with all it has, and returns what must be told of it. The
-- caller has locked the networks that it is in, and the device.
CREATE FUNCTION api_1._drop_device(device uuid, owner uuid, nets uuid[], reason text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    evs api_1.event[];
BEGIN
    evs := api_1._remove_peers(ARRAY(SELECT p.id FROM goconnect.peers p
                                      WHERE p.device_id = device));
    evs := evs || api_1._self_events(ARRAY[device]);
    evs := evs
        || api_1._event('device:' || device, 'revoked',
               api_1._revoked('device', NULL, device, NULL, NULL,
                   ARRAY['device:' || device]
                       || ARRAY(SELECT 'network:' || n.id FROM unnest(nets) AS n (id) ORDER BY 1),
                   reason))
        -- for the user it is news; none of his topics ends
        || api_1._event('user:' || owner, 'revoked',
               api_1._revoked('device', NULL, device, NULL, NULL, '{}', reason));
    DELETE FROM goconnect.devices x WHERE x.id = device;
    RETURN evs;
END
$$;

-- By its user, or by the device itself.
CREATE FUNCTION api_1.devices_delete(ctx api_1.ctx, device uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    d goconnect.devices;
    nets uuid[];
    evs api_1.event[];
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT api_1._owns_device(ctx, device) THEN
        RETURN api_1._not_found();
    END IF;
    nets := ARRAY(SELECT p.network_id FROM goconnect.peers p
                   WHERE p.device_id = device AND p.user_id = ctx.user_id
                   ORDER BY p.network_id);
    PERFORM api_1._lock_networks(nets);
    SELECT x.* INTO d FROM goconnect.devices x
     WHERE x.id = device AND x.user_id = ctx.user_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF NOT api_1._matches(ctx.if_match, d.rev) THEN
        RETURN api_1._stale();
    END IF;
    IF EXISTS (SELECT FROM goconnect.peers p
                WHERE p.device_id = device AND NOT p.network_id = ANY (nets))
    THEN
        PERFORM api_1._raise_moved();
    END IF;

    evs := api_1._drop_device(device, ctx.user_id, nets, 'device_deleted');
    PERFORM api_1._audit(ctx, NULL, 'device.delete', 'device', device,
                         api_1._changes(to_jsonb(d), NULL));
    r := api_1._ok(204, events => api_1._publish(evs));
    PERFORM api_1._end_topics(ARRAY['device:' || device]);
    RETURN r;
END
$$;

-- All that the device needs to work: the maps of its networks and its own part.
CREATE FUNCTION api_1.devices_netmap(ctx api_1.ctx, device uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT api_1._owns_device(ctx, device) THEN
        RETURN api_1._not_found();
    END IF;
    RETURN api_1._ok(200, json_build_object(
        'networks', (SELECT coalesce(json_agg(api_1._netmap(p.network_id)
                                              ORDER BY p.network_id), '[]'::json)
                       FROM goconnect.peers p WHERE p.device_id = device),
        'self', api_1._self(device)));
END
$$;
