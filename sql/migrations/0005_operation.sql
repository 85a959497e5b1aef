-- Operation: the audit trail and what the sweep remembers.

-- Written unchained inside the request; a worker chains the rows later. The
-- rows outlive what they tell of, so nothing here is a foreign key.
CREATE TABLE goconnect.audit_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    tenant_id uuid,                 -- NULL: the server's own chain
    actor_id uuid,
    action text NOT NULL,
    target_kind text,
    target_id uuid,
    detail jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    chain_number bigint,
    hash bytea,
    signature bytea,
    CONSTRAINT audit_log_pkey PRIMARY KEY (id),
    CONSTRAINT audit_log_chain_key UNIQUE NULLS DISTINCT (tenant_id, chain_number),
    CONSTRAINT audit_log_action_check CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    CONSTRAINT audit_log_detail_check
        CHECK (jsonb_typeof(detail) = 'object' AND octet_length(detail::text) <= 8192),
    CONSTRAINT audit_log_chain_check
        CHECK ((chain_number IS NULL) = (hash IS NULL))
);

CREATE INDEX audit_log_tenant_idx ON goconnect.audit_log (tenant_id, id);
CREATE INDEX audit_log_unchained_idx ON goconnect.audit_log (id)
    WHERE chain_number IS NULL;

-- The personal part of a row. The chain covers its salted hash only, so that
-- erasing the field and its salt leaves the chain whole.
CREATE TABLE goconnect.audit_personal (
    audit_id bigint NOT NULL,
    field text NOT NULL,
    value text,
    salt bytea,
    hash bytea NOT NULL,
    CONSTRAINT audit_personal_pkey PRIMARY KEY (audit_id, field),
    CONSTRAINT audit_personal_audit_fkey FOREIGN KEY (audit_id)
        REFERENCES goconnect.audit_log (id) ON DELETE CASCADE,
    CONSTRAINT audit_personal_salt_check CHECK (octet_length(salt) = 16),
    CONSTRAINT audit_personal_erased_check
        CHECK ((value IS NULL) = (salt IS NULL))
);

-- When each piece of housekeeping last ran; its row is the lock.
CREATE TABLE goconnect.chores (
    name text NOT NULL,
    done_at timestamptz NOT NULL DEFAULT '-infinity',
    CONSTRAINT chores_pkey PRIMARY KEY (name)
);

INSERT INTO goconnect.chores (name) VALUES ('sweep');
