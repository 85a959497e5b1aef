-- Devices without an agent, and the gateway of a network.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

-- What the module adds to the body of POST peers without a key.
CREATE FUNCTION t.made(device uuid, label text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT more || jsonb_build_object('device_id', device, 'made', jsonb_build_object(
        'id', gen_random_uuid(), 'public_key', t.key(label), 'private_key', encode(convert_to('sealed ' || label, 'UTF8'), 'hex'))) $$;

-- PATCH peers/:id: what was refused, or the names of the peers in the delta.
CREATE FUNCTION t.patch(c api_1.ctx, peer uuid, body jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN r.status <> 200 THEN t.said(r)
           ELSE coalesce((SELECT string_agg(e ->> 'name', ' ' ORDER BY e ->> 'name' COLLATE "C")
                            FROM jsonb_array_elements(t.event(r, 'netmap_delta') -> 'upsert') e), '') END
      FROM api_1.peers_update(c, peer, body) r $$;

-- The network's peers as "NAME[!][>GATEWAY]": ! is the gateway.
CREATE FUNCTION t.map(network uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(p.name || CASE WHEN p.gateway THEN '!' ELSE '' END || coalesce('>' || g.name, ''), ' ' ORDER BY p.name COLLATE "C")
      FROM goconnect.peers p LEFT JOIN goconnect.peers g ON g.id = p.via WHERE p.network_id = network $$;

SELECT t.user('owner') AS owner \gset
SELECT t.user('admin') AS admin \gset
SELECT t.user('member') AS member \gset
SELECT t.user('stranger') AS stranger \gset
SELECT t.tenant(:'owner', '{"name": "Acme"}') AS acme \gset
SELECT t.network(:'owner', :'acme', '{"name": "Lan", "cidr": "10.7.0.0/24"}') AS lan \gset
SELECT t.network(:'owner', :'acme', '{"name": "Two", "cidr": "10.8.0.0/24", "mode": "l2"}') AS two \gset
SELECT t.join(:'owner', :'admin', :'acme', :'lan', 'admin') \g /dev/null
SELECT t.join(:'owner', :'member', :'acme', :'lan') \g /dev/null

-- the device
SELECT * FROM api_1.devices_create(:'member', jsonb_build_object('name', 'Phone', 'platform', 'android', 'agent', false, 'public_key', t.key('phone'))) \gset r_
SELECT is(:r_status, 201, 'a device without an agent');
SELECT is(:'r_body'::json #>> '{device,agent}', 'false', '... says so');
SELECT is(:'r_body'::json ->> 'session_id', NULL, '... and has no session');
SELECT :'r_body'::json #>> '{device,id}' AS phone \gset
SELECT is((SELECT count(*) FROM goconnect.sessions WHERE device_id = :'phone'), 0::bigint, '... at all');
SELECT is(t.said(api_1.devices_create(:'member', jsonb_build_object('name', 'Phone', 'platform', 'android', 'public_key', t.key('phone'), 'refresh_hash', t.hash('x')))), '409 key_in_use', 'its identity does not become an agent''s');
SELECT t.device(:'member', 'Laptop') AS laptop \gset
SELECT t.device(:'admin', 'Box') AS box \gset
SELECT t.device(:'owner', 'Nas') AS nas \gset
SELECT is(t.said(api_1.devices_create(:'member', jsonb_build_object('name', 'Phone', 'platform', 'android', 'agent', false, 'public_key', t.key('device Laptop' || (:'member'::api_1.ctx).user_id)))), '409 key_in_use', '... nor the other way round');
SELECT is((api_1.devices_get(:'member', (:'laptop'::api_1.ctx).device_id)).body ->> 'agent', 'true', 'others have one');

-- its peer
SELECT is(t.said(api_1.peers_create(:'member', :'lan', jsonb_build_object('device_id', :'phone', 'public_key', t.key('own')))), '422 invalid_fields public_key:not_allowed', 'its key is the server''s to make');
SELECT is(t.said(api_1.peers_create(:'member', :'lan', t.made((:'laptop'::api_1.ctx).device_id, 'no'))), '422 invalid_fields public_key:required', 'one with an agent brings its own');
SELECT is(t.said(api_1.peers_create(:'admin', :'lan', t.made(:'phone', 'no'))), '422 invalid_fields device_id:unknown', 'nobody joins another''s phone');
SELECT is(t.said(api_1.peers_create(:'stranger', :'lan', t.made(:'phone', 'no'))), '404 not_found', '... strangers least of all');
SELECT * FROM api_1.peers_create(:'member', :'lan', t.made(:'phone', 'wg')) \gset r_
SELECT is(:r_status, 201, 'its peer');
SELECT is(:'r_body'::json ->> 'public_key', t.key('wg'), '... with the key that was made');
SELECT is(:'r_body'::json ->> 'agent', 'false', '... has no agent');
SELECT is(:'r_body'::json ->> 'via', NULL, '... and nobody stands in for it yet');
SELECT is(:'r_events'::json #>> '{0,data,upsert,0,agent}', 'false', '... which the members are told');
SELECT ok(:'r_body' !~ 'sealed|private' AND :'r_events' !~ 'sealed|private', '... but nothing of its private key');
SELECT :'r_body'::json ->> 'id' AS peer \gset
SELECT is((SELECT convert_from(private_key_encrypted, 'UTF8') FROM goconnect.peers WHERE id = :'peer'), 'sealed wg', '... which is kept as it came');
SELECT is((SELECT detail::text FROM goconnect.audit_log WHERE target_id = :'peer') ~ 'sealed|7365616c6564', false, '... and audited without it');
SELECT * FROM api_1.peers_create(:'member', :'lan', t.made(:'phone', 'other')) \gset r_
SELECT is(:r_status || ' ' || (:'r_body'::json ->> 'public_key'), '200 ' || t.key('wg'), 'posted again it keeps its key');
SELECT is(:'r_body'::json ->> 'id', :'peer', '... and its id');
SELECT is((api_1.peers_create(:'member', :'lan', t.made(:'phone', 'other', '{"name": "handy"}'))).body ->> 'name', 'handy', '... and may take another name');
SELECT is(t.said(api_1.peers_create(:'owner', :'two', t.made(((api_1.devices_create(:'owner', jsonb_build_object('name', 'Tab', 'platform', 'ios', 'agent', false, 'public_key', t.key('tab')))).body #>> '{device,id}')::uuid, 'tab'))), '409 agent_required', 'LAN mode is for agents');

-- the configuration, as long as there is no gateway
SELECT is(t.said(api_1.peers_config(:'member', :'peer')), '409 no_gateway', 'nothing to connect to');
SELECT ok((api_1.peers_config(:'member', :'peer')).body ->> 'detail' LIKE '%goconnect gateway on%', '... and what to do');
SELECT t.peer(:'laptop', :'lan') AS p_laptop \gset
SELECT t.peer(:'box', :'lan') AS p_box \gset
SELECT t.peer(:'nas', :'lan') AS p_nas \gset

-- offers
SELECT is(t.patch(:'member', :'peer', '{"gateway_offered": true}'), '409 no_agent', 'a phone is no gateway');
SELECT is(t.patch(:'owner', :'peer', '{"gateway": true}'), '422 invalid_fields gateway:invalid', '... by nobody''s word');
SELECT is(t.patch(:'member', :'peer', '{"gateway_offered": false}'), '', '... which it may say');
SELECT is(t.patch(:'owner', :'p_laptop', '{"gateway": true}'), '422 invalid_fields gateway:invalid', 'nobody is made one unasked');
SELECT is(t.patch(:'owner', :'p_laptop', '{"gateway_offered": true}'), '403 forbidden', '... nor offered by another');
SELECT is(t.patch(:'member', :'p_laptop', '{"gateway_offered": true, "gateway": true}'), '403 forbidden', '... nor by a member''s own word');
SELECT is(t.patch(:'laptop', :'p_laptop', '{"gateway_offered": true}'), 'laptop', 'a member''s device offers');
SELECT is(t.map(:'lan'), 'box handy laptop nas', '... and is none yet');
SELECT ok((api_1.peers_config(:'member', :'peer')).body ->> 'detail' LIKE '%laptop offers itself%approve%', '... which the configuration says');
SELECT is(t.patch(:'member', :'p_laptop', '{"gateway_offered": true}'), '', 'twice changes nothing');
SELECT is(t.patch(:'admin', :'p_laptop', '{"gateway": true}'), 'handy laptop', 'approved: the phone goes by it');
SELECT is(t.map(:'lan'), 'box handy>laptop laptop! nas', '... so says the map');
SELECT is((SELECT (e ->> 'via') FROM json_array_elements(api_1._netmap(:'lan') -> 'peers') e WHERE e ->> 'name' = 'handy'), :'p_laptop', '... the members'' too');
SELECT ok((api_1.peers_config(:'member', :'peer')).body ->> 'detail' LIKE '%laptop%offline%', 'a gateway that is off is no help');
INSERT INTO goconnect.presence (device_id, node_id) SELECT device_id, gen_random_uuid() FROM goconnect.peers WHERE network_id = :'lan' AND id <> :'peer';
SELECT ok((api_1.peers_config(:'member', :'peer')).body ->> 'detail' LIKE '%no address%', '... nor one without an address');
UPDATE goconnect.peers SET endpoints = ARRAY['192.168.1.5:20001', '[fe80::5]:20001', '[2001:db8::5]:20001', '203.0.113.5:20001', '198.51.100.5:20001'] WHERE id = :'p_laptop';
SELECT * FROM api_1.peers_config(:'member', :'peer') \gset r_
SELECT is(:r_status, 200, 'now there is something to connect to');
SELECT is((:'r_body'::jsonb -> 'gateway') - 'peer_id', jsonb_build_object('name', 'laptop', 'username', 'member', 'public_key', (SELECT public_key FROM goconnect.peers WHERE id = :'p_laptop'), 'endpoint', '203.0.113.5:20001', 'keepalive', 25,
    'allowed_ips', (SELECT jsonb_build_array(cidr, cidr6) FROM goconnect.networks WHERE id = :'lan')), '... at its public address, for the whole network');
SELECT is(convert_from(decode(:'r_body'::json ->> 'sealed', 'hex'), 'UTF8'), 'sealed wg', '... with the key for the module to open');
SELECT is(t.said(api_1.peers_config(:'owner', :'peer')), '403 forbidden', '... for its own user alone');
SELECT is(t.said(api_1.peers_config(:'stranger', :'peer')), '404 not_found', '... of whom strangers know nothing');
SELECT is((SELECT array_agg(k) FROM json_object_keys((api_1.peers_config(:'laptop', :'p_laptop')).body) k), ARRAY['peer', 'network', 'private_key', 'gateway', 'peers'], 'an agent''s is another');
SELECT is(api_1._public_endpoint(ARRAY['10.0.0.1:1', '[fe80::1]:1', '[2001:db8::1]:1']), '[2001:db8::1]:1', 'IPv6, where there is no public IPv4');
SELECT is(api_1._public_endpoint(ARRAY['10.0.0.1:1', '172.20.0.1:1']), '10.0.0.1:1', 'a private one, where there is no other');
SELECT is(api_1._public_endpoint('{}'), NULL, 'none, where there is none');

-- a second one, and the end of each
SELECT is(t.patch(:'box', :'p_box', '{"gateway_offered": true}'), 'box handy laptop', 'an admin''s offer is an approval: the phone changes over');
SELECT is(t.map(:'lan'), 'box! handy>box laptop nas', '... to the one gateway');
SELECT is((SELECT gateway_offered FROM goconnect.peers WHERE id = :'p_laptop'), true, '... the other one still offers');
SELECT is(t.patch(:'owner', :'p_nas', '{"gateway_offered": true, "gateway": false}'), 'nas', 'who may approve may just offer');
SELECT is(t.map(:'lan'), 'box! handy>box laptop nas', '... which changes no more');
SELECT is(t.patch(:'nas', :'p_nas', '{"gateway_offered": false}'), 'nas', 'an offer that is taken back');
SELECT is(t.map(:'lan'), 'box! handy>box laptop nas', '... leaves the gateway alone');
SELECT is(t.patch(:'owner', :'p_box', '{"gateway": false}'), 'box handy', 'an admin ends it');
SELECT is(t.map(:'lan'), 'box handy laptop nas', '... and the phone goes by nobody');
SELECT is(t.patch(:'box', :'p_box', '{"gateway_offered": true}'), 'box handy', '... until it is offered again');
SELECT is(t.patch(:'box', :'p_box', '{"gateway_offered": false}'), 'box handy', 'the gateway takes its offer back');
SELECT is(t.map(:'lan'), 'box handy laptop nas', '... and the phone goes by nobody');
SELECT is(t.said(api_1.peers_config(:'member', :'peer')), '409 no_gateway', '... nor has it a configuration');
SELECT t.patch(:'box', :'p_box', '{"gateway_offered": true}') \g /dev/null

-- a new phone finds the gateway; a gateway that leaves is told with its phones
SELECT (api_1.devices_create(:'owner', jsonb_build_object('name', 'Pad', 'platform', 'ios', 'agent', false, 'public_key', t.key('pad')))).body #>> '{device,id}' AS pad \gset
SELECT * FROM api_1.peers_create(:'owner', :'lan', t.made(:'pad', 'padkey')) \gset r_
SELECT is(:'r_body'::json ->> 'via', :'p_box', 'who comes later goes by the gateway at once');
SELECT is(t.said(api_1.peers_rotate(:'box', :'p_box', jsonb_build_object('public_key', t.key('rotated')))), '409 conflict', 'its key stays, which they know it by');
SELECT is(t.said(api_1.peers_rotate(:'nas', :'p_nas', jsonb_build_object('public_key', t.key('rotated')))), '200', '... others may rotate theirs');
SELECT * FROM api_1.networks_leave(:'admin', :'lan') \gset r_
SELECT is(:r_status, 204, 'the gateway''s user leaves');
SELECT is((SELECT string_agg(e ->> 'name' || ':' || coalesce(e ->> 'via', '-'), ' ' ORDER BY e ->> 'name') FROM json_array_elements(:'r_events'::json) v, json_array_elements(v #> '{data,upsert}') e WHERE v ->> 'type' = 'netmap_delta'), 'handy:- pad:-', '... and the same delta says that the phones have none');
SELECT is(t.map(:'lan'), 'handy laptop nas pad', '... as it is');

-- the constraints hold without the functions
SELECT throws_ok(format('UPDATE goconnect.peers SET gateway_offered = true WHERE id = %L', :'peer'), '23514', NULL, 'no phone offers');
SELECT throws_ok(format('UPDATE goconnect.peers SET via = %L WHERE id = %L', :'p_nas', :'p_laptop'), '23514', NULL, 'no agent goes by another');
UPDATE goconnect.peers SET gateway_offered = true, gateway = true WHERE id = :'p_nas';
SELECT throws_ok(format('UPDATE goconnect.peers SET gateway_offered = true, gateway = true WHERE id = %L', :'p_laptop'), '23505', NULL, 'there are no two gateways');

SELECT * FROM finish();
ROLLBACK;
