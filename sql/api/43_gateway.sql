-- The gateway of a network: a peer with an agent that forwards between the
-- members and the devices without one. A peer is a device without an agent if
-- the server keeps its private key.

-- The network's gateway, or NULL.
CREATE FUNCTION api_1._gateway(network uuid) RETURNS uuid
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT p.id FROM goconnect.peers p WHERE p.network_id = network AND p.gateway);
END
$$;

-- Makes the peer the gateway of its network, or nobody (NULL): the devices
-- without an agent follow. Returns the peers that this changed, for the delta.
-- The caller holds the lock of the network.
CREATE FUNCTION api_1._set_gateway(network uuid, wanted uuid) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE
    changed uuid[];
    more uuid[];
BEGIN
    -- one after the other: the index allows one at any time
    WITH u AS (
        UPDATE goconnect.peers p SET gateway = false
         WHERE p.network_id = network AND p.gateway AND p.id IS DISTINCT FROM wanted
        RETURNING p.id
    )
    SELECT coalesce(array_agg(u.id), '{}') INTO changed FROM u;
    WITH u AS (
        UPDATE goconnect.peers p SET gateway = true
         WHERE p.id = wanted AND NOT p.gateway
        RETURNING p.id
    )
    SELECT array_agg(u.id) INTO more FROM u;
    changed := changed || more;
    WITH u AS (
        UPDATE goconnect.peers p SET via = wanted
         WHERE p.network_id = network AND p.private_key_encrypted IS NOT NULL
           AND p.via IS DISTINCT FROM wanted
        RETURNING p.id
    )
    SELECT array_agg(u.id) INTO more FROM u;
    RETURN changed || more;
END
$$;

-- Carries out gateway_offered and gateway of the body of PATCH peers/:id, which
-- has been checked. An offer of somebody who could approve it needs no approval.
-- Returns the peers that this changed; the caller holds the network's lock.
CREATE FUNCTION api_1._gateway_change(old goconnect.peers, body jsonb) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE
    offered boolean := coalesce((body -> 'gateway_offered')::boolean, old.gateway_offered);
    active boolean := CASE
        WHEN NOT offered THEN false
        WHEN body ? 'gateway' THEN (body -> 'gateway')::boolean
        WHEN body ? 'gateway_offered' AND goconnect.role_rank(old.role) >= 3 THEN true
        ELSE old.gateway END;
    changed uuid[] := '{}';
BEGIN
    IF old.gateway AND NOT active THEN
        changed := api_1._set_gateway(old.network_id, NULL);
    END IF;
    IF offered <> old.gateway_offered THEN
        UPDATE goconnect.peers p SET gateway_offered = offered WHERE p.id = old.id;
        changed := changed || old.id;
    END IF;
    IF active AND NOT old.gateway THEN
        changed := changed || api_1._set_gateway(old.network_id, old.id);
    END IF;
    RETURN ARRAY(SELECT DISTINCT c.id FROM unnest(changed) AS c (id));
END
$$;

-- Of all the addresses that a gateway has told, the one at which most of the
-- world can reach it: a public IPv4 one, a public IPv6 one, else the first.
CREATE FUNCTION api_1._public_endpoint(endpoints text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT e.text
      FROM (SELECT u.text, u.ord,
                   btrim(regexp_replace(u.text, ':[0-9]+$', ''), '[]')::inet AS address
              FROM unnest(endpoints) WITH ORDINALITY AS u (text, ord)) e
     ORDER BY CASE
                WHEN family(e.address) = 4
                     AND NOT (e.address << '10.0.0.0/8' OR e.address << '172.16.0.0/12'
                              OR e.address << '192.168.0.0/16' OR e.address << '100.64.0.0/10'
                              OR e.address << '169.254.0.0/16' OR e.address << '127.0.0.0/8')
                THEN 0
                WHEN e.address << '2000::/3' THEN 1
                ELSE 2 END,
              e.ord
     LIMIT 1
$$;

-- The configuration of a device without an agent: who it is, its sealed key,
-- and the gateway as its one peer. 409 as long as there is none to connect to.
CREATE FUNCTION api_1._agentless_config(ctx api_1.ctx, peer uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    p record;
    g record;
    why text;
BEGIN
    SELECT x.network_id, x.private_key_encrypted, n.cidr, n.cidr6 INTO p
      FROM goconnect.peers x
      JOIN goconnect.networks n ON n.id = x.network_id
     WHERE x.id = peer;
    SELECT x.id, x.name, x.public_key, x.gateway, u.username,
           api_1._public_endpoint(x.endpoints) AS endpoint,
           i.device_id IS NOT NULL AS online
      INTO g
      FROM goconnect.peers x
      JOIN goconnect.users u ON u.id = x.user_id
      LEFT JOIN goconnect.presence i ON i.device_id = x.device_id
     WHERE x.network_id = p.network_id AND x.gateway_offered
     ORDER BY x.gateway DESC, x.name LIMIT 1;

    IF g.id IS NULL THEN
        why := 'The network has no gateway. Run "goconnect gateway on" on a device of the network'
            || ' that is always on and can be reached from the internet.';
    ELSIF NOT g.gateway THEN
        why := format('The network has no gateway. %s offers itself: an admin of the network has'
            || ' to approve it.', g.name);
    ELSIF NOT g.online THEN
        why := format('The network''s gateway, %s, is offline. Start goconnectd there, or run'
            || ' "goconnect gateway on" on another device.', g.name);
    ELSIF g.endpoint IS NULL THEN
        why := format('The network''s gateway, %s, has told no address at which it can be reached.'
            || ' Run "goconnect gateway on" on a device that can be.', g.name);
    END IF;
    IF why IS NOT NULL THEN
        RETURN api_1._refuse(409, 'no_gateway', why);
    END IF;

    RETURN api_1._ok(200, json_build_object(
        'peer', api_1._peer_object(peer),
        'network', api_1._network_object(p.network_id, ctx.user_id),
        'peers', '[]'::json,
        -- for the module, which puts private_key in its place
        'sealed', encode(p.private_key_encrypted, 'hex'),
        'gateway', json_build_object('peer_id', g.id, 'name', g.name, 'username', g.username,
            'public_key', g.public_key, 'endpoint', g.endpoint,
            'allowed_ips', json_build_array(p.cidr, p.cidr6), 'keepalive', 25)));
END
$$;
