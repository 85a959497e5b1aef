-- The community: tenants, networks, who belongs to them, invites.

CREATE TABLE goconnect.tenants (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name text NOT NULL,
    slug text COLLATE "C" NOT NULL,
    description text,
    visibility text NOT NULL DEFAULT 'private',
    access text NOT NULL DEFAULT 'invite_only',
    password_hash text,
    settings jsonb NOT NULL DEFAULT '{}',
    deleted_at timestamptz,         -- marked; the sweep removes the rest
    rev bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_name_check
        CHECK (char_length(name) BETWEEN 1 AND 64 AND name !~ '[[:cntrl:]]'
               AND name = btrim(name)),
    CONSTRAINT tenants_slug_check
        CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT tenants_description_check CHECK (char_length(description) <= 1000),
    CONSTRAINT tenants_visibility_check CHECK (visibility IN ('public', 'private')),
    CONSTRAINT tenants_access_check
        CHECK (access IN ('open', 'password', 'invite_only')),
    CONSTRAINT tenants_password_check
        CHECK ((access = 'password') = (password_hash IS NOT NULL)),
    CONSTRAINT tenants_settings_check
        CHECK (goconnect.settings_valid('tenant', settings))
);

CREATE UNIQUE INDEX tenants_slug_key ON goconnect.tenants (slug)
    WHERE deleted_at IS NULL;
CREATE INDEX tenants_public_idx ON goconnect.tenants (created_at, id)
    WHERE visibility = 'public' AND deleted_at IS NULL;
CREATE INDEX tenants_deleted_idx ON goconnect.tenants (deleted_at)
    WHERE deleted_at IS NOT NULL;

CREATE TRIGGER tenants_touch
    BEFORE UPDATE OF name, slug, description, visibility, access, password_hash,
                     settings, deleted_at
    ON goconnect.tenants
    FOR EACH ROW EXECUTE FUNCTION goconnect.touch();

CREATE TABLE goconnect.networks (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    slug text COLLATE "C" NOT NULL,
    description text,
    cidr cidr NOT NULL,
    cidr6 cidr NOT NULL,
    visibility text NOT NULL DEFAULT 'private',
    join_policy text NOT NULL DEFAULT 'invite',
    required_role text NOT NULL DEFAULT 'member',
    mode text NOT NULL DEFAULT 'l3',
    settings jsonb NOT NULL DEFAULT '{}',
    netmap_version bigint NOT NULL DEFAULT 0,   -- seq of network:ID's last netmap event
    high_water integer NOT NULL DEFAULT 0,      -- highest host number ever given out
    rev bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT networks_pkey PRIMARY KEY (id),
    CONSTRAINT networks_tenant_id_key UNIQUE (tenant_id, id),
    CONSTRAINT networks_slug_key UNIQUE (tenant_id, slug),
    CONSTRAINT networks_cidr6_key UNIQUE (cidr6),
    CONSTRAINT networks_tenant_fkey FOREIGN KEY (tenant_id)
        REFERENCES goconnect.tenants (id) ON DELETE CASCADE,
    CONSTRAINT networks_name_check
        CHECK (char_length(name) BETWEEN 1 AND 64 AND name !~ '[[:cntrl:]]'
               AND name = btrim(name)),
    CONSTRAINT networks_slug_check
        CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT networks_description_check CHECK (char_length(description) <= 1000),
    CONSTRAINT networks_cidr_check
        CHECK (family(cidr) = 4 AND masklen(cidr) BETWEEN 8 AND 29
               AND (cidr <<= '10.0.0.0/8' OR cidr <<= '172.16.0.0/12'
                    OR cidr <<= '192.168.0.0/16' OR cidr <<= '100.64.0.0/10')),
    CONSTRAINT networks_cidr6_check
        CHECK (family(cidr6) = 6 AND masklen(cidr6) = 64 AND cidr6 <<= 'fd00::/8'),
    CONSTRAINT networks_visibility_check CHECK (visibility IN ('public', 'private')),
    CONSTRAINT networks_join_policy_check
        CHECK (join_policy IN ('open', 'invite', 'approval')),
    CONSTRAINT networks_required_role_check
        CHECK (required_role IN ('member', 'moderator', 'admin', 'owner')),
    CONSTRAINT networks_mode_check CHECK (mode IN ('l3', 'l2')),
    CONSTRAINT networks_settings_check
        CHECK (goconnect.settings_valid('network', settings)),
    CONSTRAINT networks_netmap_version_check CHECK (netmap_version >= 0),
    CONSTRAINT networks_high_water_check CHECK (high_water >= 0)
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX networks_name_key
    ON goconnect.networks (tenant_id, lower(name));
CREATE INDEX networks_tenant_idx
    ON goconnect.networks (tenant_id, created_at, id);

CREATE TRIGGER networks_touch
    BEFORE UPDATE OF name, slug, description, cidr, visibility, join_policy,
                     required_role, mode, settings
    ON goconnect.networks
    FOR EACH ROW EXECUTE FUNCTION goconnect.touch();

-- A membership of a tenant (network_id NULL) or of one of its networks. status
-- is the single truth; a ban may precede membership.
CREATE TABLE goconnect.memberships (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL,
    network_id uuid,
    user_id uuid NOT NULL,
    role text NOT NULL DEFAULT 'member',
    status text NOT NULL DEFAULT 'active',
    note text,
    joined_at timestamptz,
    rev bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT memberships_pkey PRIMARY KEY (id),
    CONSTRAINT memberships_member_key
        UNIQUE NULLS NOT DISTINCT (tenant_id, network_id, user_id),
    CONSTRAINT memberships_tenant_fkey FOREIGN KEY (tenant_id)
        REFERENCES goconnect.tenants (id) ON DELETE CASCADE,
    CONSTRAINT memberships_network_fkey FOREIGN KEY (tenant_id, network_id)
        REFERENCES goconnect.networks (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT memberships_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE,
    CONSTRAINT memberships_role_check
        CHECK (role IN ('member', 'moderator', 'admin')
               OR role = 'owner' AND network_id IS NULL),
    CONSTRAINT memberships_status_check
        CHECK (status IN ('active', 'pending', 'banned')),
    CONSTRAINT memberships_joined_at_check
        CHECK (status <> 'active' OR joined_at IS NOT NULL),
    CONSTRAINT memberships_note_check CHECK (char_length(note) <= 500)
);

CREATE INDEX memberships_user_idx ON goconnect.memberships (user_id, status);
CREATE INDEX memberships_tenant_idx
    ON goconnect.memberships (tenant_id, created_at, id) WHERE network_id IS NULL;
CREATE INDEX memberships_network_idx
    ON goconnect.memberships (network_id, created_at, id)
    WHERE network_id IS NOT NULL;
CREATE INDEX memberships_active_idx ON goconnect.memberships (tenant_id)
    WHERE network_id IS NULL AND status = 'active';

CREATE TRIGGER memberships_touch
    BEFORE UPDATE OF role, status, note, joined_at ON goconnect.memberships
    FOR EACH ROW EXECUTE FUNCTION goconnect.touch();

-- A tenant always has an owner. Whoever takes the role from one waits for the
-- tenant's row, so that two owners cannot go at once.
CREATE FUNCTION goconnect.keep_an_owner() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM goconnect.tenants t
      WHERE t.id = OLD.tenant_id AND t.deleted_at IS NULL
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM FROM goconnect.memberships m
      WHERE m.tenant_id = OLD.tenant_id AND m.network_id IS NULL
        AND m.role = 'owner' AND m.status = 'active';
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = 'integrity_constraint_violation',
            MESSAGE = 'a tenant needs an owner',
            CONSTRAINT = 'memberships_owner_check';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER memberships_owner_update
    AFTER UPDATE OF role, status ON goconnect.memberships
    FOR EACH ROW
    WHEN (OLD.network_id IS NULL AND OLD.role = 'owner' AND OLD.status = 'active'
          AND (NEW.role <> 'owner' OR NEW.status <> 'active'))
    EXECUTE FUNCTION goconnect.keep_an_owner();

CREATE TRIGGER memberships_owner_delete
    AFTER DELETE ON goconnect.memberships
    FOR EACH ROW
    WHEN (OLD.network_id IS NULL AND OLD.role = 'owner' AND OLD.status = 'active')
    EXECUTE FUNCTION goconnect.keep_an_owner();

-- Why, by whom and until when; that somebody is banned stands in memberships.
CREATE TABLE goconnect.bans (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL,
    network_id uuid,
    user_id uuid NOT NULL,
    reason text,
    banned_by uuid,
    until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT bans_pkey PRIMARY KEY (id),
    CONSTRAINT bans_membership_key
        UNIQUE NULLS NOT DISTINCT (tenant_id, network_id, user_id),
    CONSTRAINT bans_membership_fkey FOREIGN KEY (tenant_id)
        REFERENCES goconnect.tenants (id) ON DELETE CASCADE,
    CONSTRAINT bans_network_fkey FOREIGN KEY (tenant_id, network_id)
        REFERENCES goconnect.networks (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT bans_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE,
    CONSTRAINT bans_banned_by_fkey FOREIGN KEY (banned_by)
        REFERENCES goconnect.users (id) ON DELETE SET NULL,
    CONSTRAINT bans_reason_check CHECK (char_length(reason) <= 500)
);

CREATE INDEX bans_user_idx ON goconnect.bans (user_id);
CREATE INDEX bans_until_idx ON goconnect.bans (until) WHERE until IS NOT NULL;

CREATE TABLE goconnect.invites (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL,
    network_id uuid,
    code_hmac bytea NOT NULL,       -- the code itself is shown once and not kept
    role text NOT NULL DEFAULT 'member',
    max_uses integer,
    uses integer NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT invites_pkey PRIMARY KEY (id),
    CONSTRAINT invites_code_key UNIQUE (code_hmac),
    CONSTRAINT invites_tenant_fkey FOREIGN KEY (tenant_id)
        REFERENCES goconnect.tenants (id) ON DELETE CASCADE,
    CONSTRAINT invites_network_fkey FOREIGN KEY (tenant_id, network_id)
        REFERENCES goconnect.networks (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT invites_created_by_fkey FOREIGN KEY (created_by)
        REFERENCES goconnect.users (id) ON DELETE SET NULL,
    CONSTRAINT invites_code_check CHECK (octet_length(code_hmac) = 32),
    CONSTRAINT invites_role_check
        CHECK (role IN ('member', 'moderator', 'admin', 'owner')),
    CONSTRAINT invites_max_uses_check CHECK (max_uses BETWEEN 1 AND 100000),
    CONSTRAINT invites_uses_check
        CHECK (uses >= 0 AND (max_uses IS NULL OR uses <= max_uses))
);

CREATE INDEX invites_tenant_idx ON goconnect.invites (tenant_id, created_at, id);
CREATE INDEX invites_network_idx ON goconnect.invites (network_id)
    WHERE network_id IS NOT NULL;
CREATE INDEX invites_expires_idx ON goconnect.invites (expires_at);

CREATE TABLE goconnect.enrollment_keys (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL,
    key_hash bytea NOT NULL,
    name text NOT NULL,
    user_id uuid NOT NULL,          -- the service user that enrolled devices belong to
    reusable boolean NOT NULL DEFAULT false,
    ephemeral boolean NOT NULL DEFAULT false,
    uses integer NOT NULL DEFAULT 0,
    expires_at timestamptz,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT enrollment_keys_pkey PRIMARY KEY (id),
    CONSTRAINT enrollment_keys_tenant_id_key UNIQUE (tenant_id, id),
    CONSTRAINT enrollment_keys_hash_key UNIQUE (key_hash),
    CONSTRAINT enrollment_keys_tenant_fkey FOREIGN KEY (tenant_id)
        REFERENCES goconnect.tenants (id) ON DELETE CASCADE,
    CONSTRAINT enrollment_keys_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE,
    CONSTRAINT enrollment_keys_created_by_fkey FOREIGN KEY (created_by)
        REFERENCES goconnect.users (id) ON DELETE SET NULL,
    CONSTRAINT enrollment_keys_hash_check CHECK (octet_length(key_hash) = 32),
    CONSTRAINT enrollment_keys_name_check CHECK (char_length(name) BETWEEN 1 AND 64),
    CONSTRAINT enrollment_keys_uses_check CHECK (uses >= 0)
);

CREATE TABLE goconnect.enrollment_key_networks (
    tenant_id uuid NOT NULL,
    key_id uuid NOT NULL,
    network_id uuid NOT NULL,
    CONSTRAINT enrollment_key_networks_pkey PRIMARY KEY (key_id, network_id),
    CONSTRAINT enrollment_key_networks_key_fkey FOREIGN KEY (tenant_id, key_id)
        REFERENCES goconnect.enrollment_keys (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT enrollment_key_networks_network_fkey FOREIGN KEY (tenant_id, network_id)
        REFERENCES goconnect.networks (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX enrollment_key_networks_network_idx
    ON goconnect.enrollment_key_networks (network_id);

-- The ranges that the server gives to networks which name none.
CREATE TABLE goconnect.cidr_pool (
    block cidr NOT NULL,
    network_id uuid,
    released_at timestamptz,
    CONSTRAINT cidr_pool_pkey PRIMARY KEY (block),
    CONSTRAINT cidr_pool_network_key UNIQUE (network_id),
    CONSTRAINT cidr_pool_network_fkey FOREIGN KEY (network_id)
        REFERENCES goconnect.networks (id) ON DELETE SET NULL,
    CONSTRAINT cidr_pool_block_check CHECK (masklen(block) = 24)
);

CREATE INDEX cidr_pool_free_idx
    ON goconnect.cidr_pool (released_at NULLS FIRST, block)
    WHERE network_id IS NULL;

-- A block that comes back goes to the end of the queue.
CREATE FUNCTION goconnect.release_block() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.released_at := pg_catalog.now();
    RETURN NEW;
END
$$;

CREATE TRIGGER cidr_pool_release
    BEFORE UPDATE OF network_id ON goconnect.cidr_pool
    FOR EACH ROW
    WHEN (OLD.network_id IS NOT NULL AND NEW.network_id IS NULL)
    EXECUTE FUNCTION goconnect.release_block();

INSERT INTO goconnect.cidr_pool (block)
SELECT set_masklen(('100.64.0.0'::inet + i * 256)::cidr, 24)
  FROM generate_series(0, 16383) i;
