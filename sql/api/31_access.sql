-- Who gets into a network, who is put out of it, and what a role means there.

-- Locks what a change of a member's role needs, in the order of all: the
-- tenant, so that he joins nothing meanwhile, and his networks.
CREATE FUNCTION api_1._lock_member(tenant uuid, member uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM goconnect.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    PERFORM api_1._lock_networks(ARRAY(
        SELECT m.network_id FROM goconnect.memberships m
         WHERE m.tenant_id = tenant AND m.user_id = member AND m.network_id IS NOT NULL));
END
$$;

-- The topics that a member may not have any more with the role that he has
-- now, at most those that he could have with the role `was`. A network is named
-- if it was the role in it that changed.
CREATE FUNCTION api_1._lost_topics(tenant uuid, network uuid, member uuid, was text)
RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    old_rank integer := goconnect.role_rank(was);
    rank integer := goconnect.role_rank(goconnect.effective_role(tenant, NULL, member));
    lost text[] := '{}';
BEGIN
    IF network IS NULL AND old_rank >= 2 AND rank < 2 THEN
        lost := ARRAY['tenant:' || tenant || '/staff'];
    END IF;
    RETURN lost || ARRAY(
        SELECT 'network:' || n.id || x.part
          FROM goconnect.networks n
          LEFT JOIN goconnect.memberships m
            ON m.tenant_id = n.tenant_id AND m.network_id = n.id AND m.user_id = member
           AND m.status = 'active'
         CROSS JOIN (VALUES (''), ('/staff')) AS x (part)
         WHERE n.tenant_id = tenant AND (network IS NULL OR n.id = network)
           AND CASE WHEN m.id IS NULL THEN old_rank >= 3 AND rank < 3
                    ELSE x.part <> '' AND old_rank >= 2
                         AND greatest(rank, goconnect.role_rank(m.role)) < 2 END
         ORDER BY n.id, x.part);
END
$$;

-- Makes true what a changed role means, and returns what must be told of it:
-- networks whose required_role is above him lose the member, peers whose role
-- changed get into the maps, and topics that he may not have any more end. Call
-- it after the change, with _lock_member held since before it. `was` is the
-- role before; with a network named it is the effective one in it, and its lock
-- is enough.
CREATE FUNCTION api_1._enforce_roles(tenant uuid, member uuid, was text DEFAULT 'owner',
                                     network uuid DEFAULT NULL)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    n record;
    lost text[];
    evs api_1.event[] := '{}';
BEGIN
    FOR n IN
        SELECT m.network_id AS id, m.status
          FROM goconnect.memberships m
          JOIN goconnect.networks w ON w.id = m.network_id
         WHERE m.tenant_id = tenant AND m.user_id = member AND m.status <> 'banned'
           AND (network IS NULL OR w.id = network)
           AND goconnect.role_rank(w.required_role)
               > goconnect.role_rank(goconnect.effective_role(tenant, w.id, member))
         ORDER BY m.network_id
    LOOP
        evs := evs || CASE n.status
            WHEN 'active' THEN api_1._expel(tenant, n.id, ARRAY[member], 'role_too_low')
            ELSE api_1._drop_requests(tenant, n.id, ARRAY[member], 'role_too_low') END;
    END LOOP;
    -- nobody is above an owner: no ban holds him, and nobody else could lift it
    IF network IS NULL AND goconnect.effective_role(tenant, NULL, member) = 'owner' THEN
        FOR n IN
            SELECT b.network_id AS id FROM goconnect.bans b
             WHERE b.tenant_id = tenant AND b.user_id = member AND b.network_id IS NOT NULL
             ORDER BY b.network_id
        LOOP
            evs := evs || api_1._lift_ban(NULL, tenant, n.id, member, 'promoted');
        END LOOP;
    END IF;
    -- the trigger has touched these in this very transaction
    evs := evs || ARRAY(
        SELECT api_1._event('network:' || p.network_id, 'netmap_delta',
                            api_1._delta(p.network_id, array_agg(p.id), '{}'))
          FROM goconnect.peers p
         WHERE p.tenant_id = tenant AND p.user_id = member AND p.updated_at = now()
           AND (network IS NULL OR p.network_id = network)
         GROUP BY p.network_id ORDER BY p.network_id);
    lost := api_1._lost_topics(tenant, network, member, was);
    IF cardinality(lost) > 0 THEN
        evs := evs || api_1._event('user:' || member, 'revoked',
            api_1._revoked('role', NULL, NULL, NULL, tenant, lost, 'role_changed'));
    END IF;
    RETURN evs;
END
$$;

-- ------------------------------------------------------------------ requests

-- key, at and network_id are for selecting and ordering; the rest is the
-- request object.
CREATE VIEW api_1._requests AS
    SELECT m.id AS key, m.created_at AS at, m.network_id, m.user_id, u.username, m.note,
           m.created_at AS requested_at
      FROM goconnect.memberships m
      JOIN goconnect.users u ON u.id = m.user_id
     WHERE m.network_id IS NOT NULL AND m.status = 'pending';

CREATE FUNCTION api_1._request_object(network uuid, member uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT row_to_json(o)
              FROM (SELECT v.user_id, v.username, v.note, v.requested_at
                      FROM api_1._requests v
                     WHERE v.network_id = network AND v.user_id = member) o);
END
$$;

-- The data of a request event. reason says why it is gone.
CREATE FUNCTION api_1._request_change(change text, tenant uuid, network uuid, object json,
                                      reason text)
RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('change', change, 'tenant_id', tenant, 'network_id', network,
                             'reason', reason, 'request', object)
$$;

-- What is told of a request that was made or ends: to the staff, and to whoever
-- made it. Empty if there is none. Call it while there is one.
CREATE FUNCTION api_1._request_events(change text, tenant uuid, network uuid, member uuid,
                                      reason text)
RETURNS api_1.event[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    object json := api_1._request_object(network, member);
    data json := api_1._request_change(change, tenant, network, object, reason);
BEGIN
    IF object IS NULL THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY[api_1._event('network:' || network || '/staff', 'request', data),
                 api_1._event('user:' || member, 'request', data)];
END
$$;

-- Ends requests without letting anybody in.
CREATE FUNCTION api_1._drop_requests(tenant uuid, network uuid, users uuid[], reason text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    member uuid;
    evs api_1.event[] := '{}';
BEGIN
    FOREACH member IN ARRAY users
    LOOP
        evs := evs || api_1._request_events('removed', tenant, network, member, reason);
    END LOOP;
    DELETE FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id = network AND m.user_id = ANY (users)
       AND m.status = 'pending';
    RETURN evs;
END
$$;

-- The beginning of what staff does in a network: who may, with the tenant and
-- the network locked. rank is the caller's effective one.
CREATE FUNCTION api_1._network_staff(ctx api_1.ctx, network uuid, lowest text,
                                     OUT refusal api_1.reply, OUT tenant uuid,
                                     OUT rank integer)
LANGUAGE plpgsql AS $$
BEGIN
    refusal := api_1._user(ctx);
    IF refusal.status IS NOT NULL THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._network_access(ctx.user_id, network)) THEN
        refusal := api_1._not_found();      -- strangers take no locks
        RETURN;
    END IF;
    PERFORM FROM goconnect.tenants t
      WHERE t.id = (SELECT n.tenant_id FROM goconnect.networks n WHERE n.id = network)
        FOR SHARE;
    PERFORM api_1._lock_networks(ARRAY[network]);
    SELECT x.tenant_id, x.rank INTO tenant, rank
      FROM api_1._network_access(ctx.user_id, network) x;
    IF NOT FOUND THEN
        refusal := api_1._not_found();
    ELSIF rank < goconnect.role_rank(lowest) THEN
        refusal := api_1._forbidden(lowest);
    END IF;
END
$$;

-- The same for reading: no locks.
CREATE FUNCTION api_1._network_staff_reader(ctx api_1.ctx, network uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r api_1.reply;
    its_rank integer;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.rank INTO its_rank FROM api_1._network_access(ctx.user_id, network) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF its_rank < 2 THEN
        RETURN api_1._forbidden('moderator');
    END IF;
    RETURN NULL;
END
$$;

-- The rank of somebody in a network, or with NULL in the tenant; 0 if none.
CREATE FUNCTION api_1._rank_of(tenant uuid, network uuid, member uuid) RETURNS integer
LANGUAGE sql STABLE AS $$
    SELECT goconnect.role_rank(goconnect.effective_role(tenant, network, member))
$$;

CREATE FUNCTION api_1._too_high() RETURNS api_1.reply
LANGUAGE sql STABLE AS $$
    SELECT api_1._refuse(403, 'role_too_low', 'This is for those of a role below your own.')
$$;

CREATE FUNCTION api_1.network_requests_list(ctx api_1.ctx, network uuid, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    n integer := api_1._limit(lim);
    page record;
BEGIN
    r := api_1._network_staff_reader(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;
    SELECT array_agg(json_build_object('user_id', o.user_id, 'username', o.username,
                        'note', o.note, 'requested_at', o.requested_at)) AS items,
           array_agg(api_1._cursor(o.at, o.key)) AS cursors
      INTO page
      FROM (SELECT v.* FROM api_1._requests v
             WHERE v.network_id = network
               AND (v.at, v.key) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
             ORDER BY v.at, v.key LIMIT n + 1) o;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

-- body: user_id
CREATE FUNCTION api_1.networks_approve(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    a record;
    member uuid := (body ->> 'user_id')::uuid;
    evs api_1.event[];
BEGIN
    SELECT x.* INTO a FROM api_1._network_staff(ctx, network, 'moderator') x;
    IF (a.refusal).status IS NOT NULL THEN
        RETURN a.refusal;
    END IF;
    evs := api_1._request_events('removed', a.tenant, network, member, 'approved');
    IF cardinality(evs) = 0 THEN
        RETURN api_1._invalid('user_id', 'unknown', 'This user has not asked to join.');
    END IF;
    IF api_1._rank_of(a.tenant, NULL, member)
       < (SELECT goconnect.role_rank(n.required_role) FROM goconnect.networks n
           WHERE n.id = network)
    THEN
        RETURN api_1._refuse(403, 'role_too_low', 'The network needs a higher role.');
    END IF;

    UPDATE goconnect.memberships m SET status = 'active', joined_at = now(), note = NULL
     WHERE m.tenant_id = a.tenant AND m.network_id = network AND m.user_id = member;
    PERFORM api_1._audit(ctx, a.tenant, 'network.approve', 'user', member,
        api_1._changes('{"status": "pending"}', '{"status": "active"}')
        || jsonb_build_object('network_id', network));
    RETURN api_1._ok(200, api_1._member_object(a.tenant, network, member), events =>
        api_1._publish(evs || api_1._joined_network(a.tenant, network, member)));
END
$$;

-- body: user_id
CREATE FUNCTION api_1.networks_deny(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    a record;
    member uuid := (body ->> 'user_id')::uuid;
    evs api_1.event[];
BEGIN
    SELECT x.* INTO a FROM api_1._network_staff(ctx, network, 'moderator') x;
    IF (a.refusal).status IS NOT NULL THEN
        RETURN a.refusal;
    END IF;
    evs := api_1._drop_requests(a.tenant, network, ARRAY[member], 'denied');
    IF cardinality(evs) = 0 THEN
        RETURN api_1._invalid('user_id', 'unknown', 'This user has not asked to join.');
    END IF;
    PERFORM api_1._audit(ctx, a.tenant, 'network.deny', 'user', member,
        api_1._changes('{"status": "pending"}', NULL)
        || jsonb_build_object('network_id', network));
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;

-- ------------------------------------------------------- kicks, bans and roles

-- The events, in which those who are put out are told why in words too.
CREATE FUNCTION api_1._explain(evs api_1.event[], words text) RETURNS api_1.event[]
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN words IS NULL THEN evs ELSE ARRAY(
        SELECT api_1._event(e.topic, e.kind,
                   CASE WHEN e.kind = 'revoked' AND e.topic LIKE 'user:%'
                        THEN (e.data::jsonb || jsonb_build_object('detail', words))::json
                        ELSE e.data END)
          FROM unnest(evs) WITH ORDINALITY AS e (topic, kind, data, place)
         ORDER BY e.place) END
$$;

-- The words of a reason: what is empty is none.
CREATE FUNCTION api_1._reason(body jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT nullif(btrim(body ->> 'reason'), '')
$$;

-- body: user_id, reason?
CREATE FUNCTION api_1.networks_kick(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    a record;
    member uuid := (body ->> 'user_id')::uuid;
    words text := api_1._reason(body);
    m record;
    evs api_1.event[];
BEGIN
    SELECT x.* INTO a FROM api_1._network_staff(ctx, network, 'moderator') x;
    IF (a.refusal).status IS NOT NULL THEN
        RETURN a.refusal;
    END IF;
    SELECT x.role, x.status INTO m FROM goconnect.memberships x
     WHERE x.tenant_id = a.tenant AND x.network_id = network AND x.user_id = member
       AND x.status = 'active';
    IF NOT FOUND THEN
        RETURN api_1._invalid('user_id', 'unknown', 'This user is not in the network.');
    END IF;
    IF api_1._rank_of(a.tenant, network, member) >= a.rank THEN
        RETURN api_1._too_high();
    END IF;

    evs := api_1._explain(api_1._expel(a.tenant, network, ARRAY[member], 'kicked'), words);
    PERFORM api_1._audit(ctx, a.tenant, 'network.kick', 'user', member,
        api_1._changes(to_jsonb(m), NULL) || jsonb_build_object('network_id', network),
        jsonb_build_object('reason', words));
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;

-- body: role. The role in the network alone; one may lower one's own.
CREATE FUNCTION api_1.network_members_update(ctx api_1.ctx, network uuid, member uuid,
                                             body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    a record;
    old record;
    was text;
    wanted text := body ->> 'role';
    its_rev bigint;
    evs api_1.event[];
BEGIN
    SELECT x.* INTO a FROM api_1._network_staff(ctx, network, 'admin') x;
    IF (a.refusal).status IS NOT NULL THEN
        RETURN a.refusal;
    END IF;
    SELECT m.role, m.rev INTO old FROM goconnect.memberships m
     WHERE m.tenant_id = a.tenant AND m.network_id = network AND m.user_id = member
       AND m.status = 'active';
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF NOT api_1._matches(ctx.if_match, old.rev) THEN
        RETURN api_1._stale();
    END IF;
    IF wanted = old.role THEN
        RETURN api_1._ok(200, api_1._member_object(a.tenant, network, member),
                         api_1._etag(old.rev));
    END IF;
    was := goconnect.effective_role(a.tenant, network, member);
    IF goconnect.role_rank(was) >= a.rank
       AND NOT (member = ctx.user_id
                AND goconnect.role_rank(wanted) < goconnect.role_rank(old.role))
    THEN
        RETURN api_1._too_high();
    END IF;
    IF goconnect.role_rank(wanted) >= a.rank THEN
        RETURN api_1._refuse(403, 'role_too_high', 'You can give only roles below your own.');
    END IF;

    UPDATE goconnect.memberships m SET role = wanted
     WHERE m.tenant_id = a.tenant AND m.network_id = network AND m.user_id = member
    RETURNING m.rev INTO its_rev;
    PERFORM api_1._audit(ctx, a.tenant, 'network.role', 'user', member,
        api_1._changes(jsonb_build_object('role', old.role), jsonb_build_object('role', wanted))
        || jsonb_build_object('network_id', network));
    evs := ARRAY[
            api_1._event('network:' || network, 'member',
                api_1._member_change('changed', a.tenant, network,
                    api_1._member_object(a.tenant, network, member))),
            api_1._event('user:' || member, 'network',
                json_build_object('change', 'changed',
                                  'network', api_1._network_object(network, member)))]
        || api_1._enforce_roles(a.tenant, member, was, network);
    RETURN api_1._ok(200, api_1._member_object(a.tenant, network, member),
                     api_1._etag(its_rev), NULL, api_1._publish(evs));
END
$$;
