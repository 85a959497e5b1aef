-- The server's administration.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('root-x') AS root \gset
SELECT t.user('ada') AS ada \gset
SELECT t.user('bob') AS bob \gset
SELECT t.user('adam') AS adam \gset
CREATE FUNCTION t.id(c api_1.ctx) RETURNS uuid LANGUAGE sql AS $$ SELECT c.user_id $$;
CREATE FUNCTION t.items(r api_1.reply, field text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(i ->> field, ',') FROM json_array_elements(r.body -> 'items') i $$;
UPDATE goconnect.users SET server_admin = true WHERE id = t.id(:'root');
UPDATE goconnect.users SET email = 'Ada@example.org' WHERE id = t.id(:'ada');
SELECT t.tenant(:'bob', '{"name": "Home"}') AS home \gset
SELECT t.network(:'bob', :'home', '{"name": "lan"}') AS lan \gset
SELECT t.join(:'bob', :'ada', :'home', :'lan') \g /dev/null
SELECT t.device(:'ada', 'pc') AS pc \gset
SELECT t.peer(:'pc', :'lan') AS peer \gset
SELECT t.device(:'ada', 'phone') AS phone \gset
SELECT t.peer(:'phone', :'lan') AS peer2 \gset
DELETE FROM goconnect.sessions WHERE device_id = (:'phone'::api_1.ctx).device_id;    -- such as has no agent

-- who
SELECT is(t.said(api_1.admin_users_list(:'bob', NULL, NULL, NULL)), '403 forbidden', 'not for everybody');
SELECT is(t.said(api_1.admin_users_suspend(:'bob', t.id(:'ada'), '{}')), '403 forbidden', '... nor to change something');
SELECT is(t.said(api_1.admin_users_suspend(:'bob', gen_random_uuid(), '{}')), '403 forbidden', '... whoever it is about');
SELECT is(t.said(api_1.admin_stats(t.device(:'root', 'x'))), '403 user_session_required', '... nor by a device');

-- users
SELECT is(t.items(api_1.admin_users_list(:'root', NULL, NULL, NULL), 'username'), 'ada,adam,bob,root-x', 'users by name');
SELECT is(t.items(api_1.admin_users_list(:'root', 'AD', NULL, NULL), 'username'), 'ada,adam', '... by the beginning of a name');
SELECT is(t.items(api_1.admin_users_list(:'root', 'ada@EXAMPLE.org', NULL, NULL), 'username'), 'ada', '... by a whole address');
SELECT is(t.items(api_1.admin_users_list(:'root', '%', NULL, NULL), 'username'), NULL, '... not by a pattern');
SELECT is(t.items(api_1.admin_users_list(:'root', NULL, 3, NULL), 'username'), 'ada,adam,bob', '... in pages');
SELECT is(t.items(api_1.admin_users_list(:'root', NULL, 3, (api_1.admin_users_list(:'root', NULL, 3, NULL)).body ->> 'next_cursor'), 'username'), 'root-x', '... that go on');
SELECT is(t.said(api_1.admin_users_list(:'root', NULL, 3, x)), '422 invalid_fields cursor:invalid', 'no cursor: ' || x) FROM unnest(ARRAY['x', 'ff', '6', 'c3']) x;

-- suspend
SELECT is(t.said(api_1.admin_users_suspend(:'root', t.id(:'root'), '{}')), '409 own_account', 'nobody suspends himself');
SELECT is(t.said(api_1.admin_users_suspend(:'root', gen_random_uuid(), '{}')), '404 not_found', 'nor nobody');
INSERT INTO goconnect.reset_links (hash, user_id, expires_at) VALUES (sha256('link'), t.id(:'ada'), now() + interval '1 hour');
SELECT api_1.admin_users_suspend(:'root', t.id(:'ada'), '{"reason": "spam"}') AS r \gset
SELECT is((:'r'::api_1.reply).status, 200, 'suspended');
SELECT is((:'r'::api_1.reply).body ->> 'suspended_reason', 'spam', '... with a reason');
SELECT is(t.events(:'r'), 'netmap_delta@network revoked@device revoked@user self@device self@device', '... sessions and peers go');
SELECT is(jsonb_array_length(t.event(:'r', 'netmap_delta') -> 'remove'), 2, '... those of devices without a session too');
SELECT is((SELECT count(*) FROM goconnect.sessions WHERE user_id = t.id(:'ada')), 0::bigint, '... none is left');
SELECT is((SELECT count(*) FROM goconnect.peers WHERE user_id = t.id(:'ada')), 0::bigint, '... nor a peer');
SELECT is((SELECT count(*) FROM goconnect.reset_links), 0::bigint, '... nor a link');
SELECT is((SELECT string_agg(status, ',') FROM goconnect.memberships WHERE user_id = t.id(:'ada')), 'active,active', '... the memberships stay');
SELECT is(t.said(api_1.auth_me(:'ada')), '401 session_revoked', 'she is out');
SELECT is(t.said(api_1.auth_login(t.nobody(), jsonb_build_object('user_id', t.id(:'ada'), 'password_hash', 'hash of ada', 'verified', true, 'refresh_hash', t.hash('x')))), '403 suspended', '... and does not come in');
SELECT is((SELECT detail #>> '{after,suspended_reason}' FROM goconnect.audit_log WHERE action = 'user.suspend' AND tenant_id IS NULL), 'spam', '... as is written down');
SELECT api_1.admin_users_suspend(:'root', t.id(:'ada'), '{"reason": "more spam"}') AS r \gset
SELECT is((:'r'::api_1.reply).body ->> 'suspended_reason', 'more spam', 'again: another reason');
SELECT is(t.events(:'r'), '', '... and nothing else');
SELECT api_1.admin_users_restore(:'root', t.id(:'ada')) AS r \gset
SELECT is(((:'r'::api_1.reply).body -> 'suspended_at')::text || ((:'r'::api_1.reply).body -> 'suspended_reason')::text, 'nullnull', 'restored');
SELECT is((api_1.auth_login(t.nobody(), jsonb_build_object('user_id', t.id(:'ada'), 'password_hash', 'hash of ada', 'verified', true, 'refresh_hash', t.hash('x')))).status, 200, '... she comes in again');
SELECT is((api_1.admin_users_restore(:'root', t.id(:'ada'))).status, 200, '... once more changes nothing');
SELECT is(t.said(api_1.admin_users_restore(:'root', gen_random_uuid())), '404 not_found', 'nobody is not restored');

-- links
SELECT api_1.admin_users_reset_link(:'root', t.id(:'ada'), jsonb_build_object('token_hash', t.hash('one'))) AS r \gset
SELECT is((:'r'::api_1.reply).status, 201, 'a link');
SELECT is(((:'r'::api_1.reply).body ->> 'expires_at')::timestamptz, now() + interval '24 hours', '... for a day');
SELECT api_1.admin_users_reset_link(:'root', t.id(:'ada'), jsonb_build_object('token_hash', t.hash('two'))) \g /dev/null
SELECT is(t.said(api_1.auth_reset_begin(t.nobody(), jsonb_build_object('token_hash', t.hash('one')))), '403 invalid_reset_token', 'the one before is void');
SELECT is((api_1.auth_reset_begin(t.nobody(), jsonb_build_object('token_hash', t.hash('two')))).status, 200, '... the new one good');
SELECT is(t.said(api_1.admin_users_reset_link(:'root', gen_random_uuid(), jsonb_build_object('token_hash', t.hash('x')))), '404 not_found', 'none for nobody');

-- tenants
SELECT is((SELECT i::jsonb - '{id,created_at,updated_at}'::text[] FROM json_array_elements((api_1.admin_tenants_list(:'root', 'om', NULL, NULL)).body -> 'items') i),
    jsonb_build_object('name', 'Home', 'slug', 'home', 'visibility', 'private', 'access', 'invite_only', 'member_count', 2, 'network_count', 1, 'owners', jsonb_build_array(jsonb_build_object('user_id', t.id(:'bob'), 'username', 'bob'))), 'private tenants too, with who answers for them');
SELECT is(t.items(api_1.admin_tenants_list(:'root', 'absent', NULL, NULL), 'name'), NULL, '... found by name');
SELECT is(t.said(api_1.admin_tenants_list(:'root', NULL, NULL, 'x')), '422 invalid_fields cursor:invalid', 'no cursor');
SELECT is((api_1.admin_stats(:'root')).body::jsonb - 'database_bytes', '{"users": 4, "tenants": 1, "networks": 1, "devices": 3, "devices_online": 0, "peers": 0, "sessions": 5, "messages": 0, "estimated": []}', 'the numbers');
UPDATE pg_class SET reltuples = 5000 WHERE oid = 'goconnect.messages'::regclass;
SELECT is((api_1.admin_stats(:'root')).body::jsonb -> 'messages', '5000', '... large ones are estimated');
SELECT is((api_1.admin_stats(:'root')).body::jsonb -> 'estimated', '["messages"]', '... which is said');
SELECT is(t.said(api_1.admin_tenants_delete(ROW(t.id(:'root'), (:'root'::api_1.ctx).session_id, NULL, NULL, NULL, '"0"', NULL)::api_1.ctx, :'home')), '412 precondition_failed', 'a tenant, if it is the one that was read');
SELECT api_1.admin_tenants_delete(:'root', :'home') AS r \gset
SELECT is((:'r'::api_1.reply).status, 204, 'deleted');
SELECT is(t.event(:'r', 'revoked', 'user:' || t.id(:'bob')) ->> 'reason', 'tenant_deleted', '... its members hear it');
SELECT is(t.said(api_1.tenants_get(:'bob', :'home')), '404 not_found', '... it is gone');
SELECT is(t.said(api_1.admin_tenants_delete(:'root', :'home')), '404 not_found', '... once');
SELECT is((SELECT count(*) FROM goconnect.audit_log WHERE action = 'server.delete_tenant' AND tenant_id IS NULL AND target_id = :'home'), 1::bigint, '... and written down in the server''s trail');

SELECT * FROM finish();
ROLLBACK;
