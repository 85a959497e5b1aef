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

-- what a person is: kept apart, whatever the function says of it
SELECT api_1._audit(:'owner', NULL, 'test.user', 'user', (:'phone'::api_1.ctx).device_id, '{"before": {"email": "a@b", "note": null}, "after": {"email": "c@d", "kind": "x"}}', '{"note": "hello"}') \g /dev/null
SELECT is((SELECT detail FROM goconnect.audit_log WHERE action = 'test.user'), '{"before": {"note": null}, "after": {"kind": "x"}}', 'no address of anybody in a detail');
SELECT is((SELECT jsonb_object_agg(p.field, p.user_id = (:'phone'::api_1.ctx).device_id) FROM goconnect.audit_personal p JOIN goconnect.audit_log l ON l.id = p.audit_id WHERE l.action = 'test.user'),
    '{"address": false, "before.email": true, "after.email": true, "note": true}', '... but apart, and whose it is: the target, or the actor');
SELECT is((api_1._audit_object((SELECT l FROM goconnect.audit_log l WHERE l.action = 'test.user'))) ->> 'detail', '{"note": "hello", "after": {"kind": "x", "email": "c@d"}, "before": {"note": null, "email": "a@b"}}', '... and read in its place');

-- one worker of all
SELECT is(json_array_length((api_1.audit_take('11111111-1111-4111-8111-111111111111')).body -> 'chains'), 2, 'a worker takes what is unchained, by chain');
SELECT is((api_1.audit_take('22222222-2222-4222-8222-222222222222')).body::text, '{"chains": [], "prune": [], "more": false}', '... and others nothing meanwhile');
SELECT is(json_array_length((api_1.audit_take('11111111-1111-4111-8111-111111111111')).body -> 'chains'), 2, '... it may again');
UPDATE goconnect.chores SET done_at = now() - interval '6 seconds' WHERE name = 'audit';
SELECT is(json_array_length((api_1.audit_take('22222222-2222-4222-8222-222222222222')).body -> 'chains'), 2, '... and when it is silent, another one');
SELECT is((SELECT array_agg(k ORDER BY k) FROM json_object_keys((api_1.audit_take('22222222-2222-4222-8222-222222222222')).body #> '{chains,0}') k), ARRAY['chain', 'head', 'last', 'rows'], 'a chain and its end');

CREATE FUNCTION t.chain(tenant uuid, before bigint, number bigint, list jsonb, anchors jsonb DEFAULT '[]') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE h text := encode(sha256(convert_to(number::text, 'UTF8')), 'hex');
BEGIN
    RETURN (api_1.audit_store(jsonb_build_object('chains', jsonb_build_array(jsonb_build_object('chain', tenant, 'from', before,
        'number', number, 'hash', h, 'signed_at', 1, 'key_id', 'k', 'signature', h,
        'rows', (SELECT coalesce(jsonb_agg(x || to_jsonb(h)), '[]') FROM jsonb_array_elements(list) x))), 'anchors', anchors))).body ->> 'chained';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SELECT jsonb_agg(jsonb_build_array(l.id, row_number) ORDER BY l.id) AS list, max(row_number) AS n FROM (SELECT l.*, row_number() OVER (ORDER BY l.id) FROM goconnect.audit_log l WHERE l.tenant_id = :'tenant') l \gset
SELECT is(t.chain(:'tenant', 0, :n, :'list'), :'n', 'rows are chained');
SELECT is((SELECT count(*) FROM goconnect.audit_log WHERE tenant_id = :'tenant' AND chain_number IS NULL), 0::bigint, '... all of them');
SELECT is(t.chain(:'tenant', 0, :n, :'list'), '40001', '... once');
SELECT is(t.chain(:'tenant', :n, :n + 1, '[[999999999, 9]]'), '40001', 'a row that is not there takes all back');
SELECT is(t.chain(:'tenant', :n, :n + 1, (SELECT jsonb_build_array(jsonb_build_array(min(id), 9)) FROM goconnect.audit_log WHERE tenant_id IS NULL)), '40001', '... and one of another chain');
SELECT is((SELECT number FROM goconnect.audit_chains WHERE chain = :'tenant'), :n::bigint, '... and the end is where it was');
SELECT is(t.chain(NULL, 0, 1, '[]', jsonb_build_array(jsonb_build_object('chain', :'tenant', 'from', 0, 'number', 1, 'hash', (SELECT encode(hash, 'hex') FROM goconnect.audit_log WHERE tenant_id = :'tenant' AND chain_number = 1), 'signed_at', 1, 'key_id', 'k', 'signature', encode(sha256('x'), 'hex')))), '40001', 'what is younger than 400 days is not pruned');
UPDATE goconnect.audit_log SET created_at = now() - interval '401 days' WHERE tenant_id = :'tenant' AND chain_number = 1;
UPDATE goconnect.chores SET done_at = '-infinity' WHERE name = 'audit_prune';
SELECT is((api_1.audit_take('22222222-2222-4222-8222-222222222222')).body #>> '{prune,0,number}', '1', 'what is older is offered');
SELECT is(t.chain(NULL, 0, 1, '[]', jsonb_build_array(jsonb_build_object('chain', :'tenant', 'from', 0, 'number', 1, 'hash', (SELECT encode(hash, 'hex') FROM goconnect.audit_log WHERE tenant_id = :'tenant' AND chain_number = 1), 'signed_at', 1, 'key_id', 'k', 'signature', encode(sha256('x'), 'hex')))), '0', '... and pruned');
SELECT is((SELECT min(chain_number) FROM goconnect.audit_log WHERE tenant_id = :'tenant'), 2::bigint, '... to its anchor');

SELECT is((SELECT array_agg(api_1._time(v) IS NOT NULL) FROM unnest(ARRAY['2026-11-22T18:04:05Z', '2026-11-22t18:04:05.123456+02:00', '2026-11-22 18:04:05z', '2026-02-30T00:00:00Z', '2026-11-22T25:00:00Z', '0000-01-01T00:00:00Z', '2026-11-22T18:04:05', 'now', '2026-11-22T18:04:05+99:00']) v), ARRAY[true, true, true, false, false, false, false, false, false], 'times of RFC 3339 and no others');

SELECT * FROM finish();
ROLLBACK;
