-- Who is in a tenant: roles, leaving, being taken out.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('owner') AS owner \gset
SELECT t.user('admin') AS admin \gset
SELECT t.user('moderator') AS moderator \gset
SELECT t.user('member') AS member \gset
SELECT t.user('stranger') AS stranger \gset
SELECT t.tenant(:'owner', '{"name": "Home"}') AS home \gset
SELECT t.join(:'owner', :'admin', :'home', NULL, 'admin') \g /dev/null
SELECT t.join(:'owner', :'moderator', :'home', NULL, 'moderator') \g /dev/null
SELECT t.join(:'owner', :'member', :'home') \g /dev/null
SELECT t.network(:'owner', :'home', '{"name": "lan"}') AS lan \gset
SELECT t.network(:'owner', :'home', '{"name": "den"}') AS den \gset
SELECT t.join(:'owner', :'member', :'home', :'lan') \g /dev/null
SELECT t.join(:'owner', :'member', :'home', :'den') \g /dev/null
SELECT t.join(:'owner', :'moderator', :'home', :'lan') \g /dev/null
SELECT t.device(:'member', 'phone') AS phone \gset
SELECT t.device(:'moderator', 'pc') AS pc \gset
SELECT t.peer(:'phone', :'lan') AS phone_lan \gset
SELECT t.peer(:'phone', :'den') AS phone_den \gset
SELECT t.peer(:'pc', :'lan') AS pc_lan \gset

-- Short names: the id of a caller, and the reply of an expulsion.
CREATE FUNCTION t.id(c api_1.ctx) RETURNS uuid LANGUAGE sql AS $$ SELECT c.user_id $$;
CREATE FUNCTION t.expel(tenant uuid, who uuid[], why text) RETURNS api_1.reply LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM goconnect.tenants x WHERE x.id = tenant FOR NO KEY UPDATE;
    RETURN api_1._ok(200, events => api_1._publish(api_1._expel_tenant(tenant, who, why)));
END $$;

-- out of a tenant
INSERT INTO goconnect.invites (tenant_id, code_hmac, expires_at, created_by)
VALUES (:'home', sha256('his'), now() + interval '1 day', t.id(:'member'));
SELECT * FROM t.expel(:'home', ARRAY[t.id(:'member')], 'kicked') \gset r_
SELECT (:r_status, NULL, NULL, NULL, :'r_events')::api_1.reply AS r \gset
SELECT is(t.events(:'r'), 'member@network member@network member@tenant netmap_delta@network netmap_delta@network revoked@device revoked@user self@device', 'who is taken out of a tenant: all hear it');
SELECT is((SELECT count(*) FROM goconnect.memberships WHERE user_id = t.id(:'member')), 0::bigint, '... he is in none of its networks');
SELECT is((SELECT count(*) FROM goconnect.peers WHERE user_id = t.id(:'member')), 0::bigint, '... nor his devices');
SELECT is(t.event(:'r', 'netmap_delta', 'network:' || :'den') -> 'remove', jsonb_build_array(:'phone_den'), '... off the maps');
SELECT is(t.event(:'r', 'self') -> 'peers', '[]', '... his device has nothing left');
SELECT is(t.event(:'r', 'revoked', 'user:' || t.id(:'member')) ->> 'scope', 'tenant', '... he loses the tenant');
SELECT is(t.event(:'r', 'revoked', 'user:' || t.id(:'member')) ->> 'reason', 'kicked', '... and hears why');
SELECT is(t.event(:'r', 'revoked', 'user:' || t.id(:'member')) -> 'topics' @> jsonb_build_array('tenant:' || :'home', 'network:' || :'lan', 'network:' || :'den'), true, '... with the topics that end');
SELECT is(t.event(:'r', 'revoked', 'device:' || (:'phone'::api_1.ctx).device_id) -> 'topics', (SELECT jsonb_agg('network:' || n ORDER BY n) FROM unnest(ARRAY[:'lan', :'den']) n), '... and so does his device');
SELECT is(t.event(:'r', 'member', 'tenant:' || :'home') #>> '{member,role}', 'member', '... the others are told who he was');
SELECT is((SELECT count(*) FROM goconnect.invites WHERE created_by = t.id(:'member')), 0::bigint, '... his invites are void');
SELECT is((SELECT count(*) FROM goconnect.peers WHERE id = :'pc_lan'), 1::bigint, '... nobody else is touched');

-- an admin has topics of networks that he is not in
SELECT * FROM t.expel(:'home', ARRAY[t.id(:'admin')], 'kicked') \gset r_
SELECT (:r_status, NULL, NULL, NULL, :'r_events')::api_1.reply AS r \gset
SELECT is(t.event(:'r', 'revoked') -> 'topics' @> jsonb_build_array('network:' || :'den' || '/staff', 'tenant:' || :'home' || '/staff'), true, 'an admin loses the topics of all networks');

-- who is only asked is known to the staff alone; a ban stays
SELECT api_1.members_add(:'owner', :'home', '{"username": "stranger"}') \g /dev/null
INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, status)
VALUES (:'home', :'lan', t.id(:'stranger'), 'banned');
SELECT * FROM t.expel(:'home', ARRAY[t.id(:'stranger')], 'withdrawn') \gset r_
SELECT (:r_status, NULL, NULL, NULL, :'r_events')::api_1.reply AS r \gset
SELECT is(t.events(:'r'), 'member@tenant/staff revoked@user', 'who was only asked');
SELECT is((SELECT string_agg(status, ' ') FROM goconnect.memberships WHERE user_id = t.id(:'stranger')), 'banned', '... a ban from a network stays');

-- the last owner
SELECT throws_ok(format('SELECT t.expel(%L, ARRAY[%L]::uuid[], %L)', :'home', t.id(:'owner'), 'kicked'), '23000', 'a tenant needs an owner', 'the last owner stays');

-- ------------------------------------------------------------------- passwords
SELECT is(t.said(api_1.tenants_create(:'owner', '{"name": "x", "access": "password"}')), '422 invalid_fields password:required', 'the access "password" needs one');
SELECT is(t.said(api_1.tenants_create(:'owner', '{"name": "x", "access": "open", "password_hash": "h"}')), '422 invalid_fields password:invalid', '... and no other does');
SELECT is(t.said(api_1.tenants_update(:'owner', :'home', '{"password_hash": "h"}')), '422 invalid_fields password:invalid', '... nor later');
SELECT is(t.said(api_1.tenants_update(:'owner', :'home', '{"access": "password"}')), '422 invalid_fields password:required', '... where it is needed too');
SELECT t.tenant(:'owner', '{"name": "Club", "visibility": "public", "access": "password", "password_hash": "h1"}') AS club \gset
SELECT is((api_1.tenants_get(:'owner', :'club')).body ->> 'access', 'password', 'a tenant with a password');
SELECT ok((api_1.tenants_get(:'owner', :'club')).body::text !~ 'h1|hash', '... which nobody is shown');
SELECT is((SELECT detail #>> '{after,password_hash}' FROM goconnect.audit_log WHERE target_id = :'club'), '***', '... nor the audit trail');
SELECT api_1.tenants_update(:'owner', :'club', '{"password_hash": "h2"}') \g /dev/null
SELECT is((SELECT password_hash FROM goconnect.tenants WHERE id = :'club'), 'h2', '... it can be changed');
SELECT api_1.tenants_update(:'owner', :'club', '{"name": "Club 2"}') \g /dev/null
SELECT is((SELECT password_hash FROM goconnect.tenants WHERE id = :'club'), 'h2', '... and stays otherwise');
SELECT api_1.tenants_update(:'owner', :'club', '{"access": "open"}') \g /dev/null
SELECT is((SELECT password_hash FROM goconnect.tenants WHERE id = :'club'), NULL, '... until the access is another');
SELECT api_1.tenants_update(:'owner', :'club', '{"access": "password", "password_hash": "h3"}') \g /dev/null

-- joining
SELECT is((api_1.tenants_join_begin(:'stranger', :'club', '{"given": true}')).body::jsonb, '{"check": true, "password_hash": "h3"}', 'begin gives the hash');
SELECT is((api_1.tenants_join_begin(:'stranger', :'club', '{"given": false}')).body::jsonb -> 'check', 'false', '... nothing to check without a password');
SELECT is((api_1.tenants_join_begin(:'owner', :'club', '{"given": true}')).body::jsonb -> 'check', 'false', '... nor for who is in');
SELECT is((api_1.tenants_join_begin(:'stranger', gen_random_uuid(), '{"given": true}')).body::jsonb, '{"check": true, "password_hash": null}', '... an unknown tenant takes as long');
SELECT is((api_1.tenants_join_begin(:'stranger', :'home', '{"given": true}')).body::jsonb, '{"check": true, "password_hash": null}', '... and one that cannot be seen');
SELECT is(t.said(api_1.tenants_join(:'stranger', :'club', '{"given": false}')), '403 password_required', 'without the password');
SELECT is(t.said(api_1.tenants_join(:'stranger', :'club', '{"given": true, "check": true, "password_hash": "h3", "verified": false}')), '403 wrong_password', 'with another');
SELECT is(t.said(api_1.tenants_join(:'stranger', :'club', '{"given": true, "check": true, "password_hash": "h2", "verified": true}')), '403 wrong_password', 'with the one before, checked a moment too early');
SELECT is(t.said(api_1.tenants_join(:'stranger', :'home', '{"given": true, "check": true, "password_hash": null, "verified": false}')), '404 not_found', 'a private tenant without a password is not there');
SELECT api_1.tenants_join(:'stranger', :'club', '{"given": true, "check": true, "password_hash": "h3", "verified": true}') AS r \gset
SELECT is((:'r'::api_1.reply).status, 200, 'with the right one');
SELECT is((:'r'::api_1.reply).body ->> 'role', 'member', '... as a member');
SELECT is(t.events(:'r'), 'member@tenant tenant@user', '... and it is told');
SELECT is((api_1.tenants_join(:'stranger', :'club', '{"given": false}')).status, 200, '... twice does nothing');
SELECT is((SELECT count(*) FROM goconnect.audit_log WHERE action = 'tenant.join'), 1::bigint, '... is written down once');
SELECT api_1.tenants_update(:'owner', :'club', '{"visibility": "private"}') \g /dev/null
SELECT is(t.said(api_1.tenants_join(:'member', :'club', '{"given": false}')), '404 not_found', 'a private tenant with a password is not there');
SELECT is(t.said(api_1.tenants_join(:'member', :'club', '{"given": true, "check": true, "password_hash": "h3", "verified": false}')), '404 not_found', '... nor for who guesses');
SELECT is((api_1.tenants_join(:'member', :'club', '{"given": true, "check": true, "password_hash": "h3", "verified": true}')).status, 200, '... but for who knows');
SELECT t.tenant(:'owner', '{"name": "Open", "visibility": "public", "access": "open"}') AS open \gset
SELECT t.tenant(:'owner', '{"name": "Shut", "visibility": "public"}') AS shut \gset
SELECT is((api_1.tenants_join(:'member', :'open', '{"given": false}')).status, 200, 'an open one');
SELECT is((api_1.tenants_join(:'stranger', :'open', '{"given": true}')).status, 200, '... whatever password is given');
SELECT is(t.said(api_1.tenants_join(:'member', :'shut', '{"given": false}')), '403 invite_required', 'one by invite');
SELECT api_1.members_add(:'owner', :'shut', '{"username": "member", "role": "moderator"}') \g /dev/null
SELECT is((api_1.tenants_join(:'member', :'shut', '{"given": false}')).body ->> 'role', 'moderator', '... for who was asked, as what he was asked');
SELECT is(t.said(api_1.tenants_join(:'phone', :'open', '{"given": false}')), '403 user_session_required', 'a device joins no tenant');
UPDATE goconnect.memberships SET status = 'banned' WHERE tenant_id = :'open' AND user_id = t.id(:'member');
SELECT is(t.said(api_1.tenants_join(:'member', :'open', '{"given": false}')), '404 not_found', 'who is banned sees nothing');

-- leaving
SELECT is(t.said(api_1.tenants_leave(:'owner', :'open')), '409 last_owner', 'the last owner does not leave');
SELECT api_1.tenants_leave(:'stranger', :'open') AS r \gset
SELECT is((:'r'::api_1.reply).status, 204, 'a member does');
SELECT is(t.events(:'r'), 'member@tenant revoked@user tenant@user', '... and it is told');
SELECT is(t.event(:'r', 'revoked') ->> 'reason', 'left', '... why');
SELECT is(t.said(api_1.tenants_leave(:'stranger', :'open')), '409 not_joined', 'once');
SELECT is(t.said(api_1.tenants_leave(:'stranger', :'home')), '404 not_found', 'not what one is not in');
SELECT api_1.members_add(:'owner', :'open', '{"username": "stranger"}') \g /dev/null
SELECT api_1.tenants_leave(:'stranger', :'open') AS r \gset
SELECT is(t.events(:'r'), 'member@tenant/staff revoked@user tenant@user', 'who is asked declines');
SELECT is((SELECT action FROM goconnect.audit_log ORDER BY id DESC LIMIT 1), 'member.decline', '... as the audit trail says');

-- ----------------------------------------------------------------------- roles
SELECT t.tenant(:'owner', '{"name": "Ranks"}') AS ranks \gset
SELECT t.join(:'owner', x.c::api_1.ctx, :'ranks', NULL, x.role) FROM (VALUES (:'admin', 'admin'), (:'moderator', 'moderator'), (:'member', 'member')) x (c, role) \g /dev/null
SELECT t.user('second') AS second \gset
SELECT t.join(:'owner', :'second', :'ranks', NULL, 'admin') \g /dev/null
SELECT api_1.members_add(:'owner', :'ranks', '{"username": "stranger", "role": "moderator"}') \g /dev/null
CREATE FUNCTION t.role(c api_1.ctx, tenant uuid, who api_1.ctx, wanted text, tag text DEFAULT NULL) RETURNS api_1.reply LANGUAGE sql AS $$
    SELECT api_1.members_update(ROW(c.user_id, c.session_id, NULL, NULL, NULL, tag, NULL)::api_1.ctx, tenant, who.user_id, jsonb_build_object('role', wanted)) $$;
SELECT is((api_1.members_get(:'member', :'ranks', t.id(:'admin'))).body ->> 'role', 'admin', 'a member reads a member');
SELECT is(t.said(api_1.members_get(:'member', :'ranks', t.id(:'stranger'))), '404 not_found', '... not who is pending');
SELECT is((api_1.members_get(:'moderator', :'ranks', t.id(:'stranger'))).body ->> 'status', 'pending', '... a moderator does');
SELECT is((api_1.members_get(:'stranger', :'ranks', t.id(:'stranger'))).body ->> 'role', 'moderator', '... and everybody himself');
SELECT is(t.said(api_1.members_get(:'stranger', :'ranks', t.id(:'admin'))), '403 membership_required', '... but nobody else before he is in');
SELECT is(t.said(t.role(:'moderator', :'ranks', :'member', 'moderator')), '403 forbidden', 'a moderator gives no role');
SELECT is(t.said(t.role(:'admin', :'ranks', :'member', 'admin')), '403 role_too_high', 'an admin none at his own');
SELECT is(t.said(t.role(:'admin', :'ranks', :'member', 'owner')), '403 role_too_high', '... nor above');
SELECT is(t.said(t.role(:'admin', :'ranks', :'second', 'member')), '403 outranked', '... and takes none from his like');
SELECT is(t.said(t.role(:'admin', :'ranks', :'owner', 'member')), '403 outranked', '... nor from an owner');
SELECT is(t.said(t.role(:'admin', :'ranks', :'admin', 'owner')), '403 role_too_high', '... nor raises himself');
SELECT is(t.said(t.role(:'admin', :'ranks', :'member', 'king')), '422 invalid_fields role:invalid', 'there are four roles');
SELECT is(t.said(t.role(:'admin', :'ranks', t.user('elsewhere'), 'member')), '404 not_found', 'not who is not in');
SELECT is(t.said(t.role(:'owner', :'ranks', :'owner', 'admin')), '409 last_owner', 'the last owner stays one');
SELECT etag FROM api_1.members_get(:'admin', :'ranks', t.id(:'member')) \gset
SELECT t.role(:'admin', :'ranks', :'member', 'moderator', :'etag') AS r \gset
SELECT is((:'r'::api_1.reply).body ->> 'role', 'moderator', 'an admin makes a moderator');
SELECT is(t.events(:'r'), 'member@tenant tenant@user', '... it is told');
SELECT is(t.said(t.role(:'admin', :'ranks', :'member', 'member', :'etag')), '412 precondition_failed', '... the old version is gone');
SELECT is((SELECT detail FROM goconnect.audit_log ORDER BY id DESC LIMIT 1), '{"before": {"role": "member"}, "after": {"role": "moderator"}}', '... and written down');
SELECT is(t.events(t.role(:'admin', :'ranks', :'member', 'moderator')), '', 'the same role again changes nothing');
SELECT t.role(:'admin', :'ranks', :'member', 'member') AS r \gset
SELECT is(t.event(:'r', 'revoked') -> 'topics', jsonb_build_array('tenant:' || :'ranks' || '/staff'), 'demoted: the staff''s topic ends');
SELECT is(t.events(t.role(:'admin', :'ranks', :'stranger', 'member')), 'member@tenant/staff tenant@user', 'what somebody was asked for can change');
SELECT api_1.invites_create(:'admin', :'ranks', jsonb_build_object('role', x.role, 'code_hmac', t.hash('made' || x.role))) FROM (VALUES ('moderator'), ('member')) x (role) \g /dev/null
SELECT is((t.role(:'admin', :'ranks', :'admin', 'moderator')).status, 200, 'one may step down');
SELECT is((SELECT count(*) FROM goconnect.invites WHERE created_by = t.id(:'admin') AND tenant_id = :'ranks'), 0::bigint, '... and who may not invite any more has no invites');
SELECT is((t.role(:'owner', :'ranks', :'second', 'owner')).status, 200, 'an owner makes an owner');
SELECT is((t.role(:'second', :'ranks', :'owner', 'admin')).status, 200, '... who may take it from him');
SELECT is(t.said(t.role(:'owner', :'ranks', :'second', 'admin')), '403 outranked', '... and not the other way any more');

-- kicks
SELECT is(t.said(api_1.members_remove(:'member', :'ranks', t.id(:'moderator'))), '403 forbidden', 'a member kicks nobody');
SELECT is(t.said(api_1.members_remove(:'moderator', :'ranks', t.id(:'admin'))), '403 outranked', 'a moderator not his like');
SELECT is(t.said(api_1.members_remove(:'moderator', :'ranks', t.id(:'moderator'))), '403 outranked', '... nor himself');
SELECT is(t.said(api_1.members_remove(:'moderator', :'ranks', gen_random_uuid())), '404 not_found', 'nor nobody');
SELECT api_1.members_remove(:'moderator', :'ranks', t.id(:'member')) AS r \gset
SELECT is((:'r'::api_1.reply).status, 204, '... but a member');
SELECT is(t.event(:'r', 'revoked') ->> 'reason', 'kicked', '... who hears it');
SELECT api_1.members_remove(:'moderator', :'ranks', t.id(:'stranger')) AS r \gset
SELECT is(t.event(:'r', 'revoked') ->> 'reason', 'withdrawn', 'who was asked is not any more');
INSERT INTO goconnect.memberships (tenant_id, user_id, status) VALUES (:'ranks', t.id(:'member'), 'banned');
SELECT is(t.said(api_1.members_remove(:'moderator', :'ranks', t.id(:'member'))), '409 banned', 'a ban is not lifted by a kick');
SELECT is(t.said(t.role(:'second', :'ranks', :'member', 'moderator')), '409 banned', '... nor by a role');

-- handing over
SELECT is(t.said(api_1.tenants_transfer(:'owner', :'ranks', jsonb_build_object('user_id', t.id(:'second')))), '403 forbidden', 'only an owner hands over');
SELECT is(t.said(api_1.tenants_transfer(:'second', :'ranks', jsonb_build_object('user_id', t.id(:'second')))), '422 invalid_fields user_id:unknown', '... not to himself');
SELECT is(t.said(api_1.tenants_transfer(:'second', :'ranks', jsonb_build_object('user_id', t.id(:'member')))), '422 invalid_fields user_id:unknown', '... nor to who is banned');
SELECT api_1.tenants_transfer(:'second', :'ranks', jsonb_build_object('user_id', t.id(:'moderator'))) AS r \gset
SELECT is((:'r'::api_1.reply).body ->> 'role', 'admin', 'who has handed over is an admin');
SELECT is((SELECT string_agg(u.username || ':' || m.role, ' ' ORDER BY u.username) FROM goconnect.memberships m JOIN goconnect.users u ON u.id = m.user_id WHERE m.tenant_id = :'ranks' AND m.status = 'active'), 'admin:moderator moderator:owner owner:admin second:admin', '... and the other the owner');
SELECT is((SELECT detail #>> '{after,owner}' FROM goconnect.audit_log WHERE action = 'tenant.transfer'), t.id(:'moderator')::text, '... as is written down');

-- ---------------------------------------------------------------------- search
CREATE FUNCTION t.found(c api_1.ctx, q text, lim integer DEFAULT NULL, cur text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(i ->> 'name', ',' ORDER BY i ->> 'name') FROM json_array_elements((api_1.tenants_list(c, 'public', q, lim, cur)).body -> 'items') i $$;
SELECT t.tenant(:'owner', jsonb_build_object('name', n, 'visibility', 'public')) FROM unnest(ARRAY['Übung Süd', 'Go 100%', 'C', 'under_score', '日本の会']) n \g /dev/null
SELECT t.tenant(:'owner', '{"name": "Übung privat"}') \g /dev/null
SELECT is(t.found(:'stranger', 'üBUNG'), 'Übung Süd', 'found by a word, whatever its case; what is private is not');
SELECT is(t.found(:'stranger', 'g s'), 'Übung Süd', '... by any part');
SELECT is(t.found(:'stranger', '0%'), 'Go 100%', '... nothing is a pattern');
SELECT is(t.found(:'stranger', '_'), 'under_score', '... not even this');
SELECT is(t.found(:'stranger', '本'), '日本の会', '... by one character');
SELECT is(t.found(:'stranger', 'c'), 'C,under_score', '... of any name');
SELECT is(t.found(:'stranger', 'absent'), NULL, '... and not what is not there');
SELECT is(t.found(:'stranger', 'ungbu'), NULL, '... nor what has only the same parts');

SELECT * FROM finish();
ROLLBACK;
