-- What people do with their own account.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('ada') AS ada \gset
SELECT t.user('bob') AS bob \gset
SELECT t.tenant(:'bob', '{"name": "Home"}') AS home \gset
SELECT t.network(:'bob', :'home', '{"name": "lan"}') AS lan \gset
SELECT t.join(:'bob', :'ada', :'home', :'lan') \g /dev/null
SELECT t.device(:'ada', 'pc') AS pc \gset
SELECT t.peer(:'pc', :'lan') AS peer \gset
CREATE FUNCTION t.id(c api_1.ctx) RETURNS uuid LANGUAGE sql AS $$ SELECT c.user_id $$;
CREATE FUNCTION t.login(c api_1.ctx, name text) RETURNS api_1.ctx LANGUAGE sql AS $$
    SELECT ROW(c.user_id, api_1._start_session(t.nobody(), c.user_id, NULL, t.hash(name)), NULL, '192.0.2.1', 'r', NULL, NULL)::api_1.ctx $$;

-- the account
SELECT etag FROM api_1.auth_me(:'ada') \gset
SELECT api_1.users_update(:'ada', '{"settings": {"language": "de"}, "email": "ada@example.org"}') AS r \gset
SELECT is((:'r'::api_1.reply).status, 200, 'an account changes');
SELECT is((:'r'::api_1.reply).body ->> 'email', 'ada@example.org', '... its address');
SELECT is((:'r'::api_1.reply).etag, (api_1.auth_me(:'ada')).etag, '... with the ETag of auth/me');
SELECT is(t.events(:'r'), 'user@user', '... and its other sessions hear it');
SELECT is(t.said(api_1.users_update(ROW(t.id(:'ada'), (:'ada'::api_1.ctx).session_id, NULL, NULL, NULL, :'etag', NULL)::api_1.ctx, '{"email": null}')), '412 precondition_failed', '... not an old version of it');
SELECT is((api_1.users_update(:'ada', '{"email": null}')).body ->> 'email', NULL, '... null takes away');
SELECT is((api_1.users_update(:'ada', '{}')).body #>> '{settings,language}', 'de', '... what is not named stays');
SELECT is(t.said(api_1.users_update(:'ada', '{"username": "B!", "email": "x", "settings": {"a": 1}}')), '422 invalid_fields username:invalid email:invalid settings:invalid', 'fields');
SELECT is(t.said(api_1.users_update(:'ada', '{"username": "BOB"}')), '409 username_taken', 'a name that is taken');
SELECT is(t.said(api_1.users_update(:'pc', '{}')), '403 user_session_required', 'not by a device');
SELECT api_1.users_update(:'ada', '{"username": "Countess"}') AS r \gset
SELECT is((:'r'::api_1.reply).body ->> 'username', 'Countess', 'another name');
SELECT is(t.events(:'r'), 'member@network member@tenant netmap_delta@network user@user', '... is told wherever it shows');
SELECT is(t.event(:'r', 'netmap_delta') #>> '{upsert,0,username}', 'Countess', '... in the map');
SELECT is(t.event(:'r', 'member', 'tenant:' || :'home') #>> '{member,username}', 'Countess', '... and the list');
SELECT is((SELECT jsonb_object_agg(p.field, p.value) - 'address' FROM goconnect.audit_personal p WHERE p.audit_id = (SELECT max(id) FROM goconnect.audit_log)), '{"before.username": "ada", "after.username": "Countess"}', '... and written down, apart from the chain');
SELECT is(t.events(api_1.users_update(:'ada', '{"username": "Countess"}')), 'user@user', 'the same name again');
SELECT is((api_1.auth_login_begin(t.nobody(), '{"username": "countess"}')).body ->> 'user_id', t.id(:'ada')::text, 'she logs in by it');

-- the password
SELECT is((api_1.auth_password_begin(:'ada', '{}')).body ->> 'password_hash', 'hash of ada', 'begin gives the hash');
SELECT t.login(:'ada', 'second') AS second \gset
SELECT is(t.said(api_1.auth_password(:'ada', '{"old_hash": "hash of ada", "verified": false}')), '403 wrong_password', 'a wrong one');
SELECT is((SELECT failed_logins FROM goconnect.users WHERE id = t.id(:'ada')), 1, '... counts');
SELECT is(t.said(api_1.auth_password(:'ada', '{"old_hash": "other", "verified": true, "password_hash": "n"}')), '403 wrong_password', 'one that was changed meanwhile');
INSERT INTO goconnect.reset_links (hash, user_id, expires_at) VALUES (sha256('old'), t.id(:'ada'), now() + interval '1 hour');
SAVEPOINT before;
SELECT api_1.auth_password(:'ada', '{"old_hash": "hash of ada", "verified": true, "password_hash": "n", "devices": false}') AS r \gset
SELECT is((:'r'::api_1.reply).status, 204, 'the right one');
SELECT is((SELECT password_hash || failed_logins FROM goconnect.users WHERE id = t.id(:'ada')), 'n0', '... is changed');
SELECT is(t.events(:'r'), 'revoked@user', '... the other session ends');
SELECT is(t.event(:'r', 'revoked') ->> 'session_id', (:'second'::api_1.ctx).session_id::text, '... that one');
SELECT is((api_1.auth_me(:'ada')).status, 200, '... this one stays');
SELECT is((api_1.auth_me(:'pc')).status, 200, '... and the device''s, as was wished');
SELECT is((SELECT count(*) FROM goconnect.reset_links), 0::bigint, '... links to set a password are void');
ROLLBACK TO before;
SELECT api_1.auth_password(:'ada', '{"old_hash": "hash of ada", "verified": true, "password_hash": "n"}') AS r \gset
SELECT is(t.events(:'r'), 'netmap_delta@network revoked@device revoked@user self@device', 'devices end with it otherwise');
SELECT is(t.event(:'r', 'netmap_delta') -> 'remove', jsonb_build_array(:'peer'), '... and leave the maps');
SELECT is(t.said(api_1.auth_me(:'pc')), '401 session_revoked', '... they have to log in');
ROLLBACK TO before;
UPDATE goconnect.users SET locked_until = now() + interval '1 minute' WHERE id = t.id(:'ada');
SELECT is(t.said(api_1.auth_password_begin(:'ada', '{}')), '429 too_many_attempts', 'after too many wrong ones');
ROLLBACK TO before;

-- a link
SELECT is((api_1.auth_reset_begin(t.nobody(), jsonb_build_object('token_hash', t.hash('old')))).status, 200, 'a link is good');
SELECT is(t.said(api_1.auth_reset_begin(t.nobody(), jsonb_build_object('token_hash', t.hash('other')))), '403 invalid_reset_token', '... another is not');
SELECT api_1.auth_reset(t.nobody(), jsonb_build_object('token_hash', t.hash('old'), 'password_hash', 'r')) AS r \gset
SELECT is((:'r'::api_1.reply).status, 204, 'it sets a password');
SELECT is((SELECT password_hash FROM goconnect.users WHERE id = t.id(:'ada')), 'r', '... this one');
SELECT is((SELECT count(*) FROM goconnect.sessions WHERE user_id = t.id(:'ada')), 0::bigint, '... all sessions end');
SELECT is((SELECT count(*) FROM goconnect.peers WHERE user_id = t.id(:'ada')), 0::bigint, '... with what the devices have');
SELECT is(t.said(api_1.auth_reset(t.nobody(), jsonb_build_object('token_hash', t.hash('old'), 'password_hash', 'x'))), '403 invalid_reset_token', '... once');
SELECT is((SELECT actor_id FROM goconnect.audit_log WHERE action = 'user.password_reset'), t.id(:'ada'), '... and written down');
ROLLBACK TO before;
UPDATE goconnect.reset_links SET expires_at = now();
SELECT is(t.said(api_1.auth_reset(t.nobody(), jsonb_build_object('token_hash', t.hash('old'), 'password_hash', 'x'))), '403 invalid_reset_token', 'not for ever');
ROLLBACK TO before;

-- sessions
SELECT is((SELECT string_agg(concat_ws(' ', i ->> 'current', i #>> '{device,name}', i ->> 'address'), ',' ORDER BY i ->> 'current', i #>> '{device,name}') FROM json_array_elements((api_1.auth_sessions_list(:'ada', NULL, NULL)).body -> 'items') i), 'false pc 192.0.2.1,false 192.0.2.1,true 192.0.2.1', 'sessions are listed');
SELECT is(json_array_length((api_1.auth_sessions_list(:'ada', 2, NULL)).body -> 'items'), 2, '... in pages');
SELECT is(json_array_length((api_1.auth_sessions_list(:'ada', 2, (api_1.auth_sessions_list(:'ada', 2, NULL)).body ->> 'next_cursor')).body -> 'items'), 1, '... that go on');
SELECT is(t.said(api_1.auth_sessions_list(:'ada', 2, 'x')), '422 invalid_fields cursor:invalid', '... from where they ended');
SELECT is(t.said(api_1.auth_sessions_delete(:'bob', (:'ada'::api_1.ctx).session_id)), '404 not_found', 'nobody ends another''s');
SELECT api_1.auth_sessions_delete(:'ada', (:'second'::api_1.ctx).session_id) AS r \gset
SELECT is(t.events(:'r'), 'revoked@user', 'one ends');
SELECT is(t.said(api_1.auth_sessions_delete(:'ada', (:'second'::api_1.ctx).session_id)), '404 not_found', '... once');
SELECT api_1.auth_sessions_delete(:'ada', (:'pc'::api_1.ctx).session_id) AS r \gset
SELECT is(t.events(:'r'), 'netmap_delta@network revoked@device self@device', 'a device''s ends, and what it had');
SELECT is((api_1.auth_sessions_delete(:'ada', (:'ada'::api_1.ctx).session_id)).status, 204, 'one''s own');
SELECT is(t.said(api_1.auth_sessions_list(:'ada', NULL, NULL)), '401 session_revoked', '... is a logout');

-- no session begins behind the back of who ends them
SELECT throws_ok(format('SELECT api_1._start_session(%L, %L, NULL, %L)', :'ada', t.id(:'ada'), t.hash('late')), 'GC401', 'session_revoked', 'a session that has ended makes none');
UPDATE goconnect.users SET suspended_at = now() WHERE id = t.id(:'bob');
SELECT throws_ok(format('SELECT api_1._start_session(t.nobody(), %L, NULL, %L)', t.id(:'bob'), t.hash('late')), 'GC403', 'suspended', 'nor who is suspended');

SELECT * FROM finish();
ROLLBACK;
