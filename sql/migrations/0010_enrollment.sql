-- Enrolment without a user at hand: keys, device codes, devices that vanish.

ALTER TABLE goconnect.enrollment_keys
    ADD COLUMN last_used_at timestamptz,
    ADD CONSTRAINT enrollment_keys_used_check
        CHECK (reusable OR uses <= 1);

CREATE INDEX enrollment_keys_tenant_idx
    ON goconnect.enrollment_keys (tenant_id, created_at, id);
CREATE INDEX enrollment_keys_user_idx ON goconnect.enrollment_keys (user_id);

-- The networks that the approving user lets the device into.
ALTER TABLE goconnect.device_codes
    ADD COLUMN networks uuid[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT device_codes_name_check
        CHECK (char_length(name) BETWEEN 1 AND 64 AND name !~ '[[:cntrl:]]'
               AND name = btrim(name)),
    ADD CONSTRAINT device_codes_public_key_check
        CHECK (public_key ~ '^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$'
               AND public_key <> 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='),
    ADD CONSTRAINT device_codes_interval_check
        CHECK (poll_interval BETWEEN 5 AND 60),
    ADD CONSTRAINT device_codes_answer_check
        CHECK (approved_by IS NULL OR denied_at IS NULL),
    ADD CONSTRAINT device_codes_networks_check
        CHECK (cardinality(networks) <= 32
               AND array_position(networks, NULL) IS NULL);

CREATE INDEX device_codes_address_idx ON goconnect.device_codes (address);
CREATE INDEX device_codes_approved_by_idx ON goconnect.device_codes (approved_by)
    WHERE approved_by IS NOT NULL;

-- How often an account asked for codes that there are not. A guess costs one;
-- they are forgiven when the time is over.
CREATE TABLE goconnect.code_attempts (
    user_id uuid NOT NULL,
    wrong integer NOT NULL DEFAULT 0,
    until timestamptz NOT NULL,
    CONSTRAINT code_attempts_pkey PRIMARY KEY (user_id),
    CONSTRAINT code_attempts_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE,
    CONSTRAINT code_attempts_wrong_check CHECK (wrong >= 0)
);

CREATE INDEX code_attempts_until_idx ON goconnect.code_attempts (until);

-- last_seen is in no index, so that presence stays cheap: the sweep looks at
-- all that may vanish, which are few.
CREATE INDEX devices_ephemeral_idx ON goconnect.devices (created_at, id)
    WHERE ephemeral;
CREATE INDEX users_service_idx ON goconnect.users (created_at, id)
    WHERE kind = 'service' AND deleted_at IS NULL;
