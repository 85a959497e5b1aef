-- Operation: readiness, and the housekeeping that the heartbeat of the nodes
-- carries.

-- grants_ok: who is logged in may call exactly what he should and reach no
-- table.
CREATE FUNCTION api_1.ready() RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    me name := session_user;
    ok boolean;
BEGIN
    SELECT bool_and(has_function_privilege(me, p.oid, 'EXECUTE')
                    = (p.proname !~ '^_'))
      INTO ok
      FROM pg_proc p WHERE p.pronamespace = 'api_1'::regnamespace;
    ok := ok
        AND NOT EXISTS (SELECT FROM pg_class c
                         WHERE c.relnamespace IN ('goconnect'::regnamespace,
                                                  'api_1'::regnamespace)
                           AND c.relkind IN ('r', 'v', 'p', 'm')
                           AND has_table_privilege(me, c.oid,
                                   'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'))
        AND NOT has_schema_privilege(me, 'goconnect', 'USAGE')
        AND NOT has_schema_privilege(me, 'api_1', 'CREATE')
        AND NOT has_database_privilege(me, current_database(), 'CREATE');
    RETURN (SELECT api_1._ok(200, json_build_object('version', v.version,
                        'compatible_from', v.compatible_from, 'grants_ok', ok))
              FROM goconnect.schema_version v ORDER BY v.version DESC LIMIT 1);
END
$$;

-- What there is of everything, for /metrics: PostgreSQL's own count of live
-- rows (its estimate after a crash), so nothing is gone through but who is on line.
CREATE FUNCTION api_1.ws_figures() RETURNS api_1.reply
LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT api_1._ok(200, json_object_agg(f.name, f.rows))
      FROM (SELECT c.relname AS name,
                   greatest(coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0),
                                     c.reltuples::bigint), 0) AS rows
              FROM pg_class c
             WHERE c.relnamespace = 'goconnect'::regnamespace
               AND c.relname IN ('users', 'tenants', 'networks', 'devices', 'peers', 'messages')
            UNION ALL
            SELECT 'online', count(*) FROM goconnect.presence
            UNION ALL
            SELECT 'users_online', count(DISTINCT s.user_id)
              FROM goconnect.presence_users s) f
$$;

-- When these devices were last here, for them and for their peers. It is
-- coarse, so a row that somebody else holds is passed over.
CREATE FUNCTION api_1._seen(devices uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(devices) > 0 THEN
        UPDATE goconnect.devices d SET last_seen = now()
          FROM (SELECT o.id FROM goconnect.devices o WHERE o.id = ANY (devices)
                   FOR NO KEY UPDATE SKIP LOCKED) f
         WHERE d.id = f.id;
        UPDATE goconnect.peers p SET last_seen = now()
          FROM (SELECT o.id FROM goconnect.peers o WHERE o.device_id = ANY (devices)
                   FOR NO KEY UPDATE SKIP LOCKED) f
         WHERE p.id = f.id;
    END IF;
END
$$;

CREATE FUNCTION api_1._seen_users(users uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(users) > 0 THEN
        UPDATE goconnect.users u SET last_seen = now()
          FROM (SELECT o.id FROM goconnect.users o WHERE o.id = ANY (users)
                   FOR NO KEY UPDATE SKIP LOCKED) f
         WHERE u.id = f.id;
    END IF;
END
$$;

-- Removes what has had its time, a bounded number of rows at a time, once a
-- minute over all nodes. Returns what must be told of it. It rides on a call
-- that holds locks already, so nothing in it waits for a network or a tenant.
CREATE FUNCTION api_1._sweep() RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    batch integer := 2000;
    gone uuid;
    evs api_1.event[] := '{}';
BEGIN
    PERFORM FROM goconnect.chores c
      WHERE c.name = 'sweep' AND c.done_at < now() - interval '1 minute'
        FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN evs;
    END IF;
    UPDATE goconnect.chores c SET done_at = now() WHERE c.name = 'sweep';

    PERFORM api_1._seen(ARRAY(
        SELECT d.id FROM goconnect.devices d
          JOIN goconnect.presence s ON s.device_id = d.id
         WHERE d.last_seen < now() - interval '5 minutes'
         ORDER BY d.id LIMIT batch));
    PERFORM api_1._seen_users(ARRAY(
        SELECT u.id FROM goconnect.users u
         WHERE u.last_seen < now() - interval '5 minutes'
           AND EXISTS (SELECT FROM goconnect.presence_users s WHERE s.user_id = u.id)
         ORDER BY u.id LIMIT batch));

    DELETE FROM goconnect.ws_tickets t WHERE t.hash IN (
        SELECT o.hash FROM goconnect.ws_tickets o WHERE o.expires_at < now() LIMIT batch);
    DELETE FROM goconnect.sessions s WHERE s.id IN (
        SELECT o.id FROM goconnect.sessions o WHERE o.expires_at < now() LIMIT batch);
    DELETE FROM goconnect.device_codes c WHERE c.hash IN (
        SELECT o.hash FROM goconnect.device_codes o WHERE o.expires_at < now() LIMIT batch);
    DELETE FROM goconnect.code_attempts a WHERE a.user_id IN (
        SELECT o.user_id FROM goconnect.code_attempts o WHERE o.until < now() LIMIT batch);
    DELETE FROM goconnect.reset_links l WHERE l.expires_at < now();
    DELETE FROM goconnect.idempotency i WHERE (i.user_id, i.key) IN (
        SELECT o.user_id, o.key FROM goconnect.idempotency o
         WHERE o.created_at < now() - interval '24 hours' LIMIT batch);
    DELETE FROM goconnect.invites i WHERE i.id IN (
        SELECT o.id FROM goconnect.invites o
         WHERE o.expires_at < now() - interval '30 days' LIMIT batch);
    DELETE FROM goconnect.events e WHERE (e.topic, e.seq) IN (
        SELECT o.topic, o.seq FROM goconnect.events o
         WHERE o.created_at < now() - interval '72 hours' LIMIT batch);
    DELETE FROM goconnect.topics t WHERE t.id IN (
        SELECT o.id FROM goconnect.topics o
         WHERE o.ended_at < now() - interval '72 hours' LIMIT 100);
    DELETE FROM goconnect.messages m WHERE m.id IN (
        SELECT o.id FROM goconnect.tenants t
          JOIN goconnect.messages o ON o.tenant_id = t.id
         WHERE t.settings ? 'retention_days'
           AND o.created_at < now() - (t.settings ->> 'retention_days')::integer
                                      * interval '1 day'
         LIMIT batch);

    -- what nobody has chained, for want of a key; the rest is pruned with an anchor
    DELETE FROM goconnect.audit_log l WHERE l.id IN (
        SELECT o.id FROM goconnect.audit_log o
         WHERE o.chain_number IS NULL AND o.created_at < now() - interval '400 days'
         LIMIT batch);

    -- a deleted tenant: first its messages, then the rest with it
    SELECT t.id INTO gone FROM goconnect.tenants t
     WHERE t.deleted_at IS NOT NULL ORDER BY t.deleted_at LIMIT 1
       FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        DELETE FROM goconnect.messages m WHERE m.id IN (
            SELECT o.id FROM goconnect.messages o WHERE o.tenant_id = gone LIMIT batch);
        IF NOT FOUND THEN
            DELETE FROM goconnect.memberships m WHERE m.id IN (
                SELECT o.id FROM goconnect.memberships o WHERE o.tenant_id = gone LIMIT batch);
        END IF;
        IF NOT FOUND THEN
            DELETE FROM goconnect.tenants t WHERE t.id = gone;
        END IF;
    END IF;

    evs := evs || api_1._sweep_ephemeral(200);
    evs := evs || api_1._sweep_services(50);
    RETURN evs || api_1._expire_bans();
END
$$;
