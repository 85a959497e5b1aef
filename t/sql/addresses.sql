-- Addresses: reservations, allocation by them, rules, relays, local subnets,
-- and the parts of the map that changes replace.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('owner') AS owner \gset
SELECT t.user('admin') AS admin \gset
SELECT t.user('member') AS member \gset
SELECT t.user('second') AS second \gset
SELECT t.user('stranger') AS stranger \gset
SELECT t.tenant(:'owner', '{"name": "Acme"}') AS acme \gset
SELECT t.tenant(:'stranger', '{"name": "Else"}') AS elsewhere \gset
SELECT t.network(:'owner', :'acme', '{"name": "LAN", "cidr": "10.20.0.0/24", "visibility": "public", "join_policy": "open"}') AS lan \gset
SELECT t.join(:'owner', :'admin', :'acme', :'lan', 'admin') \g /dev/null
SELECT t.join(:'owner', :'member', :'acme', :'lan') \g /dev/null
SELECT t.join(:'owner', :'second', :'acme', :'lan') \g /dev/null
SELECT (:'member'::api_1.ctx).user_id AS member_id, (:'second'::api_1.ctx).user_id AS second_id, (:'stranger'::api_1.ctx).user_id AS stranger_id \gset
CREATE FUNCTION t.value(r api_1.reply, name text) RETURNS text LANGUAGE sql AS $$ SELECT r.body ->> name $$;
CREATE FUNCTION t.id(c api_1.ctx) RETURNS uuid LANGUAGE sql AS $$ SELECT c.device_id $$;
-- a new device comes: its address and name, or the code of the refusal
CREATE FUNCTION t.comes(c api_1.ctx, network uuid, device text, name text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r api_1.reply;
BEGIN
    r := api_1.peers_create(t.device(c, device), network, jsonb_strip_nulls(jsonb_build_object('public_key', t.key(gen_random_uuid()::text), 'name', name)));
    RETURN coalesce(r.body ->> 'ip_address' || ' ' || (r.body ->> 'name'), r.body ->> 'code');
END $$;
-- and it is there no more
CREATE FUNCTION t.goes(network uuid, ip inet) RETURNS void LANGUAGE sql AS $$ DELETE FROM goconnect.peers WHERE network_id = network AND ip_address = ip $$;
CREATE FUNCTION t.hold(c api_1.ctx, network uuid, body jsonb) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE r api_1.reply := api_1.reservations_create(c, network, body);
BEGIN
    IF r.status <> 201 THEN RAISE EXCEPTION '%', r; END IF;
    RETURN r.body ->> 'id';
END $$;

-- who may
SELECT is(t.said(api_1.reservations_create(:'member', :'lan', '{"name": "x"}')), '403 forbidden', 'a member holds nothing');
SELECT is(t.said(api_1.reservations_create(:'stranger', :'lan', '{"name": "x"}')), '404 not_found', 'a stranger less');
SELECT is(t.said(api_1.reservations_list(:'member', :'lan', NULL, NULL)), '403 forbidden', 'a member sees none');
SELECT is(t.said(api_1.reservations_list(:'stranger', :'lan', NULL, NULL)), '404 not_found', 'a stranger neither');
SELECT t.device(:'admin', 'desk') AS desk \gset
SELECT is(t.said(api_1.reservations_list(:'desk', :'lan', NULL, NULL)), '403 user_session_required', 'nor an admin''s device');

-- fields
SELECT is(t.said(api_1.reservations_create(:'admin', :'lan', '{}')), '422 invalid_fields ip_address:required', 'for nothing');
SELECT is(t.said(api_1.reservations_create(:'admin', :'lan', jsonb_build_object('ip_address', a))), '422 invalid_fields ip_address:invalid', 'no address: ' || a)
  FROM unnest(ARRAY['10.20.0.0', '10.20.0.255', '10.20.1.1', '10.20.0.256', '10.20.0', 'fd00::1', '10.20.0.1/24', 'x', '']) a;
SELECT is(t.said(api_1.reservations_create(:'admin', :'lan', '{"name": "A b"}')), '422 invalid_fields name:invalid', 'no name');
SELECT is(t.said(api_1.reservations_create(:'admin', :'lan', jsonb_build_object('user_id', :'stranger_id'))), '422 invalid_fields user_id:unknown', 'a user from elsewhere');
SELECT t.device(:'stranger', 'box') AS foreign_box \gset
SELECT is(t.said(api_1.reservations_create(:'admin', :'lan', jsonb_build_object('device_id', t.id(:'foreign_box')))), '422 invalid_fields device_id:unknown', 'a device from elsewhere');
SELECT t.device(:'member', 'm1') AS m1 \gset
SELECT is(t.said(api_1.reservations_create(:'admin', :'lan', jsonb_build_object('user_id', :'second_id', 'device_id', t.id(:'m1')))), '422 invalid_fields device_id:invalid', 'for two');

-- a device's, a user's, a name's, nobody's
SELECT * FROM api_1.reservations_create(:'admin', :'lan', jsonb_build_object('ip_address', '10.20.0.10', 'name', 'server', 'device_id', t.id(:'m1'))) \gset r_
SELECT is(:r_status || ' ' || :'r_etag' || ' ' || (:'r_location' = '/v1/reservations/' || (:'r_body'::json ->> 'id')), '201 "1" true', 'held for a device');
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_body'::json) k), ARRAY['id', 'network_id', 'ip_address', 'name', 'user_id', 'device_id', 'peer_id', 'created_by', 'created_at'], '... as the protocol says');
SELECT :'r_body'::json ->> 'id' AS held \gset
SELECT t.hold(:'admin', :'lan', jsonb_build_object('ip_address', '10.20.0.20', 'user_id', :'second_id')) AS users \gset
SELECT t.hold(:'admin', :'lan', '{"ip_address": "10.20.0.30", "name": "printer"}') AS names \gset
SELECT t.hold(:'admin', :'lan', '{"ip_address": "10.20.0.1"}') AS nobodys \gset
SELECT is(t.said(api_1.reservations_create(:'admin', :'lan', '{"ip_address": "10.20.0.10"}')), '409 address_taken', 'an address is held once');
SELECT is(t.said(api_1.reservations_create(:'admin', :'lan', '{"name": "server"}')), '409 name_taken', 'a name too');
SELECT is(t.comes(:'member', :'lan', 'any'), '10.20.0.2 any', 'whoever comes passes over what is held for nobody');
SELECT is(t.comes(:'member', :'lan', 'thief', 'server'), 'name_taken', 'nor gets a name that is held');
SELECT is(t.comes(:'member', :'lan', 'server'), '10.20.0.3 server-2', '... by its own name neither');
SELECT is(t.comes(:'member', :'lan', 'm1'), '10.20.0.10 server', 'the device gets its address and its name');
SELECT is(t.comes(:'second', :'lan', 's1'), '10.20.0.20 s1', 'the user''s first device its');
SELECT is(t.comes(:'second', :'lan', 's2'), '10.20.0.4 s2', '... the second another');
SELECT is(t.comes(:'second', :'lan', 'Printer'), '10.20.0.30 printer', 'who comes by the name gets the name''s');
SELECT is(t.comes(:'second', :'lan', 'x', 'printer'), 'name_taken', '... once');
SELECT t.goes(:'lan', '10.20.0.30') \g /dev/null
SELECT is(t.comes(:'member', :'lan', 'laser', 'printer'), '10.20.0.30 printer', '... or who asks for it');
SELECT is((SELECT string_agg(i ->> 'ip_address' || ' ' || (i ->> 'peer_id' IS NOT NULL), ', ' ORDER BY (i ->> 'ip_address')::inet) FROM json_array_elements((api_1.reservations_list(:'admin', :'lan', NULL, NULL)).body -> 'items') i), '10.20.0.1 false, 10.20.0.10 true, 10.20.0.20 true, 10.20.0.30 true', 'the list says which are in use');
SELECT is((SELECT count(*) FROM (SELECT (api_1.reservations_list(:'admin', :'lan', 3, NULL)).body b) x, LATERAL (SELECT (api_1.reservations_list(:'admin', :'lan', 3, b ->> 'next_cursor')).body c) y, json_array_elements(c -> 'items')), 1::bigint, '... page by page');
SELECT is(t.said(api_1.reservations_list(:'admin', :'lan', NULL, 'x')), '422 invalid_fields cursor:invalid', '... by a cursor that is one');

-- the next free one, and what is in use
SELECT is(t.value(api_1.reservations_create(:'admin', :'lan', '{"name": "nas"}'), 'ip_address'), '10.20.0.5', 'no address: the next free one');
SELECT is(t.said(api_1.reservations_create(:'admin', :'lan', '{"ip_address": "10.20.0.4"}')), '409 address_taken', 'one in use is not held for nobody');
SELECT is(t.said(api_1.reservations_create(:'admin', :'lan', jsonb_build_object('ip_address', '10.20.0.4', 'user_id', :'member_id'))), '409 address_taken', '... nor for another');
SELECT t.hold(:'admin', :'lan', jsonb_build_object('ip_address', '10.20.0.4', 'user_id', :'second_id')) AS pinned \gset
SELECT ok(:'pinned' IS NOT NULL, '... but for who has it');
SELECT is(t.said(api_1.reservations_create(:'admin', :'lan', jsonb_build_object('name', 'any', 'user_id', :'second_id'))), '409 name_taken', 'a name in use is not held for another');
SELECT is((api_1.reservations_create(:'admin', :'lan', jsonb_build_object('name', 'any', 'user_id', :'member_id'))).status, 201, '... but for who has it');

-- let go
SELECT is(t.said(api_1.reservations_delete(:'member', :'names')), '403 forbidden', 'a member lets nothing go');
SELECT is(t.said(api_1.reservations_delete(:'stranger', :'names')), '404 not_found', 'a stranger less');
SELECT is(t.said(api_1.reservations_delete(:'admin', gen_random_uuid())), '404 not_found', 'none');
SELECT is(t.said(api_1.reservations_delete(ROW((:'admin'::api_1.ctx).user_id, (:'admin'::api_1.ctx).session_id, NULL, NULL, 'r', '"2"', NULL)::api_1.ctx, :'names')), '412 precondition_failed', 'If-Match');
SELECT is((api_1.reservations_delete(:'admin', :'nobodys')).status, 204, 'gone');
SELECT is(t.said(api_1.reservations_delete(:'admin', :'nobodys')), '404 not_found', '... for good');
SELECT is(t.comes(:'member', :'lan', 'mine'), '10.20.0.6 mine', 'the user''s, whose name is in use');
SELECT is(t.comes(:'member', :'lan', 'after'), '10.20.0.7 after', '... what was let go rests, being below the mark');
UPDATE goconnect.released_addresses SET released_at = now() - interval '25 hours' WHERE ip_address = '10.20.0.1';
SELECT is(t.comes(:'member', :'lan', 'nextday'), '10.20.0.1 nextday', '... for a day');
SELECT is((api_1.reservations_delete(:'admin', :'held')).status, 204, 'one that is in use');
SELECT is((SELECT count(*) FROM goconnect.released_addresses WHERE ip_address = '10.20.0.10'), 0::bigint, '... stays with who has it');

-- above the mark: what was held, used and let go does not come back early
SELECT t.network(:'owner', :'acme', '{"name": "Early", "cidr": "10.30.0.0/24", "visibility": "public", "join_policy": "open"}') AS early \gset
SELECT api_1.networks_join(:'member', :'early', '{}') \g /dev/null
SELECT t.hold(:'admin', :'early', '{"ip_address": "10.30.0.2", "name": "short"}') AS short \gset
SELECT is(t.comes(:'member', :'early', 'e1', 'short'), '10.30.0.2 short', 'above the mark');
SELECT t.goes(:'early', '10.30.0.2') \g /dev/null
SELECT is((api_1.reservations_delete(:'admin', :'short')).status, 204, '... let go');
SELECT is(t.comes(:'member', :'early', 'e2'), '10.30.0.1 e2', 'the first');
SELECT is(t.comes(:'member', :'early', 'e3'), '10.30.0.3 e3', 'the next passes over what rests');
UPDATE goconnect.released_addresses SET released_at = now() - interval '25 hours';
SELECT is(t.comes(:'member', :'early', 'e4'), '10.30.0.2 e4', '... which comes when it has rested');

-- a full network: what is held stays held
SELECT t.network(:'owner', :'acme', '{"name": "Tiny", "cidr": "10.40.0.0/29", "visibility": "public", "join_policy": "open"}') AS tiny \gset
SELECT api_1.networks_join(:'member', :'tiny', '{}') \g /dev/null
SELECT api_1.networks_join(:'second', :'tiny', '{}') \g /dev/null
SELECT t.hold(:'admin', :'tiny', jsonb_build_object('user_id', :'second_id')) \g /dev/null
SELECT is((SELECT string_agg(t.comes(:'member', :'tiny', 'f' || i), ', ' ORDER BY i) FROM generate_series(1, 6) i), '10.40.0.2 f1, 10.40.0.3 f2, 10.40.0.4 f3, 10.40.0.5 f4, 10.40.0.6 f5, network_full', 'the last one is not given away');
SELECT is(t.said(api_1.reservations_create(:'admin', :'tiny', '{"name": "none"}')), '409 network_full', 'nor is there one to hold');
SELECT is(t.comes(:'second', :'tiny', 'mine'), '10.40.0.1 mine', '... it is its holder''s');
SELECT t.goes(:'tiny', '10.40.0.4'), t.goes(:'tiny', '10.40.0.2') \g /dev/null
UPDATE goconnect.released_addresses SET released_at = released_at - interval '1 hour' WHERE ip_address = '10.40.0.4';
SELECT is(t.comes(:'member', :'tiny', 'old'), '10.40.0.4 old', 'a full one gives what has rested longest');
INSERT INTO goconnect.reservations (network_id, ip_address) SELECT :'lan', host('10.20.0.0'::inet + i)::inet FROM generate_series(100, 250) i;
SELECT is((api_1.networks_update(:'admin', :'tiny', '{"cidr": "10.41.0.0/29"}')).status, 409, 'the range of a network with peers stays, and its reservations');

-- every size of range
SELECT is((SELECT string_agg(host(api_1._take_free(n)) || '/' || bits || ' ' || host(api_1._take_free(n)), ', ' ORDER BY bits)
             FROM (SELECT bits, t.network(:'owner', :'acme', jsonb_build_object('name', 'N' || bits, 'cidr', '10.0.0.0/' || bits)) AS n FROM generate_series(8, 29) bits) x),
    (SELECT string_agg('10.0.0.1/' || bits || ' 10.0.0.2', ', ' ORDER BY bits) FROM generate_series(8, 29) bits), '/8 to /29 begin with their first');
UPDATE goconnect.networks SET high_water = 16777213 WHERE name = 'N8';
SELECT is((SELECT host(api_1._take_free(id)) || ' ' || coalesce(host(api_1._take_free(id)), 'full') FROM goconnect.networks WHERE name = 'N8'), '10.255.255.254 full', 'a /8 ends before its broadcast address');
SELECT is((SELECT host(api_1._address(n.cidr6, host('10.255.255.254')::inet - host(n.cidr)::inet)) LIKE 'fd%:ff:fffe' FROM goconnect.networks n WHERE n.name = 'N8'), true, '... which has its place in the ULA too');
SELECT is((SELECT string_agg(coalesce(host(api_1._take_free(n.id)), 'full'), ' ') FROM goconnect.networks n, generate_series(1, 5) i WHERE n.name = 'N29'), '10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 full', 'a /29 has six');

-- rules
SELECT t.peer(:'desk', :'lan') AS deskp \gset
SELECT * FROM api_1.rules_get(:'member', :'lan') \gset r_
SELECT is(:'r_body' || ' ' || :'r_etag', '{"rules" : []} "1"', 'no rules');
SELECT is(t.said(api_1.rules_get(:'stranger', :'lan')), '404 not_found', 'a stranger sees not even that');
SELECT is(t.said(api_1.rules_put(:'member', :'lan', '{"rules": []}')), '403 forbidden', 'a member makes none');
SELECT is(t.said(api_1.rules_put(:'stranger', :'lan', '{"rules": []}')), '404 not_found', 'a stranger less');
SELECT is((api_1.rules_put(:'admin', :'lan', '{"rules": []}')).events::text, NULL, 'no change tells nothing');
SELECT * FROM api_1.rules_put(:'admin', :'lan', jsonb_build_object('rules', jsonb_build_array(
    '{"action": "allow", "source": "role:member", "destination": "tag:server", "protocol": "tcp", "port_first": 80, "port_last": 443}'::jsonb,
    '{"action": "allow", "source": "10.20.0.0/28", "destination": "FD00::1", "protocol": "udp", "port_first": 53}'::jsonb,
    jsonb_build_object('action', 'deny', 'source', 'peer:' || :'deskp')))) \gset r_
SELECT is((SELECT string_agg(concat_ws(' ', x ->> 'action', x ->> 'source', x ->> 'destination', x ->> 'protocol', x ->> 'port_first', x ->> 'port_last'), ', ') FROM json_array_elements(:'r_body'::json -> 'rules') x),
    'allow role:member tag:server tcp 80 443, allow 10.20.0.0/28 fd00::1 udp 53 53, deny peer:' || :'deskp' || ' any any', 'the rules in their order');
SELECT is(:'r_etag'::text, '"2"', '... a new version');
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_events'::json #> '{0,data}') k), ARRAY['network_id', 'version', 'base_version', 'upsert', 'remove', 'rules'], '... a step of the map with the rules');
SELECT is((:'r_events'::json #> '{0,data,rules}')::text, (:'r_body'::json -> 'rules')::text, '... all of them');
SELECT is((api_1.ws_netmap(:'desk', :'lan')).body ->> 'rules', :'r_body'::json ->> 'rules', '... as the whole map has them');
SELECT is(t.said(api_1.rules_put(ROW((:'admin'::api_1.ctx).user_id, (:'admin'::api_1.ctx).session_id, NULL, NULL, 'r', '"1"', NULL)::api_1.ctx, :'lan', '{"rules": []}')), '412 precondition_failed', 'If-Match');
SELECT is(t.said(api_1.rules_put(:'admin', :'lan', '{"rules": [{"action": "deny"}, {"action": "deny", "source": "peer:00000000-0000-4000-8000-000000000000", "destination": "peer:00000000-0000-4000-8000-000000000001"}]}')), '422 invalid_fields rules[1].source:unknown rules[1].destination:unknown', 'unknown peers');
SELECT api_1.peers_delete(:'admin', :'deskp') \g /dev/null
SELECT is((api_1.rules_put(:'admin', :'lan', jsonb_build_object('rules', jsonb_build_array(jsonb_build_object('action', 'deny', 'source', 'peer:' || :'deskp'))))).status, 200, 'a rule about one that is gone may stay');
SELECT is((api_1.rules_put(:'admin', :'lan', '{"rules": []}')).body::text, '{"rules" : []}', 'none again');
SELECT is(t.said(api_1.rules_put(:'admin', :'lan', jsonb_build_object('rules', jsonb_build_array(jsonb_build_object('action', 'deny', 'source', 'peer:' || :'deskp'))))), '422 invalid_fields rules[0].source:unknown', '... and does not come back');
SELECT is((api_1.rules_put(:'admin', :'lan', jsonb_build_object('rules', (SELECT jsonb_agg(jsonb_build_object('action', 'deny', 'source', 'tag:' || repeat('a', 63), 'destination', 'tag:' || repeat('b', 63), 'protocol', 'tcp', 'port_first', 60000 + i, 'port_last', 65535)) FROM generate_series(1, 128) i)))).status, 200, '128 rules');
SELECT is(t.said(api_1.rules_put(:'admin', :'lan', jsonb_build_object('rules', (SELECT jsonb_agg('{"action": "deny"}'::jsonb) FROM generate_series(1, 129) i)))), '422 invalid_fields rules:invalid', '... and no more');
SELECT ok(octet_length((api_1._netmap_part(:'lan', 'rules'))::text) < 48000, '... which fit in a part of the map');
SELECT is((api_1.rules_put(:'admin', :'lan', '{"rules": []}')).status, 200, 'none again');

-- settings, names and the map
SELECT * FROM api_1.networks_update(:'admin', :'lan', '{"settings": {"mtu": 1300}}') \gset r_
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_events'::json #> '{0,data}') k), ARRAY['network_id', 'version', 'base_version', 'upsert', 'remove', 'network'], 'a changed setting is a step of the map');
SELECT is(:'r_events'::json #>> '{0,data,network,settings,mtu}', '1300', '... with the new one');
SELECT is(:'r_events'::json #>> '{0,data,network,role}', NULL, '... and nobody''s own view');
SELECT * FROM api_1.networks_update(:'admin', :'lan', '{"slug": "playground"}') \gset r_
SELECT is(:'r_events'::json #>> '{0,data,dns,domain}', 'playground.acme.gc', 'another slug is another domain');
SELECT is((SELECT netmap_version FROM goconnect.networks WHERE id = :'lan'), (:'r_events'::json #>> '{0,data,version}')::bigint, '... at the map''s new version');
SELECT is((SELECT string_agg(k || '=' || coalesce(data ->> k, '-'), ' ' ORDER BY ord) FROM (SELECT (api_1._merge_deltas(ARRAY[
        api_1._event('network:' || :'lan', 'netmap_delta', '{"network_id": "x", "upsert": [1], "remove": [], "rules": ["old"]}'),
        api_1._event('network:' || :'lan', 'netmap_delta', '{"network_id": "x", "upsert": [2], "remove": [3], "dns": {"a": null}}'),
        api_1._event('network:' || :'lan', 'netmap_delta', '{"network_id": "x", "upsert": [], "remove": [4], "rules": ["new"]}')]))[1] AS e) m,
    LATERAL (SELECT (m.e).data) d (data), json_object_keys(data) WITH ORDINALITY k (k, ord) WHERE k <> 'network_id'),
    'upsert=[1, 2] remove=[3, 4] dns={"a": null} rules=["new"]', 'steps of one request are one, and the last part counts');
SELECT is(t.said(api_1.networks_update(:'admin', :'lan', jsonb_build_object('settings', s))), '422 invalid_fields settings:invalid', 'no settings: ' || s::text)
  FROM unnest(ARRAY['{"mtu": 1279}', '{"mtu": 9001}', '{"mtu": "1400"}', '{"mtu": 1400.5}', '{"mtu": null}', '{"birthday_punching": 1}', '{"reflector_ports": [0]}', '{"reflector_ports": [65536]}', '{"reflector_ports": ["80"]}', '{"reflector_ports": 80}', '{"other": 1}']::jsonb[]) s;
SELECT is((api_1.networks_update(:'admin', :'lan', '{"settings": {"mtu": 1280, "birthday_punching": false, "reflector_ports": [1, 65535]}}')).status, 200, 'settings');

-- local subnets
SELECT t.device(:'member', 'roamer') AS roamer \gset
SELECT * FROM api_1.peers_create(:'roamer', :'lan', jsonb_build_object('public_key', t.key('roam'), 'subnets', '["10.20.0.0/16", "192.168.1.0/24"]'::jsonb)) \gset r_
SELECT is(:r_status, 201, 'a device that sits in the network''s range joins');
SELECT is(:'r_body'::json #>> '{warnings,0,code}' || ' ' || (:'r_body'::json #>> '{warnings,0,subnet}') || ' ' || json_array_length(:'r_body'::json -> 'warnings'), 'local_subnet_overlap 10.20.0.0/16 1', '... and is warned');
SELECT is(t.value(api_1.devices_get(:'roamer', t.id(:'roamer')), 'subnets'), '["10.20.0.0/16","192.168.1.0/24"]', '... the device says where it sits');
SELECT rev AS rev FROM goconnect.devices WHERE id = t.id(:'roamer') \gset
SELECT * FROM api_1.devices_update(:'roamer', t.id(:'roamer'), '{"subnets": ["192.168.1.0/24", "fd00:1::/64"]}') \gset r_
SELECT is(:'r_body'::json ->> 'warnings', '[]', 'it moves: no warning');
SELECT is(t.events((:r_status, :'r_body', NULL, NULL, :'r_events')::api_1.reply), 'self@device', '... told to itself');
SELECT is(:'r_etag'::text, '"' || (:rev + 1) || '"', '... a new version');
SELECT is((api_1.devices_update(:'roamer', t.id(:'roamer'), '{"subnets": ["fd00:1::/64", "192.168.1.0/24"]}')).etag, :'r_etag', '... the same again is none');
SELECT is(t.said(api_1.devices_update(:'roamer', t.id(:'roamer'), '{"subnets": [], "name": "x"}')), '403 user_session_required', 'a device does not name itself');
SELECT is(t.said(api_1.devices_update(:'roamer', t.id(:'desk'), '{"subnets": []}')), '404 not_found', 'nor speaks for another');
SELECT is(t.said(api_1.devices_update(:'roamer', t.id(:'roamer'), jsonb_build_object('subnets', s::jsonb))), '422 invalid_fields ' || e, 'no subnets: ' || s)
  FROM (VALUES ('["0.0.0.0/0"]', 'subnets:invalid'), ('["::/0"]', 'subnets:invalid'), ('["10.0.0.1/8"]', 'subnets[0]:invalid'), ('"x"', 'subnets:invalid')) v (s, e);
SELECT is((SELECT json_array_length((api_1.devices_update(:'member', t.id(:'roamer'), jsonb_build_object('subnets', jsonb_build_array(cidr6, '10.0.0.0/8')))).body -> 'warnings') FROM goconnect.networks WHERE id = :'lan'), 2, 'its user may tell; both families are looked at');
SELECT is(t.value(api_1.peers_create(:'roamer', :'lan', jsonb_build_object('public_key', t.key('roam'), 'subnets', '[]'::jsonb)), 'warnings'), '[]', 'posted again with none');
SELECT is(t.events(api_1.peers_create(:'roamer', :'lan', jsonb_build_object('public_key', t.key('roam'), 'subnets', '["10.3.0.0/24"]'::jsonb))), 'self@device', '... with others');

-- relays
INSERT INTO goconnect.relays (name, address4, address6, url, enabled) VALUES ('b', '203.0.113.5', '2001:db8::5', 'wss://b/v1/relay', true), ('a', '203.0.113.4', NULL, NULL, true), ('off', NULL, NULL, NULL, false);
SELECT is((SELECT string_agg(x ->> 'name' || ' ' || (x ->> 'address4'), ',') FROM json_array_elements((api_1.relays_list(:'desk', NULL, NULL)).body -> 'items') x), 'a 203.0.113.4,b 203.0.113.5', 'relays, for a device too');
SELECT is((SELECT x.b #>> '{items,0,name}' || ((api_1.relays_list(:'desk', 1, x.b ->> 'next_cursor')).body #>> '{items,0,name}') FROM (SELECT (api_1.relays_list(:'desk', 1, NULL)).body b) x), 'ab', '... page by page');
SELECT is((api_1.ws_netmap(:'roamer', :'lan')).body #>> '{relays,1,url}', 'wss://b/v1/relay', '... and on the map');

-- the trail
SELECT is((SELECT count(*) FROM goconnect.audit_log WHERE action IN ('reservation.create', 'reservation.delete', 'network.rules', 'device.subnets') AND NOT detail ?& ARRAY['before', 'after']), 0::bigint, 'each change is written down with before and after');
SELECT is((SELECT count(*) || ' ' || count(DISTINCT p.field) FROM goconnect.audit_log l JOIN goconnect.audit_personal p ON p.audit_id = l.id AND p.field IN ('before.subnets', 'after.subnets') WHERE l.action = 'device.subnets' AND NOT l.detail::text LIKE '%192.168.1.0%')::text ~ '^[1-9][0-9]* 2$', true, 'where a device sat can be erased');
SELECT is((SELECT string_agg(DISTINCT action, ' ' ORDER BY action) FROM goconnect.audit_log WHERE action ~ '^(reservation|network.rules|device.subnets)'), 'device.subnets network.rules reservation.create reservation.delete', '... of all kinds');

SELECT * FROM finish();
ROLLBACK;
