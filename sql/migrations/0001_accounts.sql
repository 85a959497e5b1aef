-- Accounts: users, their sessions and what proves who they are.

-- One more revision for every change of what an ETag covers. Each table names
-- the columns, so that presence and counters leave the revision alone.
CREATE FUNCTION goconnect.touch() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.rev := OLD.rev + 1;
    NEW.updated_at := pg_catalog.now();
    RETURN NEW;
END
$$;

-- True if every member of a settings object is one of the known ones and has
-- its form. The schemas are closed: what is not named here is refused.
CREATE FUNCTION goconnect.settings_valid(owner text, settings jsonb)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    k text;
    v jsonb;
    ok boolean;
BEGIN
    IF pg_catalog.jsonb_typeof(settings) <> 'object'
       OR pg_catalog.octet_length(settings::text) > 8192
    THEN
        RETURN false;
    END IF;

    FOR k, v IN SELECT e.key, e.value FROM pg_catalog.jsonb_each(settings) e
    LOOP
        ok := CASE owner || '.' || k
            WHEN 'user.language' THEN v #>> '{}' ~ '^[a-z]{2}(-[A-Z]{2})?$'
            WHEN 'user.theme' THEN v #>> '{}' IN ('system', 'light', 'dark')
            WHEN 'tenant.retention_days' THEN
                pg_catalog.jsonb_typeof(v) = 'number'
                AND v #>> '{}' ~ '^[0-9]{1,4}$'
                AND (v #>> '{}')::integer BETWEEN 1 AND 3650
            WHEN 'network.mtu' THEN
                pg_catalog.jsonb_typeof(v) = 'number'
                AND v #>> '{}' ~ '^[0-9]{1,4}$'
                AND (v #>> '{}')::integer BETWEEN 1280 AND 9000
            WHEN 'network.birthday_punching' THEN
                pg_catalog.jsonb_typeof(v) = 'boolean'
            WHEN 'network.reflector_ports' THEN
                pg_catalog.jsonb_typeof(v) = 'array'
                AND pg_catalog.jsonb_array_length(v) <= 64
                AND NOT EXISTS (
                    SELECT FROM pg_catalog.jsonb_array_elements(v) p
                     WHERE pg_catalog.jsonb_typeof(p.value) <> 'number'
                        OR p.value #>> '{}' !~ '^[1-9][0-9]{0,4}$'
                        OR (p.value #>> '{}')::integer > 65535)
            ELSE false
        END;
        IF ok IS NOT TRUE THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END
$$;

CREATE TABLE goconnect.users (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    kind text NOT NULL DEFAULT 'person',
    username text NOT NULL,
    username_norm text COLLATE "C" NOT NULL
        GENERATED ALWAYS AS (lower(username COLLATE "C")) STORED,
    email text,
    email_norm text COLLATE "C"
        GENERATED ALWAYS AS (lower(email COLLATE "C")) STORED,
    password_hash text,
    settings jsonb NOT NULL DEFAULT '{}',
    totp_secret bytea,              -- sealed by the module, never plain
    totp_enabled_at timestamptz,
    totp_last_step bigint,
    failed_logins integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    server_admin boolean NOT NULL DEFAULT false,
    suspended_at timestamptz,
    deleted_at timestamptz,         -- erased: the row stays as a tombstone
    rev bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_username_key UNIQUE (username_norm),
    CONSTRAINT users_kind_check CHECK (kind IN ('person', 'service')),
    CONSTRAINT users_username_check
        CHECK (username_norm ~ '^[a-z0-9][a-z0-9_.-]{2,31}$'
               OR deleted_at IS NOT NULL OR kind = 'service'),
    CONSTRAINT users_email_check
        CHECK (char_length(email) BETWEEN 3 AND 254
               AND email ~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+$'),
    CONSTRAINT users_password_check
        CHECK ((kind = 'service') = (password_hash IS NULL)
               OR deleted_at IS NOT NULL),
    CONSTRAINT users_settings_check
        CHECK (goconnect.settings_valid('user', settings)),
    CONSTRAINT users_totp_check
        CHECK (totp_enabled_at IS NULL OR totp_secret IS NOT NULL),
    CONSTRAINT users_failed_logins_check CHECK (failed_logins >= 0)
);

CREATE TRIGGER users_touch
    BEFORE UPDATE OF username, email, settings, server_admin, suspended_at, deleted_at
    ON goconnect.users
    FOR EACH ROW EXECUTE FUNCTION goconnect.touch();

CREATE TABLE goconnect.recovery_codes (
    user_id uuid NOT NULL,
    code_hash bytea NOT NULL,
    used_at timestamptz,
    CONSTRAINT recovery_codes_pkey PRIMARY KEY (user_id, code_hash),
    CONSTRAINT recovery_codes_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE
);

CREATE TABLE goconnect.devices (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    name text NOT NULL,
    platform text NOT NULL,
    public_key text COLLATE "C" NOT NULL,   -- names the device; never a WireGuard key
    private_key_encrypted bytea,            -- NULL where an agent keeps its own
    ephemeral boolean NOT NULL DEFAULT false,
    last_seen timestamptz,                  -- coarse: 5 minutes
    rev bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT devices_pkey PRIMARY KEY (id),
    CONSTRAINT devices_id_user_key UNIQUE (id, user_id),
    CONSTRAINT devices_public_key_key UNIQUE (public_key),
    CONSTRAINT devices_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE,
    CONSTRAINT devices_name_check
        CHECK (char_length(name) BETWEEN 1 AND 64 AND name !~ '[[:cntrl:]]'
               AND name = btrim(name)),
    CONSTRAINT devices_platform_check
        CHECK (platform IN ('linux', 'windows', 'macos', 'android', 'ios', 'other')),
    CONSTRAINT devices_public_key_check
        CHECK (public_key ~ '^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$'
               AND public_key <> 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=')
);

CREATE INDEX devices_user_idx ON goconnect.devices (user_id, created_at, id);

CREATE TRIGGER devices_touch
    BEFORE UPDATE OF name, platform, public_key ON goconnect.devices
    FOR EACH ROW EXECUTE FUNCTION goconnect.touch();

-- A session is one login: of a browser or command line (device_id NULL), or of
-- a device. It ends by being deleted.
CREATE TABLE goconnect.sessions (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    device_id uuid,
    generation integer NOT NULL DEFAULT 0,  -- of the refresh token used last
    used_hash bytea,                        -- that token
    address inet,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE,
    CONSTRAINT sessions_device_fkey FOREIGN KEY (device_id, user_id)
        REFERENCES goconnect.devices (id, user_id) ON DELETE CASCADE,
    CONSTRAINT sessions_generation_check CHECK (generation >= 0)
);

CREATE INDEX sessions_user_idx ON goconnect.sessions (user_id);
CREATE INDEX sessions_device_idx ON goconnect.sessions (device_id)
    WHERE device_id IS NOT NULL;
CREATE INDEX sessions_expires_idx ON goconnect.sessions (expires_at);

-- Refresh tokens by hash. Generation N + 1 is what the use of generation N
-- issued; those before the last used one are kept to recognise their reuse.
CREATE TABLE goconnect.refresh_tokens (
    hash bytea NOT NULL,
    session_id uuid NOT NULL,
    generation integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT refresh_tokens_pkey PRIMARY KEY (hash),
    CONSTRAINT refresh_tokens_session_fkey FOREIGN KEY (session_id)
        REFERENCES goconnect.sessions (id) ON DELETE CASCADE,
    CONSTRAINT refresh_tokens_hash_check CHECK (octet_length(hash) = 32)
);

CREATE INDEX refresh_tokens_session_idx
    ON goconnect.refresh_tokens (session_id, generation);

-- Every request looks its session up and nothing else, so a suspended or
-- erased user must not have one.
CREATE FUNCTION goconnect.end_sessions() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM goconnect.sessions s WHERE s.user_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER users_end_sessions
    AFTER UPDATE OF suspended_at, deleted_at ON goconnect.users
    FOR EACH ROW
    WHEN (NEW.suspended_at IS NOT NULL OR NEW.deleted_at IS NOT NULL)
    EXECUTE FUNCTION goconnect.end_sessions();

-- One-time tickets for the WebSocket. They live 30 seconds: a crash may lose
-- them.
CREATE UNLOGGED TABLE goconnect.ws_tickets (
    hash bytea NOT NULL,
    session_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT ws_tickets_pkey PRIMARY KEY (hash),
    CONSTRAINT ws_tickets_session_fkey FOREIGN KEY (session_id)
        REFERENCES goconnect.sessions (id) ON DELETE CASCADE,
    CONSTRAINT ws_tickets_hash_check CHECK (octet_length(hash) = 32)
);

CREATE INDEX ws_tickets_session_idx ON goconnect.ws_tickets (session_id);
CREATE INDEX ws_tickets_expires_idx ON goconnect.ws_tickets (expires_at);

CREATE TABLE goconnect.reset_links (
    hash bytea NOT NULL,
    user_id uuid NOT NULL,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    CONSTRAINT reset_links_pkey PRIMARY KEY (hash),
    CONSTRAINT reset_links_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE,
    CONSTRAINT reset_links_created_by_fkey FOREIGN KEY (created_by)
        REFERENCES goconnect.users (id) ON DELETE SET NULL,
    CONSTRAINT reset_links_hash_check CHECK (octet_length(hash) = 32)
);

CREATE INDEX reset_links_user_idx ON goconnect.reset_links (user_id);

-- Device-code login (RFC 8628).
CREATE TABLE goconnect.device_codes (
    hash bytea NOT NULL,
    user_code text COLLATE "C" NOT NULL,
    name text NOT NULL,
    platform text NOT NULL,
    public_key text COLLATE "C" NOT NULL,
    address inet,
    poll_interval integer NOT NULL DEFAULT 5,
    polled_at timestamptz,
    approved_by uuid,
    denied_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT device_codes_pkey PRIMARY KEY (hash),
    CONSTRAINT device_codes_user_code_key UNIQUE (user_code),
    CONSTRAINT device_codes_approved_by_fkey FOREIGN KEY (approved_by)
        REFERENCES goconnect.users (id) ON DELETE CASCADE,
    CONSTRAINT device_codes_hash_check CHECK (octet_length(hash) = 32),
    CONSTRAINT device_codes_user_code_check
        CHECK (user_code ~ '^[0-9A-HJKMNP-TV-Z]{8}$'),
    CONSTRAINT device_codes_platform_check
        CHECK (platform IN ('linux', 'windows', 'macos', 'android', 'ios', 'other'))
);

CREATE INDEX device_codes_expires_idx ON goconnect.device_codes (expires_at);

-- The answers to requests that carried an Idempotency-Key, for 24 hours.
CREATE TABLE goconnect.idempotency (
    user_id uuid NOT NULL,
    key uuid NOT NULL,
    route text NOT NULL,
    request bytea NOT NULL,         -- SHA-256 of path and body
    status integer NOT NULL,
    body json,
    etag text,
    location text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_pkey PRIMARY KEY (user_id, key),
    CONSTRAINT idempotency_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE,
    CONSTRAINT idempotency_status_check CHECK (status BETWEEN 200 AND 299)
);

CREATE INDEX idempotency_created_idx ON goconnect.idempotency (created_at);
