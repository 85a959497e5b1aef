-- Events, chat and presence.

-- One row for each topic: seq of its last event, and for a channel the number
-- of its last message. Both are advanced in the committing transaction, so
-- neither has a gap.
CREATE TABLE goconnect.topics (
    id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL DEFAULT 0,
    number bigint NOT NULL DEFAULT 0,
    ended_at timestamptz,           -- what it tells of is gone
    CONSTRAINT topics_pkey PRIMARY KEY (id),
    CONSTRAINT topics_id_check
        CHECK (id ~ '^(user|device|tenant|network):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
               OR id ~ '^(tenant|network):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/staff$'),
    CONSTRAINT topics_seq_check CHECK (seq >= 0),
    CONSTRAINT topics_number_check CHECK (number >= 0)
) WITH (fillfactor = 50);

CREATE INDEX topics_ended_idx ON goconnect.topics (ended_at)
    WHERE ended_at IS NOT NULL;

CREATE TABLE goconnect.events (
    topic text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind text NOT NULL,
    payload json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT events_pkey PRIMARY KEY (topic, seq),
    CONSTRAINT events_topic_fkey FOREIGN KEY (topic)
        REFERENCES goconnect.topics (id) ON DELETE CASCADE,
    CONSTRAINT events_seq_check CHECK (seq > 0)
);

CREATE INDEX events_xid_idx ON goconnect.events (xid);
CREATE INDEX events_created_idx ON goconnect.events USING brin (created_at)
    WITH (pages_per_range = 16);

CREATE TABLE goconnect.messages (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL,
    network_id uuid,                -- NULL in the tenant's channel
    channel uuid NOT NULL
        GENERATED ALWAYS AS (COALESCE(network_id, tenant_id)) STORED,
    user_id uuid NOT NULL,
    content text NOT NULL,
    number bigint NOT NULL,
    seq bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    edited_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT messages_pkey PRIMARY KEY (id),
    CONSTRAINT messages_seq_key UNIQUE (channel, seq),
    CONSTRAINT messages_number_key UNIQUE (channel, number),
    CONSTRAINT messages_tenant_fkey FOREIGN KEY (tenant_id)
        REFERENCES goconnect.tenants (id) ON DELETE CASCADE,
    CONSTRAINT messages_network_fkey FOREIGN KEY (tenant_id, network_id)
        REFERENCES goconnect.networks (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT messages_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id),
    CONSTRAINT messages_content_check
        CHECK (char_length(content) BETWEEN 1 AND 4000
               OR content = '' AND deleted_at IS NOT NULL),
    CONSTRAINT messages_number_check CHECK (number > 0),
    CONSTRAINT messages_seq_check CHECK (seq > 0)
);

CREATE INDEX messages_tenant_idx ON goconnect.messages (tenant_id);
CREATE INDEX messages_user_idx ON goconnect.messages (user_id);

CREATE TABLE goconnect.read_marks (
    user_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    network_id uuid,
    number bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT read_marks_key UNIQUE NULLS NOT DISTINCT (user_id, tenant_id, network_id),
    CONSTRAINT read_marks_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE,
    CONSTRAINT read_marks_tenant_fkey FOREIGN KEY (tenant_id)
        REFERENCES goconnect.tenants (id) ON DELETE CASCADE,
    CONSTRAINT read_marks_network_fkey FOREIGN KEY (tenant_id, network_id)
        REFERENCES goconnect.networks (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT read_marks_number_check CHECK (number >= 0)
);

CREATE INDEX read_marks_tenant_idx ON goconnect.read_marks (tenant_id, network_id);

-- Who serves sockets now, and which devices are on them: state that a crash
-- may lose, because every node tells again what it holds.
CREATE UNLOGGED TABLE goconnect.nodes (
    id uuid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT nodes_pkey PRIMARY KEY (id)
);

CREATE UNLOGGED TABLE goconnect.presence (
    device_id uuid NOT NULL,
    node_id uuid NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT presence_pkey PRIMARY KEY (device_id),
    CONSTRAINT presence_device_fkey FOREIGN KEY (device_id)
        REFERENCES goconnect.devices (id) ON DELETE CASCADE
);

CREATE INDEX presence_node_idx ON goconnect.presence (node_id);
