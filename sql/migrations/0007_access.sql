-- Lists of requests and bans in the order of their cursors.

CREATE INDEX memberships_requests_idx
    ON goconnect.memberships (network_id, created_at, id)
    WHERE network_id IS NOT NULL AND status = 'pending';

CREATE INDEX bans_network_idx ON goconnect.bans (network_id, created_at, id)
    WHERE network_id IS NOT NULL;
CREATE INDEX bans_tenant_idx ON goconnect.bans (tenant_id, created_at, id)
    WHERE network_id IS NULL;

-- An update that names a column of a unique index locks the row as a deletion
-- would (there are BEFORE triggers), and then waits for a topic that a message
-- holds which waits for the row. A partial index does not count, and these leave
-- nothing out.
ALTER TABLE goconnect.networks DROP CONSTRAINT networks_slug_key;
CREATE UNIQUE INDEX networks_slug_key ON goconnect.networks (tenant_id, slug)
    WHERE slug IS NOT NULL;
ALTER TABLE goconnect.users DROP CONSTRAINT users_username_key;
CREATE UNIQUE INDEX users_username_key ON goconnect.users (username_norm)
    WHERE username_norm IS NOT NULL;
