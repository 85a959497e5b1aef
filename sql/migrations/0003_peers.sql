-- The virtual LAN: peers, their keys and addresses, rules and routes.

-- Roles in order; what is unknown ranks below every role.
CREATE FUNCTION goconnect.role_rank(role text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE role WHEN 'owner' THEN 4 WHEN 'admin' THEN 3
                     WHEN 'moderator' THEN 2 WHEN 'member' THEN 1 ELSE 0 END
$$;

CREATE TABLE goconnect.relays (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name text NOT NULL,
    address4 inet,
    address6 inet,
    port integer NOT NULL DEFAULT 3478,
    url text,                       -- the WebSocket way in, where UDP is blocked
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT relays_pkey PRIMARY KEY (id),
    CONSTRAINT relays_name_key UNIQUE (name),
    CONSTRAINT relays_name_check CHECK (char_length(name) BETWEEN 1 AND 64),
    CONSTRAINT relays_address4_check CHECK (family(address4) = 4 AND masklen(address4) = 32),
    CONSTRAINT relays_address6_check CHECK (family(address6) = 6 AND masklen(address6) = 128),
    CONSTRAINT relays_port_check CHECK (port BETWEEN 1 AND 65535),
    CONSTRAINT relays_url_check CHECK (char_length(url) <= 2048)
);

CREATE TABLE goconnect.peers (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL,
    network_id uuid NOT NULL,
    device_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,             -- effective in the network; kept by triggers
    name text COLLATE "C" NOT NULL,
    ip_address inet NOT NULL,
    ip6_address inet NOT NULL,
    public_key text COLLATE "C" NOT NULL,
    next_public_key text COLLATE "C",
    private_key_encrypted bytea,    -- NULL where an agent keeps its own
    endpoints text[] NOT NULL DEFAULT '{}',
    home_relay uuid,
    gateway_offered boolean NOT NULL DEFAULT false,
    gateway boolean NOT NULL DEFAULT false,     -- offered, approved and in use
    via uuid,                       -- the gateway of a device without an agent
    tags text[] NOT NULL DEFAULT '{}',
    routes cidr[] NOT NULL DEFAULT '{}',        -- approved ones; kept by a trigger
    last_seen timestamptz,
    rev bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT peers_pkey PRIMARY KEY (id),
    CONSTRAINT peers_device_key UNIQUE (network_id, device_id),
    CONSTRAINT peers_ip_address_key UNIQUE (network_id, ip_address),
    CONSTRAINT peers_ip6_address_key UNIQUE (network_id, ip6_address),
    CONSTRAINT peers_name_key UNIQUE (network_id, name),
    CONSTRAINT peers_network_id_key UNIQUE (network_id, id),
    CONSTRAINT peers_network_fkey FOREIGN KEY (tenant_id, network_id)
        REFERENCES goconnect.networks (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT peers_device_fkey FOREIGN KEY (device_id, user_id)
        REFERENCES goconnect.devices (id, user_id) ON DELETE CASCADE,
    CONSTRAINT peers_membership_fkey FOREIGN KEY (tenant_id, network_id, user_id)
        REFERENCES goconnect.memberships (tenant_id, network_id, user_id),
    CONSTRAINT peers_home_relay_fkey FOREIGN KEY (home_relay)
        REFERENCES goconnect.relays (id) ON DELETE SET NULL,
    CONSTRAINT peers_via_fkey FOREIGN KEY (network_id, via)
        REFERENCES goconnect.peers (network_id, id) ON DELETE SET NULL (via),
    CONSTRAINT peers_role_check
        CHECK (role IN ('member', 'moderator', 'admin', 'owner')),
    CONSTRAINT peers_name_check
        CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT peers_ip_address_check
        CHECK (family(ip_address) = 4 AND masklen(ip_address) = 32),
    CONSTRAINT peers_ip6_address_check
        CHECK (family(ip6_address) = 6 AND masklen(ip6_address) = 128),
    CONSTRAINT peers_public_key_check
        CHECK (public_key ~ '^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$'
               AND public_key <> 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='),
    CONSTRAINT peers_next_public_key_check
        CHECK (next_public_key ~ '^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$'
               AND next_public_key <> 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
               AND next_public_key <> public_key),
    CONSTRAINT peers_endpoints_check
        CHECK (cardinality(endpoints) <= 8
               AND array_position(endpoints, NULL) IS NULL
               AND octet_length(array_to_string(endpoints, ',')) <= 512),
    CONSTRAINT peers_gateway_check CHECK (gateway_offered OR NOT gateway),
    CONSTRAINT peers_via_check CHECK (via <> id),
    CONSTRAINT peers_tags_check
        CHECK (cardinality(tags) <= 32 AND array_position(tags, NULL) IS NULL)
) WITH (fillfactor = 80);

CREATE INDEX peers_device_idx ON goconnect.peers (device_id);
CREATE INDEX peers_user_idx ON goconnect.peers (user_id, network_id);
CREATE INDEX peers_via_idx ON goconnect.peers (via) WHERE via IS NOT NULL;
CREATE UNIQUE INDEX peers_gateway_key ON goconnect.peers (network_id)
    WHERE gateway;

CREATE TRIGGER peers_touch
    BEFORE UPDATE OF name, role, public_key, next_public_key, endpoints, home_relay,
                     gateway_offered, gateway, via, tags, routes
    ON goconnect.peers
    FOR EACH ROW EXECUTE FUNCTION goconnect.touch();

-- The higher of the tenant's role and the network's, each only if active.
CREATE FUNCTION goconnect.effective_role(tenant uuid, network uuid, member uuid)
RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT m.role
              FROM goconnect.memberships m
             WHERE m.tenant_id = tenant AND m.user_id = member AND m.status = 'active'
               AND (m.network_id IS NULL OR m.network_id = network)
             ORDER BY goconnect.role_rank(m.role) DESC
             LIMIT 1);
END
$$;

CREATE FUNCTION goconnect.peer_role() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.role := goconnect.effective_role(NEW.tenant_id, NEW.network_id, NEW.user_id);
    RETURN NEW;
END
$$;

CREATE TRIGGER peers_role
    BEFORE INSERT ON goconnect.peers
    FOR EACH ROW EXECUTE FUNCTION goconnect.peer_role();

CREATE FUNCTION goconnect.membership_role() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE goconnect.peers p
       SET role = goconnect.effective_role(p.tenant_id, p.network_id, p.user_id)
     WHERE p.tenant_id = NEW.tenant_id AND p.user_id = NEW.user_id
       AND (NEW.network_id IS NULL OR p.network_id = NEW.network_id)
       AND p.role IS DISTINCT FROM
           goconnect.effective_role(p.tenant_id, p.network_id, p.user_id);
    RETURN NULL;
END
$$;

CREATE TRIGGER memberships_peer_role
    AFTER UPDATE OF role, status ON goconnect.memberships
    FOR EACH ROW
    WHEN (NEW.status = 'active')
    EXECUTE FUNCTION goconnect.membership_role();

-- A membership that is not active has no peers: whoever changes one removes
-- them first, with the events that this needs.
CREATE FUNCTION goconnect.membership_without_peers() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM goconnect.peers p
                WHERE p.tenant_id = NEW.tenant_id AND p.user_id = NEW.user_id
                  AND (NEW.network_id IS NULL OR p.network_id = NEW.network_id))
    THEN
        RAISE EXCEPTION USING
            ERRCODE = 'integrity_constraint_violation',
            MESSAGE = 'a membership that is not active still has peers',
            CONSTRAINT = 'memberships_peers_check';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER memberships_peers_check
    AFTER UPDATE OF status ON goconnect.memberships
    FOR EACH ROW
    WHEN (NEW.status <> 'active')
    EXECUTE FUNCTION goconnect.membership_without_peers();

-- Current and next WireGuard keys, unique together over the whole server: a
-- second owner of a key would take the first one's allowed ips.
CREATE TABLE goconnect.peer_keys (
    public_key text COLLATE "C" NOT NULL,
    peer_id uuid NOT NULL,
    kind text NOT NULL,
    CONSTRAINT peer_keys_pkey PRIMARY KEY (public_key),
    CONSTRAINT peer_keys_kind_key UNIQUE (peer_id, kind),
    CONSTRAINT peer_keys_peer_fkey FOREIGN KEY (peer_id)
        REFERENCES goconnect.peers (id) ON DELETE CASCADE,
    CONSTRAINT peer_keys_kind_check CHECK (kind IN ('current', 'next'))
);

CREATE FUNCTION goconnect.peer_keys_sync() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM goconnect.peer_keys k WHERE k.peer_id = NEW.id;
    END IF;
    INSERT INTO goconnect.peer_keys (public_key, peer_id, kind)
    SELECT k.public_key, NEW.id, k.kind
      FROM (VALUES (NEW.public_key, 'current'),
                   (NEW.next_public_key, 'next')) AS k (public_key, kind)
     WHERE k.public_key IS NOT NULL;
    RETURN NULL;
END
$$;

CREATE TRIGGER peers_keys_insert
    AFTER INSERT ON goconnect.peers
    FOR EACH ROW EXECUTE FUNCTION goconnect.peer_keys_sync();

CREATE TRIGGER peers_keys_update
    AFTER UPDATE OF public_key, next_public_key ON goconnect.peers
    FOR EACH ROW
    WHEN (OLD.public_key <> NEW.public_key
          OR OLD.next_public_key IS DISTINCT FROM NEW.next_public_key)
    EXECUTE FUNCTION goconnect.peer_keys_sync();

-- The local networks that a device sits in, as it told.
CREATE TABLE goconnect.device_subnets (
    device_id uuid NOT NULL,
    subnet cidr NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT device_subnets_pkey PRIMARY KEY (device_id, subnet),
    CONSTRAINT device_subnets_device_fkey FOREIGN KEY (device_id)
        REFERENCES goconnect.devices (id) ON DELETE CASCADE
);

CREATE TABLE goconnect.reservations (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    network_id uuid NOT NULL,
    ip_address inet NOT NULL,
    name text COLLATE "C",
    user_id uuid,
    device_id uuid,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reservations_pkey PRIMARY KEY (id),
    CONSTRAINT reservations_ip_address_key UNIQUE (network_id, ip_address),
    CONSTRAINT reservations_name_key UNIQUE (network_id, name),
    CONSTRAINT reservations_network_fkey FOREIGN KEY (network_id)
        REFERENCES goconnect.networks (id) ON DELETE CASCADE,
    CONSTRAINT reservations_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE,
    CONSTRAINT reservations_device_fkey FOREIGN KEY (device_id)
        REFERENCES goconnect.devices (id) ON DELETE CASCADE,
    CONSTRAINT reservations_created_by_fkey FOREIGN KEY (created_by)
        REFERENCES goconnect.users (id) ON DELETE SET NULL,
    CONSTRAINT reservations_ip_address_check
        CHECK (family(ip_address) = 4 AND masklen(ip_address) = 32),
    CONSTRAINT reservations_name_check
        CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT reservations_holder_check
        CHECK (num_nonnulls(user_id, device_id) <= 1)
);

CREATE INDEX reservations_user_idx ON goconnect.reservations (user_id)
    WHERE user_id IS NOT NULL;
CREATE INDEX reservations_device_idx ON goconnect.reservations (device_id)
    WHERE device_id IS NOT NULL;

-- Addresses that rest for 24 hours before somebody else gets them.
CREATE TABLE goconnect.released_addresses (
    network_id uuid NOT NULL,
    ip_address inet NOT NULL,
    released_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT released_addresses_pkey PRIMARY KEY (network_id, ip_address),
    CONSTRAINT released_addresses_network_fkey FOREIGN KEY (network_id)
        REFERENCES goconnect.networks (id) ON DELETE CASCADE
);

CREATE INDEX released_addresses_age_idx
    ON goconnect.released_addresses (network_id, released_at);

CREATE FUNCTION goconnect.release_address() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    -- when the network itself goes, there is nothing to return it to
    INSERT INTO goconnect.released_addresses (network_id, ip_address)
    SELECT n.id, OLD.ip_address FROM goconnect.networks n WHERE n.id = OLD.network_id
    ON CONFLICT (network_id, ip_address) DO UPDATE SET released_at = excluded.released_at;
    RETURN NULL;
END
$$;

CREATE TRIGGER peers_release_address
    AFTER DELETE ON goconnect.peers
    FOR EACH ROW EXECUTE FUNCTION goconnect.release_address();

-- The firewall inside a network, first match wins.
CREATE TABLE goconnect.rules (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    network_id uuid NOT NULL,
    position integer NOT NULL,
    action text NOT NULL,
    source text NOT NULL DEFAULT 'any',
    destination text NOT NULL DEFAULT 'any',
    protocol text NOT NULL DEFAULT 'any',
    ports int4range,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT rules_pkey PRIMARY KEY (id),
    CONSTRAINT rules_position_key UNIQUE (network_id, position)
        DEFERRABLE INITIALLY IMMEDIATE,
    CONSTRAINT rules_network_fkey FOREIGN KEY (network_id)
        REFERENCES goconnect.networks (id) ON DELETE CASCADE,
    CONSTRAINT rules_position_check CHECK (position BETWEEN 1 AND 1000),
    CONSTRAINT rules_action_check CHECK (action IN ('allow', 'deny')),
    CONSTRAINT rules_source_check
        CHECK (source ~ '^(any|(role|tag):[a-z0-9-]{1,63}|peer:[0-9a-f-]{36}|[0-9a-f.:]+(/[0-9]{1,3})?)$'),
    CONSTRAINT rules_destination_check
        CHECK (destination ~ '^(any|(role|tag):[a-z0-9-]{1,63}|peer:[0-9a-f-]{36}|[0-9a-f.:]+(/[0-9]{1,3})?)$'),
    CONSTRAINT rules_protocol_check
        CHECK (protocol IN ('any', 'tcp', 'udp', 'icmp')),
    CONSTRAINT rules_ports_check
        CHECK (ports IS NULL
               OR protocol IN ('tcp', 'udp') AND ports <@ int4range(1, 65536)
                  AND NOT isempty(ports))
);

-- The tags that a network knows; peers.tags says who wears them.
CREATE TABLE goconnect.tags (
    network_id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tags_pkey PRIMARY KEY (network_id, name),
    CONSTRAINT tags_network_fkey FOREIGN KEY (network_id)
        REFERENCES goconnect.networks (id) ON DELETE CASCADE,
    CONSTRAINT tags_name_check
        CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')
);

CREATE TABLE goconnect.routes (
    peer_id uuid NOT NULL,
    prefix cidr NOT NULL,
    offered_at timestamptz NOT NULL DEFAULT now(),
    approved_at timestamptz,
    approved_by uuid,
    CONSTRAINT routes_pkey PRIMARY KEY (peer_id, prefix),
    CONSTRAINT routes_peer_fkey FOREIGN KEY (peer_id)
        REFERENCES goconnect.peers (id) ON DELETE CASCADE,
    CONSTRAINT routes_approved_by_fkey FOREIGN KEY (approved_by)
        REFERENCES goconnect.users (id) ON DELETE SET NULL
);

CREATE FUNCTION goconnect.routes_apply() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    changed uuid := CASE WHEN TG_OP = 'DELETE' THEN OLD.peer_id ELSE NEW.peer_id END;
BEGIN
    UPDATE goconnect.peers p
       SET routes = ARRAY(SELECT r.prefix FROM goconnect.routes r
                           WHERE r.peer_id = changed AND r.approved_at IS NOT NULL
                           ORDER BY r.prefix)
     WHERE p.id = changed;
    RETURN NULL;
END
$$;

CREATE TRIGGER routes_apply
    AFTER INSERT OR UPDATE OR DELETE ON goconnect.routes
    FOR EACH ROW EXECUTE FUNCTION goconnect.routes_apply();
