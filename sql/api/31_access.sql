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

-- key and at are for ordering; the rest is the ban object.
CREATE VIEW api_1._bans AS
    SELECT b.id AS key, b.created_at AS at, b.tenant_id, b.network_id, b.user_id, u.username,
           b.reason, b.banned_by, b.until, b.created_at
      FROM goconnect.bans b
      JOIN goconnect.users u ON u.id = b.user_id;

CREATE FUNCTION api_1._ban_object(tenant uuid, network uuid, member uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT to_jsonb(v) - '{key,at}'::text[] FROM api_1._bans v
             WHERE v.tenant_id = tenant AND v.network_id IS NOT DISTINCT FROM network
               AND v.user_id = member);
END
$$;

-- What is told of a ban: to the staff, and to the banned with told. reason says
-- why it ends (lifted, expired).
CREATE FUNCTION api_1._ban_events(change text, ban json, told boolean, reason text)
RETURNS api_1.event[]
LANGUAGE sql STABLE AS $$
    SELECT ARRAY[api_1._event(
               CASE WHEN ban ->> 'network_id' IS NULL THEN 'tenant:' || (ban ->> 'tenant_id')
                    ELSE 'network:' || (ban ->> 'network_id') END || '/staff',
               'ban', json_build_object('change', change, 'reason', reason, 'ban', ban))]
        || CASE WHEN told THEN ARRAY[api_1._event('user:' || (ban ->> 'user_id'), 'ban',
               json_build_object('change', change, 'reason', reason, 'ban',
                                 ban::jsonb || '{"banned_by": null}'))] END
$$;

-- Writes a ban of a user who is out already, or changes one, and returns what
-- must be told of it. Bans come before their memberships, here as where they
-- are lifted, so that two at once wait for each other.
CREATE FUNCTION api_1._put_ban(ctx api_1.ctx, tenant uuid, network uuid, member uuid,
                               body jsonb, told boolean, OUT object json, OUT fresh boolean,
                               OUT evs api_1.event[])
LANGUAGE plpgsql AS $$
DECLARE
    old goconnect.bans;
    new goconnect.bans;
BEGIN
    SELECT b.* INTO old FROM goconnect.bans b
     WHERE b.tenant_id = tenant AND b.network_id IS NOT DISTINCT FROM network
       AND b.user_id = member;
    INSERT INTO goconnect.bans AS b (tenant_id, network_id, user_id, reason, banned_by, until)
    VALUES (tenant, network, member, api_1._reason(body), ctx.user_id,
            now() + (body ->> 'expires_in')::integer * interval '1 second')
    ON CONFLICT ON CONSTRAINT bans_membership_key DO UPDATE
       SET reason = excluded.reason, banned_by = excluded.banned_by, until = excluded.until
    RETURNING b.* INTO new;
    INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, status)
    VALUES (tenant, network, member, 'banned')
    ON CONFLICT ON CONSTRAINT memberships_member_key DO UPDATE
       SET status = 'banned', role = 'member', note = NULL, joined_at = NULL
     WHERE memberships.status <> 'banned';
    fresh := old.id IS NULL;
    PERFORM api_1._audit(ctx, tenant,
        CASE WHEN network IS NULL THEN 'tenant.ban' ELSE 'network.ban' END, 'user', member,
        api_1._changes(CASE WHEN NOT fresh THEN to_jsonb(old) - 'reason' END,
                       to_jsonb(new) - 'reason')
        || jsonb_build_object('network_id', network),
        jsonb_build_object('before.reason', old.reason, 'after.reason', new.reason));
    object := api_1._ban_object(tenant, network, member);
    evs := api_1._ban_events(CASE WHEN fresh THEN 'added' ELSE 'changed' END, object, told,
                             NULL);
END
$$;

-- Lifts a ban and returns what must be told of it; NULL if there is none. The
-- banned hear it only if they know of the place: in a tenant that they are in,
-- or that everybody may see.
CREATE FUNCTION api_1._lift_ban(ctx api_1.ctx, tenant uuid, network uuid, member uuid,
                                why text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    object json := api_1._ban_object(tenant, network, member);
    knows boolean;
BEGIN
    DELETE FROM goconnect.bans b
     WHERE b.tenant_id = tenant AND b.network_id IS NOT DISTINCT FROM network
       AND b.user_id = member AND (why <> 'expired' OR b.until < now());
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    DELETE FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id IS NOT DISTINCT FROM network
       AND m.user_id = member AND m.status = 'banned';
    knows := CASE WHEN network IS NULL
        THEN EXISTS (SELECT FROM goconnect.tenants t
                      WHERE t.id = tenant AND t.visibility = 'public')
        ELSE EXISTS (SELECT FROM api_1._network_access(member, network)) END;
    PERFORM api_1._audit(ctx, tenant,
        CASE WHEN network IS NULL THEN 'tenant.unban' ELSE 'network.unban' END, 'user', member,
        api_1._changes(object::jsonb - '{reason,username}'::text[], NULL)
        || jsonb_build_object('network_id', network, 'why', why),
        jsonb_build_object('before.reason', object ->> 'reason'));
    RETURN api_1._ban_events('removed', object, knows, why);
END
$$;

-- What a ban needs of its target: a user who exists; NULL if so.
CREATE FUNCTION api_1._check_target(member uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM goconnect.users u WHERE u.id = member AND u.deleted_at IS NULL)
    THEN
        RETURN api_1._invalid('user_id', 'unknown', 'There is no such user.');
    END IF;
    RETURN NULL;
END
$$;

-- body: user_id, reason?, expires_in? (seconds). Who is in goes out; who is not
-- yet in cannot come. A second ban of the same user replaces the first.
CREATE FUNCTION api_1.networks_ban(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    b record;
    member uuid := (body ->> 'user_id')::uuid;
    old text;
    evs api_1.event[] := '{}';
BEGIN
    SELECT x.* INTO a FROM api_1._network_staff(ctx, network, 'moderator') x;
    IF (a.refusal).status IS NOT NULL THEN
        RETURN a.refusal;
    END IF;
    r := api_1._check_target(member);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF member = ctx.user_id OR api_1._rank_of(a.tenant, network, member) >= a.rank THEN
        RETURN api_1._too_high();
    END IF;

    SELECT m.status INTO old FROM goconnect.memberships m
     WHERE m.tenant_id = a.tenant AND m.network_id = network AND m.user_id = member;
    IF old = 'active' THEN
        evs := api_1._explain(api_1._expel(a.tenant, network, ARRAY[member], 'banned'),
                              api_1._reason(body));
    ELSIF old = 'pending' THEN
        evs := api_1._drop_requests(a.tenant, network, ARRAY[member], 'banned');
    END IF;
    SELECT x.* INTO b FROM api_1._put_ban(ctx, a.tenant, network, member, body,
                                          old IS NOT NULL) x;
    RETURN api_1._ok(CASE WHEN b.fresh THEN 201 ELSE 200 END, b.object, NULL,
        CASE WHEN b.fresh THEN '/v1/networks/' || network || '/bans' END,
        api_1._publish(evs || b.evs || api_1._looker_out(a.tenant, network, member, old)));
END
$$;

-- An admin of the tenant may hold the topics of a network that he never joined.
CREATE FUNCTION api_1._looker_out(tenant uuid, network uuid, member uuid, status text)
RETURNS api_1.event[]
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN status IS DISTINCT FROM 'active' AND status IS DISTINCT FROM 'banned'
                 AND api_1._rank_of(tenant, NULL, member) >= 3
                THEN ARRAY[api_1._event('user:' || member, 'revoked',
                    api_1._revoked('network', NULL, NULL, network, tenant,
                        ARRAY['network:' || network, 'network:' || network || '/staff'],
                        'banned'))]
                ELSE '{}' END
$$;

-- body: user_id
CREATE FUNCTION api_1.networks_unban(ctx api_1.ctx, network uuid, body jsonb)
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
    IF NOT EXISTS (SELECT FROM goconnect.bans b
                    WHERE b.network_id = network AND b.user_id = member)
    THEN
        RETURN api_1._invalid('user_id', 'unknown', 'This user is not banned.');
    END IF;
    IF api_1._rank_of(a.tenant, network, member) >= a.rank THEN
        RETURN api_1._too_high();
    END IF;
    evs := api_1._lift_ban(ctx, a.tenant, network, member, 'lifted');
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;

-- One page of the bans of a network, or with NULL of a tenant.
CREATE FUNCTION api_1._bans_page(tenant uuid, network uuid, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    n integer := api_1._limit(lim);
    page record;
BEGIN
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;
    IF network IS NULL THEN
        SELECT array_agg(to_json(to_jsonb(o) - '{key,at}'::text[])) AS items,
               array_agg(api_1._cursor(o.at, o.key)) AS cursors
          INTO page
          FROM (SELECT v.* FROM api_1._bans v
                 WHERE v.tenant_id = tenant AND v.network_id IS NULL
                   AND (v.at, v.key) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
                 ORDER BY v.at, v.key LIMIT n + 1) o;
    ELSE
        SELECT array_agg(to_json(to_jsonb(o) - '{key,at}'::text[])) AS items,
               array_agg(api_1._cursor(o.at, o.key)) AS cursors
          INTO page
          FROM (SELECT v.* FROM api_1._bans v
                 WHERE v.network_id = network
                   AND (v.at, v.key) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
                 ORDER BY v.at, v.key LIMIT n + 1) o;
    END IF;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

CREATE FUNCTION api_1.network_bans_list(ctx api_1.ctx, network uuid, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._network_staff_reader(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN api_1._bans_page(NULL, network, lim, cur);
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

-- --------------------------------------------------------------- tenant's bans

CREATE FUNCTION api_1.tenant_bans_list(ctx api_1.ctx, tenant uuid, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    its_rank integer;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.rank INTO its_rank FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF its_rank < 2 THEN
        RETURN api_1._forbidden('moderator');
    END IF;
    RETURN api_1._bans_page(tenant, NULL, lim, cur);
END
$$;

-- The beginning of what staff does to somebody in a tenant, with it locked.
CREATE FUNCTION api_1._tenant_staff(ctx api_1.ctx, tenant uuid, OUT refusal api_1.reply,
                                    OUT rank integer)
LANGUAGE plpgsql AS $$
BEGIN
    refusal := api_1._user(ctx);
    IF refusal.status IS NOT NULL THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._tenant_access(ctx.user_id, tenant)) THEN
        refusal := api_1._not_found();      -- strangers take no locks
        RETURN;
    END IF;
    PERFORM FROM goconnect.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    SELECT x.rank INTO rank FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        refusal := api_1._not_found();
    ELSIF rank < 2 THEN
        refusal := api_1._forbidden('moderator');
    END IF;
END
$$;

-- body: reason?, expires_in? (seconds). Out of the tenant, of all its networks,
-- and not to come again.
CREATE FUNCTION api_1.tenant_bans_create(ctx api_1.ctx, tenant uuid, member uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    a record;
    b record;
    old text;
    evs api_1.event[] := '{}';
BEGIN
    SELECT x.* INTO a FROM api_1._tenant_staff(ctx, tenant) x;
    IF (a.refusal).status IS NOT NULL THEN
        RETURN a.refusal;
    END IF;
    IF (api_1._check_target(member)).status IS NOT NULL THEN
        RETURN api_1._not_found();
    END IF;
    IF member = ctx.user_id OR api_1._rank_of(tenant, NULL, member) >= a.rank THEN
        RETURN api_1._too_high();
    END IF;
    SELECT m.status INTO old FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = member;
    IF old IN ('active', 'pending') THEN
        evs := api_1._explain(api_1._expel_tenant(tenant, ARRAY[member], 'banned'),
                              api_1._reason(body));
    END IF;
    SELECT x.* INTO b FROM api_1._put_ban(ctx, tenant, NULL, member, body, old IS NOT NULL) x;
    RETURN api_1._ok(CASE WHEN b.fresh THEN 201 ELSE 200 END, b.object, NULL,
        CASE WHEN b.fresh THEN '/v1/tenants/' || tenant || '/bans' END,
        api_1._publish(evs || b.evs));
END
$$;

CREATE FUNCTION api_1.tenant_bans_delete(ctx api_1.ctx, tenant uuid, member uuid)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    a record;
    evs api_1.event[];
BEGIN
    SELECT x.* INTO a FROM api_1._tenant_staff(ctx, tenant) x;
    IF (a.refusal).status IS NOT NULL THEN
        RETURN a.refusal;
    END IF;
    evs := api_1._lift_ban(ctx, tenant, NULL, member, 'lifted');
    IF evs IS NULL THEN
        RETURN api_1._not_found();
    END IF;
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;

-- Lifts bans whose time is over, for the sweep, and returns what must be told of
-- it. It never waits: a place that somebody holds keeps its bans until the next
-- time.
CREATE FUNCTION api_1._expire_bans() RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    b record;
    evs api_1.event[] := '{}';
BEGIN
    FOR b IN
        SELECT x.tenant_id, x.network_id, x.user_id FROM goconnect.bans x
         WHERE x.until < now() ORDER BY x.until LIMIT 100
    LOOP
        PERFORM FROM goconnect.tenants t WHERE t.id = b.tenant_id FOR SHARE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        IF b.network_id IS NOT NULL THEN
            PERFORM FROM goconnect.networks n WHERE n.id = b.network_id
              FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
        END IF;
        evs := evs || coalesce(api_1._lift_ban(NULL, b.tenant_id, b.network_id, b.user_id,
                                               'expired'), '{}');
    END LOOP;
    RETURN evs;
END
$$;
