-- The audit trail: reading it, chaining it, verifying it.
--
-- A request writes its rows unchained. One worker of all nodes takes them
-- (audit_take), computes what the database cannot know, and brings it back
-- (audit_store). What is visible is committed, and a row is unchained until it
-- is chained: so a transaction that commits late, with a lower id, gets the
-- next number when it is seen, and nothing is skipped. A row that was committed
-- before another one was begun is always seen with it, and stands before it.

CREATE FUNCTION api_1._server_chain() RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT '00000000-0000-0000-0000-000000000000'::uuid
$$;

CREATE FUNCTION api_1._micros(at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT (extract(epoch FROM at) * 1000000)::bigint
$$;

-- A row as gc_audit_row_parse() reads it. Its texts enter the hash, so they are
-- never to be written in another way.
CREATE FUNCTION api_1._audit_row(l goconnect.audit_log) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_array(l.id, l.actor_id, l.device_id, l.action, l.target_kind, l.target_id,
        l.detail, api_1._micros(l.created_at),
        (SELECT coalesce(json_agg(json_build_array(p.field, encode(p.hash, 'hex'),
                                      encode(p.salt, 'hex'),
                                      encode(convert_to(p.value, 'UTF8'), 'hex'))
                                  ORDER BY p.field COLLATE "C"), '[]'::json)
           FROM goconnect.audit_personal p WHERE p.audit_id = l.id),
        l.chain_number, encode(l.hash, 'hex'), l.key_id)
$$;

-- An end of a chain as the module reads it; NULL if there is none.
CREATE FUNCTION api_1._audit_point(number bigint, hash bytea, signed_at bigint, key_id text,
                                   signature bytea)
RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN hash IS NOT NULL THEN
        json_build_object('number', number, 'hash', encode(hash, 'hex'), 'signed_at', signed_at,
                          'key_id', key_id, 'signature', encode(signature, 'hex')) END
$$;

CREATE FUNCTION api_1._audit_head(c goconnect.audit_chains) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT api_1._audit_point(c.number, c.hash, c.signed_at, c.key_id, c.signature)
$$;

CREATE FUNCTION api_1._audit_anchor(c goconnect.audit_chains) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT api_1._audit_point(c.anchor_number, c.anchor_hash, c.anchor_signed_at,
                              c.anchor_key_id, c.anchor_signature)
$$;

-- The chain's name as it is signed: the tenant's id, null for the server's.
CREATE FUNCTION api_1._audit_tenant(chain uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT nullif(chain, api_1._server_chain())
$$;

-- What is to be chained next, and which chains can be pruned, for the worker
-- that holds the lease; renewed by each call, it is free after five seconds.
-- worker is a name of its own, anew at each start. last is the number of a
-- chain's last row, which should not be behind its head.
CREATE FUNCTION api_1.audit_take(worker uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    batch integer := 200;
    due boolean := EXISTS (SELECT FROM goconnect.chores c
                            WHERE c.name = 'audit_prune'
                              AND c.done_at < now() - interval '1 hour');
    taken json;
    n bigint;
    old json;
    scanned bigint;
BEGIN
    IF due OR EXISTS (SELECT FROM goconnect.audit_log l WHERE l.chain_number IS NULL) THEN
        UPDATE goconnect.chores c SET done_at = now(), holder = worker
         WHERE c.name IN (SELECT o.name FROM goconnect.chores o
                           WHERE o.name = 'audit'
                             AND (o.holder = worker OR o.done_at < now() - interval '5 seconds')
                             FOR UPDATE SKIP LOCKED);
    END IF;
    IF NOT FOUND THEN
        RETURN api_1._ok(200, '{"chains": [], "prune": [], "more": false}');
    END IF;

    WITH b AS MATERIALIZED (
        SELECT l.chain, l.id, api_1._audit_row(l) AS object
          FROM goconnect.audit_log l
         WHERE l.chain_number IS NULL ORDER BY l.id LIMIT batch
    ), g AS (
        SELECT b.chain, json_agg(b.object ORDER BY b.id) AS objects, count(*) AS n
          FROM b GROUP BY b.chain
    )
    SELECT json_agg(json_build_object('chain', api_1._audit_tenant(g.chain),
               'head', api_1._audit_head(c),
               'last', (SELECT l.chain_number FROM goconnect.audit_log l
                         WHERE l.chain = g.chain AND l.chain_number IS NOT NULL
                         ORDER BY l.chain_number DESC LIMIT 1),
               'rows', g.objects) ORDER BY g.chain),
           sum(g.n)
      INTO taken, n
      FROM g
      LEFT JOIN goconnect.audit_chains c ON c.chain = g.chain;

    IF due THEN
        -- the oldest rows, by id: a chain loses those up to its last one there
        WITH o AS MATERIALIZED (
            SELECT l.chain, l.chain_number, l.created_at
              FROM goconnect.audit_log l ORDER BY l.id LIMIT 2000
        ), k AS (
            SELECT o.chain, max(o.chain_number) AS number FROM o
             WHERE o.chain_number IS NOT NULL
               AND o.created_at < now() - interval '400 days'
             GROUP BY o.chain
        )
        SELECT json_agg(json_build_object('chain', api_1._audit_tenant(k.chain),
                   'anchor', api_1._audit_anchor(c), 'number', k.number,
                   'hash', encode(l.hash, 'hex')) ORDER BY k.chain),
               (SELECT count(*) FROM o WHERE o.created_at < now() - interval '400 days')
          INTO old, scanned
          FROM k
          JOIN goconnect.audit_chains c ON c.chain = k.chain
          JOIN goconnect.audit_log l ON l.chain = k.chain AND l.chain_number = k.number;
        -- soon again while there is more
        UPDATE goconnect.chores c
           SET done_at = now() - CASE WHEN scanned < 2000 THEN interval '0'
                                      ELSE interval '59 minutes 50 seconds' END
         WHERE c.name = 'audit_prune';
    END IF;
    RETURN api_1._ok(200, json_build_object('chains', coalesce(taken, '[]'::json),
        'prune', coalesce(old, '[]'::json), 'more', coalesce(n, 0) = batch));
END
$$;

-- body: {chains: [{chain, from, number, hash, signed_at, key_id, signature,
-- rows: [[id, number, hash]]}], anchors: [{chain, from, number, hash,
-- signed_at, key_id, signature}]}. from is the number that was the end before:
-- if it is not any more, another worker was here and everything is taken back.
CREATE FUNCTION api_1.audit_store(body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    x record;
    n bigint;
    rows bigint := 0;
BEGIN
    FOR x IN
        SELECT coalesce((c ->> 'chain')::uuid, api_1._server_chain()) AS chain,
               (c ->> 'from')::bigint AS before, (c ->> 'number')::bigint AS number,
               decode(c ->> 'hash', 'hex') AS hash, (c ->> 'signed_at')::bigint AS signed_at,
               c ->> 'key_id' AS key_id, decode(c ->> 'signature', 'hex') AS signature,
               c -> 'rows' AS list
          FROM jsonb_array_elements(body -> 'chains') c
         ORDER BY 1
    LOOP
        INSERT INTO goconnect.audit_chains AS o (chain, number, hash, signed_at, key_id, signature)
        VALUES (x.chain, x.number, x.hash, x.signed_at, x.key_id, x.signature)
        ON CONFLICT (chain) DO UPDATE
           SET number = x.number, hash = x.hash, signed_at = x.signed_at, key_id = x.key_id,
               signature = x.signature
         WHERE o.number = x.before;
        IF NOT FOUND THEN
            PERFORM api_1._raise_moved();
        END IF;
        UPDATE goconnect.audit_log l
           SET chain_number = (r ->> 1)::bigint, hash = decode(r ->> 2, 'hex'), key_id = x.key_id
          FROM jsonb_array_elements(x.list) r
         WHERE l.id = (r ->> 0)::bigint AND l.chain = x.chain AND l.chain_number IS NULL;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n <> jsonb_array_length(x.list) THEN
            PERFORM api_1._raise_moved();
        END IF;
        rows := rows + n;
    END LOOP;

    FOR x IN
        SELECT coalesce((c ->> 'chain')::uuid, api_1._server_chain()) AS chain,
               (c ->> 'from')::bigint AS before, (c ->> 'number')::bigint AS number,
               decode(c ->> 'hash', 'hex') AS hash, (c ->> 'signed_at')::bigint AS signed_at,
               c ->> 'key_id' AS key_id, decode(c ->> 'signature', 'hex') AS signature
          FROM jsonb_array_elements(body -> 'anchors') c
         ORDER BY 1
    LOOP
        UPDATE goconnect.audit_chains o
           SET anchor_number = x.number, anchor_hash = x.hash, anchor_signed_at = x.signed_at,
               anchor_key_id = x.key_id, anchor_signature = x.signature
          FROM goconnect.audit_log l
         WHERE o.chain = x.chain AND o.anchor_number = x.before AND o.anchor_number < x.number
           AND l.chain = x.chain AND l.chain_number = x.number AND l.hash = x.hash
           AND l.created_at < now() - interval '400 days';
        IF NOT FOUND THEN
            PERFORM api_1._raise_moved();
        END IF;
        DELETE FROM goconnect.audit_log l
         WHERE l.chain = x.chain AND l.chain_number <= x.number;
        -- of a tenant that is gone nothing is left to verify
        DELETE FROM goconnect.audit_chains o
         WHERE o.chain = x.chain AND o.anchor_number = o.number
           AND o.chain <> api_1._server_chain()
           AND NOT EXISTS (SELECT FROM goconnect.tenants t WHERE t.id = o.chain)
           AND NOT EXISTS (SELECT FROM goconnect.audit_log l WHERE l.chain = o.chain);
    END LOOP;
    RETURN api_1._ok(200, json_build_object('chained', rows));
END
$$;

-- Admins of the tenant; for the server's chain those of the server. Empty if
-- the caller may read the trail.
CREATE FUNCTION api_1._audit_reader(ctx api_1.ctx, chain uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r api_1.reply;
    a record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF chain = api_1._server_chain() THEN
        IF (SELECT u.server_admin FROM goconnect.users u WHERE u.id = ctx.user_id) THEN
            RETURN NULL;
        END IF;
        RETURN api_1._refuse(403, 'forbidden', 'Only server admins may do this.');
    END IF;
    SELECT x.rank INTO a FROM api_1._tenant_access(ctx.user_id, chain) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 3 THEN
        RETURN api_1._forbidden('admin');
    END IF;
    RETURN NULL;
END
$$;

-- A row as people read it: with what is personal in its place.
CREATE FUNCTION api_1._audit_object(l goconnect.audit_log) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
    detail jsonb := l.detail;
    address text;
    p record;
    path text[];
BEGIN
    FOR p IN SELECT x.field, x.value FROM goconnect.audit_personal x
              WHERE x.audit_id = l.id ORDER BY x.field COLLATE "C"
    LOOP
        path := string_to_array(p.field, '.');
        IF p.field = 'address' THEN
            address := p.value;
        ELSIF cardinality(path) = 2 THEN
            detail := jsonb_set(jsonb_set(detail, path[1:1], coalesce(detail -> path[1], '{}')),
                                path, coalesce(to_jsonb(p.value), 'null'));
        ELSE
            detail := jsonb_set(detail, path, coalesce(to_jsonb(p.value), 'null'));
        END IF;
    END LOOP;
    RETURN json_build_object('id', l.id, 'number', l.chain_number, 'tenant_id', l.tenant_id,
        'created_at', l.created_at, 'actor_id', l.actor_id,
        'actor', (SELECT u.username FROM goconnect.users u WHERE u.id = l.actor_id),
        'device_id', l.device_id, 'address', address, 'action', l.action,
        'target_kind', l.target_kind, 'target_id', l.target_id, 'detail', detail);
END
$$;

-- A time as a client wrote it, RFC 3339; NULL if it is none.
CREATE FUNCTION api_1._time(value text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF value ~* '^[0-9]{4}-[0-9]{2}-[0-9]{2}[t ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(z|[+-][0-9]{2}:[0-9]{2})$'
       AND left(value, 4) <> '0000'
    THEN
        RETURN value::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

-- A page of a chain, newest first, out of the index that fits the filters.
CREATE FUNCTION api_1._audit_page(chain uuid, actor uuid, action text, since timestamptz,
                                  until timestamptz, lim integer, cur text)
RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
    n integer := api_1._limit(lim);
    at timestamptz := CASE WHEN cur IS NULL THEN 'infinity' ELSE api_1._cursor_at(cur) END;
    key bigint := coalesce(nullif(split_part(cur, '_', 2), '')::bigint, 0);
    page record;
BEGIN
    since := coalesce(since, '-infinity');
    until := coalesce(until, 'infinity');
    IF actor IS NOT NULL THEN
        SELECT array_agg(o.object ORDER BY o.created_at DESC, o.id DESC) AS items,
               array_agg(api_1._micros(o.created_at) || '_' || o.id
                         ORDER BY o.created_at DESC, o.id DESC) AS cursors
          INTO page
          FROM (SELECT l.created_at, l.id, api_1._audit_object(l) AS object
                  FROM goconnect.audit_log l
                 WHERE l.chain = _audit_page.chain AND l.actor_id = actor
                   AND (_audit_page.action IS NULL OR l.action = _audit_page.action)
                   AND l.created_at >= since AND l.created_at < until
                   AND (l.created_at, l.id) < (at, key)
                 ORDER BY l.created_at DESC, l.id DESC LIMIT n + 1) o;
    ELSIF action IS NOT NULL THEN
        SELECT array_agg(o.object ORDER BY o.created_at DESC, o.id DESC) AS items,
               array_agg(api_1._micros(o.created_at) || '_' || o.id
                         ORDER BY o.created_at DESC, o.id DESC) AS cursors
          INTO page
          FROM (SELECT l.created_at, l.id, api_1._audit_object(l) AS object
                  FROM goconnect.audit_log l
                 WHERE l.chain = _audit_page.chain AND l.action = _audit_page.action
                   AND l.created_at >= since AND l.created_at < until
                   AND (l.created_at, l.id) < (at, key)
                 ORDER BY l.created_at DESC, l.id DESC LIMIT n + 1) o;
    ELSE
        SELECT array_agg(o.object ORDER BY o.created_at DESC, o.id DESC) AS items,
               array_agg(api_1._micros(o.created_at) || '_' || o.id
                         ORDER BY o.created_at DESC, o.id DESC) AS cursors
          INTO page
          FROM (SELECT l.created_at, l.id, api_1._audit_object(l) AS object
                  FROM goconnect.audit_log l
                 WHERE l.chain = _audit_page.chain
                   AND l.created_at >= since AND l.created_at < until
                   AND (l.created_at, l.id) < (at, key)
                 ORDER BY l.created_at DESC, l.id DESC LIMIT n + 1) o;
    END IF;
    RETURN api_1._page(page.items, page.cursors, n);
END
$$;

CREATE FUNCTION api_1._audit_list(ctx api_1.ctx, chain uuid, actor uuid, action text, since text,
                                  until text, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r api_1.reply;
    errs json[] := '{}';
BEGIN
    r := api_1._audit_reader(ctx, chain);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF since IS NOT NULL AND api_1._time(since) IS NULL THEN
        errs := errs || api_1._wrong('since', 'invalid', 'A time as in 2026-11-22T18:04:05Z.');
    END IF;
    IF until IS NOT NULL AND api_1._time(until) IS NULL THEN
        errs := errs || api_1._wrong('until', 'invalid', 'A time as in 2026-11-22T18:04:05Z.');
    END IF;
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    IF cur !~ '^[0-9]{1,17}_[0-9]{1,18}$' THEN
        RETURN api_1._bad_cursor();
    END IF;
    RETURN api_1._ok(200, api_1._audit_page(chain, actor, action, api_1._time(since),
                                            api_1._time(until), lim, cur));
END
$$;

CREATE FUNCTION api_1.audit_list(ctx api_1.ctx, tenant uuid, actor uuid, action text, since text,
                                 until text, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
    -- the all-zero id is the server's chain, and no tenant
    IF tenant = api_1._server_chain() THEN
        RETURN api_1._not_found();
    END IF;
    RETURN api_1._audit_list(ctx, tenant, actor, action, since, until, lim, cur);
END
$$;

CREATE FUNCTION api_1.admin_audit_list(ctx api_1.ctx, actor uuid, action text, since text,
                                       until text, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
    RETURN api_1._audit_list(ctx, api_1._server_chain(), actor, action, since, until, lim, cur);
END
$$;

-- What a verification begins with: the ends of the chain, and for one that
-- goes on the row that was verified last. The module reads the rest by
-- audit_verify_range.
CREATE FUNCTION api_1._audit_verify(ctx api_1.ctx, chain uuid, cur text) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r api_1.reply;
    c goconnect.audit_chains;
    since bigint;
BEGIN
    r := api_1._audit_reader(ctx, chain);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF cur !~ '^[0-9]{1,18}$' THEN
        RETURN api_1._bad_cursor();
    END IF;
    SELECT o.* INTO c FROM goconnect.audit_chains o WHERE o.chain = _audit_verify.chain;
    since := greatest(coalesce(cur::bigint, 0), coalesce(c.anchor_number, 0));
    RETURN api_1._ok(200, json_build_object(
        'id', chain,
        'chain', api_1._audit_tenant(chain),
        'head', api_1._audit_head(c), 'anchor', api_1._audit_anchor(c),
        'after', since,
        'after_hash', CASE WHEN since > coalesce(c.anchor_number, 0) THEN
            (SELECT encode(l.hash, 'hex') FROM goconnect.audit_log l
              WHERE l.chain = _audit_verify.chain AND l.chain_number = since) END,
        'last', (SELECT l.chain_number FROM goconnect.audit_log l
                  WHERE l.chain = _audit_verify.chain AND l.chain_number IS NOT NULL
                  ORDER BY l.chain_number DESC LIMIT 1),
        'unchained', (SELECT count(*) FROM (SELECT FROM goconnect.audit_log l
                                             WHERE l.chain = _audit_verify.chain
                                               AND l.chain_number IS NULL LIMIT 10000) u)));
END
$$;

CREATE FUNCTION api_1.audit_verify(ctx api_1.ctx, tenant uuid, cur text) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
    IF tenant = api_1._server_chain() THEN
        RETURN api_1._not_found();
    END IF;
    RETURN api_1._audit_verify(ctx, tenant, cur);
END
$$;

CREATE FUNCTION api_1.admin_audit_verify(ctx api_1.ctx, cur text) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
    RETURN api_1._audit_verify(ctx, api_1._server_chain(), cur);
END
$$;

-- The next rows behind a number, at most 200, and what has been pruned
-- meanwhile.
CREATE FUNCTION api_1.audit_verify_range(ctx api_1.ctx, chain uuid, after bigint)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._audit_reader(ctx, chain);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN api_1._ok(200, json_build_object(
        'anchor', (SELECT api_1._audit_anchor(c) FROM goconnect.audit_chains c
                    WHERE c.chain = audit_verify_range.chain),
        'rows', (SELECT coalesce(json_agg(api_1._audit_row(l) ORDER BY l.chain_number),
                                 '[]'::json)
                   FROM (SELECT o.* FROM goconnect.audit_log o
                          WHERE o.chain = audit_verify_range.chain AND o.chain_number > after
                          ORDER BY o.chain_number LIMIT 200) l)));
END
$$;
