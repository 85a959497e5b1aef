-- Who is in a tenant: leaving it and being taken out of it.

-- What is told of users who go out of a tenant: to those who stay, and to them
-- and their devices. Called before anything is removed. Who ranks as an admin
-- may hold topics of networks that he never joined.
CREATE FUNCTION api_1._expelled_events(tenant uuid, users uuid[], reason text)
RETURNS api_1.event[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT api_1._event(
                   CASE WHEN m.network_id IS NULL THEN 'tenant:' || tenant
                        ELSE 'network:' || m.network_id END
                   || CASE m.status WHEN 'active' THEN '' ELSE '/staff' END,
                   'member',
                   api_1._member_change('removed', tenant, m.network_id,
                       api_1._member_object(tenant, m.network_id, m.user_id)))
          FROM goconnect.memberships m
         WHERE m.tenant_id = tenant AND m.user_id = ANY (users) AND m.status <> 'banned'
         ORDER BY m.network_id NULLS FIRST, m.user_id)
    || ARRAY(
        SELECT api_1._event('user:' || m.user_id, 'revoked',
                   api_1._revoked('tenant', NULL, NULL, NULL, tenant,
                       ARRAY['tenant:' || tenant, 'tenant:' || tenant || '/staff']
                       || ARRAY(SELECT 'network:' || n.id || x.part
                                  FROM goconnect.networks n,
                                       (VALUES (''), ('/staff')) AS x (part)
                                 WHERE n.tenant_id = tenant
                                   AND (goconnect.role_rank(m.role) >= 3
                                        OR EXISTS (SELECT FROM goconnect.memberships o
                                                    WHERE o.tenant_id = tenant
                                                      AND o.network_id = n.id
                                                      AND o.user_id = m.user_id))
                                 ORDER BY n.id, x.part),
                       reason))
          FROM goconnect.memberships m
         WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = ANY (users)
           AND m.status <> 'banned'
         ORDER BY m.user_id)
    || ARRAY(
        SELECT api_1._event('device:' || p.device_id, 'revoked',
                   api_1._revoked('tenant', NULL, p.device_id, NULL, tenant,
                       array_agg('network:' || p.network_id ORDER BY p.network_id), reason))
          FROM goconnect.peers p
         WHERE p.tenant_id = tenant AND p.user_id = ANY (users)
         GROUP BY p.device_id ORDER BY p.device_id);
END
$$;

-- Takes users out of a tenant and of all its networks, with their peers and
-- the invites that they made, and returns what must be told of it. Bans stay.
-- The caller has locked the tenant (FOR NO KEY UPDATE), so that nobody joins
-- anything in it meanwhile, and no network; those are locked here. A trigger
-- keeps the last owner in.
CREATE FUNCTION api_1._expel_tenant(tenant uuid, users uuid[], reason text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    evs api_1.event[];
    devices uuid[];
BEGIN
    PERFORM api_1._lock_networks(ARRAY(
        SELECT DISTINCT m.network_id FROM goconnect.memberships m
         WHERE m.tenant_id = tenant AND m.user_id = ANY (users)
           AND m.network_id IS NOT NULL));
    devices := ARRAY(SELECT DISTINCT p.device_id FROM goconnect.peers p
                      WHERE p.tenant_id = tenant AND p.user_id = ANY (users));
    evs := api_1._expelled_events(tenant, users, reason);
    evs := api_1._remove_peers(ARRAY(SELECT p.id FROM goconnect.peers p
                                      WHERE p.tenant_id = tenant
                                        AND p.user_id = ANY (users)))
        || evs;
    DELETE FROM goconnect.invites i
     WHERE i.tenant_id = tenant AND i.created_by = ANY (users);
    DELETE FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.user_id = ANY (users) AND m.status <> 'banned';
    RETURN evs || api_1._self_events(devices);
END
$$;
