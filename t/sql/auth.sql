-- Accounts, sessions, refresh tokens and tickets.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

CREATE FUNCTION t.register(body jsonb) RETURNS api_1.reply LANGUAGE sql AS $$
    SELECT api_1.auth_register(t.nobody(), '{"username": "new", "password_hash": "x"}'::jsonb
        || jsonb_build_object('refresh_hash', t.hash(body::text)) || body) $$;
CREATE FUNCTION t.login(id text, hash text, verified boolean, refresh text)
RETURNS api_1.reply LANGUAGE sql AS $$
    SELECT api_1.auth_login(t.nobody(), jsonb_build_object('user_id', id,
        'password_hash', hash, 'verified', verified, 'refresh_hash', t.hash(refresh))) $$;
CREATE FUNCTION t.refresh(given text, next text) RETURNS api_1.reply LANGUAGE sql AS $$
    SELECT api_1.auth_refresh(t.nobody(), jsonb_build_object('refresh_hash', t.hash(given),
        'next_refresh_hash', t.hash(next))) $$;

-- register
SELECT * FROM t.register('{"username": "Carol", "email": "carol@example.org"}') \gset r_
SELECT is(:r_status, 201, 'register');
SELECT is(:'r_body'::jsonb #>> '{user,username}', 'Carol', '... keeps the name as written');
SELECT is(:'r_body'::jsonb #>> '{user,email}', 'carol@example.org', '... and the address');
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_body'::json -> 'user') k),
    ARRAY['id', 'username', 'email', 'settings', 'server_admin', 'created_at', 'updated_at'],
    '... the user object is what the protocol says');
SELECT is(t.said(t.register('{"username": "cAROL"}')), '409 username_taken', 'a name in other case is the same');
SELECT is(t.said(t.register('{"username": "ab"}')), '422 invalid_fields username:invalid', 'too short');
SELECT is(t.said(t.register('{"username": "-ab", "email": "x"}')), '422 invalid_fields username:invalid email:invalid', 'all wrong fields are told at once');
SELECT is((SELECT count(*) FROM goconnect.audit_log WHERE action = 'user.register'), 1::bigint, 'registering is audited');
SELECT is((SELECT p.value || ' ' || (p.hash = sha256(p.salt || convert_to(p.value, 'UTF8')))
             FROM goconnect.audit_personal p LIMIT 1), '192.0.2.1 true', '... the address apart, by a salted hash');

-- log in
SELECT t.user('alice') AS alice \gset
SELECT (:'alice'::api_1.ctx).user_id AS id \gset
SELECT * FROM api_1.auth_login_begin(t.nobody(), '{"username": "ALICE"}') \gset r_
SELECT is(:'r_body'::jsonb, jsonb_build_object('user_id', :'id', 'password_hash', 'hash of alice'), 'begin gives the hash');
SELECT is((api_1.auth_login_begin(t.nobody(), '{"username": "nobody"}')).body::jsonb,
    '{"user_id": null, "password_hash": null}', '... and nulls for a name that nobody has');
SELECT * FROM t.login(:'id', 'hash of alice', true, 'l1') \gset r_
SELECT is(:r_status, 200, 'log in');
SELECT is(t.said(t.login(:'id', 'hash of alice', false, 'l2')), '401 invalid_credentials', 'a wrong password');
SELECT is(t.said(t.login(NULL, NULL, false, 'l3')), '401 invalid_credentials', 'nobody');
SELECT is(t.said(t.login(:'id', 'an older hash', true, 'l4')), '401 invalid_credentials', 'the hash changed since begin');
SELECT is((SELECT failed_logins FROM goconnect.users WHERE id = :'id'), 1, 'wrong passwords are counted');
SELECT t.login(:'id', 'hash of alice', false, 'x' || i) FROM generate_series(1, 19) i \g /dev/null
UPDATE goconnect.sessions SET address = '192.0.2.77' WHERE user_id = :'id';
SELECT is(t.said(api_1.auth_login_begin(t.nobody(), '{"username": "alice"}')), '429 too_many_attempts', 'twenty of them lock the account');
SELECT is(t.said(t.login(:'id', 'hash of alice', true, 'l5')), '401 invalid_credentials', '... even for the right one');
SELECT is((api_1.auth_login_begin(ROW(NULL, NULL, NULL, '192.0.2.77', 'r', NULL, NULL)::api_1.ctx, '{"username": "alice"}')).status, 200, '... but not where alice is logged in');
UPDATE goconnect.users SET locked_until = now() - interval '1 second' WHERE id = :'id';
SELECT is((t.login(:'id', 'hash of alice', true, 'l6')).status, 200, '... for a minute');
SELECT is((SELECT failed_logins FROM goconnect.users WHERE id = :'id'), 0, 'success forgets them');

-- me
SELECT * FROM api_1.auth_me(:'alice') \gset r_
SELECT is(:'r_body'::jsonb #>> '{session,id}', (:'alice'::api_1.ctx).session_id::text, 'me: the session');
SELECT is(:'r_body'::jsonb -> 'device', 'null'::jsonb, '... of a user has no device');
SELECT t.device(:'alice', 'laptop') AS laptop \gset
SELECT is((api_1.auth_me(:'laptop')).body::jsonb #>> '{device,name}', 'laptop', '... of a device names it');
SELECT is(t.said(api_1.auth_me(ROW((:'alice'::api_1.ctx).user_id, (:'laptop'::api_1.ctx).session_id,
    NULL, NULL, NULL, NULL, NULL)::api_1.ctx)), '401 session_revoked', 'a session is of one scope');
SELECT is(t.said(api_1.auth_me(t.nobody())), '401 session_revoked', 'nobody is nobody');

-- refresh
SELECT is((t.refresh('refresh alice', 'a1')).body ->> 'session_id', (:'alice'::api_1.ctx).session_id::text, 'a refresh token is taken');
SELECT is((t.refresh('refresh alice', 'a2')).status, 200, '... and again, while no successor was used: the answer may be lost');
SELECT is((t.refresh('a1', 'b1')).status, 200, 'a successor is taken');
SELECT is(t.said(t.refresh('nonsense', 'x1')), '401 invalid_refresh_token', 'an unknown one is not');
SELECT is((api_1.auth_me(:'alice')).status, 200, '... and does no harm');
SELECT * FROM t.refresh('a2', 'b2') \gset r_
SELECT is(:r_status, 401, 'its twin is a copy');
SELECT is(:'r_events'::json #>> '{0,data,reason}', 'token_reused', '... which is told');
SELECT is(t.said(api_1.auth_me(:'alice')), '401 session_revoked', '... and ends the session');
SELECT is((SELECT count(*) FROM goconnect.audit_log WHERE action = 'session.token_reused'), 1::bigint, '... and is audited');
SELECT is(t.said(t.refresh('b1', 'c1')), '401 invalid_refresh_token', '... with all its tokens');
SELECT t.user('dave') AS dave \gset
SELECT t.refresh('refresh dave', 'd1') \g /dev/null
SELECT t.refresh('d1', 'd2') \g /dev/null
SELECT is((t.refresh('refresh dave', 'd9')).status, 401, 'the predecessor dies when its successor is used');
SELECT t.user('erin') AS erin \gset
UPDATE goconnect.sessions SET expires_at = now() WHERE id = (:'erin'::api_1.ctx).session_id;
SELECT is(t.said(t.refresh('refresh erin', 'e1')), '401 invalid_refresh_token', 'an expired session');
SELECT is(t.said(api_1.auth_me(:'erin')), '401 session_revoked', '... is over for requests too');

-- log out
SELECT t.user('frank') AS frank \gset
SELECT * FROM api_1.auth_logout(:'frank') \gset r_
SELECT is(:r_status, 204, 'log out');
SELECT is(:'r_events'::json #>> '{0,topic}', 'user:' || (:'frank'::api_1.ctx).user_id, '... is told on the user''s topic');
SELECT is((:'r_events'::json #>> '{0,data}')::jsonb, jsonb_build_object('scope', 'session',
    'session_id', (:'frank'::api_1.ctx).session_id, 'device_id', NULL, 'network_id', NULL,
    'tenant_id', NULL, 'topics', '[]'::jsonb, 'reason', 'logout'), '... naming the session');
SELECT is(t.said(api_1.auth_logout(:'frank')), '401 session_revoked', 'once is enough');

-- a suspended user does not get in
SELECT t.user('grace') AS grace \gset
UPDATE goconnect.users SET suspended_at = now() WHERE id = (:'grace'::api_1.ctx).user_id;
SELECT is(t.said(t.login((:'grace'::api_1.ctx).user_id::text, 'hash of grace', true, 'g1')), '403 suspended', 'suspended');

-- tickets
SELECT t.user('heidi') AS heidi \gset
SELECT is((api_1.ws_ticket_create(:'heidi', jsonb_build_object('ticket_hash', t.hash('t1')))).status, 201, 'a ticket');
SELECT is((api_1.ws_ticket_take(t.hash('t1'))).body ->> 'session_id', (:'heidi'::api_1.ctx).session_id::text, '... stands for its session');
SELECT is(t.said(api_1.ws_ticket_take(t.hash('t1'))), '401 invalid_ticket', '... once');
SELECT api_1.ws_ticket_create(:'heidi', jsonb_build_object('ticket_hash', t.hash('t2'))) \g /dev/null
UPDATE goconnect.ws_tickets SET expires_at = now();
SELECT is(t.said(api_1.ws_ticket_take(t.hash('t2'))), '401 invalid_ticket', '... for 30 seconds');
SELECT api_1.ws_ticket_create(:'heidi', jsonb_build_object('ticket_hash', t.hash('t3'))) \g /dev/null
SELECT api_1.auth_logout(:'heidi') \g /dev/null
SELECT is(t.said(api_1.ws_ticket_take(t.hash('t3'))), '401 invalid_ticket', '... and dies with the session');

SELECT * FROM finish();
ROLLBACK;
