-- The objects of docs/protocol.md. The columns of a view or a row function are
-- the members of the JSON object, in their order.

CREATE FUNCTION api_1._user_object(id uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT row_to_json(o)
              FROM (SELECT u.id, u.username, u.email, u.settings, u.server_admin, u.created_at,
                           u.updated_at
                      FROM goconnect.users u WHERE u.id = $1) o);
END
$$;

-- Every tenant, as one viewer sees it; NULL for an event that many see.
CREATE FUNCTION api_1._tenants(viewer uuid)
RETURNS TABLE (id uuid, name text, slug text, description text, visibility text,
               access text, settings jsonb, role text, member_count bigint,
               created_at timestamptz, updated_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT t.id, t.name, t.slug, t.description, t.visibility, t.access, t.settings,
           (SELECT m.role FROM goconnect.memberships m
             WHERE m.tenant_id = t.id AND m.network_id IS NULL
               AND m.user_id = viewer AND m.status = 'active'),
           (SELECT count(*) FROM goconnect.memberships m
             WHERE m.tenant_id = t.id AND m.network_id IS NULL AND m.status = 'active'),
           t.created_at, t.updated_at
      FROM goconnect.tenants t
     WHERE t.deleted_at IS NULL
$$;

CREATE FUNCTION api_1._tenant_object(tenant uuid, viewer uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT row_to_json(o) FROM api_1._tenants(viewer) o WHERE o.id = tenant);
END
$$;

CREATE FUNCTION api_1._networks(viewer uuid)
RETURNS TABLE (id uuid, tenant_id uuid, name text, slug text, description text, cidr cidr,
               cidr6 cidr, visibility text, join_policy text, required_role text,
               mode text, settings jsonb, joined boolean, role text, peer_count bigint,
               created_at timestamptz, updated_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT n.id, n.tenant_id, n.name, n.slug, n.description, n.cidr, n.cidr6, n.visibility,
           n.join_policy, n.required_role, n.mode, n.settings,
           CASE WHEN viewer IS NOT NULL THEN
               EXISTS (SELECT FROM goconnect.memberships m
                        WHERE m.tenant_id = n.tenant_id AND m.network_id = n.id
                          AND m.user_id = viewer AND m.status = 'active') END,
           CASE WHEN viewer IS NOT NULL THEN
               goconnect.effective_role(n.tenant_id, n.id, viewer) END,
           (SELECT count(*) FROM goconnect.peers p WHERE p.network_id = n.id),
           n.created_at, n.updated_at
      FROM goconnect.networks n
$$;

CREATE FUNCTION api_1._network_object(network uuid, viewer uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT row_to_json(o) FROM api_1._networks(viewer) o WHERE o.id = network);
END
$$;

CREATE FUNCTION api_1._tenant_etag(tenant uuid, viewer uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT api_1._etag(t.rev, coalesce(o.role, '-') || '.' || o.member_count)
              FROM goconnect.tenants t JOIN api_1._tenants(viewer) o ON o.id = t.id
             WHERE t.id = tenant);
END
$$;

CREATE FUNCTION api_1._network_etag(network uuid, viewer uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT api_1._etag(n.rev, coalesce(o.role, '-') || '.' || o.joined::integer || '.'
                                      || o.peer_count)
              FROM goconnect.networks n JOIN api_1._networks(viewer) o ON o.id = n.id
             WHERE n.id = network);
END
$$;

-- key, tenant_id, network_id and at are for selecting and ordering; the rest
-- is the member object. Who is no member (yet, any more) shows no presence.
CREATE VIEW api_1._members AS
    SELECT m.id AS key, m.tenant_id, m.network_id, m.created_at AS at, m.user_id,
           u.username, u.kind, m.role, m.status, m.joined_at,
           m.status = 'active' AND u.suspended_at IS NULL
           AND EXISTS (SELECT FROM goconnect.presence_users s
                        WHERE s.user_id = m.user_id) AS online,
           CASE m.status WHEN 'active' THEN u.last_seen END AS last_seen
      FROM goconnect.memberships m
      JOIN goconnect.users u ON u.id = m.user_id;

CREATE FUNCTION api_1._member_object(tenant uuid, network uuid, member uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT row_to_json(o)
              FROM (SELECT v.user_id, v.username, v.kind, v.role, v.status, v.joined_at,
                           v.online, v.last_seen
                      FROM api_1._members v
                     WHERE v.tenant_id = tenant AND v.network_id IS NOT DISTINCT FROM network
                       AND v.user_id = member) o);
END
$$;

-- The data of a member event.
CREATE FUNCTION api_1._member_change(change text, tenant uuid, network uuid, object json)
RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('change', change, 'tenant_id', tenant, 'network_id', network,
                             'member', object)
$$;

CREATE VIEW api_1._invites AS
    SELECT i.id, i.tenant_id, i.network_id, i.role, i.max_uses, i.uses, i.expires_at,
           i.created_by, i.created_at
      FROM goconnect.invites i;

CREATE VIEW api_1._devices AS
    SELECT d.id, d.user_id, d.name, d.platform, d.agent, d.public_key,
           ARRAY(SELECT n.subnet FROM goconnect.device_subnets n
                  WHERE n.device_id = d.id ORDER BY n.subnet) AS subnets,
           s.device_id IS NOT NULL AS online, d.last_seen, d.created_at
      FROM goconnect.devices d
      LEFT JOIN goconnect.presence s ON s.device_id = d.id;

CREATE FUNCTION api_1._device_object(device uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT row_to_json(o) FROM api_1._devices o WHERE o.id = device);
END
$$;

CREATE VIEW api_1._peers AS
    SELECT p.id, p.network_id, p.device_id, p.user_id, u.username, p.role, p.name,
           host(p.ip_address) AS ip_address, host(p.ip6_address) AS ip6_address,
           p.public_key, p.next_public_key, p.endpoints[1] AS endpoint, p.endpoints,
           p.home_relay, p.private_key_encrypted IS NULL AS agent, p.gateway_offered,
           p.gateway, p.via, p.tags, p.offered_routes,
           p.routes, s.device_id IS NOT NULL AS online, p.last_seen, p.created_at
      FROM goconnect.peers p
      JOIN goconnect.users u ON u.id = p.user_id
      LEFT JOIN goconnect.presence s ON s.device_id = p.device_id;

CREATE FUNCTION api_1._peer_object(peer uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT row_to_json(o) FROM api_1._peers o WHERE o.id = peer);
END
$$;

-- A peer as the answer to the POST: with what its device should know.
CREATE FUNCTION api_1._peer_with_warnings(peer uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT (left(api_1._peer_object(p.id)::text, -1) || ',"warnings":'
                    || api_1._warnings(p.device_id, p.network_id) || '}')::json
              FROM goconnect.peers p WHERE p.id = peer);
END
$$;

-- A peer as it stands in netmap and netmap_delta: what all members share and
-- what does not change by itself.
CREATE FUNCTION api_1._map_peers(network uuid)
RETURNS TABLE (id uuid, device_id uuid, user_id uuid, username text, role text, name text,
               ip_address text, ip6_address text, public_key text, next_public_key text,
               endpoint text, endpoints text[], home_relay uuid, agent boolean,
               gateway boolean, via uuid, tags text[], routes cidr[])
LANGUAGE sql STABLE AS $$
    SELECT p.id, p.device_id, p.user_id, u.username, p.role, p.name,
           host(p.ip_address), host(p.ip6_address),
           p.public_key, p.next_public_key, p.endpoints[1], p.endpoints,
           p.home_relay, p.private_key_encrypted IS NULL, p.gateway, p.via, p.tags, p.routes
      FROM goconnect.peers p
      JOIN goconnect.users u ON u.id = p.user_id
     WHERE p.network_id = network
$$;

-- The data of a netmap_delta; _publish adds the versions.
CREATE FUNCTION api_1._delta(network uuid, upsert uuid[], remove uuid[]) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT json_build_object('network_id', network,
                'upsert', (SELECT coalesce(json_agg(row_to_json(v)), '[]'::json)
                             FROM api_1._map_peers(network) v WHERE v.id = ANY (upsert)),
                'remove', to_json(remove)));
END
$$;

CREATE FUNCTION api_1._rules(network uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT coalesce(json_agg(json_build_object('id', r.id, 'action', r.action,
                       'source', r.source, 'destination', r.destination,
                       'protocol', r.protocol, 'port_first', lower(r.ports),
                       'port_last', upper(r.ports) - 1) ORDER BY r.position), '[]'::json)
              FROM goconnect.rules r WHERE r.network_id = network);
END
$$;

CREATE VIEW api_1._relays AS
    SELECT r.id, r.name, host(r.address4) AS address4, host(r.address6) AS address6, r.port,
           r.url
      FROM goconnect.relays r
     WHERE r.enabled;

-- The parts of a map besides its peers, each whole.
CREATE FUNCTION api_1._netmap_part(network uuid, part text) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN CASE part
        WHEN 'network' THEN api_1._network_object(network, NULL)
        WHEN 'relays' THEN (SELECT coalesce(json_agg(row_to_json(r) ORDER BY r.name), '[]'::json)
                              FROM (SELECT v.* FROM api_1._relays v ORDER BY v.name LIMIT 16) r)
        WHEN 'dns' THEN (SELECT json_build_object('domain', n.slug || '.' || t.slug || '.gc')
                           FROM goconnect.networks n
                           JOIN goconnect.tenants t ON t.id = n.tenant_id
                          WHERE n.id = network)
        WHEN 'rules' THEN api_1._rules(network) END;
END
$$;

-- The data of a netmap_delta that replaces these parts.
CREATE FUNCTION api_1._delta_parts(network uuid, VARIADIC parts text[]) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_object_agg(m.name, m.value ORDER BY m.place)
      FROM (VALUES ('network_id', to_json(network), 1), ('upsert', '[]'::json, 2),
                   ('remove', '[]'::json, 3)
            UNION ALL
            SELECT p.name, api_1._netmap_part(network, p.name), 3 + p.place
              FROM unnest(parts) WITH ORDINALITY AS p (name, place)) m (name, value, place)
$$;

-- The whole map of a network, the same for every reader.
CREATE FUNCTION api_1._netmap(network uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT json_build_object(
                'network_id', n.id,
                'version', n.netmap_version,
                'network', api_1._netmap_part(n.id, 'network'),
                'relays', api_1._netmap_part(n.id, 'relays'),
                'dns', api_1._netmap_part(n.id, 'dns'),
                'rules', api_1._netmap_part(n.id, 'rules'),
                'peers', (SELECT coalesce(json_agg(row_to_json(v)), '[]'::json)
                            FROM (SELECT m.* FROM api_1._map_peers(network) m
                                   ORDER BY m.name) v))
              FROM goconnect.networks n
             WHERE n.id = network);
END
$$;

-- What a device has: the data of the self message.
CREATE FUNCTION api_1._self(device uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT json_build_object(
                'device', api_1._device_object(device),
                'peers', (SELECT coalesce(json_agg(json_build_object(
                                      'network_id', p.network_id, 'peer_id', p.id, 'name', p.name,
                                      'ip_address', host(p.ip_address),
                                      'ip6_address', host(p.ip6_address),
                                      'public_key', p.public_key,
                                      'next_public_key', p.next_public_key)
                                      ORDER BY p.network_id), '[]'::json)
                            FROM goconnect.peers p WHERE p.device_id = device)));
END
$$;

-- The data of a revoked message.
CREATE FUNCTION api_1._revoked(scope text, session uuid, device uuid, network uuid,
                               tenant uuid, topics text[], reason text)
RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('scope', scope, 'session_id', session, 'device_id', device,
        'network_id', network, 'tenant_id', tenant, 'topics', to_json(topics),
        'reason', reason)
$$;

CREATE VIEW api_1._messages AS
    SELECT m.id, m.tenant_id, m.network_id, m.user_id, u.username, m.content,
           m.created_at AS "timestamp", m.edited_at, m.deleted_at IS NOT NULL AS deleted,
           m.number, m.seq
      FROM goconnect.messages m
      JOIN goconnect.users u ON u.id = m.user_id;
