-- Chat: editing, deleting, read marks.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('owner') AS owner \gset
SELECT t.user('other') AS other \gset
SELECT t.user('admin') AS admin \gset
SELECT t.user('mod') AS mod \gset
SELECT t.user('bob') AS bob \gset
SELECT t.user('eve') AS eve \gset
SELECT t.tenant(:'owner', '{"name": "Acme"}') AS acme \gset
SELECT t.network(:'owner', :'acme', '{"name": "Lan"}') AS lan \gset
SELECT t.join(:'owner', :'other', :'acme', NULL, 'owner') \g /dev/null
SELECT t.join(:'owner', :'admin', :'acme', NULL, 'admin') \g /dev/null
SELECT t.join(:'owner', :'mod', :'acme', :'lan', 'moderator') \g /dev/null
SELECT t.join(:'owner', :'bob', :'acme', :'lan') \g /dev/null
SELECT t.device(:'bob', 'laptop') AS laptop \gset
SELECT t.device(:'mod', 'desk') AS desk \gset

CREATE FUNCTION t.say(c api_1.ctx, network uuid, content text) RETURNS uuid
LANGUAGE sql AS $$ SELECT ((api_1.network_messages_create(c, network, jsonb_build_object('content', content))).body ->> 'id')::uuid $$;
CREATE FUNCTION t.match(c api_1.ctx, tag text) RETURNS api_1.ctx
LANGUAGE sql AS $$ SELECT ROW(c.user_id, c.session_id, c.device_id, c.address, c.request_id, tag, NULL)::api_1.ctx $$;

-- edit
SELECT t.say(:'bob', :'lan', 'one') AS one \gset
SELECT t.say(:'mod', :'lan', 'two') AS two \gset
SELECT * FROM api_1.messages_update(:'bob', :'one', '{"content": "uno"}') \gset r_
SELECT is(:r_status, 200, 'the author edits');
SELECT is(:'r_body'::jsonb - 'edited_at' - 'id' - 'timestamp' - 'tenant_id' - 'network_id' - 'user_id', '{"username": "bob", "content": "uno", "deleted": false, "number": 1, "seq": 3}'::jsonb, '... what it says');
SELECT isnt(:'r_body'::jsonb ->> 'edited_at', NULL, '... and says so');
SELECT is(:'r_etag'::text, '"2"', '... a revision of its own');
SELECT is(t.events(ROW(:r_status, NULL, NULL, NULL, :'r_events')::api_1.reply), 'chat_message@network', '... told to the channel');
SELECT is((:'r_events'::jsonb #> '{0,data}') - 'seq', (:'r_body'::jsonb) - 'seq', '... with the message as it is, without its seq');
SELECT is((SELECT count(*) FROM goconnect.events e WHERE e.topic = 'network:' || :'lan' AND e.payload ->> 'content' = 'one'), 0::bigint, '... and no stored event says the old text');
SELECT is((SELECT count(*) FROM goconnect.events e WHERE e.topic = 'network:' || :'lan' AND e.payload ->> 'content' = 'uno'), 2::bigint, '... those that told of it say the new one');
SELECT is((SELECT array_agg(e.payload ->> 'edited_at' IS NULL ORDER BY e.seq) FROM goconnect.events e WHERE e.payload ->> 'id' = :'one'), ARRAY[true, false], '... the first still as news, the second as an edit');
SELECT is((SELECT detail FROM goconnect.audit_log WHERE action = 'message.update'), jsonb_build_object('network_id', :'lan', 'user_id', (:'bob'::api_1.ctx).user_id, 'number', 1), '... audited');
SELECT is((SELECT jsonb_object_agg(p.field, p.value) FROM goconnect.audit_personal p JOIN goconnect.audit_log l ON l.id = p.audit_id WHERE l.action = 'message.update'), '{"address": "192.0.2.1", "before.content": "one", "after.content": "uno"}'::jsonb, '... with before and after');
SELECT is((SELECT bool_and(p.user_id = (:'bob'::api_1.ctx).user_id) FROM goconnect.audit_personal p JOIN goconnect.audit_log l ON l.id = p.audit_id WHERE l.action = 'message.update'), true, '... whose they are');
SELECT is((api_1.messages_update(:'laptop', :'one', '{"content": "eins"}')).status, 200, 'so may a device of his');
SELECT is((SELECT count(*) FROM goconnect.events e WHERE e.topic = 'network:' || :'lan' AND e.payload ->> 'content' = 'uno'), 0::bigint, '... the edit before is not told any more');
SELECT is((SELECT count(*) FROM goconnect.events e WHERE e.topic = 'network:' || :'lan' AND e.payload ->> 'content' = 'eins'), 3::bigint, '... all three say the new text');
SELECT is((api_1.messages_update(:'bob', :'one', '{"content": "eins"}')).events::text, NULL, 'the same text is no change');
SELECT is((SELECT count(*) FROM goconnect.audit_log WHERE action = 'message.update'), 2::bigint, '... and not audited');
SELECT is(t.said(api_1.messages_update(t.match(:'bob', '"1"'), :'one', '{"content": "x"}')), '412 precondition_failed', 'If-Match of an old version');
SELECT is((api_1.messages_update(t.match(:'bob', '"3"'), :'one', '{"content": "x"}')).status, 200, '... of this one');
SELECT is(t.said(api_1.messages_update(:'bob', :'one', '{"content": ""}')), '422 invalid_fields content:required', 'no text');
SELECT is(t.said(api_1.messages_update(:'bob', :'one', jsonb_build_object('content', repeat('x', 4001)))), '422 invalid_fields content:too_long', 'a long one');
SELECT is((api_1.messages_update(:'bob', :'one', jsonb_build_object('content', repeat('ü', 4000)))).status, 200, '... counts characters');
SELECT is((SELECT max(octet_length(p.value)) FROM goconnect.audit_personal p), 8000, '... the trail keeps all of them');
SELECT is(t.said(api_1.messages_update(:'mod', :'one', '{"content": "x"}')), '403 forbidden', 'nobody edits for others');
SELECT is(t.said(api_1.messages_update(:'owner', :'one', '{"content": "x"}')), '403 forbidden', '... whatever his role');
SELECT is(t.said(api_1.messages_update(:'eve', :'one', '{"content": "x"}')), '404 not_found', 'a stranger sees no message');
SELECT is(t.said(api_1.messages_update(:'bob', gen_random_uuid(), '{"content": "x"}')), '404 not_found', 'unknown');

SELECT t.say(:'bob', :'lan', 'busy') AS busy \gset
SELECT is((SELECT array_agg(DISTINCT (api_1.messages_update(:'bob', :'busy', jsonb_build_object('content', 'v' || i))).status) FROM generate_series(1, 100) i), ARRAY[200], 'a hundred edits');
SELECT is(t.said(api_1.messages_update(:'bob', :'busy', '{"content": "x"}')), '409 limit_reached', '... are all within three days');
DELETE FROM goconnect.events WHERE payload ->> 'id' = :'busy';
SELECT is((api_1.messages_update(:'bob', :'busy', '{"content": "x"}')).status, 200, '... but not later');
SELECT is((api_1.messages_delete(:'bob', :'busy')).status, 204, 'the author deletes');

-- delete
SELECT is(t.said(api_1.messages_delete(:'bob', :'two')), '403 forbidden', 'a member deletes only his own');
SELECT is(t.said(api_1.messages_delete(:'desk', :'one')), '403 forbidden', 'a moderator''s device does not moderate');
SELECT is(t.said(api_1.messages_delete(t.match(:'mod', '"1"'), :'one')), '412 precondition_failed', 'If-Match');
SELECT * FROM api_1.messages_delete(:'mod', :'one') \gset r_
SELECT is(:r_status, 204, 'a moderator deletes a member''s');
SELECT is(:'r_events'::jsonb #>> '{0,data,deleted}', 'true', '... which is told');
SELECT is(:'r_events'::jsonb #>> '{0,data,content}', '', '... without the text');
SELECT is((SELECT count(*) FROM goconnect.events e WHERE e.topic = 'network:' || :'lan' AND e.payload ->> 'id' = :'one' AND e.payload ->> 'content' <> ''), 0::bigint, '... nor does any event before have it');
SELECT is((SELECT content || '/' || number || '/' || (deleted_at IS NOT NULL) FROM goconnect.messages WHERE id = :'one'), '/1/true', '... a tombstone keeps its number');
SELECT is((SELECT p.value FROM goconnect.audit_personal p JOIN goconnect.audit_log l ON l.id = p.audit_id WHERE l.target_id = :'one' AND l.action = 'message.delete' AND p.field = 'before.content'), repeat('ü', 4000), '... the trail knows what it was');
SELECT is((api_1.messages_delete(:'bob', :'one')).events::text, NULL, 'deleted again: nothing');
SELECT is((SELECT count(*) FROM goconnect.audit_log WHERE action = 'message.delete' AND target_id = :'one'), 1::bigint, '... audited once');
SELECT is(t.said(api_1.messages_update(:'bob', :'one', '{"content": "back"}')), '409 message_deleted', 'what is deleted is not edited');
SELECT is((api_1.network_messages_list(:'bob', :'lan', NULL, NULL, NULL)).body #> '{items,0,deleted}' #>> '{}', 'true', 'the list has the tombstone');
SELECT t.say(:'owner', :'lan', 'mine') AS mine \gset
SELECT is(t.said(api_1.messages_delete(:'mod', :'mine')), '403 role_too_low', 'not of somebody above');
SELECT is(t.said(api_1.messages_delete(:'admin', :'mine')), '403 role_too_low', '... either');
SELECT is((api_1.messages_delete(:'other', :'mine')).status, 204, 'owners may, among each other');
SELECT is((api_1.messages_delete(:'admin', :'two')).status, 204, 'an admin who has not joined moderates too');
SELECT is(t.said(api_1.messages_delete(:'eve', :'two')), '404 not_found', 'a stranger');

-- in the tenant's channel, and out of a network
SELECT ((api_1.tenant_messages_create(:'bob', :'acme', '{"content": "hi"}')).body ->> 'id') AS hi \gset
SELECT is(t.events(api_1.messages_update(:'bob', :'hi', '{"content": "hello"}')), 'chat_message@tenant', 'the tenant''s channel');
SELECT is(t.said(api_1.messages_update(:'laptop', :'hi', '{"content": "x"}')), '404 not_found', '... is not for devices');
SELECT is((api_1.messages_delete(:'mod', :'hi')).status, 204, '... has moderators');
SELECT t.say(:'bob', :'lan', 'bye') AS bye \gset
SELECT api_1.networks_leave(:'bob', :'lan') \g /dev/null
SELECT is(t.said(api_1.messages_update(:'bob', :'bye', '{"content": "x"}')), '404 not_found', 'who has left edits nothing');
SELECT is(t.said(api_1.messages_delete(:'bob', :'bye')), '404 not_found', '... and deletes nothing');
SELECT is((api_1.messages_delete(:'mod', :'bye')).status, 204, '... but what he said can be deleted');
SELECT t.join(:'owner', :'admin', :'acme', :'lan', 'admin') \g /dev/null
SELECT t.say(:'admin', :'lan', 'as admin') AS said \gset
SELECT api_1.networks_leave(:'admin', :'lan') \g /dev/null
SELECT is(t.said(api_1.messages_update(:'admin', :'said', '{"content": "x"}')), '403 membership_required', 'an admin who has left reads, but does not edit');

-- read marks
SELECT is((api_1.tenant_read_mark_get(:'bob', :'acme')).body::jsonb - 'tenant_id', '{"network_id": null, "number": 0, "last_number": 1, "unread": 1, "updated_at": null}'::jsonb, 'nothing is read at first');
SELECT * FROM api_1.tenant_read_mark_set(:'bob', :'acme', '{"number": 1}') \gset r_
SELECT is(:'r_body'::jsonb ->> 'number', '1', 'a mark');
SELECT is(t.events(ROW(:r_status, NULL, NULL, NULL, :'r_events')::api_1.reply), 'read_mark@user', '... is told to the user');
SELECT is(:'r_etag'::text, '"1.1"', '... and has a version');
SELECT is((api_1.tenant_read_mark_set(:'bob', :'acme', '{"number": 1}')).events::text, NULL, 'the same again: nothing');
SELECT is(t.said(api_1.tenant_read_mark_set(:'bob', :'acme', '{"number": 2}')), '422 invalid_fields number:out_of_range', 'what was not said is not read');
SELECT is(t.said(api_1.tenant_read_mark_set(t.match(:'bob', '"0.1"'), :'acme', '{"number": 0}')), '412 precondition_failed', 'If-Match');
SELECT is((api_1.tenant_read_mark_set(t.match(:'bob', '"1.1"'), :'acme', '{"number": 0}')).body::jsonb ->> 'number', '0', 'a mark may go back');
SELECT is((api_1.tenant_read_mark_get(:'mod', :'acme')).body::jsonb ->> 'number', '0', 'another user''s is his own');
SELECT is((api_1.network_read_mark_set(:'mod', :'lan', '{"number": 3}')).body::jsonb - 'updated_at', jsonb_build_object('tenant_id', :'acme', 'network_id', :'lan', 'number', 3, 'last_number', 6, 'unread', 3), 'a network''s channel');
SELECT is((api_1.network_read_mark_get(:'mod', :'lan')).body::jsonb ->> 'number', '3', '... stays');
SELECT is((SELECT array_agg(x ->> 'unread' ORDER BY x ->> 'network_id' NULLS FIRST) FROM jsonb_array_elements((api_1.read_marks_list(:'mod')).body::jsonb -> 'items') x WHERE x ->> 'tenant_id' = :'acme' AND (x ->> 'network_id' = :'lan' OR x -> 'network_id' = 'null')), ARRAY['1', '3'], 'all marks at once');
SELECT is((SELECT count(*) FROM jsonb_array_elements((api_1.read_marks_list(:'bob')).body::jsonb -> 'items') x WHERE x ->> 'network_id' = :'lan'), 0::bigint, '... none of where one has left');
SELECT is(t.said(api_1.read_marks_list(:'desk')), '403 user_session_required', '... nor for a device');
SELECT is(t.said(api_1.network_read_mark_get(:'bob', :'lan')), '404 not_found', '... not for who has left');
SELECT is(t.said(api_1.network_read_mark_set(:'desk', :'lan', '{"number": 1}')), '403 user_session_required', '... nor for a device');
SELECT is(t.said(api_1.tenant_read_mark_set(:'eve', :'acme', '{"number": 1}')), '404 not_found', '... nor for a stranger');

-- typing: who may write may type
SELECT is((api_1.ws_typing(:'bob', :'acme', NULL)).body::jsonb - 'username' - 'user_id', jsonb_build_object('tenant_id', :'acme', 'network_id', NULL), 'a member types in the tenant');
SELECT is((api_1.ws_typing(:'mod', NULL, :'lan')).body::jsonb ->> 'tenant_id', :'acme', '... and where he has joined');
SELECT is((api_1.ws_typing(:'mod', NULL, :'lan')).events::text, NULL, '... which is no event');
SELECT is(t.said(api_1.ws_typing(:'desk', :'acme', NULL)), '403 user_session_required', '... a device not in the tenant');
SELECT is(t.said(api_1.ws_typing(:'admin', NULL, :'lan')), '403 membership_required', '... an admin who only reads not');
SELECT is(t.said(api_1.ws_typing(:'bob', NULL, :'lan')), '404 not_found', '... nor who has left');
SELECT is(t.said(api_1.ws_typing(:'eve', :'acme', NULL)), '404 not_found', '... nor a stranger');

SELECT * FROM finish();
ROLLBACK;
