-- Enrolment keys, device codes, and devices that vanish.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('owner') AS owner \gset
SELECT t.user('admin') AS admin \gset
SELECT t.user('member') AS member \gset
SELECT t.user('stranger') AS stranger \gset
SELECT t.tenant(:'owner', '{"name": "Home"}') AS tenant \gset
SELECT t.tenant(:'stranger', '{"name": "Else"}') AS else \gset
SELECT t.join(:'owner', :'admin', :'tenant', NULL, 'admin') \g /dev/null
SELECT t.join(:'owner', :'member', :'tenant') \g /dev/null
SELECT t.network(:'owner', :'tenant', '{"name": "lan", "join_policy": "approval", "cidr": "10.1.0.0/24"}') AS lan \gset
SELECT t.network(:'owner', :'tenant', '{"name": "lab", "cidr": "10.2.0.0/24"}') AS lab \gset
SELECT t.network(:'owner', :'tenant', '{"name": "same", "cidr": "10.2.0.0/16"}') AS same \gset
SELECT t.network(:'owner', :'tenant', '{"name": "high", "required_role": "moderator"}') AS high \gset
SELECT t.network(:'stranger', :'else', '{"name": "foreign"}') AS foreign \gset

CREATE FUNCTION t.add_key(c api_1.ctx, tenant uuid, body jsonb, key text) RETURNS api_1.reply LANGUAGE sql AS $$
    SELECT api_1.enrollment_keys_create(c, tenant, body || jsonb_build_object('key_hash', t.hash(key))) $$;
CREATE FUNCTION t.enroll(key text, device text) RETURNS api_1.reply LANGUAGE sql AS $$
    SELECT api_1.auth_enroll(t.nobody(), jsonb_build_object('key_hash', t.hash(key), 'name', device,
        'platform', 'linux', 'public_key', t.key('device ' || device), 'refresh_hash', t.hash(gen_random_uuid()::text))) $$;
CREATE FUNCTION t.as_device(r api_1.reply) RETURNS api_1.ctx LANGUAGE sql AS $$
    SELECT ROW((r.body #>> '{user,id}')::uuid, (r.body ->> 'session_id')::uuid, (r.body #>> '{device,id}')::uuid, '192.0.2.9', 'r', NULL, NULL)::api_1.ctx $$;

-- keys
SELECT * FROM t.add_key(:'admin', :'tenant', jsonb_build_object('name', ' Build Farm ', 'networks', jsonb_build_array(:'lan', :'lab'), 'reusable', true), 'farm') \gset r_
SELECT is(:r_status, 201, 'an admin makes a key');
SELECT :'r_body'::json ->> 'id' AS farm \gset
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_body'::json) k), ARRAY['id', 'tenant_id', 'name', 'user_id', 'username', 'reusable', 'ephemeral', 'networks', 'uses', 'device_count', 'last_used_at', 'expires_at', 'created_by', 'created_at'], '... as the protocol says');
SELECT is(:'r_body'::jsonb ->> 'username', 'device-build-farm', '... its service user is named after it');
SELECT is((:'r_body'::json ->> 'expires_at')::timestamptz, now() + interval '90 days', '... for 90 days');
SELECT is(:'r_body'::jsonb -> 'networks', (SELECT jsonb_agg(x ORDER BY x) FROM unnest(ARRAY[:'lan', :'lab']) x), '... for its networks');
SELECT is((SELECT (action, actor_id, target_id, detail #>> '{after,name}')::text FROM goconnect.audit_log ORDER BY id DESC LIMIT 1), ('enrollment_key.create', (:'admin'::api_1.ctx).user_id, :'farm'::uuid, 'Build Farm')::text, '... in the audit trail');
SELECT is((t.add_key(:'admin', :'tenant', '{"name": "build farm"}', 'k2')).body ->> 'username', 'device-build-farm-2', 'a second of the name');
SELECT is((t.add_key(:'admin', :'tenant', '{"name": "日本", "expires_in": null}', 'k3')).body ->> 'username', 'device-key', 'a name without a letter of ASCII');
SELECT is((t.add_key(:'admin', :'tenant', '{"name": "日本", "expires_in": null}', 'k4')).body ->> 'expires_at', NULL, 'null: for ever');
SELECT is(t.said(t.add_key(:'member', :'tenant', '{"name": "x"}', 'x')), '403 forbidden', 'a member makes none');
SELECT is(t.said(t.add_key(:'stranger', :'tenant', '{"name": "x"}', 'x')), '404 not_found', 'a stranger knows nothing');
SELECT is(t.said(t.add_key(:'admin', :'tenant', jsonb_build_object('name', ' ', 'expires_in', 59, 'networks', jsonb_build_array(:'lan', :'foreign', :'high')), 'x')), '422 invalid_fields name:invalid expires_in:out_of_range networks[1]:unknown networks[2]:invalid', 'every wrong field');
SELECT is(t.said(t.add_key(:'admin', :'tenant', jsonb_build_object('name', 'x', 'networks', jsonb_build_array(:'lab', :'same')), 'x')), '409 address_overlap', 'networks that no device can be in at once');
SELECT is(t.said(api_1.enrollment_keys_list(:'member', :'tenant', NULL, NULL)), '403 forbidden', 'a member lists none');
SELECT is(t.said(api_1.enrollment_keys_list(:'stranger', :'tenant', NULL, NULL)), '404 not_found', 'nor a stranger');
SELECT is(t.said(api_1.enrollment_keys_list(:'admin', :'tenant', NULL, 'x')), '422 invalid_fields cursor:invalid', 'no cursor');
SELECT is((SELECT count(*) FROM json_array_elements((api_1.enrollment_keys_list(:'admin', :'tenant', 10, NULL)).body -> 'items')), 4::bigint, 'an admin lists them');
SELECT is((SELECT count(*) FROM goconnect.memberships m JOIN goconnect.users u ON u.id = m.user_id WHERE u.kind = 'service'), 0::bigint, 'nobody is a member before the first device');

-- enrolment
SELECT * FROM t.enroll('farm', 'one') \gset r_
SELECT is(:r_status, 201, 'a device enrolls by the key');
SELECT is(:'r_body'::jsonb #>> '{user,username}', 'device-build-farm', '... under its service user');
SELECT is((SELECT string_agg(n ->> 'name' || ':' || (n ->> 'joined') || ':' || (n ->> 'role'), ' ' ORDER BY n ->> 'name') FROM json_array_elements(:'r_body'::json -> 'networks') n), 'lab:true:member lan:true:member', '... in the networks of the key, approval or not');
SELECT is(t.events(ROW(201, NULL, NULL, NULL, :'r_events'::json)::api_1.reply), 'member@network member@network member@tenant network@user network@user tenant@user', '... and all are told');
SELECT is((t.event(ROW(201, NULL, NULL, NULL, :'r_events'::json)::api_1.reply, 'member', 'tenant:' || :'tenant')) #>> '{member,kind}', 'service', '... that it is a service user');
SELECT is((SELECT (action, tenant_id, target_id)::text FROM goconnect.audit_log ORDER BY id DESC LIMIT 1), ('device.enroll', :'tenant'::uuid, (:'r_body'::json #>> '{device,id}')::uuid)::text, '... in the audit trail');
SELECT t.as_device(ROW(:r_status, :'r_body', NULL, NULL, NULL)::api_1.reply) AS one \gset
SELECT isnt(t.peer(:'one', :'lan'), NULL, 'it joins with a peer');
SELECT is(t.said(api_1.tenants_list(:'one', 'mine', NULL, NULL, NULL)), '403 user_session_required', '... and has no more than a device has');
SELECT x.status, x.events IS NULL AS quiet FROM t.enroll('farm', 'two') x \gset r_
SELECT is(:r_status, 201, 'a reusable key again');
SELECT ok(:'r_quiet'::boolean, '... the second is told to nobody');
SELECT is((SELECT (uses, device_count, last_used_at IS NOT NULL)::text FROM api_1._enrollment_keys WHERE id = :'farm'), '(2,2,t)', '... and counted');
SELECT is((t.enroll('farm', 'two')).status, 201, 'the same device again');
SELECT is((SELECT (uses, device_count)::text FROM api_1._enrollment_keys WHERE id = :'farm'), '(2,2)', '... is the same device');
SELECT is((SELECT count(*) FROM goconnect.sessions s JOIN goconnect.devices d ON d.id = s.device_id WHERE d.name = 'two'), 1::bigint, '... with one session');
SELECT is((SELECT string_agg(m ->> 'username' || ':' || (m ->> 'kind'), ' ' ORDER BY m ->> 'username') FROM json_array_elements((api_1.members_list(:'member', :'tenant', NULL, NULL)).body -> 'items') m), 'admin:person device-build-farm:service member:person owner:person', 'the members list says what it is');
SELECT is((SELECT m ->> 'kind' FROM json_array_elements((api_1.network_members_list(:'owner', :'lan', NULL, NULL)).body -> 'items') m WHERE m ->> 'username' = 'device-build-farm'), 'service', '... of the network too');
SELECT is((api_1.auth_login_begin(t.nobody(), '{"username": "device-build-farm"}')).body ->> 'user_id', NULL, 'nobody logs in as it');
SELECT is(t.said(api_1.members_add(:'owner', :'tenant', '{"username": "device-key"}')), '422 invalid_fields username:unknown', '... or asks one in');
SELECT is(t.said(t.enroll('nokey', 'x')), '401 invalid_key', 'no such key');
SELECT is(t.said(api_1.auth_enroll(t.nobody(), jsonb_build_object('key_hash', t.hash('farm'), 'name', '', 'platform', 'x', 'public_key', 'x', 'refresh_hash', t.hash('x')))), '422 invalid_fields name:invalid platform:invalid public_key:invalid', 'fields');
SELECT t.device(:'member', 'phone') AS phone \gset
SELECT is(t.said(api_1.auth_enroll(t.nobody(), jsonb_build_object('key_hash', t.hash('farm'), 'name', 'x', 'platform', 'linux', 'public_key', (SELECT public_key FROM goconnect.devices WHERE name = 'phone'), 'refresh_hash', t.hash('x')))), '409 key_in_use', 'a device of somebody else');

-- a key for one device
SELECT t.add_key(:'admin', :'tenant', jsonb_build_object('name', 'once', 'networks', jsonb_build_array(:'lan')), 'once') \g /dev/null
SELECT is((t.enroll('once', 'first')).status, 201, 'a key that is good once');
SELECT is(t.said(t.enroll('once', 'second')), '403 key_used', '... is good once');
SELECT is((t.enroll('once', 'first')).status, 201, '... the answer may have been lost');
UPDATE goconnect.devices SET last_seen = now() WHERE name = 'first';
SELECT is(t.said(t.enroll('once', 'first')), '403 key_used', '... but not to a device that was here');
UPDATE goconnect.devices SET last_seen = NULL, created_at = now() - interval '11 minutes' WHERE name = 'first';
SELECT is(t.said(t.enroll('once', 'first')), '403 key_used', '... nor for ever');
SELECT t.add_key(:'admin', :'tenant', '{"name": "old", "expires_in": 60}', 'old') \g /dev/null
UPDATE goconnect.enrollment_keys SET expires_at = now() WHERE name = 'old';
SELECT is(t.said(t.enroll('old', 'x')), '403 key_expired', 'expired');

-- a wall that was put up later
UPDATE goconnect.memberships SET status = 'banned' WHERE network_id = :'lab' AND user_id = (:'one'::api_1.ctx).user_id;
SELECT is(t.said(t.enroll('farm', 'three')), '403 banned', 'banned from one of its networks');
UPDATE goconnect.memberships SET status = 'active' WHERE network_id = :'lab' AND user_id = (:'one'::api_1.ctx).user_id;
UPDATE goconnect.users SET suspended_at = now() WHERE username = 'device-once';
UPDATE goconnect.enrollment_keys SET reusable = true WHERE name = 'once';
SELECT is(t.said(t.enroll('once', 'three')), '403 suspended', 'a service user that the server has suspended');
UPDATE goconnect.enrollment_keys SET reusable = false WHERE name = 'once';
UPDATE goconnect.users SET suspended_at = NULL WHERE username = 'device-once';
UPDATE goconnect.networks SET required_role = 'moderator' WHERE id = :'lab';
SELECT is(t.said(t.enroll('farm', 'three')), '403 role_too_low', 'a network that wants more');
UPDATE goconnect.networks SET required_role = 'member' WHERE id = :'lab';
SELECT is((SELECT count(*) FROM goconnect.devices WHERE name = 'three'), 0::bigint, 'a refusal leaves no device');
SELECT api_1.networks_delete(:'owner', :'lab') \g /dev/null
SELECT is((t.enroll('farm', 'three')).body #>> '{networks,0,name}', 'lan', 'a network that is gone is not missed');

-- the end of a key
SELECT is(t.said(api_1.enrollment_keys_delete(:'member', :'farm')), '403 forbidden', 'a member deletes none');
SELECT is(t.said(api_1.enrollment_keys_delete(:'stranger', :'farm')), '404 not_found', 'nor a stranger');
SELECT is((api_1.enrollment_keys_delete(:'admin', :'farm')).status, 204, 'an admin does');
SELECT is(t.said(api_1.enrollment_keys_delete(:'admin', :'farm')), '404 not_found', '... once');
SELECT is((SELECT (action, detail #>> '{before,device_count}')::text FROM goconnect.audit_log ORDER BY id DESC LIMIT 1), '(enrollment_key.delete,3)', '... in the audit trail');
SELECT is(t.said(t.enroll('farm', 'four')), '401 invalid_key', '... it opens nothing any more');
SELECT is((api_1.devices_get(:'one', (:'one'::api_1.ctx).device_id)).status, 200, '... its devices stay');
SELECT is((SELECT count(*) FROM goconnect.peers WHERE device_id = (:'one'::api_1.ctx).device_id), 1::bigint, '... in their networks');
SELECT id AS k2 FROM goconnect.enrollment_keys WHERE key_hash = decode(t.hash('k2'), 'hex') \gset
SELECT is((api_1.enrollment_keys_delete(:'admin', :'k2')).status, 204, 'a key that was never used');
SELECT is((SELECT count(*) FROM goconnect.users WHERE username = 'device-build-farm-2'), 0::bigint, '... takes its service user along');

-- a device goes by itself
SELECT is(t.said(api_1.devices_delete(:'one', (SELECT id FROM goconnect.devices WHERE name = 'two'))), '404 not_found', 'a device deletes no other of its user');
SELECT * FROM api_1.devices_delete(:'one', (:'one'::api_1.ctx).device_id) \gset r_
SELECT is(:r_status, 204, '... but itself');
SELECT is(t.events(ROW(204, NULL, NULL, NULL, :'r_events'::json)::api_1.reply), 'netmap_delta@network revoked@device revoked@user self@device', '... and its peers are told');

-- what vanishes
SELECT t.add_key(:'admin', :'tenant', jsonb_build_object('name', 'ci', 'networks', jsonb_build_array(:'lan'), 'reusable', true, 'ephemeral', true), 'ci') \g /dev/null
SELECT t.as_device(t.enroll('ci', 'job1')) AS job1 \gset
SELECT t.as_device(t.enroll('ci', 'job2')) AS job2 \gset
SELECT t.as_device(t.enroll('ci', 'job3')) AS job3 \gset
SELECT t.as_device(t.enroll('ci', 'job4')) AS job4 \gset
SELECT t.peer(:'job1', :'lan') AS peer1 \gset
SELECT t.peer(:'job2', :'lan') \g /dev/null
CREATE FUNCTION t.sweep() RETURNS api_1.reply LANGUAGE sql AS $$
    UPDATE goconnect.chores SET done_at = '-infinity' WHERE name = 'sweep';
    SELECT api_1.ws_presence('00000000-0000-4000-8000-000000000001', '{}') $$;
-- job1 went an hour ago, job2 is here, job3 went lately, job4 never came
UPDATE goconnect.devices SET last_seen = now() - interval '61 minutes' WHERE name IN ('job1', 'job2');
UPDATE goconnect.devices SET last_seen = now() - interval '59 minutes', created_at = now() - interval '1 day' WHERE name = 'job3';
UPDATE goconnect.devices SET created_at = now() - interval '2 hours' WHERE name IN ('job4', 'two');
INSERT INTO goconnect.nodes (id) VALUES ('00000000-0000-4000-8000-000000000001');
INSERT INTO goconnect.presence (device_id, node_id) VALUES ((:'job2'::api_1.ctx).device_id, '00000000-0000-4000-8000-000000000001');
SELECT * FROM t.sweep() \gset r_
SELECT is((SELECT string_agg(name, ' ' ORDER BY name) FROM goconnect.devices WHERE name ~ '^(job.|two)$'), 'job2 job3 two', 'what was away for an hour vanishes, if it is ephemeral');
SELECT is(t.events(ROW(200, NULL, NULL, NULL, :'r_events'::json)::api_1.reply), 'netmap_delta@network revoked@device revoked@device revoked@user revoked@user self@device self@device', '... and is told');
SELECT is(t.event(ROW(200, NULL, NULL, NULL, :'r_events'::json)::api_1.reply, 'netmap_delta') -> 'remove', to_jsonb(ARRAY[:'peer1']), '... to its peers');
SELECT is((SELECT string_agg(p.value, ' ' ORDER BY p.value) FROM goconnect.audit_log l JOIN goconnect.audit_personal p ON p.audit_id = l.id AND p.field = 'before.name' WHERE l.action = 'device.vanish' AND l.tenant_id = :'tenant'), 'job1 job4', '... in the audit trail');
SELECT is((SELECT count(*) FROM goconnect.topics WHERE id = 'device:' || (:'job1'::api_1.ctx).device_id AND ended_at IS NOT NULL), 1::bigint, '... and its topic has ended');
SELECT is(:'r_body'::jsonb ->> 'known', 'true', '... by the way of a heartbeat');
SELECT is((t.sweep()).events::text, NULL, 'nothing vanishes twice');
SELECT id AS ci FROM goconnect.enrollment_keys WHERE name = 'ci' \gset
SELECT api_1.enrollment_keys_delete(:'admin', :'ci') \g /dev/null
SELECT is((SELECT count(*) FROM goconnect.users WHERE username = 'device-ci'), 1::bigint, 'a service user stays with its devices');
DELETE FROM goconnect.presence;
UPDATE goconnect.devices SET last_seen = now() - interval '2 hours' WHERE name ~ '^job';
SELECT * FROM t.sweep() \gset r_
SELECT is((SELECT count(*) FROM goconnect.users WHERE username = 'device-ci'), 0::bigint, '... and goes with the last');
SELECT is((SELECT string_agg(e ->> 'topic' || ' ' || (e #>> '{data,change}'), ',') FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'member' AND e ->> 'topic' LIKE 'tenant:%'), 'tenant:' || :'tenant' || ' removed', '... from the members too');
UPDATE goconnect.enrollment_keys SET last_used_at = now() - interval '31 days' WHERE name = 'once';
SELECT t.sweep() \g /dev/null
SELECT is((SELECT string_agg(name, ' ' ORDER BY name) FROM goconnect.enrollment_keys), 'old 日本 日本', 'a key that was used up a month ago goes');
SELECT is((SELECT count(*) FROM goconnect.devices WHERE name = 'first'), 1::bigint, '... without its device');

-- device codes
CREATE FUNCTION t.code(name text, at inet DEFAULT '192.0.2.1') RETURNS api_1.reply LANGUAGE sql AS $$
    SELECT api_1.auth_device_code(ROW(NULL, NULL, NULL, at, 'r', NULL, NULL)::api_1.ctx, jsonb_build_object('name', name, 'platform', 'linux', 'public_key',
        t.key('coded ' || name), 'device_code_hash', t.hash('code ' || name), 'user_code', translate(upper(left(t.hash(name), 8)), 'ILOU', '0123'))) $$;
CREATE FUNCTION t.typed(name text) RETURNS text LANGUAGE sql AS $$ SELECT translate(upper(left(t.hash(name), 8)), 'ILOU', '0123') $$;
CREATE FUNCTION t.poll(name text) RETURNS api_1.reply LANGUAGE sql AS $$
    SELECT api_1.auth_device_token(t.nobody(), jsonb_build_object('device_code_hash', t.hash('code ' || name), 'refresh_hash', t.hash(gen_random_uuid()::text))) $$;
CREATE FUNCTION t.answer(c api_1.ctx, name text, body jsonb) RETURNS api_1.reply LANGUAGE sql AS $$
    SELECT api_1.auth_device_approve(c, body || jsonb_build_object('user_code', t.typed(name))) $$;
CREATE FUNCTION t.later() RETURNS void LANGUAGE sql AS $$
    UPDATE goconnect.device_codes SET polled_at = polled_at - poll_interval * interval '1 second' $$;

SELECT is((t.code('nas')).body::jsonb, '{"expires_in": 600, "interval": 5}', 'a code for ten minutes');
SELECT is(t.said(t.poll('nas')), '400 authorization_pending', 'nobody has said yes');
SELECT is(t.said(t.poll('nas')), '400 slow_down', 'too soon');
SELECT is((SELECT poll_interval FROM goconnect.device_codes), 10, '... and slower from now on');
SELECT t.later() \g /dev/null
SELECT is(t.said(t.poll('nas')), '400 authorization_pending', 'in time');
SELECT t.later() \g /dev/null
SELECT is((api_1.auth_device_get(:'member', t.typed('nas'))).body::jsonb - 'created_at' - 'expires_at', jsonb_build_object('user_code', t.typed('nas'), 'name', 'nas', 'platform', 'linux', 'address', '192.0.2.1'), 'who and from where');
SELECT is(t.said(api_1.auth_device_get(:'phone', t.typed('nas'))), '403 user_session_required', 'a device approves none');
SELECT is(t.said(t.answer(:'phone', 'nas', '{"approve": true}')), '403 user_session_required', '... really');
SELECT is(t.said(t.answer(:'member', 'nas', '{}')), '422 invalid_fields approve:required', 'yes or no');
SELECT is(t.said(t.answer(:'member', 'nas', jsonb_build_object('approve', true, 'networks', jsonb_build_array(:'lan')))), '422 invalid_fields networks[0]:unknown', 'a network that one is not in');
SELECT is(t.said(t.answer(:'owner', 'nas', jsonb_build_object('approve', true, 'networks', jsonb_build_array(:'lan', :'foreign')))), '422 invalid_fields networks[1]:unknown', '... of another tenant');
SELECT is((t.answer(:'owner', 'nas', jsonb_build_object('approve', true, 'networks', jsonb_build_array(:'lan')))).status, 204, 'yes');
SELECT is(t.said(t.answer(:'member', 'nas', '{"approve": true}')), '409 already_answered', '... not by two');
SELECT is(t.said(t.answer(:'owner', 'nas', '{"approve": false}')), '409 already_answered', '... nor back again');
SELECT is(t.said(api_1.auth_device_get(:'member', t.typed('nas'))), '409 already_answered', '... nor to look at');
SELECT * FROM t.poll('nas') \gset r_
SELECT is(:r_status, 200, 'the device is let in');
SELECT is(:'r_body'::jsonb #>> '{user,username}', 'owner', '... as his');
SELECT is(:'r_body'::jsonb #>> '{networks,0,name}', 'lan', '... with the network');
SELECT is(t.said(t.poll('nas')), '400 expired_token', '... once');
SELECT isnt(t.peer(t.as_device(ROW(:r_status, :'r_body', NULL, NULL, NULL)::api_1.reply), :'lan'), NULL, '... and joins it');
SELECT is((SELECT array_agg(action ORDER BY id DESC) FROM (SELECT action, id FROM goconnect.audit_log ORDER BY id DESC LIMIT 3) x), ARRAY['peer.create', 'device.enroll', 'device.approve'], '... in the audit trail');
SELECT t.code('no') \g /dev/null
SELECT is((t.answer(:'owner', 'no', '{"approve": false}')).status, 204, 'no');
SELECT is(t.said(t.poll('no')), '400 access_denied', '... is told');
SELECT t.code('late') \g /dev/null
SELECT t.answer(:'owner', 'late', '{"approve": true}') \g /dev/null
UPDATE goconnect.device_codes SET expires_at = now() WHERE name = 'late';
SELECT is(t.said(t.poll('late')), '400 expired_token', 'too late, though approved');
SELECT is(t.said(api_1.auth_device_get(:'owner', t.typed('late'))), '404 not_found', '... and no more to be seen');
SELECT t.user('leaver') AS leaver \gset
SELECT t.code('left') \g /dev/null
SELECT t.answer(:'leaver', 'left', '{"approve": true}') \g /dev/null
UPDATE goconnect.users SET suspended_at = now() WHERE username = 'leaver';
SELECT is(t.said(t.poll('left')), '400 access_denied', 'approved by somebody who was suspended since');
SELECT t.code('one') \g /dev/null
UPDATE goconnect.device_codes SET public_key = (SELECT public_key FROM goconnect.devices WHERE name = 'phone') WHERE name = 'one';
SELECT t.answer(:'owner', 'one', '{"approve": true}') \g /dev/null
SELECT is(t.said(t.poll('one')), '409 key_in_use', 'a device of somebody else');
SELECT is(t.said(t.poll('unknown')), '400 expired_token', 'no such code');
SELECT is(t.said(api_1.auth_device_code(t.nobody(), jsonb_build_object('name', '', 'platform', 'x', 'public_key', 'x', 'device_code_hash', t.hash('x'), 'user_code', '00000000'))), '422 invalid_fields name:invalid platform:invalid public_key:invalid', 'fields');

-- guesses
SELECT api_1.auth_device_get(:'member', 'ZZZZZZZZ') FROM generate_series(1, 9) \g /dev/null
SELECT is(t.said(api_1.auth_device_get(:'member', 'ZZZZZZZZ')), '404 not_found', 'the tenth guess');
SELECT t.code('tv') \g /dev/null
SELECT is(t.said(api_1.auth_device_get(:'member', t.typed('tv'))), '429 too_many_attempts', '... is the last, even of a right one');
SELECT is(t.said(t.answer(:'member', 'tv', '{"approve": true}')), '429 too_many_attempts', '... by whatever way');
SELECT is((api_1.auth_device_get(:'admin', t.typed('tv'))).status, 200, '... of this account alone');
UPDATE goconnect.code_attempts SET until = now();
SELECT is((api_1.auth_device_get(:'member', t.typed('tv'))).status, 200, '... for ten minutes');
SELECT count(t.code('flood' || i, '2001:db8::1'::inet + i)) FROM generate_series(1, 100) i \g /dev/null
SELECT is(t.said(t.code('more', '2001:db8::ffff')), '429 too_many_attempts', 'a house asks for so many and no more');
SELECT is((t.code('more', '2001:db8:0:1::1')).status, 200, '... another one may');
SELECT is((t.code('more still', '192.0.2.2')).status, 200, '... or this');

SELECT * FROM finish();
ROLLBACK;
