-- Lists of requests and bans in the order of their cursors.

CREATE INDEX memberships_requests_idx
    ON goconnect.memberships (network_id, created_at, id)
    WHERE network_id IS NOT NULL AND status = 'pending';

CREATE INDEX bans_network_idx ON goconnect.bans (network_id, created_at, id)
    WHERE network_id IS NOT NULL;
CREATE INDEX bans_tenant_idx ON goconnect.bans (tenant_id, created_at, id)
    WHERE network_id IS NULL;
