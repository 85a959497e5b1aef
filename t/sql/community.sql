-- Tenants, members and invites.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('owner') AS owner \gset
SELECT t.user('admin') AS admin \gset
SELECT t.user('moderator') AS moderator \gset
SELECT t.user('member') AS member \gset
SELECT t.user('stranger') AS stranger \gset
SELECT t.tenant(:'owner', '{"name": "Private"}') AS private \gset
SELECT t.tenant(:'owner', '{"name": "Open", "visibility": "public"}') AS public \gset
SELECT t.join(:'owner', :'admin', :'private', NULL, 'admin') \g /dev/null
SELECT t.join(:'owner', :'moderator', :'private', NULL, 'moderator') \g /dev/null
SELECT t.join(:'owner', :'member', :'private') \g /dev/null
SELECT t.device(:'member', 'phone') AS phone \gset

-- create
SELECT * FROM api_1.tenants_create(:'owner', '{"name": " Ünal & Co ", "description": "d", "settings": {"retention_days": 30}}') \gset r_
SELECT is(:r_status, 201, 'create');
SELECT is(:'r_body'::jsonb ->> 'name', 'Ünal & Co', '... trims the name');
SELECT is(:'r_body'::jsonb ->> 'slug', 'nal-co', '... makes a slug');
SELECT is(:'r_body'::jsonb ->> 'role', 'owner', '... for its owner');
SELECT is(:'r_location', '/v1/tenants/' || (:'r_body'::jsonb ->> 'id'), '... says where it is');
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_body'::json) k),
    ARRAY['id', 'name', 'slug', 'description', 'visibility', 'access', 'settings', 'role', 'member_count', 'created_at', 'updated_at'], '... as the protocol says');
SELECT isnt((api_1.tenants_create(:'owner', '{"name": "Private"}')).body ->> 'slug', 'private', 'a slug that is taken gets a tail');
SELECT is((api_1.tenants_create(:'owner', '{"name": "日本"}')).status, 201, 'a name without a letter of ASCII');
SELECT is(t.said(api_1.tenants_create(:'owner', '{"name": "x", "slug": "private"}')), '409 slug_taken', 'a slug asked for and taken is a conflict');
SELECT is(t.said(api_1.tenants_update(:'owner', :'public', '{"slug": "private"}')), '409 slug_taken', '... later too');
SELECT is((api_1.tenants_update(:'owner', :'public', '{"slug": "open"}')).status, 200, '... but one''s own is not');
SELECT is(t.said(api_1.tenants_create(:'owner', '{"name": "  "}')), '422 invalid_fields name:invalid', 'no name');
SELECT is(t.said(api_1.tenants_create(:'owner', '{"name": "x", "slug": "A b", "visibility": "x", "access": "password", "settings": {"a": 1}}')), '422 invalid_fields slug:invalid settings:invalid visibility:invalid password:required', 'every wrong field');
SELECT is(t.said(api_1.tenants_create(:'phone', '{"name": "x"}')), '403 user_session_required', 'a device makes no tenant');

-- get and list
SELECT is((api_1.tenants_get(:'member', :'private')).body ->> 'role', 'member', 'a member sees it');
SELECT is((api_1.tenants_get(:'member', :'private')).body ->> 'member_count', '4', '... and how many they are');
SELECT is(t.said(api_1.tenants_get(:'stranger', :'private')), '404 not_found', 'a stranger sees no private tenant');
SELECT is((api_1.tenants_get(:'stranger', :'public')).body ->> 'role', NULL, '... but a public one');
SELECT is(t.said(api_1.tenants_get(:'stranger', gen_random_uuid())), '404 not_found', 'unknown');
SELECT is((SELECT count(*) FROM json_array_elements((api_1.tenants_list(:'stranger', 'mine', NULL, NULL, NULL)).body -> 'items')), 0::bigint, 'mine: none');
SELECT is((api_1.tenants_list(:'stranger', 'public', NULL, NULL, NULL)).body #>> '{items,0,name}', 'Open', 'public: one');
SELECT is((SELECT count(*) FROM json_array_elements((api_1.tenants_list(:'stranger', 'public', 'pen', NULL, NULL)).body -> 'items')), 1::bigint, 'q finds');
SELECT is((SELECT count(*) FROM json_array_elements((api_1.tenants_list(:'stranger', 'public', '%', NULL, NULL)).body -> 'items')), 0::bigint, '... what it says, not a pattern');
SELECT is((SELECT count(*) FROM json_array_elements((api_1.tenants_list(:'member', NULL, NULL, NULL, NULL)).body -> 'items')), 1::bigint, 'mine is what one is in');
SELECT api_1.tenants_create(:'stranger', jsonb_build_object('name', 'T' || i)) FROM generate_series(1, 5) i \g /dev/null
SELECT * FROM api_1.tenants_list(:'stranger', 'mine', NULL, 2, NULL) \gset a_
SELECT * FROM api_1.tenants_list(:'stranger', 'mine', NULL, 2, :'a_body'::json ->> 'next_cursor') \gset b_
SELECT * FROM api_1.tenants_list(:'stranger', 'mine', NULL, 2, :'b_body'::json ->> 'next_cursor') \gset c_
SELECT is((SELECT count(DISTINCT i ->> 'id') FROM (SELECT json_array_elements(b::json -> 'items') i FROM unnest(ARRAY[:'a_body', :'b_body', :'c_body']) b) x), 5::bigint, 'pages follow each other without gap or repetition');
SELECT is(:'c_body'::json ->> 'next_cursor', NULL, '... and end');
SELECT * FROM api_1.tenants_list(:'stranger', 'mine', NULL, 5, NULL) \gset r_
SELECT is(:'r_body'::json ->> 'next_cursor', NULL, 'a full last page has no next');
SELECT is(t.said(api_1.tenants_list(:'stranger', 'mine', NULL, 2, 'nonsense')), '422 invalid_fields cursor:invalid', 'no cursor');
SELECT is(t.said(api_1.tenants_list(:'stranger', 'all', NULL, 2, NULL)), '422 invalid_fields scope:invalid', 'no scope');

-- update
SELECT etag FROM api_1.tenants_get(:'admin', :'private') \gset
SELECT * FROM api_1.tenants_update(:'admin', :'private', '{"description": "new", "settings": {"retention_days": 7}}') \gset r_
SELECT is(:r_status, 200, 'an admin changes it');
SELECT is(:'r_body'::jsonb ->> 'name', 'Private', '... what is not named stays');
SELECT is(:'r_events'::json #>> '{0,data,change}', 'changed', '... and is told');
SELECT is(:'r_events'::json #>> '{0,data,tenant,role}', NULL, '... to all alike');
SELECT isnt(:'r_etag'::text, :'etag'::text, '... under a new ETag');
SELECT is((api_1.tenants_update(:'admin', :'private', '{"description": null}')).body ->> 'description', NULL, 'null clears');
SELECT is(t.said(api_1.tenants_update(:'moderator', :'private', '{"name": "x"}')), '403 forbidden', 'a moderator does not');
SELECT is(t.said(api_1.tenants_update(:'stranger', :'private', '{"name": "x"}')), '404 not_found', 'a stranger knows nothing');
SELECT is(t.said(api_1.tenants_update(:'stranger', :'public', '{"name": "x"}')), '403 forbidden', '... or may not');
SELECT is(t.said(api_1.tenants_update(:'admin', :'private', '{"name": "", "slug": null}')), '422 invalid_fields name:invalid slug:invalid', 'fields');
SELECT is(t.said(api_1.tenants_update(ROW((:'admin'::api_1.ctx).user_id, (:'admin'::api_1.ctx).session_id, NULL, NULL, NULL, :'etag', NULL)::api_1.ctx, :'private', '{"name": "x"}')), '412 precondition_failed', 'If-Match with an old tag');
SELECT is((api_1.tenants_update(ROW((:'admin'::api_1.ctx).user_id, (:'admin'::api_1.ctx).session_id, NULL, NULL, NULL, '"0", ' || (api_1.tenants_get(:'admin', :'private')).etag, NULL)::api_1.ctx, :'private', '{"name": "New"}')).status, 200, '... with the present one, in a list');
SELECT ok(api_1._matches('*', 3) AND api_1._matches(NULL, 3) AND NOT api_1._matches('W/"3"', 3) AND NOT api_1._matches('"33"', 3) AND NOT api_1._matches('', 3), 'what matches');

-- members
SELECT is((SELECT count(*) FROM json_array_elements((api_1.members_list(:'member', :'private', NULL, NULL)).body -> 'items')), 4::bigint, 'members see the members');
SELECT is(t.said(api_1.members_list(:'stranger', :'private', NULL, NULL)), '404 not_found', 'strangers do not');
SELECT is(t.said(api_1.members_list(:'stranger', :'public', NULL, NULL)), '403 membership_required', '... of a public tenant neither');
SELECT * FROM api_1.members_add(:'admin', :'private', '{"username": "STRANGER", "role": "moderator"}') \gset r_
SELECT is(:r_status, 201, 'an admin asks somebody in');
SELECT is(:'r_body'::jsonb - 'user_id', '{"username": "stranger", "kind": "person", "role": "moderator", "status": "pending", "joined_at": null, "online": false, "last_seen": null}', '... pending');
SELECT is((SELECT string_agg(e ->> 'type' || '@' || split_part(e ->> 'topic', ':', 1), ' ') FROM json_array_elements(:'r_events'::json) e), 'member@tenant tenant@user', '... told to the staff and to him');
SELECT is(:'r_events'::json #>> '{0,topic}', 'tenant:' || :'private' || '/staff', '... and to no other member');
SELECT is((SELECT count(*) FROM json_array_elements((api_1.members_list(:'member', :'private', NULL, NULL)).body -> 'items')), 4::bigint, 'members do not see who is pending');
SELECT is((SELECT count(*) FROM json_array_elements((api_1.members_list(:'moderator', :'private', NULL, NULL)).body -> 'items')), 5::bigint, 'moderators do');
SELECT is((api_1.tenants_get(:'stranger', :'private')).body ->> 'role', NULL, 'who is asked may look at the tenant, without a role');
SELECT is(t.said(api_1.networks_list(:'stranger', :'private', NULL, NULL)), '403 membership_required', '... and no further');
SELECT is(t.said(api_1.members_add(:'admin', :'private', '{"username": "stranger"}')), '409 already_member', 'not twice');
SELECT is(t.said(api_1.members_add(:'admin', :'private', '{"username": "owner"}')), '409 already_member', 'nor a member');
SELECT is(t.said(api_1.members_add(:'admin', :'private', '{"username": "zed"}')), '422 invalid_fields username:unknown', 'nor nobody');
SELECT is(t.said(api_1.members_add(:'admin', :'private', '{}')), '422 invalid_fields username:required', 'nor without a name');
SELECT is(t.said(api_1.members_add(:'admin', :'private', '{"username": "zed", "role": "king"}')), '422 invalid_fields role:invalid username:unknown', 'nor a king');
SELECT t.user('another') AS another \gset
SELECT is(t.said(api_1.members_add(:'admin', :'private', '{"username": "another", "role": "admin"}')), '403 role_too_high', 'an admin makes no admin');
SELECT is(t.said(api_1.members_add(:'moderator', :'private', '{"username": "another"}')), '403 forbidden', 'a moderator asks nobody in');
SELECT is((api_1.members_add(:'owner', :'private', jsonb_build_object('user_id', (:'another'::api_1.ctx).user_id, 'role', 'owner'))).status, 201, 'an owner makes owners');
SELECT * FROM api_1.members_accept(:'stranger', :'private') \gset r_
SELECT is(:'r_body'::json ->> 'status', 'active', 'he accepts');
SELECT is((SELECT string_agg(e ->> 'type' || '@' || split_part(e ->> 'topic', ':', 1), ' ') FROM json_array_elements(:'r_events'::json) e), 'member@tenant tenant@user', '... told to all');
SELECT is((api_1.members_accept(:'stranger', :'private')).status, 200, '... twice does nothing');
SELECT is((api_1.tenants_get(:'stranger', :'private')).body ->> 'role', 'moderator', '... and has the role');
SELECT is(t.said(api_1.members_accept(:'member', :'public')), '403 invite_required', 'who was not asked cannot accept');
SELECT is(t.said(api_1.members_accept(:'another', :'public')), '403 invite_required', '... in a public tenant neither');
SELECT is(t.said(api_1.members_accept(:'phone', :'private')), '403 user_session_required', 'a device does not');

-- invites
CREATE FUNCTION t.invite(c api_1.ctx, tenant uuid, body jsonb, code text) RETURNS api_1.reply LANGUAGE sql AS $$
    SELECT api_1.invites_create(c, tenant, body || jsonb_build_object('code_hmac', t.hash(code))) $$;
SELECT t.network(:'owner', :'private', '{"name": "lan"}') AS lan \gset
SELECT t.network(:'owner', :'public', '{"name": "other"}') AS foreign \gset
SELECT t.user('guest') AS guest \gset
SELECT t.user('guest2') AS guest2 \gset
SELECT * FROM t.invite(:'admin', :'private', jsonb_build_object('network_id', :'lan', 'max_uses', 1), 'one') \gset r_
SELECT is(:r_status, 201, 'an invite');
SELECT is((SELECT array_agg(k) FROM json_object_keys(:'r_body'::json) k), ARRAY['id', 'tenant_id', 'network_id', 'role', 'max_uses', 'uses', 'expires_at', 'created_by', 'created_at'], '... as the protocol says');
SELECT is((:'r_body'::json ->> 'expires_at')::timestamptz, now() + interval '7 days', '... for a week');
SELECT :'r_body'::json ->> 'id' AS invite \gset
SELECT is((api_1.invites_preview(t.nobody(), t.hash('one'))).body::jsonb, '{"tenant_name": "New", "network_name": "lan", "member_count": 5}', 'the preview tells names and a number');
SELECT is(t.said(api_1.invites_preview(t.nobody(), t.hash('two'))), '404 not_found', '... of no other code');
SELECT * FROM api_1.invites_accept(:'guest', t.hash('one')) \gset r_
SELECT is(:r_status, 200, 'accepted');
SELECT is(:'r_body'::jsonb #>> '{network,joined}', 'true', '... the network with it');
SELECT is((SELECT array_agg(e ->> 'type' || '@' || split_part(e ->> 'topic', ':', 1)) FROM json_array_elements(:'r_events'::json) e), ARRAY['member@tenant', 'tenant@user', 'member@network', 'network@user'], '... and told');
SELECT is((api_1.invites_accept(:'guest', t.hash('one'))).status, 200, 'accepting twice');
SELECT is((SELECT uses FROM goconnect.invites WHERE id = :'invite'), 1, '... uses nothing');
SELECT is(t.said(api_1.invites_accept(:'guest2', t.hash('one'))), '404 not_found', 'used up');
SELECT is(t.said(api_1.invites_preview(t.nobody(), t.hash('one'))), '404 not_found', '... is gone for the preview too');
SELECT t.invite(:'admin', :'private', '{}', 'two') \g /dev/null
UPDATE goconnect.invites SET expires_at = now() WHERE code_hmac = decode(t.hash('two'), 'hex');
SELECT is(t.said(api_1.invites_accept(:'guest2', t.hash('two'))), '404 not_found', 'expired');
SELECT is(t.said(t.invite(:'moderator', :'private', '{}', 'x')), '403 forbidden', 'a moderator makes none');
SELECT is(t.said(t.invite(:'stranger', :'public', '{}', 'x')), '403 forbidden', 'nor a stranger');
SELECT is(t.said(t.invite(:'admin', :'private', '{"role": "admin"}', 'x')), '403 role_too_high', 'an admin invites no admin');
SELECT is((t.invite(:'owner', :'private', '{"role": "admin"}', 'three')).status, 201, 'an owner does');
SELECT is(t.said(t.invite(:'admin', :'private', jsonb_build_object('network_id', :'foreign'), 'x')), '422 invalid_fields network_id:unknown', 'a network of another tenant');
SELECT is(t.said(t.invite(:'admin', :'private', '{"max_uses": 0, "expires_in": 99999999999, "role": "x"}', 'x')), '422 invalid_fields role:invalid max_uses:out_of_range expires_in:out_of_range', 'fields');
SELECT is((SELECT count(*) FROM json_array_elements((api_1.invites_list(:'admin', :'private', NULL, NULL)).body -> 'items')) > 0, true, 'admins list them');
SELECT is(t.said(api_1.invites_list(:'member', :'private', NULL, NULL)), '403 forbidden', 'members do not');
SELECT is(t.said(api_1.invites_delete(:'stranger', gen_random_uuid())), '404 not_found', 'unknown');
SELECT is(t.said(api_1.invites_delete(:'guest2', :'invite')), '404 not_found', 'foreign');
SELECT is(t.said(api_1.invites_delete(:'member', :'invite')), '403 forbidden', 'not a member''s business');
SELECT is((api_1.invites_delete(:'admin', :'invite')).status, 204, 'an admin takes it back');
SELECT is(t.said(api_1.invites_delete(:'admin', :'invite')), '404 not_found', '... once');
UPDATE goconnect.memberships SET status = 'banned' WHERE user_id = (:'stranger'::api_1.ctx).user_id AND tenant_id = :'private';
SELECT t.invite(:'owner', :'private', '{}', 'four') \g /dev/null
SELECT is(t.said(api_1.invites_accept(:'stranger', t.hash('four'))), '403 banned', 'an invite does not lift a ban');
SELECT is(t.said(api_1.tenants_get(:'stranger', :'private')), '404 not_found', '... who is banned sees nothing');
SELECT is(t.said(api_1.members_add(:'owner', :'private', '{"username": "stranger"}')), '409 banned', '... and is not asked in');

-- delete
SELECT t.device(:'guest', 'pc') AS pc \gset
SELECT t.peer(:'pc', :'lan') AS peer \gset
SELECT is(t.said(api_1.tenants_delete(:'admin', :'private')), '403 forbidden', 'an admin does not delete it');
SELECT * FROM api_1.tenants_delete(:'owner', :'private') \gset r_
SELECT is(:r_status, 204, 'an owner does');
SELECT is((SELECT count(*) FROM goconnect.peers WHERE network_id = :'lan'), 0::bigint, '... the peers go at once');
SELECT is((SELECT e ->> 'data' FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'netmap_delta')::jsonb -> 'remove', jsonb_build_array(:'peer'), '... from the map');
SELECT is((SELECT count(*) FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'revoked' AND e ->> 'topic' LIKE 'user:%'), 6::bigint, '... every member hears it');
SELECT is((SELECT (e ->> 'data')::jsonb -> 'topics' @> jsonb_build_array('tenant:' || :'private', 'network:' || :'lan') FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'revoked' AND e ->> 'topic' = 'device:' || (:'pc'::api_1.ctx).device_id), true, '... and the device, with the topics that end');
SELECT is((SELECT (e ->> 'data')::jsonb -> 'peers' FROM json_array_elements(:'r_events'::json) e WHERE e ->> 'type' = 'self'), '[]'::jsonb, '... which has nothing left');
SELECT is(t.said(api_1.tenants_get(:'owner', :'private')), '404 not_found', 'it is gone');
SELECT is(t.said(api_1.networks_get(:'owner', :'lan')), '404 not_found', '... with its networks');
SELECT is(t.said(api_1.peers_list(:'pc', :'lan', NULL, NULL)), '404 not_found', '... for devices too');
SELECT is(t.said(api_1.invites_preview(t.nobody(), t.hash('three'))), '404 not_found', '... and its invites');
SELECT is((api_1.tenants_create(:'owner', '{"name": "x", "slug": "private"}')).status, 201, 'its slug is free again');
UPDATE goconnect.chores SET done_at = '-infinity';
SELECT api_1.ws_presence(gen_random_uuid(), '{"online": [], "offline": []}') \g /dev/null
UPDATE goconnect.chores SET done_at = '-infinity';
SELECT api_1.ws_presence(gen_random_uuid(), '{"online": [], "offline": []}') \g /dev/null
SELECT is((SELECT count(*) FROM goconnect.tenants WHERE id = :'private'), 0::bigint, 'the sweep removes the rest');
SELECT is((SELECT count(*) FROM goconnect.cidr_pool WHERE network_id IS NOT NULL), 1::bigint, '... and frees its ranges');

SELECT * FROM finish();
ROLLBACK;
