-- Networks, joining and leaving them, devices and peers.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

CREATE FUNCTION t.names(r api_1.reply) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(i ->> 'name', ',' ORDER BY i ->> 'name')
      FROM json_array_elements(r.body -> 'items') WITH ORDINALITY x (i, ord) $$;
CREATE FUNCTION t.count(r api_1.reply) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM json_array_elements(r.body -> 'items') $$;

SELECT t.user('owner') AS owner \gset
SELECT t.user('admin') AS admin \gset
SELECT t.user('member') AS member \gset
SELECT t.user('second') AS second \gset
SELECT t.user('stranger') AS stranger \gset
SELECT t.tenant(:'owner', '{"name": "Acme"}') AS acme \gset
SELECT t.tenant(:'stranger', '{"name": "Foreign"}') AS elsewhere \gset
SELECT t.join(:'owner', :'admin', :'acme', NULL, 'admin') \g /dev/null
SELECT t.join(:'owner', :'member', :'acme') \g /dev/null
SELECT t.join(:'owner', :'second', :'acme') \g /dev/null

-- create
SELECT * FROM api_1.networks_create(:'admin', :'acme', '{"name": "First"}') \gset r_
SELECT is(:r_status, 201, 'create');
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_body'::json) k),
    ARRAY['id', 'tenant_id', 'name', 'slug', 'description', 'cidr', 'cidr6', 'visibility', 'join_policy', 'required_role', 'mode', 'settings', 'joined', 'role', 'peer_count', 'created_at', 'updated_at'], '... as the protocol says');
SELECT ok((:'r_body'::json ->> 'cidr')::cidr << '100.64.0.0/10' AND masklen((:'r_body'::json ->> 'cidr')::cidr) = 24, '... with a range from the pool');
SELECT ok((:'r_body'::json ->> 'cidr6')::cidr <<= 'fd00::/8', '... and a ULA');
SELECT is((:'r_body'::json ->> 'joined'), 'true', '... whoever makes it is in it');
SELECT is((SELECT array_agg(split_part(e ->> 'topic', ':', 1)) FROM json_array_elements(:'r_events'::json) e), ARRAY['user'], '... a private one is told to its maker alone');
SELECT :'r_body'::json ->> 'id' AS first \gset
SELECT * FROM api_1.networks_create(:'admin', :'acme', '{"name": "Public", "visibility": "public", "join_policy": "open", "cidr": "10.1.0.0/29"}') \gset r_
SELECT :'r_body'::json ->> 'id' AS public \gset
SELECT is((SELECT array_agg(split_part(e ->> 'topic', ':', 1) || ' ' || coalesce(e #>> '{data,network,joined}', 'null')) FROM json_array_elements(:'r_events'::json) e), ARRAY['user true', 'tenant null'], 'a public one to all, without what is the maker''s own');
SELECT t.network(:'admin', :'acme', '{"name": "Staff", "visibility": "public", "join_policy": "open", "required_role": "moderator"}') AS staff \gset
SELECT is(t.said(api_1.networks_create(:'admin', :'acme', '{"name": "FIRST"}')), '409 name_taken', 'a name twice');
SELECT is(t.said(api_1.networks_create(:'member', :'acme', '{"name": "x"}')), '403 forbidden', 'a member makes none');
SELECT is(t.said(api_1.networks_create(:'stranger', :'acme', '{"name": "x"}')), '404 not_found', 'a stranger neither');
SELECT is(t.said(api_1.networks_create(:'admin', :'acme', '{"name": "x", "required_role": "owner"}')), '403 role_too_high', 'not above oneself');
SELECT is(t.said(api_1.networks_create(:'admin', :'acme', jsonb_build_object('name', 'x', 'cidr', c))), '422 invalid_fields cidr:invalid', 'range ' || c)
  FROM unnest(ARRAY['8.8.8.0/24', '10.0.0.1/24', '10.0.0.0/30', '10.0.0.0', '300.0.0.0/8', 'fd00::/64', '10.0.0.0/7', 'x', '']) c;
SELECT is(t.said(api_1.networks_create(:'admin', :'acme', '{"name": "x", "mode": "l4", "join_policy": "x", "settings": {"mtu": 1}}')), '422 invalid_fields settings:invalid join_policy:invalid mode:invalid', 'fields');
SAVEPOINT pool;
UPDATE goconnect.cidr_pool SET network_id = NULL;
DELETE FROM goconnect.cidr_pool;
SELECT is(t.said(api_1.networks_create(:'admin', :'acme', '{"name": "x"}')), '409 pool_exhausted', 'no range is left');
ROLLBACK TO pool;

SELECT is(t.said(api_1.networks_create(:'admin', :'acme', '{"name": "x", "slug": "first"}')), '409 slug_taken', 'a slug twice');
SELECT is(t.said(api_1.networks_update(:'admin', :'public', '{"name": "first"}')), '409 name_taken', '... a name, later');
SELECT is(t.said(api_1.networks_update(:'admin', :'public', '{"slug": "first"}')), '409 slug_taken', '... a slug, later');
SELECT is((api_1.networks_update(:'admin', :'public', '{"name": "Public", "slug": "public"}')).status, 200, '... but not one''s own');

-- who sees what
SELECT is(t.names(api_1.networks_list(:'admin', :'acme', NULL, NULL)), 'First,Public,Staff', 'an admin sees all');
SELECT is(t.names(api_1.networks_list(:'member', :'acme', NULL, NULL)), 'Public', 'a member the public ones of his role');
SELECT is(t.said(api_1.networks_get(:'member', :'first')), '404 not_found', 'not a private one');
SELECT is(t.said(api_1.networks_get(:'member', :'staff')), '404 not_found', 'not one of a higher role');
SELECT is(t.said(api_1.networks_get(:'stranger', :'public')), '404 not_found', 'a stranger none');
SELECT is((api_1.networks_get(:'member', :'public')).body ->> 'joined', 'false', 'seen is not joined');
SELECT is(t.said(api_1.peers_list(:'member', :'public', NULL, NULL)), '403 membership_required', '... and shows no peers');
SELECT is(t.said(api_1.network_members_list(:'member', :'public', NULL, NULL)), '403 membership_required', '... nor members');
SELECT is(t.said(api_1.network_messages_list(:'member', :'public', NULL, NULL, NULL)), '403 membership_required', '... nor chat');
SELECT is(t.said(api_1.network_messages_create(:'member', :'public', '{"content": "x"}')), '403 membership_required', '... nor takes any');
SELECT t.device(:'member', 'Laptop 1') AS laptop \gset
SELECT is(t.said(api_1.networks_get(:'laptop', :'public')), '404 not_found', 'a device sees only what its user has joined');

-- join
SELECT is(t.said(api_1.networks_join(:'member', :'first', '{}')), '404 not_found', 'join: unseen');
SELECT is(t.said(api_1.networks_join(:'stranger', :'public', '{}')), '404 not_found', 'join: foreign');
SELECT * FROM api_1.networks_join(:'member', :'public', '{}') \gset r_
SELECT is(:r_status, 200, 'join: open');
SELECT is(:'r_body'::json ->> 'joined', 'true', '... is joined');
SELECT is((SELECT array_agg(e ->> 'type' || '@' || split_part(e ->> 'topic', ':', 1)) FROM json_array_elements(:'r_events'::json) e), ARRAY['member@network', 'network@user'], '... and told');
SELECT is((api_1.networks_join(:'member', :'public', '{}')).events::text, NULL, '... twice tells nothing');
SELECT is((api_1.networks_get(:'laptop', :'public')).status, 200, '... and the device sees it');
SELECT is(t.said(api_1.networks_join(:'laptop', :'public', '{}')), '403 user_session_required', '... but cannot join by itself');
UPDATE goconnect.networks SET visibility = 'public' WHERE id = :'first';
SELECT is(t.said(api_1.networks_join(:'member', :'first', '{}')), '403 invite_required', 'join: by invite only');
SELECT is(t.said(api_1.networks_join(:'member', :'first', jsonb_build_object('code_hmac', t.hash('none')))), '403 invite_required', '... an unknown code');
SELECT api_1.invites_create(:'admin', :'acme', jsonb_build_object('code_hmac', t.hash('wrong'), 'network_id', :'staff')) \g /dev/null
SELECT is(t.said(api_1.networks_join(:'member', :'first', jsonb_build_object('code_hmac', t.hash('wrong')))), '403 invite_required', '... one for another network');
SELECT is(t.said(api_1.invites_accept(:'member', t.hash('wrong'))), '403 role_too_low', '... which is above him');
SELECT api_1.invites_create(:'admin', :'acme', jsonb_build_object('code_hmac', t.hash('right'), 'network_id', :'first')) \g /dev/null
SELECT is((api_1.networks_join(:'member', :'first', jsonb_build_object('code_hmac', t.hash('right')))).status, 200, '... the right one');
SELECT is((api_1.networks_join(:'owner', :'first', '{}')).status, 200, 'who could change the policy needs none');
SELECT api_1.networks_update(:'admin', :'first', '{"join_policy": "approval"}') \g /dev/null
SELECT * FROM api_1.networks_join(:'second', :'first', '{}') \gset r_
SELECT is(:r_status, 202, 'join: asks for approval');
SELECT is(:'r_events'::json #>> '{0,topic}', 'network:' || :'first' || '/staff', '... which the staff hears');
SELECT is((api_1.networks_join(:'second', :'first', '{}')).status, 202, '... once');
SELECT is(t.said(api_1.peers_list(:'second', :'first', NULL, NULL)), '403 membership_required', '... and is not in');
SELECT is(t.count(api_1.network_members_list(:'member', :'first', NULL, NULL)), 3::bigint, 'members do not see him');
SELECT is(t.count(api_1.network_members_list(:'admin', :'first', NULL, NULL)), 4::bigint, '... moderators do');
SELECT is((api_1.networks_leave(:'second', :'first')).status, 204, '... he may take it back');
SELECT is(t.said(api_1.networks_leave(:'second', :'first')), '409 not_joined', '... once');
SELECT is(t.said(api_1.networks_leave(:'stranger', :'first')), '404 not_found', 'a stranger leaves nothing');

-- devices
SELECT is(t.said(api_1.devices_create(:'member', '{"name": "", "platform": "beos", "public_key": "x"}')), '422 invalid_fields name:invalid platform:invalid public_key:invalid', 'device fields');
SELECT is(t.said(api_1.devices_create(:'laptop', '{}')), '403 user_session_required', 'a device makes no device');
SELECT is(t.said(api_1.devices_create(:'second', jsonb_build_object('name', 'x', 'platform', 'linux', 'public_key', t.key('device Laptop 1' || (:'member'::api_1.ctx).user_id), 'refresh_hash', t.hash('q')))), '409 key_in_use', 'a key belongs to one');
SELECT is((SELECT array_agg(k) FROM json_object_keys((api_1.devices_get(:'member', (:'laptop'::api_1.ctx).device_id)).body) k), ARRAY['id', 'user_id', 'name', 'platform', 'agent', 'public_key', 'subnets', 'online', 'last_seen', 'created_at'], 'the device object');
SELECT is((api_1.devices_get(:'laptop', (:'laptop'::api_1.ctx).device_id)).status, 200, 'a device sees itself');
SELECT t.device(:'member', 'Tablet') AS tablet \gset
SELECT is(t.said(api_1.devices_get(:'laptop', (:'tablet'::api_1.ctx).device_id)), '404 not_found', '... and not its sister');
SELECT is(t.said(api_1.devices_get(:'second', (:'laptop'::api_1.ctx).device_id)), '404 not_found', 'others see none');
SELECT is(t.count(api_1.devices_list(:'member', NULL, NULL)), 2::bigint, 'a list');
SELECT is(t.said(api_1.devices_list(:'laptop', NULL, NULL)), '403 user_session_required', '... not for devices');
SELECT is((api_1.devices_update(:'member', (:'tablet'::api_1.ctx).device_id, '{"name": "Pad"}')).body ->> 'name', 'Pad', 'a new name');
SELECT is(t.said(api_1.devices_update(:'second', (:'tablet'::api_1.ctx).device_id, '{"name": "Pad"}')), '404 not_found', '... not for others');
SELECT is(t.said(api_1.devices_update(ROW((:'member'::api_1.ctx).user_id, (:'member'::api_1.ctx).session_id, NULL, NULL, NULL, '"1"', NULL)::api_1.ctx, (:'tablet'::api_1.ctx).device_id, '{"name": "x"}')), '412 precondition_failed', '... nor from an old view');

-- peers
SELECT * FROM api_1.peers_create(:'laptop', :'public', jsonb_build_object('public_key', t.key('a'), 'endpoints', '["192.0.2.7:51820", "[2001:db8::1]:51820", "192.0.2.7:51820"]'::jsonb)) \gset r_
SELECT is(:r_status, 201, 'a peer');
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_body'::json) k),
    ARRAY['id', 'network_id', 'device_id', 'user_id', 'username', 'role', 'name', 'ip_address', 'ip6_address', 'public_key', 'next_public_key', 'endpoint', 'endpoints', 'home_relay', 'agent', 'gateway_offered', 'gateway', 'via', 'tags', 'offered_routes', 'routes', 'online', 'last_seen', 'created_at', 'warnings'], '... as the protocol says');
SELECT is(:'r_body'::json ->> 'ip_address', '10.1.0.1', '... with the first address');
SELECT ok((:'r_body'::json ->> 'ip6_address')::inet << (SELECT cidr6 FROM goconnect.networks WHERE id = :'public') AND right(:'r_body'::json ->> 'ip6_address', 3) = '::1', '... the same in IPv6');
SELECT is(:'r_body'::json ->> 'name', 'laptop-1', '... and a name');
SELECT is((:'r_body'::json ->> 'endpoints')::jsonb, '["192.0.2.7:51820", "[2001:db8::1]:51820"]', '... endpoints once each');
SELECT is(:'r_body'::json ->> 'endpoint', '192.0.2.7:51820', '... the first in front');
SELECT is((SELECT array_agg(e ->> 'type' || '@' || split_part(e ->> 'topic', ':', 1)) FROM json_array_elements(:'r_events'::json) e), ARRAY['netmap_delta@network', 'self@device'], '... and told');
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_events'::json #> '{0,data,upsert,0}') k), ARRAY['id', 'device_id', 'user_id', 'username', 'role', 'name', 'ip_address', 'ip6_address', 'public_key', 'next_public_key', 'endpoint', 'endpoints', 'home_relay', 'agent', 'gateway', 'via', 'tags', 'routes'], '... the map''s peer without what is not of the map');
SELECT is((:'r_events'::json #>> '{0,data,version}')::bigint, (:'r_events'::json #>> '{0,seq}')::bigint, '... at the version of its seq');
SELECT is((SELECT netmap_version FROM goconnect.networks WHERE id = :'public'), (:'r_events'::json #>> '{0,seq}')::bigint, '... which the network keeps');
SELECT is(:'r_events'::json #>> '{1,data,peers,0,ip_address}', '10.1.0.1', '... and its own part');
SELECT :'r_body'::json ->> 'id' AS peer, :'r_events'::json #>> '{0,seq}' AS version \gset
SELECT * FROM api_1.peers_create(:'laptop', :'public', jsonb_build_object('public_key', t.key('a'))) \gset r_
SELECT is((api_1.peers_create(:'laptop', :'public', jsonb_build_object('public_key', t.key('a')))).events::text, NULL, 'posted again unchanged: nothing to tell');
SELECT * FROM api_1.peers_create(:'laptop', :'public', jsonb_build_object('public_key', t.key('b'))) \gset r_
SELECT is(:r_status || ' ' || (:'r_body'::json ->> 'id') || ' ' || (:'r_body'::json ->> 'ip_address'), '200 ' || :'peer' || ' 10.1.0.1', 'posted with another key: the same peer');
SELECT is(:'r_events'::json #>> '{0,data,base_version}', :'version', '... a step from the version before');
SELECT is((:'r_body'::json ->> 'endpoints')::jsonb, '["192.0.2.7:51820", "[2001:db8::1]:51820"]', '... endpoints that are not named stay');
SELECT is((api_1.peers_list(:'laptop', :'public', NULL, NULL)).body #>> '{items,0,public_key}', t.key('b'), 'the list shows it');
SELECT is((api_1.peers_list(:'member', :'public', NULL, NULL)).status, 200, '... to the user too');
SELECT is((api_1.peers_list(:'admin', :'public', NULL, NULL)).status, 200, '... and to an admin');
SELECT is(t.said(api_1.peers_list(:'stranger', :'public', NULL, NULL)), '404 not_found', '... not to a stranger');
SELECT is(t.said(api_1.peers_create(:'laptop', :'public', '{"public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "name": "A b", "endpoints": ["1.2.3.4", "1.2.3.256:1", "[::1]:0", "[fe80::1%eth0]:1", "host:1", 5]}')),
    '422 invalid_fields public_key:invalid name:invalid endpoints[0]:invalid endpoints[1]:invalid endpoints[2]:invalid endpoints[3]:invalid endpoints[4]:invalid endpoints[5]:invalid', 'peer fields');
SELECT is(t.said(api_1.peers_create(:'member', :'public', jsonb_build_object('public_key', t.key('c')))), '422 invalid_fields device_id:required', 'a user names the device');
SELECT is(t.said(api_1.peers_create(:'laptop', :'public', jsonb_build_object('public_key', t.key('c'), 'device_id', (:'tablet'::api_1.ctx).device_id))), '403 forbidden', 'a device speaks for itself');
SELECT is((api_1.peers_create(:'member', :'public', jsonb_build_object('public_key', t.key('c'), 'device_id', (:'tablet'::api_1.ctx).device_id, 'name', 'pad'))).body ->> 'ip_address', '10.1.0.2', 'a user for his devices');
SELECT t.device(:'second', 'Laptop 1') AS laptop2 \gset
SELECT is(t.said(api_1.peers_create(:'laptop2', :'public', jsonb_build_object('public_key', t.key('z')))), '404 not_found', 'a device of who has not joined');
SELECT is(t.said(api_1.peers_create(:'second', :'public', jsonb_build_object('public_key', t.key('z'), 'device_id', (:'laptop2'::api_1.ctx).device_id))), '403 membership_required', '... and he himself');
SELECT api_1.networks_join(:'second', :'public', '{}') \g /dev/null
SELECT is(t.said(api_1.peers_create(:'second', :'public', jsonb_build_object('public_key', t.key('z'), 'device_id', (:'tablet'::api_1.ctx).device_id))), '422 invalid_fields device_id:unknown', 'a foreign device');
SELECT is(t.said(api_1.peers_create(:'laptop2', :'public', jsonb_build_object('public_key', t.key('b')))), '409 key_in_use', 'a key that another peer has');
SELECT is((api_1.peers_create(:'laptop2', :'public', jsonb_build_object('public_key', t.key('z')))).body ->> 'name', 'laptop-1-2', 'a name that is taken gets a number');
SELECT is(t.said(api_1.peers_create(:'laptop2', :'public', jsonb_build_object('public_key', t.key('z'), 'name', 'pad'))), '409 name_taken', '... one that was asked for is a conflict');

-- overlap
SELECT t.network(:'admin', :'acme', '{"name": "Wide", "visibility": "public", "join_policy": "open", "cidr": "10.0.0.0/8"}') AS wide \gset
SELECT api_1.networks_join(:'member', :'wide', '{}') \g /dev/null
SELECT * FROM api_1.peers_create(:'laptop', :'wide', jsonb_build_object('public_key', t.key('w'))) \gset r_
SELECT is(:r_status || ' ' || (:'r_body'::json ->> 'code'), '409 address_overlap', 'two networks with one range');
SELECT ok(:'r_body'::json ->> 'detail' LIKE '%"Wide"%"Public"%', '... both are named');
SELECT t.device(:'member', 'Third') AS third \gset
SELECT is((api_1.peers_create(:'third', :'wide', jsonb_build_object('public_key', t.key('w')))).status, 201, '... another device may');

-- the range of a network with peers stays
SELECT is(t.said(api_1.networks_update(:'admin', :'public', '{"cidr": "10.9.0.0/24"}')), '409 network_in_use', 'the range stays while there are peers');
SELECT is((api_1.networks_update(:'admin', :'public', '{"cidr": "10.1.0.0/29", "description": "same"}')).status, 200, '... the same one is no change');
SELECT is((api_1.networks_update(:'admin', :'first', '{"cidr": "10.9.0.0/24"}')).body ->> 'cidr', '10.9.0.0/24', '... without peers it changes');
SELECT is((SELECT count(*) FROM goconnect.cidr_pool WHERE network_id = :'first'), 0::bigint, '... and the pool has its block back');

-- allocation: a /29 has six addresses
SELECT is((api_1.peers_list(:'admin', :'public', NULL, NULL)).body ->> 'next_cursor', NULL, 'three are there');
CREATE FUNCTION t.more(owner api_1.ctx, network uuid, n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE r api_1.reply;
BEGIN
    FOR i IN 1..n LOOP
        r := api_1.peers_create(t.device(owner, 'extra' || i || clock_timestamp()), network, jsonb_build_object('public_key', t.key(clock_timestamp()::text)));
        RETURN NEXT coalesce(r.body ->> 'ip_address', r.body ->> 'code');
    END LOOP;
END $$;
SELECT results_eq(format($$SELECT t.more(%L, %L, 4)$$, :'second', :'public'), ARRAY['10.1.0.4', '10.1.0.5', '10.1.0.6', 'network_full'], 'the next ones, until it is full');
SELECT api_1.peers_delete(:'laptop', :'peer') AS gone \g /dev/null
SELECT results_eq(format($$SELECT t.more(%L, %L, 2)$$, :'second', :'public'), ARRAY['10.1.0.1', 'network_full'], 'a full one gives a released address at once');
SELECT id AS p6 FROM goconnect.peers WHERE network_id = :'public' AND ip_address = '10.1.0.6' \gset

-- a LAN's frames go to each member one by one: it holds 64
SELECT t.network(:'admin', :'acme', '{"name": "Cable", "cidr": "192.168.9.0/24", "mode": "l2"}') AS cable \gset
SELECT t.join(:'admin', :'second', :'acme', :'cable') \g /dev/null
SELECT is((SELECT count(*) FROM t.more(:'second', :'cable', 64) AS ip WHERE ip LIKE '192.168.9.%'), 64::bigint, 'a network of mode l2 takes 64');
SELECT is(t.said(api_1.peers_create(t.device(:'second', 'one too many'), :'cable', jsonb_build_object('public_key', t.key('too many')))), '409 network_full', '... and no more');
SELECT is(t.said(api_1.networks_update(:'admin', :'cable', '{"mode": "l3"}')), '409 network_in_use', '... whose mode stays while it has peers');

SELECT t.network(:'admin', :'acme', '{"name": "Roomy", "cidr": "192.168.7.0/24"}') AS roomy \gset
SELECT t.device(:'admin', 'd1') AS d1 \gset
SELECT t.device(:'admin', 'd2') AS d2 \gset
SELECT t.device(:'admin', 'd3') AS d3 \gset
SELECT t.peer(:'d1', :'roomy') AS p1 \gset
SELECT api_1.peers_delete(:'admin', :'p1') \g /dev/null
SELECT t.peer(:'d1', :'roomy') AS p1 \gset
SELECT is((SELECT host(ip_address) FROM goconnect.peers WHERE id = :'p1'), '192.168.7.2', 'a released address rests');
UPDATE goconnect.released_addresses SET released_at = now() - interval '25 hours';
SELECT t.peer(:'d2', :'roomy') AS p2 \gset
SELECT is((SELECT host(ip_address) FROM goconnect.peers WHERE id = :'p2'), '192.168.7.1', '... for a day');
INSERT INTO goconnect.reservations (network_id, ip_address, device_id) VALUES (:'roomy', '192.168.7.3', (:'d1'::api_1.ctx).device_id), (:'roomy', '192.168.7.99', (:'d3'::api_1.ctx).device_id);
SELECT t.device(:'admin', 'd4') AS d4 \gset
SELECT t.peer(:'d4', :'roomy') AS p4 \gset
SELECT is((SELECT host(ip_address) FROM goconnect.peers WHERE id = :'p4'), '192.168.7.4', 'a reserved one is passed over');
SELECT t.peer(:'d3', :'roomy') AS p3 \gset
SELECT is((SELECT host(ip_address) FROM goconnect.peers WHERE id = :'p3'), '192.168.7.99', '... and kept for its holder');

-- config
SELECT * FROM api_1.peers_config(:'d1', :'p1') \gset r_
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_body'::json) k), ARRAY['peer', 'network', 'private_key', 'gateway', 'peers'], 'a configuration');
SELECT is(json_array_length(:'r_body'::json -> 'peers'), 3, '... with the others');
SELECT is((api_1.peers_config(:'admin', :'p1')).status, 200, '... for its user');
SELECT is(t.said(api_1.peers_config(:'owner', :'p1')), '403 forbidden', '... and nobody else');
SELECT is(t.said(api_1.peers_config(:'d2', :'p1')), '403 forbidden', '... not even a sister');
SELECT is(t.said(api_1.peers_config(:'stranger', :'p1')), '404 not_found', '... of whom strangers know nothing');

-- delete a peer
SELECT is(t.said(api_1.peers_delete(:'member', :'p6')), '403 forbidden', 'a member deletes no other''s peer');
SELECT is(t.said(api_1.peers_delete(:'d1', :'p2')), '403 forbidden', 'a device not its sister''s');
SELECT is(t.said(api_1.peers_delete(:'stranger', :'p1')), '404 not_found', 'a stranger none');
SELECT * FROM api_1.peers_delete(:'admin', :'p6') \gset r_
SELECT is(:r_status, 204, 'staff does');
SELECT is((SELECT array_agg(e ->> 'type' || '@' || split_part(e ->> 'topic', ':', 1)) FROM json_array_elements(:'r_events'::json) e), ARRAY['revoked@device', 'netmap_delta@network', 'self@device'], '... and tells');
SELECT is(:'r_events'::json #>> '{2,data,peers}', '[]', '... the device what it has left');
SELECT is((api_1.peers_delete(:'d1', :'p1')).status, 204, 'a device its own');

-- netmap
SELECT * FROM api_1.devices_netmap(:'d2', (:'d2'::api_1.ctx).device_id) \gset r_
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_body'::json #> '{networks,0}') k), ARRAY['network_id', 'version', 'network', 'relays', 'dns', 'rules', 'peers'], 'a netmap');
SELECT is(json_array_length(:'r_body'::json #> '{networks,0,peers}'), 3, '... of all peers');
SELECT is(:'r_body'::json #>> '{self,peers,0,peer_id}', :'p2', '... and what is its own');
SELECT is(t.said(api_1.devices_netmap(:'d1', (:'d2'::api_1.ctx).device_id)), '404 not_found', '... for nobody else');
SELECT is(t.said(api_1.devices_netmap(:'stranger', (:'d2'::api_1.ctx).device_id)), '404 not_found', '... at all');

-- a device that goes, and one that logs out
SELECT * FROM api_1.devices_delete(:'admin', (:'d2'::api_1.ctx).device_id) \gset r_
SELECT is((SELECT array_agg(e ->> 'type' || '@' || split_part(e ->> 'topic', ':', 1)) FROM json_array_elements(:'r_events'::json) e), ARRAY['revoked@device', 'revoked@user', 'netmap_delta@network', 'self@device'], 'a device is deleted');
SELECT is(t.said(api_1.auth_me(:'d2')), '401 session_revoked', '... and its session with it');
SELECT is(t.said(api_1.devices_delete(:'member', (:'d3'::api_1.ctx).device_id)), '404 not_found', 'not by others');
SELECT * FROM api_1.auth_logout(:'d3') \gset r_
SELECT is((SELECT array_agg(e ->> 'type' || '@' || split_part(e ->> 'topic', ':', 1)) FROM json_array_elements(:'r_events'::json) e), ARRAY['revoked@device', 'netmap_delta@network', 'self@device'], 'a device logs out: its peers go');
SELECT is((SELECT count(*) FROM goconnect.devices WHERE id = (:'d3'::api_1.ctx).device_id), 1::bigint, '... the device stays');
SELECT t.device(:'admin', 'd3') AS again \gset
SELECT is((:'again'::api_1.ctx).device_id, (:'d3'::api_1.ctx).device_id, '... and is the same when it comes back');

-- leave
SELECT count(*) AS n FROM goconnect.peers WHERE network_id = :'public' AND user_id = (:'second'::api_1.ctx).user_id \gset
SELECT * FROM api_1.networks_leave(:'second', :'public') \gset r_
SELECT is(:r_status, 204, 'leave');
SELECT is((SELECT count(*) FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'netmap_delta'), 1::bigint, '... one step of the map');
SELECT is(json_array_length((SELECT e -> 'data' -> 'remove' FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'netmap_delta')), :n, '... for all his peers');
SELECT is((SELECT e #>> '{data,topics}' FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'revoked' AND e ->> 'topic' LIKE 'user:%')::jsonb, jsonb_build_array('network:' || :'public', 'network:' || :'public' || '/staff'), '... the topics that end');
SELECT is((SELECT count(*) FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'revoked' AND e ->> 'topic' LIKE 'device:%'), :n::bigint, '... each device hears it');
SELECT is((SELECT count(*) FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'self' AND e #>> '{data,peers}' = '[]'), :n::bigint, '... and has nothing left');
SELECT is(t.said(api_1.peers_list(:'laptop2', :'public', NULL, NULL)), '404 not_found', '... nor sees anything');

-- a higher required role puts out who is below it
SELECT * FROM api_1.networks_update(:'admin', :'public', '{"required_role": "admin"}') \gset r_
SELECT is((SELECT count(*) FROM goconnect.memberships WHERE network_id = :'public' AND user_id = (:'member'::api_1.ctx).user_id), 0::bigint, 'below the new role: out');
SELECT is((SELECT count(*) FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'revoked' AND e ->> 'topic' = 'user:' || (:'member'::api_1.ctx).user_id), 1::bigint, '... and told');
SELECT is((SELECT e #>> '{data,change}' FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'topic' = 'tenant:' || :'acme'), 'removed', '... and no more in the tenant''s view');
SELECT is(t.said(api_1.networks_update(:'member', :'wide', '{"name": "x"}')), '403 forbidden', 'a member changes nothing');
SELECT is(t.said(api_1.networks_update(:'stranger', :'wide', '{"name": "x"}')), '404 not_found', 'a stranger less');

-- delete
SELECT * FROM api_1.networks_delete(:'admin', :'wide') \gset r_
SELECT is(:r_status, 204, 'delete');
SELECT is((SELECT array_agg(DISTINCT e ->> 'type' || '@' || split_part(e ->> 'topic', ':', 1) ORDER BY e ->> 'type' || '@' || split_part(e ->> 'topic', ':', 1)) FROM json_array_elements(:'r_events'::json) e), ARRAY['netmap_delta@network', 'network@network', 'network@tenant', 'revoked@device', 'revoked@user', 'self@device'], '... and tells everybody');
SELECT is((SELECT e #>> '{data,base_version}' FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'netmap_delta') IS NOT NULL, true, '... the map from its last version');
SELECT is(t.said(api_1.networks_get(:'admin', :'wide')), '404 not_found', '... it is gone');
SELECT is(t.said(api_1.networks_delete(:'second', :'first')), '403 forbidden', 'a member deletes none');

SELECT * FROM finish();
ROLLBACK;
