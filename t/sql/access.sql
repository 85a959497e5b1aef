-- Requests, kicks, bans, roles in a network, and what a role means there.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('owner') AS owner \gset
SELECT t.user('admin') AS admin \gset
SELECT t.user('moderator') AS moderator \gset
SELECT t.user('member') AS member \gset
SELECT t.user('second') AS second \gset
SELECT t.user('stranger') AS stranger \gset
SELECT t.tenant(:'owner', '{"name": "Home"}') AS home \gset
SELECT t.join(:'owner', :'admin', :'home', NULL, 'admin') \g /dev/null
SELECT t.join(:'owner', :'moderator', :'home', NULL, 'moderator') \g /dev/null
SELECT t.join(:'owner', :'member', :'home') \g /dev/null
SELECT t.join(:'owner', :'second', :'home') \g /dev/null
SELECT t.network(:'owner', :'home', '{"name": "lan", "visibility": "public", "join_policy": "open"}') AS lan \gset
SELECT t.network(:'owner', :'home', '{"name": "den", "required_role": "moderator"}') AS den \gset

CREATE FUNCTION t.id(c api_1.ctx) RETURNS uuid LANGUAGE sql AS $$ SELECT c.user_id $$;
CREATE FUNCTION t.topics(r api_1.reply, topic text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(regexp_replace(x.value, ':[^/]*', ''), ' ' ORDER BY x.value)
      FROM jsonb_array_elements_text(t.event(r, 'revoked', topic) -> 'topics') x $$;
-- A change of the tenant's role, as the API makes it.
CREATE FUNCTION t.role(tenant uuid, member uuid, wanted text) RETURNS api_1.reply LANGUAGE plpgsql AS $$
DECLARE was text := goconnect.effective_role(tenant, NULL, member);
BEGIN
    PERFORM api_1._lock_member(tenant, member);
    UPDATE goconnect.memberships m SET role = wanted
     WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = member;
    RETURN api_1._ok(200, events => api_1._publish(api_1._enforce_roles(tenant, member, was)));
END $$;

-- ------------------------------------------------- a role in the tenant changes
SELECT t.join(:'owner', :'moderator', :'home', :'lan') \g /dev/null
SELECT t.join(:'owner', :'moderator', :'home', :'den') \g /dev/null
SELECT t.device(:'moderator', 'pc') AS pc \gset
SELECT t.peer(:'pc', :'lan') AS pc_lan \gset
SELECT t.peer(:'pc', :'den') AS pc_den \gset
SELECT is((SELECT count(*) FROM goconnect.peers), 2::bigint, 'two peers of the moderator');
SAVEPOINT roles;
SELECT t.role(:'home', t.id(:'moderator'), 'member') AS r \gset
SELECT is(t.events(:'r'), 'member@network netmap_delta@network netmap_delta@network revoked@device revoked@user revoked@user self@device', 'demoted: the maps and the sockets hear it');
SELECT is(t.event(:'r', 'netmap_delta', 'network:' || :'lan') #>> '{upsert,0,role}', 'member', '... his peer has the lower role');
SELECT is(t.event(:'r', 'netmap_delta', 'network:' || :'den') ->> 'remove', format('["%s"]', :'pc_den'), '... and is gone from a network above him');
SELECT is((SELECT string_agg(e #>> '{data,scope}' || ':' || (e #>> '{data,reason}'), ' ' ORDER BY e #>> '{data,scope}') FROM json_array_elements((:'r'::api_1.reply).events) e WHERE e ->> 'type' = 'revoked' AND e ->> 'topic' = 'user:' || t.id(:'moderator')), 'network:role_too_low role:role_changed', '... he is told both');
SELECT is((SELECT string_agg(x.value, ' ' ORDER BY x.value) FROM json_array_elements((:'r'::api_1.reply).events) e, json_array_elements_text(e #> '{data,topics}') x WHERE e ->> 'type' = 'revoked' AND e #>> '{data,scope}' = 'role'), 'network:' || :'lan' || '/staff tenant:' || :'home' || '/staff', '... the topics of the staff that he had, and no other');
SELECT is((SELECT count(*) FROM goconnect.memberships m WHERE m.network_id = :'den' AND m.user_id = t.id(:'moderator')), 0::bigint, '... and is no member there');
SELECT is((api_1.ws_subscribe(:'moderator', jsonb_build_array(jsonb_build_object('topic', x.topic)))).body #>> '{refused,0,code}', x.code, 'no more: ' || x.topic)
  FROM (VALUES ('tenant:' || :'home' || '/staff', 'forbidden'), ('network:' || :'lan' || '/staff', 'forbidden'), ('network:' || :'den', 'not_found'), ('network:' || :'den' || '/staff', 'not_found')) x (topic, code);
SELECT is((api_1.ws_subscribe(:'moderator', jsonb_build_array(jsonb_build_object('topic', 'network:' || :'lan')))).body -> 'refused' ->> 0, NULL, 'what he keeps he may have');
ROLLBACK TO roles;
SELECT t.role(:'home', t.id(:'moderator'), 'admin') AS r \gset
SELECT is(t.events(:'r'), 'netmap_delta@network netmap_delta@network', 'promoted: the maps alone');
SELECT t.role(:'home', t.id(:'moderator'), 'moderator') AS r \gset
SELECT is(t.events(:'r'), 'netmap_delta@network netmap_delta@network', 'from admin to moderator: nothing that he is in ends');
ROLLBACK TO roles;
SELECT t.role(:'home', t.id(:'admin'), 'moderator') AS r \gset
SELECT is(t.topics(:'r', 'user:' || t.id(:'admin')), 'network network/staff network network/staff', 'an admin who never joined loses what he only looked at');
ROLLBACK TO roles;
SELECT t.role(:'home', t.id(:'member'), 'moderator') AS r \gset
SELECT is(t.events(:'r'), '', 'a promotion of somebody without peers tells nothing here');
ROLLBACK TO roles;
INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, status) VALUES (:'home', :'den', t.id(:'admin'), 'pending');
SELECT t.role(:'home', t.id(:'admin'), 'member') AS r \gset
SELECT is(t.event(:'r', 'request', 'network:' || :'den' || '/staff') ->> 'reason', 'role_too_low', 'a request that nobody could grant any more goes');
ROLLBACK TO roles;
SELECT is((SELECT count(*) FROM goconnect.peers), 2::bigint, 'all as it was');
RELEASE SAVEPOINT roles;

CREATE FUNCTION t.who(c api_1.ctx, more text DEFAULT '') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('user_id', c.user_id) || coalesce(nullif(more, ''), '{}')::jsonb $$;
-- The last row of the audit trail: action, who, target, before and after.
CREATE FUNCTION t.audited() RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', a.action, coalesce((SELECT u.username FROM goconnect.users u WHERE u.id = a.actor_id), 'nobody'),
               (SELECT u.username FROM goconnect.users u WHERE u.id = a.target_id),
               a.detail #>> '{before,status}', a.detail #>> '{before,role}', '>', a.detail #>> '{after,status}', a.detail #>> '{after,role}',
               a.detail ->> 'why',
               (SELECT string_agg(p.field || '=' || p.value, ' ' ORDER BY p.field) FROM goconnect.audit_personal p WHERE p.audit_id = a.id AND p.field ~ 'reason'))
      FROM goconnect.audit_log a ORDER BY a.id DESC LIMIT 1 $$;

-- ------------------------------------------------------------------- requests
SELECT t.network(:'owner', :'home', '{"name": "club", "visibility": "public", "join_policy": "approval"}') AS club \gset
SELECT api_1.networks_join(:'member', :'club', '{"note": " please "}') AS r \gset
SELECT is(t.events(:'r'), 'request@network/staff request@user', 'a request: the staff hears it, and who asks');
SELECT is(t.event(:'r', 'request', 'network:' || :'club' || '/staff') #>> '{request,note}', 'please', '... with the note');
SELECT is(t.event(:'r', 'request') ->> 'change', 'added', '... added');
SELECT is((api_1.networks_join(:'member', :'club', '{"note": "again"}')).events::text, NULL, '... once');
SELECT is(t.audited(), 'network.request member > pending', '... audited');
SELECT is(t.said(api_1.networks_approve(:'stranger', :'club', t.who(:'member'))), '404 not_found', 'a stranger approves nothing');
SELECT is(t.said(api_1.networks_approve(:'second', :'club', t.who(:'member'))), '403 forbidden', 'nor does a member');
SELECT is(t.said(api_1.networks_approve(:'pc', :'club', t.who(:'member'))), '403 user_session_required', 'nor a device');
SELECT api_1.networks_approve(:'moderator', :'club', t.who(:'member')) AS r \gset
SELECT is(t.events(:'r'), 'member@network network@user request@network/staff request@user', 'approved: all hear it');
SELECT is(t.event(:'r', 'request') ->> 'reason', 'approved', '... and why the request is gone');
SELECT is(t.audited(), 'network.approve moderator member pending > active', '... audited');
SELECT is((SELECT m.note FROM goconnect.memberships m WHERE m.network_id = :'club' AND m.user_id = t.id(:'member')), NULL, '... the note is not kept');
SELECT api_1.networks_join(:'second', :'club', '{}') \g /dev/null
SELECT api_1.networks_deny(:'moderator', :'club', t.who(:'second')) AS r \gset
SELECT is(t.events(:'r'), 'request@network/staff request@user', 'denied');
SELECT is(t.event(:'r', 'request') ->> 'reason', 'denied', '... so it says');
SELECT is(t.audited(), 'network.deny moderator second pending >', '... audited');
SELECT api_1.networks_join(:'second', :'club', '{}') \g /dev/null
SELECT is(t.event(api_1.networks_leave(:'second', :'club'), 'request') ->> 'reason', 'withdrawn', 'taken back');
SELECT api_1.networks_join(:'second', :'club', '{}') \g /dev/null
SELECT api_1.networks_update(:'owner', :'club', '{"join_policy": "open"}') \g /dev/null
SELECT is(t.events(api_1.networks_join(:'second', :'club', '{}')), 'member@network network@user request@network/staff request@user', 'the policy opens: the request ends with joining');

-- ---------------------------------------------------------------------- kicks
SELECT t.join(:'owner', :'member', :'home', :'lan') \g /dev/null
SELECT t.device(:'member', 'phone') AS phone \gset
SELECT t.device(:'member', 'tablet') AS tablet \gset
SELECT t.peer(:'phone', :'lan') AS phone_lan \gset
SELECT t.peer(:'tablet', :'lan') AS tablet_lan \gset
SELECT api_1.networks_kick(:'moderator', :'lan', t.who(:'member', '{"reason": "loud"}')) AS r \gset
SELECT is(t.events(:'r'), 'member@network netmap_delta@network revoked@device revoked@device revoked@user self@device self@device', 'kicked: the map, the devices and the sockets hear it');
SELECT is((SELECT count(*) FROM jsonb_array_elements(t.event(:'r', 'netmap_delta') -> 'remove')), 2::bigint, '... both peers in one step of the map');
SELECT is(t.event(:'r', 'revoked', 'user:' || t.id(:'member')) ->> 'detail', 'loud', '... he hears why');
SELECT is(t.event(:'r', 'revoked', 'user:' || t.id(:'member')) ->> 'reason', 'kicked', '... what');
SELECT is(t.topics(:'r', 'user:' || t.id(:'member')), 'network network/staff', '... and which topics end');
SELECT is(t.event(:'r', 'revoked', 'device:' || (:'phone'::api_1.ctx).device_id) ->> 'detail', NULL, '... words are not for devices');
SELECT is(t.audited(), 'network.kick moderator member active member > reason=loud', '... audited');
SELECT is(t.said(api_1.networks_kick(:'moderator', :'lan', t.who(:'admin'))), '422 invalid_fields user_id:unknown', 'who is not in cannot be kicked');

-- ----------------------------------------------------------------------- bans
SELECT api_1.networks_join(:'member', :'lan', '{}') \g /dev/null
SELECT t.peer(:'phone', :'lan') AS phone_lan \gset
SELECT api_1.networks_ban(:'moderator', :'lan', t.who(:'member', '{"reason": "spam", "expires_in": 60}')) AS r \gset
SELECT is(t.events(:'r'), 'ban@network/staff ban@user member@network netmap_delta@network revoked@device revoked@user self@device', 'banned: all hear it');
SELECT is(t.event(:'r', 'ban', 'network:' || :'lan' || '/staff') #>> '{ban,banned_by}', t.id(:'moderator')::text, '... the staff by whom');
SELECT is(t.event(:'r', 'ban', 'user:' || t.id(:'member')) #>> '{ban,banned_by}', NULL, '... he does not');
SELECT is(t.event(:'r', 'revoked', 'user:' || t.id(:'member')) ->> 'reason', 'banned', '... revoked');
SELECT is(t.audited(), 'network.ban moderator member > after.reason=spam', '... audited');
SELECT is((SELECT m.status FROM goconnect.memberships m WHERE m.network_id = :'lan' AND m.user_id = t.id(:'member')), 'banned', '... a membership says so');
SELECT is(t.said(api_1.peers_create(:'phone', :'lan', jsonb_build_object('public_key', t.key('again')))), '404 not_found', '... his device finds nothing');
SELECT is((api_1.ws_subscribe(:'member', jsonb_build_array(jsonb_build_object('topic', x.topic)))).body #>> '{refused,0,code}', 'forbidden', 'no more: ' || x.topic)
  FROM (VALUES ('network:' || :'lan'), ('network:' || :'lan' || '/staff')) x (topic);
SELECT is((api_1.ws_subscribe(:'phone', jsonb_build_array(jsonb_build_object('topic', 'network:' || :'lan')))).body #>> '{refused,0,code}', 'not_found', '... for a device it is not there');
SELECT is((SELECT count(*) FROM json_array_elements((api_1.ws_hello(:'member')).body -> 'topics') x WHERE x ->> 'topic' LIKE 'network:' || :'lan' || '%'), 0::bigint, '... hello does not name it');
SELECT is(t.events(api_1.networks_ban(:'moderator', :'lan', t.who(:'member'))), 'ban@network/staff ban@user', 'another ban tells of itself alone');
SELECT is(t.audited(), 'network.ban moderator member > before.reason=spam', '... audited with what was');
SELECT api_1.networks_unban(:'moderator', :'lan', t.who(:'member')) AS r \gset
SELECT is(t.events(:'r'), 'ban@network/staff ban@user', 'lifted: the staff hears it, and he');
SELECT is(t.event(:'r', 'ban') ->> 'reason', 'lifted', '... so it says');
SELECT is(t.audited(), 'network.unban moderator member > lifted', '... audited');
SELECT is((SELECT count(*) FROM goconnect.memberships m WHERE m.network_id = :'lan' AND m.user_id = t.id(:'member')), 0::bigint, '... and nothing is left of it');
SELECT is(t.events(api_1.networks_ban(:'moderator', :'lan', t.who(:'stranger'))), 'ban@network/staff', 'who never knew the network hears of no ban');
SELECT is(t.events(api_1.networks_unban(:'moderator', :'lan', t.who(:'stranger'))), 'ban@network/staff', '... nor of its end');
SELECT api_1.networks_update(:'owner', :'club', '{"join_policy": "approval"}') \g /dev/null
SELECT api_1.networks_kick(:'moderator', :'club', t.who(:'second')) \g /dev/null
SELECT api_1.networks_join(:'second', :'club', '{}') \g /dev/null
SELECT is(t.events(api_1.networks_ban(:'moderator', :'club', t.who(:'second'))), 'ban@network/staff ban@user request@network/staff request@user', 'a ban ends a request');
SELECT is(t.topics(api_1.networks_ban(:'owner', :'lan', t.who(:'admin')), 'user:' || t.id(:'admin')), 'network network/staff', 'an admin who only looked at it loses it too');
SELECT is(t.said(api_1.networks_update(:'admin', :'lan', '{"name": "mine"}')), '403 forbidden', '... and has no say in it');
SAVEPOINT owned;
SELECT t.role(:'home', t.id(:'admin'), 'owner') AS r \gset
SELECT is(t.event(:'r', 'ban', 'user:' || t.id(:'admin')) ->> 'reason', 'promoted', '... until he owns the tenant: nobody else could lift it');
SELECT is((api_1.networks_update(:'admin', :'lan', '{"name": "mine"}')).status, 200, '... and it is his');
ROLLBACK TO owned;
SELECT api_1.networks_unban(:'owner', :'lan', t.who(:'admin')) \g /dev/null

-- one whose time is over goes with the sweep, which tells
SELECT api_1.networks_ban(:'moderator', :'lan', t.who(:'member', '{"reason": "short", "expires_in": 1}')) \g /dev/null
SELECT api_1.tenant_bans_create(:'moderator', :'home', t.id(:'stranger'), '{"expires_in": 1}') \g /dev/null
SELECT is(cardinality(api_1._expire_bans()), 0, 'the sweep leaves what lasts');
UPDATE goconnect.bans SET until = now() - interval '1 second' WHERE until IS NOT NULL;
SELECT * FROM (SELECT api_1._ok(200, events => api_1._publish(api_1._expire_bans())) AS r) x \gset
SELECT is(t.events(:'r'), 'ban@network/staff ban@tenant/staff ban@user', 'what is over goes with the sweep, which tells');
SELECT is(t.event(:'r', 'ban') ->> 'reason', 'expired', '... so it says');
SELECT is((SELECT count(*) FROM goconnect.audit_log a WHERE a.action ~ 'unban' AND a.actor_id IS NULL AND a.detail ->> 'why' = 'expired'), 2::bigint, '... audited without an actor');
SELECT is((SELECT count(*) FROM goconnect.memberships m WHERE m.status = 'banned' AND m.user_id IN (t.id(:'member'), t.id(:'stranger'))), 0::bigint, '... with their memberships');
SELECT is((api_1.networks_join(:'member', :'lan', '{}')).status, 200, '... he is free to come');

-- ------------------------------------------------------------ roles in networks
SELECT t.peer(:'phone', :'lan') AS phone_lan \gset
SELECT api_1.network_members_update(:'admin', :'lan', t.id(:'member'), '{"role": "moderator"}') AS r \gset
SELECT is(t.events(:'r'), 'member@network netmap_delta@network network@user', 'a role in a network: the members, the map and he');
SELECT is(t.event(:'r', 'netmap_delta') #>> '{upsert,0,role}', 'moderator', '... his peer has it');
SELECT is(t.audited(), 'network.role admin member member > moderator', '... audited');
SELECT is(t.events(api_1.network_members_update(:'admin', :'lan', t.id(:'member'), '{"role": "moderator"}')), '', '... twice tells nothing');
SELECT is((api_1.ws_subscribe(:'member', jsonb_build_array(jsonb_build_object('topic', 'network:' || :'lan' || '/staff')))).body -> 'refused' ->> 0, NULL, '... the staff''s topic is his');
SELECT api_1.network_members_update(:'admin', :'lan', t.id(:'member'), '{"role": "member"}') AS r \gset
SELECT is(t.topics(:'r', 'user:' || t.id(:'member')), 'network/staff', '... and ends with the role');
SELECT is((api_1.ws_subscribe(:'member', jsonb_build_array(jsonb_build_object('topic', 'network:' || :'lan' || '/staff')))).body #>> '{refused,0,code}', 'forbidden', '... for good');
-- a network that only a role in it opens
SELECT t.network(:'owner', :'home', '{"name": "staffroom", "visibility": "public", "join_policy": "open", "required_role": "moderator"}') AS room \gset
SELECT t.role(:'home', t.id(:'second'), 'moderator') \g /dev/null
SELECT api_1.networks_join(:'second', :'room', '{}') \g /dev/null
SELECT api_1.network_members_update(:'owner', :'room', t.id(:'second'), '{"role": "moderator"}') \g /dev/null
SELECT is(t.events(t.role(:'home', t.id(:'second'), 'member')), 'revoked@user', 'a role in the network keeps him in when the tenant''s goes');
SELECT is(t.events(api_1.network_members_update(:'owner', :'room', t.id(:'second'), '{"role": "member"}')), 'member@network member@network network@user revoked@user', '... and when that goes too he is out');
SELECT is(t.said(api_1.networks_get(:'second', :'room')), '404 not_found', '... and sees nothing');

-- what a raised required_role and a deletion end for those who only look
SELECT t.network(:'owner', :'home', '{"name": "high", "visibility": "public", "join_policy": "approval"}') AS high \gset
SELECT api_1.networks_join(:'member', :'high', '{}') \g /dev/null
SELECT api_1.networks_update(:'owner', :'high', '{"required_role": "owner"}') AS r \gset
SELECT is(t.topics(:'r', 'user:' || t.id(:'admin')), 'network network/staff', 'required_role owner: an admin who looked at it loses it');
SELECT is(t.event(:'r', 'request', 'user:' || t.id(:'member')) ->> 'reason', 'role_too_low', '... and a request ends');
SELECT api_1.networks_update(:'owner', :'high', '{"required_role": "member"}') \g /dev/null
SELECT api_1.networks_join(:'member', :'high', '{}') \g /dev/null
SELECT api_1.networks_delete(:'owner', :'high') AS r \gset
SELECT is(t.topics(:'r', 'user:' || t.id(:'admin')), 'network network/staff', 'deleted: who only looked at it loses it');
SELECT is(t.event(:'r', 'request', 'user:' || t.id(:'member')) ->> 'reason', 'network_deleted', '... and who asked hears it');
SELECT t.network(:'owner', :'home', '{"name": "above", "required_role": "moderator"}') AS above \gset
SELECT api_1.invites_create(:'owner', :'home', jsonb_build_object('code_hmac', t.hash('above'), 'network_id', :'above', 'role', 'moderator')) \g /dev/null
SELECT is(t.said(api_1.invites_accept(:'member', t.hash('above'))), '403 role_too_low', 'an invite raises no member, so it opens no network above him');

-- --------------------------------------------------------------- tenant's bans
SELECT api_1.tenant_bans_create(:'moderator', :'home', t.id(:'member'), '{"reason": "enough"}') AS r \gset
SELECT is(t.event(:'r', 'revoked', 'user:' || t.id(:'member')) ->> 'detail', 'enough', 'banned from the tenant: he hears why');
SELECT is(t.event(:'r', 'netmap_delta', 'network:' || :'lan') -> 'remove' ->> 0, :'phone_lan', '... his peers go');
SELECT is(t.audited(), 'tenant.ban moderator member > after.reason=enough', '... audited');
SELECT is((SELECT string_agg(m.status || ' ' || (m.network_id IS NULL), ',') FROM goconnect.memberships m WHERE m.tenant_id = :'home' AND m.user_id = t.id(:'member')), 'banned true', '... the ban alone is left of him');
SELECT is(t.said(api_1.tenants_get(:'member', :'home')), '404 not_found', '... the tenant is not there');
SELECT is(t.said(api_1.invites_accept(:'member', (SELECT t.hash('back') FROM api_1.invites_create(:'owner', :'home', jsonb_build_object('code_hmac', t.hash('back')))))), '403 banned', '... nor by an invite');
SELECT is(t.said(api_1.tenant_bans_create(:'moderator', :'home', t.id(:'owner'), '{}')), '403 role_too_low', 'not above oneself');
SELECT is(t.events(api_1.tenant_bans_delete(:'moderator', :'home', t.id(:'member'))), 'ban@tenant/staff', 'lifted: a private tenant tells him nothing');
SELECT is((api_1.invites_accept(:'member', t.hash('back'))).status, 200, '... he may come again');

SELECT * FROM finish();
ROLLBACK;
