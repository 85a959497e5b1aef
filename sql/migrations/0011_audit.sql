-- Chat: a message's revision, and where its last change was told. Audit: the
-- signed chains.

ALTER TABLE goconnect.messages
    ADD COLUMN rev bigint NOT NULL DEFAULT 1,
    ADD COLUMN change_seqs bigint[] NOT NULL DEFAULT '{}',  -- of the events of its changes
    ADD CONSTRAINT messages_rev_check CHECK (rev > 0),
    ADD CONSTRAINT messages_change_seqs_check CHECK (cardinality(change_seqs) <= 101);

-- The device that acted, the chain (the tenant's id, all zero for the server's)
-- and the key (its id in the key ring) that hash was made with. Signed is the
-- chain, not the row.
ALTER TABLE goconnect.audit_log
    ADD COLUMN device_id uuid,
    ADD COLUMN chain uuid NOT NULL
        GENERATED ALWAYS AS (COALESCE(tenant_id, '00000000-0000-0000-0000-000000000000'::uuid))
        STORED,
    ADD COLUMN key_id text,
    DROP COLUMN signature,
    DROP CONSTRAINT audit_log_chain_key,
    DROP CONSTRAINT audit_log_chain_check,
    ADD CONSTRAINT audit_log_chain_check
        CHECK (num_nulls(chain_number, hash, key_id) IN (0, 3)),
    ADD CONSTRAINT audit_log_chain_number_check CHECK (chain_number > 0),
    ADD CONSTRAINT audit_log_hash_check CHECK (octet_length(hash) = 32),
    ADD CONSTRAINT audit_log_key_check CHECK (key_id ~ '^[A-Za-z0-9._-]{1,32}$');

CREATE UNIQUE INDEX audit_log_chain_key ON goconnect.audit_log (chain, chain_number)
    WHERE chain_number IS NOT NULL;

-- Lists, newest first, and what they are filtered by.
CREATE INDEX audit_log_time_idx ON goconnect.audit_log (chain, created_at, id);
CREATE INDEX audit_log_actor_idx ON goconnect.audit_log (chain, actor_id, created_at, id);
CREATE INDEX audit_log_what_idx ON goconnect.audit_log (chain, action, created_at, id);
DROP INDEX goconnect.audit_log_tenant_idx;

-- Whose it is, for erasure.
ALTER TABLE goconnect.audit_personal
    ADD COLUMN user_id uuid,
    ADD CONSTRAINT audit_personal_field_check
        CHECK (field ~ '^[a-z_]+(\.[a-z_]+)?$' AND octet_length(field) <= 64),
    ADD CONSTRAINT audit_personal_hash_check CHECK (octet_length(hash) = 32);

CREATE INDEX audit_personal_user_idx ON goconnect.audit_personal (user_id)
    WHERE user_id IS NOT NULL AND value IS NOT NULL;

-- A chain for each tenant, and one for the server: its head, signed, and the
-- anchor that was left for the rows that were pruned. Both are made by the
-- module, whose keys the database never sees.
CREATE TABLE goconnect.audit_chains (
    chain uuid NOT NULL,
    number bigint NOT NULL,             -- of the last row
    hash bytea NOT NULL,
    signed_at bigint NOT NULL,          -- microseconds since 1970
    key_id text NOT NULL,
    signature bytea NOT NULL,
    anchor_number bigint NOT NULL DEFAULT 0,
    anchor_hash bytea,
    anchor_signed_at bigint,
    anchor_key_id text,
    anchor_signature bytea,
    CONSTRAINT audit_chains_pkey PRIMARY KEY (chain),
    CONSTRAINT audit_chains_number_check CHECK (number > 0),
    CONSTRAINT audit_chains_hash_check CHECK (octet_length(hash) = 32),
    CONSTRAINT audit_chains_signature_check CHECK (octet_length(signature) = 32),
    CONSTRAINT audit_chains_anchor_check
        CHECK (anchor_number = 0
               AND num_nulls(anchor_hash, anchor_signed_at, anchor_key_id,
                             anchor_signature) = 4
               OR anchor_number BETWEEN 1 AND number
                  AND octet_length(anchor_hash) = 32 AND octet_length(anchor_signature) = 32
                  AND num_nulls(anchor_signed_at, anchor_key_id) = 0)
);

-- Who chains now: the worker that renewed its lease last.
ALTER TABLE goconnect.chores ADD COLUMN holder uuid;

INSERT INTO goconnect.chores (name) VALUES ('audit'), ('audit_prune');
