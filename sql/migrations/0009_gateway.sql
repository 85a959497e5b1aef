-- Devices without an agent, which a member of the network stands in for.

ALTER TABLE goconnect.devices
    ADD COLUMN agent boolean NOT NULL DEFAULT true;     -- never changes

-- The private key is the server's only for a device without an agent; such a
-- one forwards nothing for others.
ALTER TABLE goconnect.peers
    ADD CONSTRAINT peers_private_key_check
        CHECK (octet_length(private_key_encrypted) <= 512),
    ADD CONSTRAINT peers_gateway_agent_check
        CHECK (private_key_encrypted IS NULL OR NOT gateway_offered),
    ADD CONSTRAINT peers_via_agent_check
        CHECK (via IS NULL OR private_key_encrypted IS NOT NULL);

CREATE INDEX peers_agentless_idx ON goconnect.peers (network_id)
    WHERE private_key_encrypted IS NOT NULL;
