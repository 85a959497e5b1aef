-- Presence of users beside that of devices, with a grace for those who come
-- back, and told in an order of its own. All of it is state that a crash may
-- lose, but for when somebody was last here.

-- coarse, as a device's
ALTER TABLE goconnect.users ADD COLUMN last_seen timestamptz;

-- steady_since: has told of itself in time since then. leaves_at: it goes, and
-- those who were on its sockets are on their way to others until then.
ALTER TABLE goconnect.nodes
    ADD COLUMN steady_since timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN leaves_at timestamptz;

-- until: its socket is gone, and if none has come by then, so is the device
ALTER TABLE goconnect.presence ADD COLUMN until timestamptz;

CREATE INDEX presence_until_idx ON goconnect.presence (until) WHERE until IS NOT NULL;

-- A user may be on the sockets of many workers, his own or his devices'.
CREATE UNLOGGED TABLE goconnect.presence_users (
    user_id uuid NOT NULL,
    node_id uuid NOT NULL,
    until timestamptz,
    CONSTRAINT presence_users_pkey PRIMARY KEY (user_id, node_id),
    CONSTRAINT presence_users_user_fkey FOREIGN KEY (user_id)
        REFERENCES goconnect.users (id) ON DELETE CASCADE
);

CREATE INDEX presence_users_node_idx ON goconnect.presence_users (node_id);
CREATE INDEX presence_users_until_idx ON goconnect.presence_users (until)
 WHERE until IS NOT NULL;

-- What has changed, in the order in which it did; kept for a minute, so that a
-- worker that misses a bell finds it here. Numbers have no gap until a crash
-- empties the table; then they begin anew, far above the old ones.
CREATE UNLOGGED TABLE goconnect.presence_news (
    number bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    news json NOT NULL,
    CONSTRAINT presence_news_pkey PRIMARY KEY (number)
);
