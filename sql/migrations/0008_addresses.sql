-- Addresses and what hangs on a peer: routes that are offered, rules with a
-- version, reservations that may only block.

-- What a peer offers to route, approved or not; kept by a trigger like routes.
ALTER TABLE goconnect.peers
    ADD COLUMN offered_routes cidr[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT peers_offered_routes_check CHECK (cardinality(offered_routes) <= 32);

CREATE OR REPLACE FUNCTION goconnect.routes_apply() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    changed uuid := CASE WHEN TG_OP = 'DELETE' THEN OLD.peer_id ELSE NEW.peer_id END;
BEGIN
    UPDATE goconnect.peers p
       SET routes = ARRAY(SELECT r.prefix FROM goconnect.routes r
                           WHERE r.peer_id = changed AND r.approved_at IS NOT NULL
                           ORDER BY r.prefix),
           offered_routes = ARRAY(SELECT r.prefix FROM goconnect.routes r
                                   WHERE r.peer_id = changed ORDER BY r.prefix)
     WHERE p.id = changed;
    RETURN NULL;
END
$$;

DROP TRIGGER peers_touch ON goconnect.peers;
CREATE TRIGGER peers_touch
    BEFORE UPDATE OF name, role, public_key, next_public_key, endpoints, home_relay,
                     gateway_offered, gateway, via, tags, routes, offered_routes
    ON goconnect.peers
    FOR EACH ROW EXECUTE FUNCTION goconnect.touch();

-- The rules of a network are one resource with one version.
ALTER TABLE goconnect.networks
    ADD COLUMN rules_rev bigint NOT NULL DEFAULT 1;

ALTER TABLE goconnect.rules
    DROP CONSTRAINT rules_position_check,
    ADD CONSTRAINT rules_position_check CHECK (position BETWEEN 1 AND 128);

CREATE INDEX reservations_network_idx
    ON goconnect.reservations (network_id, created_at, id);
