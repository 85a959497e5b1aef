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
-- role before; the network is named if it was the one in it.
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
           AND goconnect.role_rank(w.required_role)
               > goconnect.role_rank(goconnect.effective_role(tenant, w.id, member))
         ORDER BY m.network_id
    LOOP
        evs := evs || CASE n.status
            WHEN 'active' THEN api_1._expel(tenant, n.id, ARRAY[member], 'role_too_low')
            ELSE api_1._drop_request(tenant, n.id, member, 'role_too_low') END;
    END LOOP;
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

-- The data of a request event.
CREATE FUNCTION api_1._request_change(change text, tenant uuid, network uuid, object json,
                                      reason text)
RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('change', change, 'tenant_id', tenant, 'network_id', network,
                             'reason', reason, 'request', object)
$$;

CREATE VIEW api_1._requests AS
    SELECT m.id AS key, m.created_at AS at, m.tenant_id, m.network_id, m.user_id,
           u.username, m.note, m.created_at AS requested_at
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

-- Ends a request without letting anybody in: the staff hears it, and he who
-- asked.
CREATE FUNCTION api_1._drop_request(tenant uuid, network uuid, member uuid, reason text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    object json := api_1._request_object(network, member);
BEGIN
    DELETE FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id = network AND m.user_id = member
       AND m.status = 'pending';
    RETURN ARRAY[
        api_1._event('network:' || network || '/staff', 'request',
            api_1._request_change('removed', tenant, network, object, reason)),
        api_1._event('user:' || member, 'request',
            api_1._request_change('removed', tenant, network, object, reason))];
END
$$;
