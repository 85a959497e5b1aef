-- What the WebSocket side of the module asks for. Its reading functions are
-- STABLE: all of one call is read in one snapshot.

-- body: ticket_hash
CREATE FUNCTION api_1.ws_ticket_create(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    INSERT INTO goconnect.ws_tickets (hash, session_id, expires_at)
    VALUES (api_1._hash(body ->> 'ticket_hash'), ctx.session_id,
            now() + interval '30 seconds');
    RETURN api_1._ok(201, json_build_object('expires_in', 30));
END
$$;

CREATE FUNCTION api_1.ws_ticket_take(ticket_hash text) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    s record;
BEGIN
    DELETE FROM goconnect.ws_tickets t
     USING goconnect.sessions x
     WHERE t.hash = api_1._hash(ticket_hash) AND x.id = t.session_id
       AND t.expires_at > now() AND x.expires_at > now()
    RETURNING x.user_id, x.id, x.device_id INTO s;
    IF NOT FOUND THEN
        RETURN api_1._refuse(401, 'invalid_ticket', 'This ticket is not valid, or was used.');
    END IF;
    RETURN api_1._ok(200, json_build_object('user_id', s.user_id, 'session_id', s.id,
                                            'device_id', s.device_id));
END
$$;

-- Another epoch means that seq may have gone back: the timeline changes when a
-- standby takes over, the system identifier when a dump was restored.
CREATE FUNCTION api_1._epoch() RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT ltrim(left(pg_walfile_name(pg_current_wal_lsn()), 8), '0') || '-'
                || to_hex(c.system_identifier)
              FROM pg_control_system() c);
END
$$;

-- The topics that a session may have: those it belongs to.
CREATE FUNCTION api_1._own_topics(ctx api_1.ctx) RETURNS TABLE (topic text)
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN ctx.device_id IS NULL THEN 'user:' || ctx.user_id
                ELSE 'device:' || ctx.device_id END
    UNION ALL
    SELECT CASE WHEN m.network_id IS NULL THEN 'tenant:' || m.tenant_id
                ELSE 'network:' || m.network_id END || s.part
      FROM goconnect.memberships m
      JOIN goconnect.tenants t ON t.id = m.tenant_id AND t.deleted_at IS NULL
     CROSS JOIN (VALUES (''), ('/staff')) AS s (part)
     WHERE m.user_id = ctx.user_id AND m.status = 'active'
       AND (ctx.device_id IS NULL OR m.network_id IS NOT NULL AND s.part = '')
       AND (s.part = ''
            OR goconnect.role_rank(m.role) >= 2
            OR m.network_id IS NOT NULL
               AND goconnect.role_rank(goconnect.effective_role(m.tenant_id, m.network_id,
                                                                m.user_id)) >= 2)
       AND (m.network_id IS NULL
            OR EXISTS (SELECT FROM api_1._network_access(ctx.user_id, m.network_id) a
                        WHERE a.joined))
$$;

CREATE FUNCTION api_1.ws_hello(ctx api_1.ctx) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN api_1._ok(200, json_build_object(
        'session_id', ctx.session_id,
        'user', (SELECT json_build_object('id', u.id, 'username', u.username)
                   FROM goconnect.users u WHERE u.id = ctx.user_id),
        'device', (SELECT json_build_object('id', d.id, 'name', d.name)
                     FROM goconnect.devices d WHERE d.id = ctx.device_id),
        'epoch', api_1._epoch(),
        'topics', (SELECT coalesce(json_agg(json_build_object('topic', o.topic,
                              'seq', coalesce(t.seq, 0)) ORDER BY o.topic), '[]'::json)
                     FROM api_1._own_topics(ctx) o
                     LEFT JOIN goconnect.topics t ON t.id = o.topic),
        'peers', (SELECT coalesce(json_agg(json_build_object('network_id', p.network_id,
                             'peer_id', p.id) ORDER BY p.network_id), '[]'::json)
                    FROM goconnect.peers p WHERE p.device_id = ctx.device_id)));
END
$$;

-- Who is on line, for who begins to watch a network or a tenant.
CREATE FUNCTION api_1._peers_here(network uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT json_agg(json_build_object('peer_id', p.id, 'status', 'online',
                                              'endpoint', p.endpoints[1]))
              FROM goconnect.peers p
              JOIN goconnect.presence i ON i.device_id = p.device_id
             WHERE p.network_id = network);
END
$$;

CREATE FUNCTION api_1._users_here(tenant uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT json_agg(json_build_object('user_id', m.user_id, 'status', 'online'))
              FROM goconnect.memberships m
              JOIN goconnect.users u ON u.id = m.user_id AND u.suspended_at IS NULL
             WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.status = 'active'
               AND EXISTS (SELECT FROM goconnect.presence_users s
                            WHERE s.user_id = m.user_id));
END
$$;

-- body: [{topic, seq}]. Out: {topics: [{topic, seq, resync, events,
-- netmap_version, status, self}], refused: [{topic, code}]}; events holds what
-- came after the seq that was asked for, at most 1,000 of a topic; status is
-- who of it is on line. Who may read a network may watch its mesh, which is of
-- the nodes: it has no seq.
CREATE FUNCTION api_1.ws_subscribe(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    answer json;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF jsonb_typeof(body) <> 'array' OR jsonb_array_length(body) > 256 THEN
        RETURN api_1._invalid('topics', 'invalid', 'At most 256 topics in a list.');
    END IF;

    WITH w AS MATERIALIZED (
        SELECT x.place, x.value ->> 'topic' AS topic,
               (x.value ->> 'seq')::bigint AS since,
               p.part[1] AS kind, p.part[2]::uuid AS id, coalesce(p.part[3], '') AS part
          FROM jsonb_array_elements(body) WITH ORDINALITY AS x (value, place)
          LEFT JOIN LATERAL regexp_match(x.value ->> 'topic',
              '^(user|device|tenant|network):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(/staff|/mesh)?$')
              AS p (part) ON true
    ), d AS MATERIALIZED (
        SELECT w.*, coalesce(CASE w.kind
            WHEN 'user' THEN
                CASE WHEN w.id = ctx.user_id AND ctx.device_id IS NULL AND w.part = ''
                     THEN 'ok' END
            WHEN 'device' THEN
                CASE WHEN w.id = ctx.device_id AND w.part = '' THEN 'ok' END
            WHEN 'tenant' THEN
                (SELECT CASE WHEN ctx.device_id IS NULL AND w.part <> '/mesh'
                              AND a.rank >= CASE w.part WHEN '/staff' THEN 2 ELSE 1 END
                             THEN 'ok' ELSE 'forbidden' END
                   FROM api_1._tenant_access(ctx.user_id, w.id) a)
            WHEN 'network' THEN
                (SELECT CASE WHEN w.part = '/staff' AND (ctx.device_id IS NOT NULL OR a.rank < 2)
                             THEN 'forbidden'
                             WHEN a.joined OR a.tenant_rank >= 3 AND ctx.device_id IS NULL
                             THEN 'ok' ELSE 'forbidden' END
                   FROM api_1._network_access(ctx.user_id, w.id) a
                  WHERE a.joined OR ctx.device_id IS NULL)
            ELSE 'invalid_topic' END, 'not_found') AS code
          FROM w
    )
    SELECT json_build_object(
        'topics', (
            SELECT coalesce(json_agg(json_build_object(
                       'topic', d.topic,
                       'seq', s.seq,
                       'resync', d.since IS NOT NULL AND d.part <> '/mesh'
                                 AND coalesce(e.n, 0) IS DISTINCT FROM s.seq - d.since,
                       'events', CASE WHEN coalesce(e.n, 0) = s.seq - d.since
                                      THEN coalesce(e.frames, '[]'::json)
                                      ELSE '[]'::json END,
                       'netmap_version', v.version,
                       'status', coalesce(CASE WHEN d.part <> '' THEN NULL
                                               WHEN d.kind = 'network' THEN api_1._peers_here(d.id)
                                               WHEN d.kind = 'tenant' THEN api_1._users_here(d.id)
                                          END, '[]'::json),
                       'self', CASE d.kind WHEN 'device' THEN api_1._self(d.id) END)
                       ORDER BY d.place), '[]'::json)
              FROM d
             CROSS JOIN LATERAL (
                 SELECT coalesce((SELECT t.seq FROM goconnect.topics t WHERE t.id = d.topic),
                                 0) AS seq) s
              LEFT JOIN LATERAL (
                 SELECT count(*) AS n, json_agg(json_build_object('type', x.kind,
                            'topic', x.topic, 'seq', x.seq, 'data', x.payload)
                            ORDER BY x.seq) AS frames
                   FROM goconnect.events x
                  WHERE x.topic = d.topic AND x.seq > d.since
                    AND s.seq - d.since <= 1000) e ON d.since < s.seq
              LEFT JOIN LATERAL (
                 SELECT n.netmap_version AS version FROM goconnect.networks n
                  WHERE n.id = d.id AND d.kind = 'network' AND d.part = '') v ON true
             WHERE d.code = 'ok'),
        'refused', (
            SELECT coalesce(json_agg(json_build_object('topic', d.topic, 'code', d.code)
                                     ORDER BY d.place), '[]'::json)
              FROM d WHERE d.code <> 'ok'))
      INTO answer;
    RETURN api_1._ok(200, answer);
END
$$;

-- The whole map of a network and the topic's seq at the same moment.
CREATE FUNCTION api_1.ws_netmap(ctx api_1.ctx, network uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    at bigint;
BEGIN
    r := api_1._network_reader(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT t.seq INTO at FROM goconnect.topics t WHERE t.id = 'network:' || network;
    -- one more member, without reading the map again
    RETURN api_1._ok(200, (left(api_1._netmap(network)::text, -1) || ', "seq" : '
                           || coalesce(at, 0) || '}')::json);
END
$$;

-- The events of every transaction that was committed since an earlier call,
-- whatever order their ids and commits came in. from_xid is what that call gave
-- as next, and opaque: the snapshot up to which everything was seen (as text,
-- xmin:xmax:in progress); while a sweep has more than one page the snapshot that
-- it goes up to and the transaction it has come to; and the last checkpoint. A
-- single number stands for everything from that transaction on.
--
-- NULL begins a little before now: somebody may have subscribed a moment ago.
-- So does another checkpoint than the last time, which may be the end of a
-- crash: a transaction that was rolled back just before it, and that nobody had
-- written to disk, is seen as over, and its id is given once more.
CREATE FUNCTION api_1.ws_sweep(from_xid text) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    mark text := (SELECT pg_wal_lsn_diff(c.checkpoint_lsn, '0/0') FROM pg_control_checkpoint() c);
    seen pg_snapshot;
    upto pg_snapshot := pg_current_snapshot();
    done xid8 := '0'::xid8;
    stop xid8;
    last xid8;
    frames json;
    back bigint;
BEGIN
    IF from_xid ~ '^[0-9]+$' THEN
        seen := (from_xid || ':' || from_xid || ':')::pg_snapshot;
    ELSE
        seen := coalesce(split_part(from_xid, '/', 1)::pg_snapshot, upto);
        IF split_part(from_xid, '/', 2) <> '' THEN
            upto := split_part(from_xid, '/', 2)::pg_snapshot;
            done := split_part(from_xid, '/', 3)::xid8;
            mark := split_part(from_xid, '/', 4);
        ELSIF split_part(from_xid, '/', 4) IS DISTINCT FROM mark THEN
            back := greatest(pg_snapshot_xmin(seen)::text::bigint - 1000, 3);
            seen := (back || ':' || back || ':')::pg_snapshot;
        END IF;
    END IF;

    -- the transaction of the thousandth event ends the page
    SELECT e.xid INTO stop FROM goconnect.events e
     WHERE e.xid >= pg_snapshot_xmin(seen) AND e.xid > done
       AND e.xid < pg_snapshot_xmax(upto)
       AND NOT pg_visible_in_snapshot(e.xid, seen) AND pg_visible_in_snapshot(e.xid, upto)
     ORDER BY e.xid OFFSET 999 LIMIT 1;
    SELECT max(e.xid), json_agg(json_build_object('type', e.kind, 'topic', e.topic,
                                    'seq', e.seq, 'data', e.payload)
                                ORDER BY e.topic, e.seq)
      INTO last, frames
      FROM goconnect.events e
     WHERE e.xid >= pg_snapshot_xmin(seen) AND e.xid > done
       AND e.xid < pg_snapshot_xmax(upto) AND (stop IS NULL OR e.xid <= stop)
       AND NOT pg_visible_in_snapshot(e.xid, seen) AND pg_visible_in_snapshot(e.xid, upto);
    RETURN api_1._ok(200, json_build_object(
        'epoch', api_1._epoch(),
        'next', CASE WHEN stop IS NULL THEN upto::text || '///' || mark
                     ELSE seen::text || '/' || upto::text || '/' || last::text || '/' || mark END,
        'more', stop IS NOT NULL,
        'events', coalesce(frames, '[]'::json)));
END
$$;

-- body: endpoints, home_relay. Where the calling device may be reached in the
-- network; a home_relay that is absent stays what it was.
CREATE FUNCTION api_1.ws_endpoints(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    e record;
    peer uuid;
    relay uuid := (body ->> 'home_relay')::uuid;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF ctx.device_id IS NULL THEN
        RETURN api_1._refuse(403, 'device_required', 'Only a device has endpoints.');
    END IF;
    SELECT x.list, x.errors INTO e FROM api_1._endpoints(body -> 'endpoints') x;
    IF cardinality(e.errors) > 0 THEN
        RETURN api_1._invalid(e.errors);
    END IF;
    PERFORM FROM goconnect.peers p
      WHERE p.network_id = network AND p.device_id = ctx.device_id AND p.endpoints = e.list
        AND (NOT body ? 'home_relay' OR p.home_relay IS NOT DISTINCT FROM relay);
    IF FOUND THEN
        RETURN api_1._ok(200, '{}');
    END IF;
    IF relay IS NOT NULL
       AND NOT EXISTS (SELECT FROM goconnect.relays x WHERE x.id = relay AND x.enabled)
    THEN
        RETURN api_1._invalid('home_relay', 'unknown', 'There is no such relay.');
    END IF;

    PERFORM api_1._lock_networks(ARRAY[network]);
    UPDATE goconnect.peers p
       SET endpoints = e.list,
           home_relay = CASE WHEN body ? 'home_relay' THEN relay ELSE p.home_relay END
     WHERE p.network_id = network AND p.device_id = ctx.device_id
       AND (p.endpoints IS DISTINCT FROM e.list
            OR body ? 'home_relay' AND p.home_relay IS DISTINCT FROM relay)
    RETURNING p.id INTO peer;
    IF peer IS NULL THEN
        IF EXISTS (SELECT FROM goconnect.peers p
                    WHERE p.network_id = network AND p.device_id = ctx.device_id)
        THEN
            RETURN api_1._ok(200, '{}');
        END IF;
        RETURN api_1._not_found();
    END IF;
    RETURN api_1._ok(200, '{}', events => api_1._publish(ARRAY[
        api_1._event('network:' || network, 'netmap_delta',
                     api_1._delta(network, ARRAY[peer], '{}'))]));
END
$$;

-- A device is ready for the next key of a peer that it shares a network with.
-- The answer is what the rotating device is told.
CREATE FUNCTION api_1.ws_rotation_ack(ctx api_1.ctx, peer uuid, key text) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF ctx.device_id IS NULL THEN
        RETURN api_1._refuse(403, 'device_required', 'Only a device gets ready for a key.');
    END IF;
    SELECT p.network_id, p.next_public_key, own.id AS own INTO a
      FROM goconnect.peers p
      JOIN goconnect.peers own ON own.network_id = p.network_id AND own.device_id = ctx.device_id
     WHERE p.id = peer AND p.device_id <> ctx.device_id;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.next_public_key IS DISTINCT FROM key THEN
        RETURN api_1._refuse(409, 'no_rotation', 'This key was not announced, or another one since.');
    END IF;
    RETURN api_1._ok(200, json_build_object('network_id', a.network_id, 'peer_id', peer,
                                            'from_peer_id', a.own, 'next_public_key', key));
END
$$;
