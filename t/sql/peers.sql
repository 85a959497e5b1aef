-- What changes at a peer: names, tags, routes, gateways and keys.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('owner') AS owner \gset
SELECT t.user('admin') AS admin \gset
SELECT t.user('member') AS member \gset
SELECT t.user('stranger') AS stranger \gset
SELECT t.tenant(:'owner', '{"name": "Acme"}') AS acme \gset
SELECT t.network(:'owner', :'acme', '{"name": "LAN", "cidr": "10.20.0.0/24", "visibility": "public", "join_policy": "open"}') AS lan \gset
SELECT t.join(:'owner', :'admin', :'acme', :'lan', 'admin') \g /dev/null
SELECT t.join(:'owner', :'member', :'acme', :'lan') \g /dev/null
SELECT t.device(:'member', 'Box') AS box \gset
SELECT t.device(:'member', 'Sister') AS sister \gset
SELECT t.device(:'admin', 'Desk') AS desk \gset
SELECT t.peer(:'box', :'lan') AS boxp \gset
SELECT t.peer(:'sister', :'lan') AS sisterp \gset
SELECT t.peer(:'desk', :'lan') AS deskp \gset

CREATE FUNCTION t.value(r api_1.reply, name text) RETURNS text LANGUAGE sql AS $$ SELECT r.body ->> name $$;

-- who may what
SELECT is(t.said(api_1.peers_update(:'stranger', :'boxp', '{"name": "x"}')), '404 not_found', 'a stranger sees no peer');
SELECT is(t.said(api_1.peers_update(:'sister', :'boxp', '{"name": "x"}')), '403 forbidden', 'a device is not its sister');
SELECT is(t.said(api_1.peers_update(:'box', :'boxp', jsonb_build_object(f, v))), '403 forbidden', 'a device sets no ' || f)
  FROM (VALUES ('tags', '["a"]'::jsonb), ('approved_routes', '[]'), ('gateway', 'true')) x (f, v);
SELECT is(t.said(api_1.peers_update(:'member', :'boxp', jsonb_build_object(f, v))), '403 forbidden', 'nor does its user set ' || f)
  FROM (VALUES ('tags', '["a"]'::jsonb), ('approved_routes', '[]'), ('gateway', 'true')) x (f, v);
SELECT is(t.said(api_1.peers_update(:'admin', :'boxp', jsonb_build_object(f, v))), '403 forbidden', 'an admin does not say for it ' || f)
  FROM (VALUES ('routes', '["192.168.5.0/24"]'::jsonb), ('gateway_offered', 'true')) x (f, v);
SELECT is(t.said(api_1.peers_update(:'member', :'deskp', '{"name": "mine"}')), '403 forbidden', 'a member names no other''s peer');
SELECT is(t.said(api_1.peers_update(:'desk', :'deskp', '{"tags": ["a"]}')), '403 forbidden', 'an admin''s device is no admin');
SELECT is(t.said(api_1.peers_update(:'member', :'deskp', '{}')), '403 forbidden', 'not even nothing');

-- name
SELECT * FROM api_1.peers_update(:'box', :'boxp', '{"name": "server"}') \gset r_
SELECT is(:'r_body'::json ->> 'name', 'server', 'a device names itself');
SELECT is(t.events((:r_status, :'r_body', :'r_etag', NULL, :'r_events')::api_1.reply), 'netmap_delta@network self@device', '... and tells');
SELECT is(t.said(api_1.peers_update(:'box', :'boxp', '{"name": "server"}')), '200', '... the same again');
SELECT is((api_1.peers_update(:'box', :'boxp', '{"name": "server"}')).events::text, NULL, '... tells nothing');
SELECT is(t.said(api_1.peers_update(:'admin', :'sisterp', '{"name": "server"}')), '409 name_taken', 'a name twice');
SELECT is(t.value(api_1.peers_update(:'admin', :'sisterp', '{"name": "printer"}'), 'name'), 'printer', 'an admin names it too');
SELECT is(t.said(api_1.peers_update(:'box', :'boxp', jsonb_build_object('name', n))), '422 invalid_fields name:invalid', 'no name: ' || n)
  FROM unnest(ARRAY['', 'A', '-a', 'a_b', repeat('a', 64)]) n;

-- tags
SELECT is(t.value(api_1.peers_update(:'admin', :'boxp', '{"tags": ["web", "db", "web"]}'), 'tags'), '["db","web"]', 'tags, each once');
SELECT is((SELECT string_agg(name, ',' ORDER BY name) FROM goconnect.tags WHERE network_id = :'lan'), 'db,web', '... which the network knows');
SELECT is(t.value(api_1.peers_update(:'admin', :'boxp', '{"tags": ["web"]}'), 'tags'), '["web"]', '... less of them');
SELECT is((SELECT string_agg(name, ',' ORDER BY name) FROM goconnect.tags WHERE network_id = :'lan'), 'web', '... and forgets');
SELECT is(t.said(api_1.peers_update(:'admin', :'boxp', jsonb_build_object('tags', (SELECT jsonb_agg('t' || i) FROM generate_series(1, 33) i)))), '422 invalid_fields tags:invalid', 'too many');
SELECT is(t.said(api_1.peers_update(:'admin', :'boxp', '{"tags": ["A"]}')), '422 invalid_fields tags:invalid', 'no tag');
SELECT is(t.said(api_1.peers_update(:'admin', :'boxp', '{"tags": [null]}')), '422 invalid_fields tags:invalid', 'nor null');
CREATE FUNCTION t.tag(c api_1.ctx, peer uuid, tag text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE said text;
BEGIN
    RETURN api_1.peers_update(c, peer, jsonb_build_object('tags', jsonb_build_array(tag)));
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
INSERT INTO goconnect.tags (network_id, name) SELECT :'lan', 'n' || i FROM generate_series(1, 300) i;
SELECT is(t.said(api_1.peers_update(:'admin', :'boxp', '{"tags": ["web", "more"]}')), '200', 'what nobody wears any more does not count');
SELECT count(t.peer(t.device(:'admin', 'tagged' || i), :'lan')) FROM generate_series(1, 8) i \g /dev/null
UPDATE goconnect.peers p SET tags = ARRAY(SELECT 'n' || p.name || j FROM generate_series(1, 32) j) WHERE p.name LIKE 'tagged%';
INSERT INTO goconnect.tags SELECT DISTINCT p.network_id, x FROM goconnect.peers p, unnest(p.tags) x WHERE p.name LIKE 'tagged%';
SELECT is(t.tag(:'admin', :'boxp', 'one'), 'GC409 limit_reached', 'the network''s tags are bounded');
DELETE FROM goconnect.peers WHERE name LIKE 'tagged%';

-- routes
SELECT * FROM api_1.peers_update(:'box', :'boxp', '{"routes": ["192.168.5.0/24", "fd00:5::/64", "0.0.0.0/0", "192.168.5.0/24"]}') \gset r_
SELECT is(:'r_body'::json ->> 'offered_routes', '["0.0.0.0/0","192.168.5.0/24","fd00:5::/64"]', 'offered');
SELECT is(:'r_body'::json ->> 'routes', '[]', '... not approved');
SELECT is(t.events((:r_status, :'r_body', :'r_etag', NULL, :'r_events')::api_1.reply), 'netmap_delta@network peer@network/staff', '... which staff hears, and the map has a step');
SELECT is(t.said(api_1.peers_update(:'admin', :'boxp', '{"approved_routes": ["192.168.6.0/24"]}')), '422 invalid_fields approved_routes:unknown', 'what is not offered is not approved');
SELECT * FROM api_1.peers_update(:'admin', :'boxp', '{"approved_routes": ["192.168.5.0/24", "fd00:5::/64"]}') \gset r_
SELECT is(:'r_body'::json ->> 'routes', '["192.168.5.0/24","fd00:5::/64"]', 'approved');
SELECT is(:'r_events'::json #>> '{0,data,upsert,0,routes}', '["192.168.5.0/24","fd00:5::/64"]', '... on the map');
SELECT is((SELECT count(*) FROM goconnect.routes WHERE peer_id = :'boxp' AND approved_by = (:'admin'::api_1.ctx).user_id), 2::bigint, '... and by whom is known');
SELECT * FROM api_1.peers_update(:'box', :'boxp', '{"routes": ["192.168.5.0/24", "192.168.9.0/24"]}') \gset r_
SELECT is(:'r_body'::json ->> 'routes', '["192.168.5.0/24"]', 'what is no more offered is no more approved');
SELECT is(t.events((:r_status, :'r_body', :'r_etag', NULL, :'r_events')::api_1.reply), 'netmap_delta@network peer@network/staff', '... and all hear it');
SELECT is(t.value(api_1.peers_update(:'admin', :'boxp', '{"approved_routes": []}'), 'routes'), '[]', 'approval is taken back');
SELECT is(t.value(api_1.peers_update(:'owner', :'boxp', '{}'), 'offered_routes'), '["192.168.5.0/24","192.168.9.0/24"]', '... and it is offered still');
SELECT is(t.said(api_1.peers_update(:'box', :'boxp', jsonb_build_object('routes', jsonb_build_array(p)))), '422 invalid_fields ' || e, 'no route: ' || p)
  FROM (VALUES ('10.20.0.0/24', 'routes:invalid'), ('10.20.0.128/25', 'routes:invalid'), ('127.0.0.0/8', 'routes:invalid'), ('169.254.0.0/16', 'routes:invalid'),
               ('224.0.0.0/4', 'routes:invalid'), ('255.255.255.255/32', 'routes:invalid'), ('fe80::/10', 'routes:invalid'), ('ff02::/16', 'routes:invalid'), ('::1/128', 'routes:invalid'),
               ('10.20.0.1/24', 'routes[0]:invalid'), ('10.20.0.0', 'routes[0]:invalid'), ('x', 'routes[0]:invalid'), ('', 'routes[0]:invalid')) x (p, e);
SELECT is(t.said(api_1.peers_update(:'box', :'boxp', jsonb_build_object('routes', (SELECT jsonb_agg('192.168.' || i || '.0/24') FROM generate_series(1, 33) i)))), '422 invalid_fields routes:invalid', 'too many');
SELECT is(t.said(api_1.peers_update(:'box', :'boxp', '{"routes": ["10.0.0.0/8", "0.0.0.0/0", "::/0"]}')), '200', 'wider than the network is fine: the narrower one counts');
SELECT is(t.said(api_1.peers_update(:'box', :'boxp', '{"routes": []}')), '200', 'nothing is offered');

-- gateway
SELECT is(t.said(api_1.peers_update(:'admin', :'boxp', '{"gateway": true}')), '422 invalid_fields gateway:invalid', 'no gateway that does not offer itself');
SELECT is(t.events(api_1.peers_update(:'box', :'boxp', '{"gateway_offered": true}')), 'netmap_delta@network peer@network/staff', 'it offers itself');
SELECT is(t.value(api_1.peers_update(:'admin', :'boxp', '{"gateway": true}'), 'gateway'), 'true', 'and is made one');
SELECT is(t.said(api_1.peers_update(:'admin', :'deskp', '{"gateway_offered": true, "gateway": false}')), '200', 'another one');
SELECT * FROM api_1.peers_update(:'admin', :'deskp', '{"gateway": true}') \gset r_
SELECT is((SELECT string_agg(id::text, ',') FROM goconnect.peers WHERE network_id = :'lan' AND gateway), :'deskp', 'there is one');
SELECT is(json_array_length(:'r_events'::json #> '{0,data,upsert}'), 2, '... and the map says both');
SELECT is(t.value(api_1.peers_update(:'desk', :'deskp', '{"gateway_offered": false}'), 'gateway'), 'false', 'what is not offered is none');
SELECT is(t.value(api_1.peers_update(:'admin', :'boxp', '{"gateway": false}'), 'gateway'), 'false', 'it is sent away');
SELECT is(t.said(api_1.peers_update(:'admin', :'boxp', '{"gateway": "yes", "gateway_offered": 1}')), '403 forbidden', 'odd, and not its own');
SELECT is(t.said(api_1.peers_update(:'box', :'boxp', '{"gateway_offered": 1}')), '422 invalid_fields gateway_offered:invalid', 'odd');

-- keys
SELECT is(t.said(api_1.peers_rotate(:'stranger', :'boxp', jsonb_build_object('public_key', t.key('next')))), '404 not_found', 'rotate: a stranger');
SELECT is(t.said(api_1.peers_rotate(:'sister', :'boxp', jsonb_build_object('public_key', t.key('next')))), '403 forbidden', 'rotate: a sister');
SELECT is(t.said(api_1.peers_rotate(:'admin', :'boxp', jsonb_build_object('public_key', t.key('next')))), '403 forbidden', 'rotate: an admin');
SELECT is(t.said(api_1.peers_rotate(:'box', :'boxp', '{"public_key": "x"}')), '422 invalid_fields public_key:invalid', 'rotate: no key');
SELECT public_key AS key FROM goconnect.peers WHERE id = :'boxp' \gset
SELECT is(t.said(api_1.peers_rotate(:'box', :'boxp', jsonb_build_object('public_key', :'key'))), '409 key_in_use', 'rotate: the same key');
SELECT is(t.said(api_1.peers_rotate(:'box', :'boxp', jsonb_build_object('public_key', (SELECT public_key FROM goconnect.peers WHERE id = :'deskp')))), '409 key_in_use', 'rotate: another''s key');
SELECT is(t.said(api_1.peers_rotate_commit(:'box', :'boxp', jsonb_build_object('public_key', t.key('next')))), '409 no_rotation', 'commit: none announced');
SELECT * FROM api_1.peers_rotate(:'box', :'boxp', jsonb_build_object('public_key', t.key('next'))) \gset r_
SELECT is(:'r_body'::json ->> 'next_public_key', t.key('next'), 'announced');
SELECT is(:'r_body'::json ->> 'public_key', :'key', '... the old one stays');
SELECT is(:'r_events'::json #>> '{0,data,upsert,0,next_public_key}', t.key('next'), '... on the map');
SELECT is(:'r_events'::json #>> '{1,data,peers,0,next_public_key}', t.key('next'), '... and in the device''s own part');
SELECT is((api_1.peers_rotate(:'box', :'boxp', jsonb_build_object('public_key', t.key('next')))).events::text, NULL, '... twice is once');
SELECT is(t.said(api_1.peers_rotate(:'desk', :'deskp', jsonb_build_object('public_key', t.key('next')))), '409 key_in_use', 'an announced key is taken');
SELECT is(t.said(api_1.peers_rotate_commit(:'box', :'boxp', jsonb_build_object('public_key', t.key('else')))), '409 no_rotation', 'commit: another one');
SELECT is(t.said(api_1.peers_rotate_commit(:'sister', :'boxp', jsonb_build_object('public_key', t.key('next')))), '403 forbidden', 'commit: a sister');
SELECT * FROM api_1.peers_rotate_commit(:'box', :'boxp', jsonb_build_object('public_key', t.key('next'))) \gset r_
SELECT is(:'r_body'::json ->> 'public_key', t.key('next'), 'committed');
SELECT is(:'r_body'::json ->> 'next_public_key', NULL, '... nothing is next');
SELECT is(:'r_events'::json #>> '{0,data,upsert,0,public_key}', t.key('next'), '... on the map');
SELECT is((SELECT string_agg(public_key, ',') FROM goconnect.peer_keys WHERE peer_id = :'boxp'), t.key('next'), '... the old key is free');
SELECT is(t.said(api_1.peers_rotate_commit(:'box', :'boxp', jsonb_build_object('public_key', t.key('next')))), '200', 'commit: again');
SELECT is((api_1.peers_rotate_commit(:'box', :'boxp', jsonb_build_object('public_key', t.key('next')))).events::text, NULL, '... tells nothing');
SELECT is((api_1.peers_rotate(:'member', :'boxp', jsonb_build_object('public_key', t.key('third')))).status, 200, 'its user may');
SELECT is((api_1.peers_rotate(:'member', :'boxp', jsonb_build_object('public_key', t.key('fourth')))).body ->> 'next_public_key', t.key('fourth'), 'the last one counts');
SELECT is(t.said(api_1.peers_rotate_commit(:'member', :'boxp', jsonb_build_object('public_key', t.key('third')))), '409 no_rotation', '... not the one before');
UPDATE goconnect.peers SET private_key_encrypted = 'x' WHERE id = :'sisterp';
SELECT is(t.said(api_1.peers_rotate(:'member', :'sisterp', jsonb_build_object('public_key', t.key('fifth')))), '409 conflict', 'a key that the server keeps');

-- the trail
SELECT is((SELECT count(*) FROM goconnect.audit_log WHERE action IN ('peer.update', 'peer.rotate', 'peer.rekey') AND NOT detail ?& ARRAY['before', 'after', 'network_id']), 0::bigint, 'each change is written down with before and after');
SELECT ok((SELECT count(*) FROM goconnect.audit_log WHERE action = 'peer.update' AND target_id = :'boxp') > 8, '... of each request that changed something');

SELECT * FROM finish();
ROLLBACK;
