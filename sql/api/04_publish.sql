-- Events. _publish is the last thing that a function does.

CREATE FUNCTION api_1._event(topic text, kind text, data json) RETURNS api_1.event
LANGUAGE sql IMMUTABLE AS $$
    SELECT ROW(topic, kind, data)::api_1.event
$$;

-- A peer removed and a peer changed in one request are one step of the map: all
-- deltas of a network become one, in the place of the first. Of a part that is
-- replaced twice the last one counts.
CREATE FUNCTION api_1._merge_deltas(evs api_1.event[]) RETURNS api_1.event[]
LANGUAGE sql STABLE AS $$
    WITH e AS (
        SELECT u.ord, u.topic, u.kind, u.data
          FROM unnest(evs) WITH ORDINALITY AS u (topic, kind, data, ord)
    ), d AS (
        SELECT min(e.ord) AS ord, e.topic FROM e WHERE e.kind = 'netmap_delta' GROUP BY e.topic
    ), merged AS (
        SELECT d.ord, d.topic, 'netmap_delta' AS kind,
               (SELECT json_object_agg(m.name, m.value ORDER BY m.place)
                  FROM (SELECT 'network_id' AS name, to_json(substr(d.topic, 9)) AS value,
                               1 AS place
                        UNION ALL
                        SELECT l.name, (SELECT coalesce(json_agg(x.value ORDER BY f.ord),
                                                        '[]'::json)
                                          FROM e f, json_array_elements(f.data -> l.name) x
                                         WHERE f.topic = d.topic AND f.kind = 'netmap_delta'),
                               l.place
                          FROM (VALUES ('upsert', 2), ('remove', 3)) AS l (name, place)
                        UNION ALL
                        SELECT l.name, (SELECT f.data -> l.name FROM e f
                                         WHERE f.topic = d.topic AND f.kind = 'netmap_delta'
                                           AND f.data -> l.name IS NOT NULL
                                         ORDER BY f.ord DESC LIMIT 1), l.place
                          FROM (VALUES ('network', 4), ('relays', 5), ('dns', 6), ('rules', 7))
                               AS l (name, place)) m
                 WHERE m.value IS NOT NULL) AS data
          FROM d
    )
    SELECT array_agg(api_1._event(a.topic, a.kind, a.data) ORDER BY a.ord)
      FROM (SELECT e.ord, e.topic, e.kind, e.data FROM e WHERE e.kind <> 'netmap_delta'
            UNION ALL
            SELECT m.ord, m.topic, m.kind, m.data FROM merged m) a
$$;

-- The data of a netmap_delta with its versions, which stand behind network_id.
CREATE FUNCTION api_1._numbered_delta(data json, version bigint) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_object_agg(m.name, m.value ORDER BY m.place)
      FROM (VALUES ('network_id', data -> 'network_id', 1), ('version', to_json(version), 2),
                   ('base_version',
                    (SELECT to_json(n.netmap_version) FROM goconnect.networks n
                      WHERE n.id = (data ->> 'network_id')::uuid), 3),
                   ('upsert', data -> 'upsert', 4), ('remove', data -> 'remove', 5),
                   ('network', data -> 'network', 6), ('relays', data -> 'relays', 7),
                   ('dns', data -> 'dns', 8), ('rules', data -> 'rules', 9))
           AS m (name, value, place)
     WHERE m.value IS NOT NULL
$$;

-- Advances the topics, stores the events, and returns their finished frames in
-- the order that they were given in, but what revokes comes first: a worker that
-- hears of the change has dropped the subscriptions that end before it hands on
-- anything that was said after it. Topics are locked in the order of their
-- ids by the one INSERT, and stay locked until the commit: so a topic's seq has
-- no gap and follows the commits. A netmap_delta gets its versions here; the
-- caller holds the lock of its network's row.
CREATE FUNCTION api_1._publish(evs api_1.event[]) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    deltas integer;
    nets integer;
    frames json;
BEGIN
    IF evs IS NULL OR cardinality(evs) = 0 THEN
        RETURN NULL;
    END IF;

    SELECT count(*), count(DISTINCT e.topic) INTO deltas, nets
      FROM unnest(evs) e WHERE e.kind = 'netmap_delta';
    IF deltas > nets THEN
        evs := api_1._merge_deltas(evs);
    END IF;

    WITH e AS (
        SELECT v.ord, v.topic, v.kind, v.data,
               row_number() OVER (PARTITION BY v.topic ORDER BY v.ord) AS place
          FROM (SELECT row_number() OVER (ORDER BY u.kind <> 'revoked', u.ord) AS ord,
                       u.topic, u.kind, u.data
                  FROM unnest(evs) WITH ORDINALITY AS u (topic, kind, data, ord)) v
    ), want AS (
        SELECT e.topic, count(*) AS n FROM e GROUP BY e.topic
    ), t AS (
        INSERT INTO goconnect.topics AS o (id, seq)
        SELECT w.topic, w.n FROM want w ORDER BY w.topic COLLATE "C"
        ON CONFLICT (id) DO UPDATE SET seq = o.seq + excluded.seq
        RETURNING o.id, o.seq
    ), numbered AS (
        SELECT e.ord, e.topic, e.kind, t.seq - w.n + e.place AS seq,
               CASE e.kind WHEN 'netmap_delta'
                    THEN api_1._numbered_delta(e.data, t.seq - w.n + e.place)
                    ELSE e.data END AS data
          FROM e
          JOIN want w ON w.topic = e.topic
          JOIN t ON t.id = e.topic
    ), stored AS (
        INSERT INTO goconnect.events (topic, seq, kind, payload)
        SELECT n.topic, n.seq, n.kind, n.data FROM numbered n
    ), versions AS (
        UPDATE goconnect.networks w SET netmap_version = n.seq
          FROM numbered n
         WHERE n.kind = 'netmap_delta' AND w.id = (n.data ->> 'network_id')::uuid
    )
    SELECT json_agg(json_build_object('type', n.kind, 'topic', n.topic, 'seq', n.seq,
                                      'data', n.data) ORDER BY n.ord)
      INTO frames
      FROM numbered n;
    RETURN frames;
END
$$;

-- A chat message: the busiest event, so the message, its number in the channel
-- and its event are written here without the detours above.
CREATE FUNCTION api_1._publish_message(topic text, tenant uuid, network uuid, author uuid,
                                       username text, content text,
                                       OUT body json, OUT frame json)
LANGUAGE plpgsql AS $$
DECLARE
    t record;
    m record;
    data json;
BEGIN
    INSERT INTO goconnect.topics AS o (id, seq, number) VALUES (topic, 1, 1)
    ON CONFLICT (id) DO UPDATE SET seq = o.seq + 1, number = o.number + 1
    RETURNING o.seq, o.number INTO t;

    INSERT INTO goconnect.messages AS w (tenant_id, network_id, user_id, content, number, seq)
    VALUES (tenant, network, author, content, t.number, t.seq)
    RETURNING w.id, w.created_at INTO m;

    data := json_build_object('id', m.id, 'tenant_id', tenant, 'network_id', network,
        'user_id', author, 'username', username, 'content', content,
        'timestamp', m.created_at, 'edited_at', NULL, 'deleted', false,
        'number', t.number);

    INSERT INTO goconnect.events (topic, seq, kind, payload)
    VALUES (topic, t.seq, 'chat_message', data);

    frame := json_build_object('type', 'chat_message', 'topic', topic, 'seq', t.seq,
                               'data', data);
    body := json_build_object('id', m.id, 'tenant_id', tenant, 'network_id', network,
        'user_id', author, 'username', username, 'content', content,
        'timestamp', m.created_at, 'edited_at', NULL, 'deleted', false,
        'number', t.number, 'seq', t.seq);
END
$$;

-- Marks the topics of what was deleted; the sweep removes them when nobody can
-- want to catch up any more.
CREATE FUNCTION api_1._end_topics(ids text[]) RETURNS void
LANGUAGE sql AS $$
    UPDATE goconnect.topics t SET ended_at = now() WHERE t.id = ANY (ids)
$$;

-- Locks networks in the order of their ids.
CREATE FUNCTION api_1._lock_networks(ids uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM goconnect.networks n WHERE n.id = ANY (ids)
      ORDER BY n.id FOR NO KEY UPDATE;
END
$$;

-- Removes peers and returns what must be told of it: the delta of each network,
-- and to each device what it still has. The caller has locked the networks.
CREATE FUNCTION api_1._remove_peers(ids uuid[]) RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    gone record;
    evs api_1.event[] := '{}';
    vias uuid[];
BEGIN
    IF ids IS NULL OR cardinality(ids) = 0 THEN
        RETURN evs;
    END IF;

    -- those behind a gateway that goes lose it, which is a change of theirs
    SELECT array_agg(p.id) INTO vias FROM goconnect.peers p
     WHERE p.via = ANY (ids) AND NOT p.id = ANY (ids);

    FOR gone IN
        WITH d AS (
            DELETE FROM goconnect.peers p WHERE p.id = ANY (ids)
            RETURNING p.id, p.network_id, p.device_id
        )
        SELECT d.network_id, array_agg(d.id) AS peers FROM d
         GROUP BY d.network_id ORDER BY d.network_id
    LOOP
        evs := evs || api_1._event('network:' || gone.network_id, 'netmap_delta',
            api_1._delta(gone.network_id,
                ARRAY(SELECT p.id FROM goconnect.peers p
                       WHERE p.id = ANY (vias) AND p.network_id = gone.network_id),
                gone.peers));
    END LOOP;
    RETURN evs;
END
$$;

-- The self message of each device.
CREATE FUNCTION api_1._self_events(devices uuid[]) RETURNS api_1.event[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT coalesce(array_agg(api_1._event('device:' || d.id, 'self', api_1._self(d.id))
                                      ORDER BY d.id), '{}')
              FROM (SELECT DISTINCT x.id FROM unnest(devices) AS x (id)
                      JOIN goconnect.devices v ON v.id = x.id) d);
END
$$;
