-- Presence: who is here, as the workers tell of their sockets.
--
-- Whoever has a row is on line. A socket that goes leaves its row in a grace;
-- the row of one that comes back is taken over, and nobody is told. All changes
-- are made under one lock, so that they have an order and a number, in which
-- every worker hears of them.

CREATE FUNCTION api_1._presence_lock() RETURNS boolean
LANGUAGE sql AS $$
    SELECT pg_try_advisory_xact_lock(hashtext('goconnect'), hashtext('presence'))
$$;

-- The ids of a list in the body.
CREATE FUNCTION api_1._ids(body jsonb, list text) RETURNS uuid[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY(SELECT x.value::uuid FROM jsonb_array_elements_text(body -> list) x)
$$;

-- When the grace of those ends who go now.
CREATE FUNCTION api_1._presence_until(body jsonb) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT now() + coalesce((body ->> 'grace')::integer, 5) * interval '1 second'
$$;

-- The peer_status frames of devices, one for each network, or for each 200
-- peers of it.
CREATE FUNCTION api_1._status_frames(devices uuid[], word text) RETURNS json[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT array_agg(json_build_object('type', 'peer_status',
                       'topic', 'network:' || g.network_id,
                       'data', CASE WHEN g.n = 1 THEN
                           json_build_object('network_id', g.network_id, 'peer_id', g.first,
                                             'status', word, 'endpoint', g.endpoint)
                       ELSE json_build_object('network_id', g.network_id, 'peers', g.peers) END))
              FROM (SELECT f.network_id, count(*) AS n, (array_agg(f.id))[1] AS first,
                           (array_agg(f.endpoint))[1] AS endpoint,
                           json_agg(json_build_object('peer_id', f.id, 'status', word,
                                                      'endpoint', f.endpoint)) AS peers
                      FROM (SELECT p.id, p.network_id, p.endpoints[1] AS endpoint,
                                   row_number() OVER (PARTITION BY p.network_id) AS place
                              FROM goconnect.peers p WHERE p.device_id = ANY (devices)) f
                     GROUP BY f.network_id, (f.place - 1) / 200) g);
END
$$;

-- The presence frames of users, likewise: only the tenants in which a user is
-- an active member learn of him.
CREATE FUNCTION api_1._presence_frames(users uuid[], word text) RETURNS json[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT array_agg(json_build_object('type', 'presence',
                       'topic', 'tenant:' || g.tenant_id,
                       'data', CASE WHEN g.n = 1 THEN
                           json_build_object('tenant_id', g.tenant_id, 'user_id', g.first,
                                             'status', word)
                       ELSE json_build_object('tenant_id', g.tenant_id, 'users', g.users) END))
              FROM (SELECT f.tenant_id, count(*) AS n, (array_agg(f.user_id))[1] AS first,
                           json_agg(json_build_object('user_id', f.user_id,
                                                      'status', word)) AS users
                      FROM (SELECT m.tenant_id, m.user_id,
                                   row_number() OVER (PARTITION BY m.tenant_id) AS place
                              FROM goconnect.memberships m
                              JOIN goconnect.tenants t
                                ON t.id = m.tenant_id AND t.deleted_at IS NULL
                             WHERE m.user_id = ANY (users) AND m.network_id IS NULL
                               AND m.status = 'active') f
                     GROUP BY f.tenant_id, (f.place - 1) / 200) g);
END
$$;

-- A worker tells that it is there. Others judge it by that.
CREATE FUNCTION api_1._presence_beat(node uuid, leaving integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    known boolean;
BEGIN
    INSERT INTO goconnect.nodes AS n (id) VALUES (node)
    ON CONFLICT (id) DO UPDATE
       SET seen_at = now(),
           steady_since = CASE WHEN n.seen_at < now() - interval '5 seconds'
                               THEN now() ELSE n.steady_since END,
           leaves_at = now() + leaving * interval '1 second'
    RETURNING n.xmax <> 0 INTO known;
    RETURN known;
END
$$;

-- Nodes that have lost their sockets: those that were silent for 10 s, and those
-- that have left, at the time that they said. Silence is judged only by who was
-- heard himself all the while: when the database was away, nobody was.
CREATE FUNCTION api_1._presence_over(node uuid) RETURNS uuid[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(SELECT n.id FROM goconnect.nodes n
                  WHERE n.id <> node
                    AND (n.leaves_at < now()
                         OR n.leaves_at IS NULL
                            AND n.seen_at < now() - interval '10 seconds'
                            AND EXISTS (SELECT FROM goconnect.nodes o
                                         WHERE o.id = node
                                           AND o.steady_since < now() - interval '10 seconds')));
END
$$;

-- Devices: what the call lists, and what has had its time. Whoever came is noted
-- before anything is ended: a device that a dead node lost and that is here now
-- never went.
CREATE FUNCTION api_1._presence_devices(node uuid, body jsonb, over uuid[],
                                        OUT came uuid[], OUT went uuid[])
LANGUAGE plpgsql AS $$
DECLARE
    online uuid[] := api_1._ids(body, 'online');
    offline uuid[] := api_1._ids(body, 'offline');
    ended uuid[] := api_1._ids(body, 'ended');
BEGIN
    WITH i AS (
        INSERT INTO goconnect.presence AS s (device_id, node_id)
        SELECT d.id, node
          FROM (SELECT x.id FROM goconnect.devices x WHERE x.id = ANY (online)
                 ORDER BY x.id FOR KEY SHARE) d
        ON CONFLICT (device_id) DO UPDATE SET node_id = excluded.node_id, until = NULL
        RETURNING s.device_id, s.xmax = 0 AS fresh
    )
    SELECT coalesce(array_agg(i.device_id) FILTER (WHERE i.fresh), '{}') INTO came FROM i;

    UPDATE goconnect.presence s SET until = api_1._presence_until(body)
     WHERE s.device_id = ANY (offline) AND s.node_id = node AND s.until IS NULL;
    WITH g AS (
        DELETE FROM goconnect.presence s
         WHERE s.until < now() OR s.node_id = ANY (over)
            OR s.device_id = ANY (ended) AND s.node_id = node
        RETURNING s.device_id
    )
    SELECT coalesce(array_agg(g.device_id), '{}') INTO went FROM g;
END
$$;

-- Users: one row for each worker on whose sockets they are.
CREATE FUNCTION api_1._presence_users(node uuid, body jsonb, over uuid[],
                                      OUT came uuid[], OUT went uuid[])
LANGUAGE plpgsql AS $$
DECLARE
    online uuid[] := api_1._ids(body, 'users_online');
    offline uuid[] := api_1._ids(body, 'users_offline');
    ended uuid[] := api_1._ids(body, 'users_ended');
BEGIN
    WITH had AS (
        SELECT s.user_id FROM goconnect.presence_users s WHERE s.user_id = ANY (online)
    ), i AS (
        INSERT INTO goconnect.presence_users AS s (user_id, node_id)
        SELECT u.id, node
          FROM (SELECT x.id FROM goconnect.users x WHERE x.id = ANY (online)
                 ORDER BY x.id FOR KEY SHARE) u
        ON CONFLICT (user_id, node_id) DO UPDATE SET until = NULL
        RETURNING s.user_id
    )
    SELECT coalesce(array_agg(i.user_id), '{}') INTO came FROM i
     WHERE NOT EXISTS (SELECT FROM had h WHERE h.user_id = i.user_id);

    UPDATE goconnect.presence_users s SET until = api_1._presence_until(body)
     WHERE s.user_id = ANY (offline) AND s.node_id = node AND s.until IS NULL;
    WITH g AS (
        DELETE FROM goconnect.presence_users s
         WHERE s.until < now() OR s.node_id = ANY (over)
            OR s.user_id = ANY (ended) AND s.node_id = node
        RETURNING s.user_id
    )
    SELECT coalesce(array_agg(DISTINCT g.user_id), '{}') INTO went FROM g;
    went := ARRAY(SELECT w.id FROM unnest(went) AS w (id)
                   WHERE NOT EXISTS (SELECT FROM goconnect.presence_users s
                                      WHERE s.user_id = w.id));
END
$$;

-- Once more, those who came: a peer made while the statement was under way that
-- told of its device saw as little of that as the statement saw of the peer.
CREATE FUNCTION api_1._presence_late() RETURNS json[]
LANGUAGE plpgsql AS $$
DECLARE
    frames json[];
BEGIN
    WITH c AS (
        UPDATE goconnect.presence_news n SET checked = true WHERE NOT n.checked
        RETURNING n.at, n.news
    )
    SELECT array_agg(json_build_object('type', 'peer_status', 'topic', 'network:' || p.network_id,
               'data', json_build_object('network_id', p.network_id, 'peer_id', p.id,
                                         'status', 'online', 'endpoint', p.endpoints[1])))
      INTO frames
      FROM c
     CROSS JOIN jsonb_array_elements_text(c.news::jsonb -> 'devices') d
      JOIN goconnect.presence i ON i.device_id = d.value::uuid
      JOIN goconnect.peers p ON p.device_id = i.device_id
     WHERE p.created_at > c.at - interval '10 seconds';
    RETURN coalesce(frames, '{}');
END
$$;

-- Notes what has changed, with the next number, which it returns; NULL if nothing
-- has. The first of all says nothing.
CREATE FUNCTION api_1._presence_note(devices uuid[], frames json[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    last bigint := (SELECT max(n.number) FROM goconnect.presence_news n);
BEGIN
    IF last IS NULL THEN
        INSERT INTO goconnect.presence_news (number, news, checked)
        VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
                '{"devices": [], "frames": []}', true)
        RETURNING number INTO last;
    END IF;
    IF cardinality(devices) = 0 AND cardinality(frames) = 0 THEN
        RETURN NULL;
    END IF;
    DELETE FROM goconnect.presence_news n
     WHERE n.at < now() - interval '1 minute' AND n.number < last;
    INSERT INTO goconnect.presence_news (number, news, checked)
    VALUES (last + 1, json_build_object('devices', to_json(devices),
                                        'frames', array_to_json(frames)),
            cardinality(devices) = 0);
    RETURN last + 1;
END
$$;

-- What is new to a worker that knows all up to `since`: the latest number, and
-- the news in their order; or that it has missed some for good.
CREATE FUNCTION api_1._presence_news(since bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT jsonb_build_object(
                'number', max(n.number),
                'lost', coalesce(since < min(n.number) - 1 OR since > max(n.number), false),
                'news', coalesce(jsonb_agg(jsonb_build_object('number', n.number)
                                           || n.news::jsonb ORDER BY n.number)
                                 FILTER (WHERE n.number > since), '[]'))
              FROM goconnect.presence_news n);
END
$$;

-- What a worker tells every two seconds, and within one when sockets came or
-- went. node names the worker (not the machine), anew at each start.
--
-- body: online, offline, ended (devices), users_online, users_offline,
-- users_ended: who came to its sockets; who went and may come back (within
-- `grace` seconds, else 5); who went for good. leaving: the worker goes, and its
-- sockets come back elsewhere within so many seconds. since: the number of the
-- last news that it knows, null for the first time.
--
-- Out: known: false if the database does not know this node (it is new, or
-- unlogged state was lost in a crash), so that the next call has to list all who
-- are on line. busy: another worker's turn; tell the same again soon. number (the
-- latest), news (what came after since, in order), mine (the number of what this
-- call has changed), lost (some that came after since are gone). A caller that
-- does not say since is of an older release and gets what its own call changed.
CREATE FUNCTION api_1.ws_presence(node uuid, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    known boolean := api_1._presence_beat(node, (body ->> 'leaving')::integer);
    since bigint := (body ->> 'since')::bigint;
    over uuid[] := api_1._presence_over(node);
    listed boolean := EXISTS (SELECT FROM jsonb_each(body) l
                               WHERE jsonb_typeof(l.value) = 'array' AND l.value <> '[]');
    busy boolean := false;
    d record;
    u record;
    devices uuid[] := '{}';
    frames json[] := '{}';
    mine bigint;
    evs api_1.event[];
BEGIN
    IF listed OR cardinality(over) > 0
       OR EXISTS (SELECT FROM goconnect.presence s WHERE s.until < now())
       OR EXISTS (SELECT FROM goconnect.presence_users s WHERE s.until < now())
       OR NOT EXISTS (SELECT FROM goconnect.presence_news)
       OR EXISTS (SELECT FROM goconnect.presence_news n WHERE NOT n.checked)
    THEN
        busy := NOT api_1._presence_lock();
        IF NOT busy THEN
            DELETE FROM goconnect.nodes n
             WHERE n.id IN (SELECT o.id FROM goconnect.nodes o
                             WHERE o.id = ANY (api_1._presence_over(node))
                               FOR UPDATE SKIP LOCKED);
            over := ARRAY(SELECT o.id FROM unnest(over) AS o (id)
                           WHERE NOT EXISTS (SELECT FROM goconnect.nodes n WHERE n.id = o.id));
            SELECT x.came, x.went INTO d FROM api_1._presence_devices(node, body, over) x;
            SELECT x.came, x.went INTO u FROM api_1._presence_users(node, body, over) x;
            frames := api_1._presence_late()
                || coalesce(api_1._status_frames(d.went, 'offline'), '{}')
                || coalesce(api_1._status_frames(d.came, 'online'), '{}')
                || coalesce(api_1._presence_frames(u.went, 'offline'), '{}')
                || coalesce(api_1._presence_frames(u.came, 'online'), '{}');
            devices := d.came || d.went;
            mine := api_1._presence_note(devices, frames);
            PERFORM api_1._seen(devices);
            PERFORM api_1._seen_users(u.came || u.went);
        END IF;
    END IF;

    evs := api_1._sweep();
    IF cardinality(evs) = 0 THEN
        -- nobody is told that any of this is kept
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    r := api_1._ok(200, (jsonb_build_object('known', known, 'busy', busy)
            || CASE WHEN body ? 'since' THEN api_1._presence_news(since)
                            || jsonb_build_object('mine', mine)
                    ELSE jsonb_build_object('frames', to_jsonb(frames),
                                            'devices', to_jsonb(devices)) END)::json,
        events => api_1._publish(evs));
    PERFORM api_1._end_swept_topics(evs);
    RETURN r;
END
$$;

-- Everybody's state in these topics, for a worker that has missed news for good.
-- body: [network or tenant topic]. Out: {number, frames}: the news up to which it
-- holds; a frame for each 200 of a topic.
CREATE FUNCTION api_1.ws_presence_state(body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    networks uuid[];
    tenants uuid[];
BEGIN
    SELECT array_agg(substr(x.value, 9)::uuid) FILTER (WHERE x.value ^@ 'network:'),
           array_agg(substr(x.value, 8)::uuid) FILTER (WHERE x.value ^@ 'tenant:')
      INTO networks, tenants
      FROM jsonb_array_elements_text(body) x;
    RETURN api_1._ok(200, json_build_object(
        'number', (SELECT max(n.number) FROM goconnect.presence_news n),
        'frames', (
        SELECT coalesce(json_agg(f.frame), '[]'::json)
          FROM (SELECT json_build_object('type', 'peer_status', 'topic', 'network:' || p.network_id,
                    'data', json_build_object('network_id', p.network_id,
                        'peers', json_agg(json_build_object('peer_id', p.id, 'status',
                                     p.status, 'endpoint', p.endpoint)))) AS frame
                  FROM (SELECT x.id, x.network_id, x.endpoints[1] AS endpoint,
                               CASE WHEN s.device_id IS NULL THEN 'offline' ELSE 'online' END
                                   AS status,
                               row_number() OVER (PARTITION BY x.network_id) AS place
                          FROM goconnect.peers x
                          LEFT JOIN goconnect.presence s ON s.device_id = x.device_id
                         WHERE x.network_id = ANY (networks)) p
                 GROUP BY p.network_id, (p.place - 1) / 200
                UNION ALL
                SELECT json_build_object('type', 'presence', 'topic', 'tenant:' || m.tenant_id,
                    'data', json_build_object('tenant_id', m.tenant_id,
                        'users', json_agg(json_build_object('user_id', m.user_id, 'status',
                            CASE WHEN m.online THEN 'online' ELSE 'offline' END))))
                  FROM (SELECT v.tenant_id, v.user_id, v.online,
                               row_number() OVER (PARTITION BY v.tenant_id) AS place
                          FROM api_1._members v
                         WHERE v.tenant_id = ANY (tenants) AND v.network_id IS NULL
                           AND v.status = 'active') m
                 GROUP BY m.tenant_id, (m.place - 1) / 200) f)));
END
$$;
