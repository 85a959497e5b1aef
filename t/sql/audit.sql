-- The audit trail: what it says of a change.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT is(api_1._changes('{"id": 1, "rev": 1, "a": 1, "b": null, "c": "x"}', '{"id": 1, "rev": 2, "a": 1, "b": 2, "c": "y"}'),
    '{"before": {"b": null, "c": "x"}, "after": {"b": 2, "c": "y"}}', 'changes: what differs, before and after');
SELECT is(api_1._changes(NULL, '{"a": 1, "b": null}'), '{"before": {}, "after": {"a": 1}}', '... of what was made');
SELECT is(api_1._changes('{"a": 1, "b": null}', NULL), '{"before": {"a": 1}, "after": {}}', '... of what was removed');
SELECT is(api_1._changes('{"a": 1}', '{"a": 1}'), '{"before": {}, "after": {}}', '... of nothing');
SELECT is(api_1._changes('{"password_hash": "a"}', '{"password_hash": "b"}'), '{"before": {"password_hash": "***"}, "after": {"password_hash": "***"}}', 'a secret only says that it changed');
SELECT is(api_1._changes(NULL, jsonb_build_object('a', repeat('x', 600))) #> '{after,a,bytes}', '602', 'what is long is cut');
SELECT cmp_ok(octet_length(api_1._changes((SELECT jsonb_object_agg('key' || i, repeat('x', 400)) FROM generate_series(1, 500) i), NULL)::text), '<', 7000, 'the whole is bounded');

SELECT t.user('owner') AS owner \gset
SELECT t.tenant(:'owner', '{"name": "One", "description": "d"}') AS tenant \gset
SELECT t.device(:'owner', 'phone') AS phone \gset
SELECT api_1.tenants_update(:'owner', :'tenant', '{"name": "Two", "description": "d"}') \g /dev/null
SELECT is((SELECT detail FROM goconnect.audit_log WHERE action = 'tenant.update'),
    '{"before": {"name": "One"}, "after": {"name": "Two"}}', 'a tenant''s change');
SELECT api_1.devices_update(:'owner', (:'phone'::api_1.ctx).device_id, '{"name": "lost phone", "platform": "other"}') \g /dev/null
SELECT is((SELECT detail FROM goconnect.audit_log WHERE action = 'device.update'),
    '{"before": {"platform": "linux"}, "after": {"platform": "other"}}', 'a device''s change, without what is personal');
SELECT is((SELECT jsonb_object_agg(p.field, p.value) FROM goconnect.audit_personal p JOIN goconnect.audit_log l ON l.id = p.audit_id WHERE l.action = 'device.update'),
    '{"address": "192.0.2.1", "before.name": "phone", "after.name": "lost phone"}', '... which stands apart');
SELECT is((SELECT count(*) FROM goconnect.audit_personal p WHERE p.hash <> sha256(p.salt || convert_to(p.value, 'UTF8'))), 0::bigint, '... with salted hashes');
SELECT is((SELECT count(DISTINCT p.salt) FROM goconnect.audit_personal p), (SELECT count(*) FROM goconnect.audit_personal p), '... no two salts are one');

SELECT * FROM finish();
ROLLBACK;
