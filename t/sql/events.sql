-- Publishing, chat, idempotency, and what the WebSocket side asks for.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('alice') AS alice \gset
SELECT t.user('bob') AS bob \gset
SELECT t.user('eve') AS eve \gset
SELECT t.tenant(:'alice', '{"name": "Acme"}') AS acme \gset
SELECT t.network(:'alice', :'acme', '{"name": "lan"}') AS lan \gset
SELECT t.network(:'alice', :'acme', '{"name": "second"}') AS second \gset
SELECT t.join(:'alice', :'bob', :'acme', :'lan') \g /dev/null
SELECT t.device(:'bob', 'laptop') AS laptop \gset
SELECT t.device(:'alice', 'desk') AS desk \gset
SELECT 'network:' || :'lan' AS ntopic, 'tenant:' || :'acme' AS ttopic, 'user:' || (:'bob'::api_1.ctx).user_id AS btopic \gset

-- publish
CREATE FUNCTION t.seq(topic text) RETURNS bigint LANGUAGE sql AS $$ SELECT seq FROM goconnect.topics WHERE id = topic $$;
SELECT coalesce(t.seq(:'ntopic'), 0) AS n0, coalesce(t.seq(:'ttopic'), 0) AS t0 \gset
SELECT api_1._publish(ARRAY[
    api_1._event(:'ttopic', 'tenant', '{"a": 1}'), api_1._event(:'ntopic', 'member', '{"b": 1}'),
    api_1._event(:'ttopic', 'tenant', '{"a": 2}')]) AS frames \gset
SELECT is((SELECT array_agg((e ->> 'seq')::bigint - CASE e ->> 'topic' WHEN :'ttopic' THEN :'t0'::bigint ELSE :'n0'::bigint END || ' ' || (e ->> 'data')) FROM json_array_elements(:'frames'::json) e),
    ARRAY['1 {"a": 1}', '1 {"b": 1}', '2 {"a": 2}'], 'frames come in the order given, each topic counts by itself');
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'frames'::json -> 0) k), ARRAY['type', 'topic', 'seq', 'data'], 'a frame is what the protocol says');
SELECT is(api_1._publish('{}')::text, NULL, 'nothing is nothing');
SELECT is_empty($$ SELECT topic FROM goconnect.events GROUP BY topic HAVING max(seq) <> count(*) OR min(seq) <> 1 $$, 'no topic has a gap');
SELECT is_empty($$ SELECT t.id FROM goconnect.topics t JOIN goconnect.events e ON e.topic = t.id GROUP BY t.id, t.seq HAVING max(e.seq) <> t.seq $$, '... nor is one ahead of its events');

-- deltas of one network become one
SELECT gen_random_uuid() AS x, gen_random_uuid() AS y \gset
SELECT t.seq(:'ntopic') AS n1, netmap_version AS v0 FROM goconnect.networks WHERE id = :'lan' \gset
SELECT api_1._publish(ARRAY[
    api_1._event(:'ntopic', 'netmap_delta', json_build_object('network_id', :'lan', 'upsert', '[{"id": 1}]'::json, 'remove', json_build_array(:'x'))),
    api_1._event('network:' || :'second', 'netmap_delta', json_build_object('network_id', :'second', 'upsert', '[]'::json, 'remove', '[]'::json)),
    api_1._event(:'ntopic', 'member', '{}'),
    api_1._event(:'ntopic', 'netmap_delta', json_build_object('network_id', :'lan', 'upsert', '[{"id": 2}]'::json, 'remove', json_build_array(:'y')))]) AS frames \gset
SELECT is((SELECT array_agg(e ->> 'type') FROM json_array_elements(:'frames'::json) e), ARRAY['netmap_delta', 'netmap_delta', 'member'], 'two deltas of a network are merged');
SELECT is((:'frames'::json #>> '{0,data,upsert}')::jsonb, '[{"id": 1}, {"id": 2}]', '... what they bring');
SELECT is((:'frames'::json #>> '{0,data,remove}')::jsonb, jsonb_build_array(:'x', :'y'), '... and what they take');
SELECT is(:'frames'::json #>> '{0,data,base_version}', :'v0', '... from the version before');
SELECT is((:'frames'::json #>> '{0,data,version}')::bigint, :'n1'::bigint + 1, '... to that of its seq');
SELECT is((SELECT netmap_version FROM goconnect.networks WHERE id = :'lan'), :'n1'::bigint + 1, '... which the network keeps');

-- chat
SELECT * FROM api_1.network_messages_create(:'laptop', :'lan', '{"content": "hello"}') \gset r_
SELECT is(:r_status, 201, 'a message');
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_body'::json) k), ARRAY['id', 'tenant_id', 'network_id', 'user_id', 'username', 'content', 'timestamp', 'edited_at', 'deleted', 'number', 'seq'], '... as the protocol says');
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_events'::json #> '{0,data}') k), ARRAY['id', 'tenant_id', 'network_id', 'user_id', 'username', 'content', 'timestamp', 'edited_at', 'deleted', 'number'], '... in the event without a seq inside');
SELECT is(:'r_events'::json #>> '{0,seq}', :'r_body'::json ->> 'seq', '... which is the topic''s');
SELECT api_1.network_messages_create(:'bob', :'lan', jsonb_build_object('content', 'm' || i)) FROM generate_series(2, 5) i \g /dev/null
SELECT is((SELECT array_agg(number ORDER BY seq) FROM goconnect.messages WHERE network_id = :'lan'), ARRAY[1, 2, 3, 4, 5]::bigint[], 'numbers have no gap, whatever lies between');
CREATE FUNCTION t.said_in(r api_1.reply) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(i ->> 'content', ' ' ORDER BY o) || coalesce(' +' || (r.body ->> 'next_cursor' IS NOT NULL)::text, '') FROM json_array_elements(r.body -> 'items') WITH ORDINALITY x (i, o) $$;
SELECT is(t.said_in(api_1.network_messages_list(:'bob', :'lan', NULL, NULL, NULL)), 'hello m2 m3 m4 m5 +false', 'a list, oldest first');
SELECT is(t.said_in(api_1.network_messages_list(:'bob', :'lan', NULL, NULL, 2)), 'm4 m5 +true', '... the last ones if there are more');
SELECT (api_1.network_messages_list(:'bob', :'lan', NULL, NULL, 2)).body ->> 'next_cursor' AS next \gset
SELECT is(t.said_in(api_1.network_messages_list(:'bob', :'lan', NULL, :'next', 2)), 'm2 m3 +true', '... those before');
SELECT seq AS s1 FROM goconnect.messages WHERE content = 'hello' \gset
SELECT is(t.said_in(api_1.network_messages_list(:'bob', :'lan', :s1, NULL, 3)), 'm2 m3 m4 +true', '... those after');
SELECT is(t.said_in(api_1.network_messages_list(:'laptop', :'lan', 0, NULL, NULL)), 'hello m2 m3 m4 m5 +false', '... for a device too');
SELECT is(t.said(api_1.network_messages_create(:'bob', :'lan', '{"content": ""}')), '422 invalid_fields content:required', 'an empty message');
SELECT is(t.said(api_1.network_messages_create(:'bob', :'lan', jsonb_build_object('content', repeat('x', 4001)))), '422 invalid_fields content:too_long', 'a long one');
SELECT is((api_1.network_messages_create(:'bob', :'lan', jsonb_build_object('content', repeat('ü', 4000)))).status, 201, '... counts characters');
SELECT is(t.said(api_1.network_messages_create(:'eve', :'lan', '{"content": "x"}')), '404 not_found', 'a stranger writes nothing');
SELECT is(t.said(api_1.network_messages_list(:'eve', :'lan', NULL, NULL, NULL)), '404 not_found', '... and reads nothing');
SELECT is((api_1.tenant_messages_create(:'bob', :'acme', '{"content": "to all"}')).status, 201, 'the tenant''s channel');
SELECT is(t.said_in(api_1.tenant_messages_list(:'alice', :'acme', NULL, NULL, NULL)), 'to all +false', '... is another one');
SELECT is(t.said(api_1.tenant_messages_create(:'laptop', :'acme', '{"content": "x"}')), '403 user_session_required', '... not for devices');
SELECT is(t.said(api_1.tenant_messages_create(:'eve', :'acme', '{"content": "x"}')), '404 not_found', '... nor strangers');
SELECT is(t.said(api_1.network_messages_create(ROW((:'bob'::api_1.ctx).user_id, gen_random_uuid(), NULL, NULL, NULL, NULL, NULL)::api_1.ctx, :'lan', '{"content": "x"}')), '401 session_revoked', 'nor without a session');

-- idempotency
CREATE FUNCTION t.keyed(c api_1.ctx, key uuid) RETURNS api_1.ctx LANGUAGE plpgsql AS $$ BEGIN c.idempotency_key := key; RETURN c; END $$;
SELECT gen_random_uuid() AS key \gset
SELECT * FROM api_1.network_messages_create(t.keyed(:'bob', :'key'), :'lan', '{"content": "once"}') \gset a_
SELECT * FROM api_1.network_messages_create(t.keyed(:'bob', :'key'), :'lan', '{"content": "once"}') \gset b_
SELECT is(:'b_body'::json ->> 'id', :'a_body'::json ->> 'id', 'the same key: the same answer');
SELECT is((SELECT count(*) FROM goconnect.messages WHERE content = 'once'), 1::bigint, '... and one message');
SELECT is((api_1.network_messages_create(t.keyed(:'bob', :'key'), :'lan', '{"content": "once"}')).events::text, NULL, '... told once');
SELECT is(t.said(api_1.network_messages_create(t.keyed(:'bob', :'key'), :'lan', '{"content": "twice"}')), '409 idempotency_conflict', '... with another body: refused');
SELECT is(t.said(api_1.tenants_create(t.keyed(:'bob', :'key'), '{"name": "once"}')), '409 idempotency_conflict', '... on another route: refused');
SELECT is((api_1.network_messages_create(t.keyed(:'alice', :'key'), :'lan', '{"content": "hers"}')).status, 201, '... of somebody else: another key');
SELECT is((api_1.tenants_create(t.keyed(:'alice', 'aaaaaaaa-0000-4000-8000-000000000001'), '{"name": "K"}')).body ->> 'id', (api_1.tenants_create(t.keyed(:'alice', 'aaaaaaaa-0000-4000-8000-000000000001'), '{"name": "K"}')).body ->> 'id', 'a tenant is made once');
SELECT is((api_1.networks_create(t.keyed(:'alice', 'aaaaaaaa-0000-4000-8000-000000000002'), :'acme', '{"name": "K"}')).body ->> 'id', (api_1.networks_create(t.keyed(:'alice', 'aaaaaaaa-0000-4000-8000-000000000002'), :'acme', '{"name": "K"}')).body ->> 'id', 'a network too');
SELECT is(t.said(api_1.tenants_create(t.keyed(:'alice', 'aaaaaaaa-0000-4000-8000-000000000003'), '{"name": ""}')), '422 invalid_fields name:invalid', 'a refusal ...');
SELECT is((api_1.tenants_create(t.keyed(:'alice', 'aaaaaaaa-0000-4000-8000-000000000003'), '{"name": "L"}')).status, 201, '... is not kept');

-- hello
SELECT t.peer(:'laptop', :'lan') AS peer \gset
SELECT t.peer(:'desk', :'lan') AS deskpeer \gset
SELECT * FROM api_1.ws_hello(:'laptop') \gset r_
SELECT is((SELECT array_agg(split_part(e ->> 'topic', ':', 1)) FROM json_array_elements(:'r_body'::json -> 'topics') e), ARRAY['device', 'network'], 'hello: the topics of a device');
SELECT is((:'r_body'::json -> 'peers')::jsonb, jsonb_build_array(jsonb_build_object('network_id', :'lan', 'peer_id', :'peer')), '... and its peers');
SELECT is((:'r_body'::json -> 'device')::jsonb, jsonb_build_object('id', (:'laptop'::api_1.ctx).device_id, 'name', 'laptop'), '... and itself');
SELECT ok(:'r_body'::json ->> 'epoch' ~ '^[0-9A-F]+-[0-9a-f]+$', '... and the epoch');
SELECT is((SELECT count(*) FROM json_array_elements((api_1.ws_hello(:'bob')).body -> 'topics') e WHERE e ->> 'topic' LIKE '%staff'), 0::bigint, 'a member has no staff topic');
SELECT is((SELECT count(*) FROM json_array_elements((api_1.ws_hello(:'alice')).body -> 'topics') e WHERE e ->> 'topic' LIKE 'network:%/staff'), 3::bigint, 'an owner has them all');

-- subscribe
CREATE FUNCTION t.want(c api_1.ctx, VARIADIC pairs text[]) RETURNS json LANGUAGE sql AS $$
    SELECT (api_1.ws_subscribe(c, (SELECT jsonb_agg(jsonb_build_object('topic', pairs[i], 'seq', nullif(pairs[i + 1], '')::bigint)) FROM generate_series(1, cardinality(pairs), 2) i))).body $$;
CREATE FUNCTION t.refused(j json) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(e ->> 'code', ' ' ORDER BY o) FROM json_array_elements(j -> 'refused') WITH ORDINALITY x (e, o) $$;
SELECT t.want(:'laptop', :'ntopic', '0', 'device:' || (:'laptop'::api_1.ctx).device_id, '') AS j \gset
SELECT is(json_array_length(:'j'::json -> 'topics'), 2, 'a device subscribes');
SELECT is((SELECT array_agg((e ->> 'seq')::bigint) FROM json_array_elements(:'j'::json #> '{topics,0,events}') e), (SELECT array_agg(i) FROM generate_series(1, t.seq(:'ntopic')) i), '... and gets what it missed, in order');
SELECT is(:'j'::json #>> '{topics,0,resync}', 'false', '... without a resync');
SELECT is(:'j'::json #>> '{topics,0,netmap_version}', (SELECT netmap_version::text FROM goconnect.networks WHERE id = :'lan'), '... and the version of the map');
SELECT is(:'j'::json #>> '{topics,1,self,peers,0,peer_id}', :'peer', '... and its own part');
SELECT is(json_array_length(t.want(:'laptop', :'ntopic', '') #> '{topics,0,events}'), 0, 'null begins live');
SELECT is(json_array_length(t.want(:'laptop', :'ntopic', t.seq(:'ntopic')::text) #> '{topics,0,events}'), 0, 'who is in step missed nothing');
SELECT is(t.want(:'laptop', :'ntopic', t.seq(:'ntopic')::text) #>> '{topics,0,resync}', 'false', '... and needs none');
SELECT is(t.want(:'laptop', :'ntopic', '999999') #>> '{topics,0,resync}', 'true', 'who is ahead comes from another world');
SELECT is(t.refused(t.want(:'laptop', 'device:' || (:'desk'::api_1.ctx).device_id, '', :'btopic', '', :'ttopic', '', 'network:' || :'second', '', :'ntopic' || '/staff', '', 'nonsense', '')), 'not_found not_found forbidden not_found forbidden invalid_topic', 'a device gets no more than its own');
SELECT is(t.refused(t.want(:'bob', :'ttopic' || '/staff', '', 'user:' || (:'alice'::api_1.ctx).user_id, '', 'network:' || :'second', '', 'device:' || (:'laptop'::api_1.ctx).device_id, '')), 'forbidden not_found not_found not_found', 'nor does a member');
SELECT is(t.refused(t.want(:'eve', :'ttopic', '', :'ntopic', '', 'tenant:' || gen_random_uuid(), '')), 'not_found not_found not_found', 'nor a stranger, to whom all looks alike');
SELECT is(t.refused(t.want(:'alice', :'ttopic' || '/staff', '', :'ntopic' || '/staff', '', :'ntopic', '0', :'ttopic', '0')), NULL, 'an owner gets all');
DELETE FROM goconnect.events WHERE topic = :'ntopic' AND seq = 1;
SELECT is(t.want(:'laptop', :'ntopic', '0') #>> '{topics,0,resync}', 'true', 'what is not kept any more: resync');
SELECT is(json_array_length(t.want(:'laptop', :'ntopic', '0') #> '{topics,0,events}'), 0, '... and no half of it');
SELECT is(t.want(:'laptop', :'ntopic', '1') #>> '{topics,0,resync}', 'false', '... but after it');
SELECT api_1._publish(array_agg(api_1._event(:'ntopic', 'member', '{}'))) FROM generate_series(1, 1001) \g /dev/null
SELECT is(t.want(:'laptop', :'ntopic', '1') #>> '{topics,0,resync}', 'true', 'too much is a resync too');
SELECT is(t.said(api_1.ws_subscribe(:'bob', (SELECT jsonb_agg(jsonb_build_object('topic', 'x')) FROM generate_series(1, 257)))), '422 invalid_fields topics:invalid', 'too many topics');

-- netmap
SELECT * FROM api_1.ws_netmap(:'laptop', :'lan') \gset r_
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_body'::json) k), ARRAY['network_id', 'version', 'network', 'relays', 'dns', 'rules', 'peers', 'seq'], 'the map');
SELECT is((:'r_body'::json ->> 'seq')::bigint, t.seq(:'ntopic'), '... with the topic''s seq');
SELECT is((SELECT (e ->> 'id') FROM json_array_elements(:'r_body'::json -> 'peers') e WHERE e ->> 'device_id' = (:'laptop'::api_1.ctx).device_id::text), :'peer', '... and all peers, oneself too');
SELECT is(:'r_body'::json #>> '{network,joined}', NULL, '... the same for everybody');
SELECT is((api_1.ws_netmap(:'laptop', :'lan')).body::text, (api_1.ws_netmap(:'desk', :'lan')).body::text, '... byte for byte');
SELECT is(t.said(api_1.ws_netmap(:'laptop', :'second')), '404 not_found', '... of no other network');

-- endpoints
SELECT * FROM api_1.ws_endpoints(:'laptop', :'lan', '{"endpoints": ["198.51.100.1:4000"]}') \gset r_
SELECT is(:'r_events'::json #>> '{0,data,upsert,0,endpoint}', '198.51.100.1:4000', 'endpoints are a step of the map');
SELECT is((api_1.ws_endpoints(:'laptop', :'lan', '{"endpoints": ["198.51.100.1:4000"]}')).events::text, NULL, '... if they changed');
SELECT is(t.said(api_1.ws_endpoints(:'laptop', :'lan', '{"endpoints": ["host:1"]}')), '422 invalid_fields endpoints[0]:invalid', '... and are some');
SELECT is(t.said(api_1.ws_endpoints(:'laptop', :'second', '{"endpoints": []}')), '404 not_found', '... where it has a peer');
SELECT is(t.said(api_1.ws_endpoints(:'bob', :'lan', '{"endpoints": []}')), '403 device_required', '... a user has none');

-- private networks stay out of the tenant's topic
SELECT is_empty(format($$SELECT kind, payload::text FROM goconnect.events WHERE topic = %L AND payload::text LIKE '%%' || %L || '%%'$$, :'ttopic', :'lan'), 'nothing of a private network is told to the tenant');

-- retention: the heartbeat of a worker carries it
SELECT (:'laptop'::api_1.ctx).device_id AS l \gset
SELECT api_1.ws_presence('00000000-0000-4000-8000-000000000001', jsonb_build_object('online', ARRAY[:'l'])) \g /dev/null
UPDATE goconnect.events SET created_at = now() - interval '73 hours' WHERE topic = :'btopic';
UPDATE goconnect.chores SET done_at = '-infinity';
SELECT api_1.ws_presence('00000000-0000-4000-8000-000000000001', '{}') \g /dev/null
SELECT is((SELECT count(*) FROM goconnect.events WHERE topic = :'btopic'), 0::bigint, 'events are kept for 72 hours');
SELECT ok(t.seq(:'btopic') > 0, '... their count for ever');

SELECT t.user('mallory') AS mallory \gset
SELECT t.join(:'alice', :'mallory', :'acme', :'lan') \g /dev/null
UPDATE goconnect.memberships SET status = 'banned' WHERE user_id = (:'mallory'::api_1.ctx).user_id;
INSERT INTO goconnect.bans (tenant_id, network_id, user_id, until)
SELECT tenant_id, network_id, user_id, CASE WHEN network_id IS NULL THEN now() + interval '1 day' ELSE now() - interval '1 second' END
  FROM goconnect.memberships WHERE user_id = (:'mallory'::api_1.ctx).user_id;
SELECT api_1.tenants_update(:'alice', :'acme', '{"settings": {"retention_days": 7}}') \g /dev/null
UPDATE goconnect.messages SET created_at = now() - interval '8 days' WHERE content IN ('m2', 'to all');
UPDATE goconnect.idempotency SET created_at = now() - interval '25 hours' WHERE key = :'key' AND user_id = (:'bob'::api_1.ctx).user_id;
INSERT INTO goconnect.ws_tickets SELECT sha256('old'), (:'bob'::api_1.ctx).session_id, now() - interval '1 second';
UPDATE goconnect.sessions SET expires_at = now() - interval '1 second' WHERE id = (:'eve'::api_1.ctx).session_id;
UPDATE goconnect.devices SET last_seen = now() - interval '6 minutes' WHERE id = :'l';
SELECT api_1.ws_presence('00000000-0000-4000-8000-000000000001', '{}') \g /dev/null
SELECT is((SELECT count(*) FROM goconnect.messages WHERE content IN ('m2', 'to all')), 2::bigint, 'the sweep comes once a minute, over all nodes');
UPDATE goconnect.chores SET done_at = '-infinity';
SELECT api_1.ws_presence('00000000-0000-4000-8000-000000000001', '{}') \g /dev/null
SELECT is((SELECT count(*) FROM goconnect.messages WHERE content IN ('m2', 'to all')), 0::bigint, '... takes messages that a tenant does not keep');
SELECT is((SELECT count(*) FROM goconnect.messages WHERE content IN ('m3', 'hello')), 2::bigint, '... and no other');
SELECT is((SELECT array_agg(coalesce(network_id::text, 'tenant')) FROM goconnect.memberships WHERE user_id = (:'mallory'::api_1.ctx).user_id), ARRAY['tenant'], '... bans that are over');
SELECT is((SELECT count(*) FROM goconnect.idempotency WHERE key = :'key' AND user_id = (:'bob'::api_1.ctx).user_id), 0::bigint, '... old idempotency keys');
SELECT is((SELECT count(*) FROM goconnect.ws_tickets WHERE hash = sha256('old')), 0::bigint, '... old tickets');
SELECT is((SELECT count(*) FROM goconnect.sessions WHERE id = (:'eve'::api_1.ctx).session_id), 0::bigint, '... and sessions');
SELECT is((SELECT last_seen FROM goconnect.devices WHERE id = :'l'), now(), '... and notes who is still here');

-- readiness
SELECT is((api_1.ready()).body::jsonb - 'grants_ok', '{"version": 1, "compatible_from": 1}', 'ready');

SELECT * FROM finish();
ROLLBACK;
