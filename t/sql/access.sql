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

SELECT * FROM finish();
ROLLBACK;
