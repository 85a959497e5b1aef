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

SELECT * FROM finish();
ROLLBACK;
