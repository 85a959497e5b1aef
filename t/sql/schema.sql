-- The rules that the tables keep, whatever a function forgets.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('alice') AS alice \gset
SELECT t.user('bob') AS bob \gset
SELECT t.tenant(:'alice', '{"name": "Acme"}') AS acme \gset
SELECT t.tenant(:'alice', '{"name": "Other"}') AS other \gset
SELECT t.network(:'alice', :'acme', '{"name": "lan", "cidr": "10.1.0.0/24"}') AS lan \gset
SELECT t.join(:'alice', :'bob', :'acme', :'lan') \g /dev/null
SELECT t.device(:'bob', 'laptop') AS laptop \gset
SELECT t.peer(:'laptop', :'lan') AS peer \gset

CREATE FUNCTION t.breaks(rule text, sql text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE named text;
BEGIN
    BEGIN
        EXECUTE sql;
    EXCEPTION WHEN integrity_constraint_violation OR unique_violation OR check_violation
                OR foreign_key_violation OR not_null_violation THEN
        GET STACKED DIAGNOSTICS named = CONSTRAINT_NAME;
    END;
    RETURN NEXT is(named, rule, rule || ': ' || left(regexp_replace(sql, '\s+', ' ', 'g'), 90));
END $$;

-- every constraint and foreign key has a name of our own, every key an index
SELECT is_empty($$
    SELECT c.conname FROM pg_constraint c
     WHERE c.connamespace = 'goconnect'::regnamespace
       AND c.conname !~ ('^' || (SELECT relname FROM pg_class r WHERE r.oid = c.conrelid) || '_')
    $$, 'constraints are named after their table');
SELECT is_empty($$
    SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relnamespace = 'goconnect'::regnamespace AND c.relkind = 'r'
       AND a.atttypid = 'timestamp'::regtype AND a.attnum > 0
    $$, 'no time is without its zone');
SELECT set_eq($$
    SELECT c.relname::text FROM pg_class c
     WHERE c.relnamespace = 'goconnect'::regnamespace AND c.relkind = 'r' $$,
    ARRAY['audit_chains', 'audit_log', 'audit_personal', 'bans', 'chores', 'cidr_pool',
          'code_attempts', 'device_codes',
          'device_subnets', 'devices', 'enrollment_key_networks', 'enrollment_keys', 'events',
          'idempotency', 'invites', 'memberships', 'messages', 'migrations', 'networks', 'nodes',
          'peer_keys', 'peers', 'presence', 'presence_news', 'presence_users', 'read_marks',
          'recovery_codes', 'refresh_tokens',
          'relays', 'released_addresses', 'reservations', 'reset_links', 'routes', 'rules',
          'schema_version', 'sessions', 'tags', 'tenants', 'topics', 'users', 'ws_tickets'],
    'the tables');
SELECT set_eq($$
    SELECT c.relname::text FROM pg_class c
     WHERE c.relnamespace = 'goconnect'::regnamespace AND c.relkind = 'r'
       AND c.relpersistence = 'u' $$,
    ARRAY['nodes', 'presence', 'presence_news', 'presence_users', 'ws_tickets'], 'only what a crash may lose is unlogged');

-- users
SELECT t.breaks('users_username_key', $$INSERT INTO goconnect.users (username, password_hash) VALUES ('ALICE', 'x')$$);
SELECT t.breaks('users_username_check', $$INSERT INTO goconnect.users (username, password_hash) VALUES ('al', 'x')$$);
SELECT t.breaks('users_username_check', $$INSERT INTO goconnect.users (username, password_hash) VALUES ('.al', 'x')$$);
SELECT t.breaks('users_username_check', $$INSERT INTO goconnect.users (username, password_hash) VALUES (repeat('a', 33), 'x')$$);
SELECT t.breaks('users_username_check', $$INSERT INTO goconnect.users (username, password_hash) VALUES ('ålice', 'x')$$);
SELECT t.breaks('users_email_check', $$UPDATE goconnect.users SET email = 'no address'$$);
SELECT t.breaks('users_password_check', $$UPDATE goconnect.users SET password_hash = NULL$$);
SELECT t.breaks('users_password_check', $$INSERT INTO goconnect.users (username, kind, password_hash) VALUES ('robot', 'service', 'x')$$);
SELECT t.breaks('users_kind_check', $$INSERT INTO goconnect.users (username, kind, password_hash) VALUES ('robot', 'dog', 'x')$$);
SELECT t.breaks('users_settings_check', $$UPDATE goconnect.users SET settings = '{"colour": 1}'$$);
SELECT t.breaks('users_settings_check', $$UPDATE goconnect.users SET settings = '[]'$$);
SELECT lives_ok($$UPDATE goconnect.users SET settings = '{"language": "tr", "theme": "dark"}'$$, 'known user settings');
SELECT t.breaks('devices_public_key_check', $$UPDATE goconnect.devices SET public_key = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='$$);
SELECT t.breaks('devices_public_key_check', $$UPDATE goconnect.devices SET public_key = 'short'$$);
SELECT t.breaks('devices_name_check', $$UPDATE goconnect.devices SET name = ' x'$$);
SELECT t.breaks('devices_platform_check', $$UPDATE goconnect.devices SET platform = 'beos'$$);

-- tenants and networks
SELECT t.breaks('tenants_name_check', $$UPDATE goconnect.tenants SET name = ''$$);
SELECT t.breaks('tenants_name_check', $$UPDATE goconnect.tenants SET name = E'a\tb'$$);
SELECT t.breaks('tenants_slug_check', $$UPDATE goconnect.tenants SET slug = '-a'$$);
SELECT t.breaks('tenants_slug_key', $$UPDATE goconnect.tenants SET slug = 'same'$$);
SELECT t.breaks('tenants_visibility_check', $$UPDATE goconnect.tenants SET visibility = 'secret'$$);
SELECT t.breaks('tenants_access_check', $$UPDATE goconnect.tenants SET access = 'closed'$$);
SELECT t.breaks('tenants_password_check', $$UPDATE goconnect.tenants SET access = 'password'$$);
SELECT t.breaks('tenants_settings_check', $$UPDATE goconnect.tenants SET settings = '{"retention_days": 0}'$$);
SELECT t.breaks('tenants_settings_check', $$UPDATE goconnect.tenants SET settings = '{"retention_days": "9"}'$$);
SELECT t.breaks('networks_name_key', format($$INSERT INTO goconnect.networks (tenant_id, name, slug, cidr, cidr6) VALUES (%L, 'LAN', 'x', '10.2.0.0/24', 'fd00:1::/64')$$, :'acme'));
SELECT t.breaks('networks_slug_key', format($$INSERT INTO goconnect.networks (tenant_id, name, slug, cidr, cidr6) VALUES (%L, 'x', 'lan', '10.2.0.0/24', 'fd00:1::/64')$$, :'acme'));
SELECT t.breaks('networks_cidr6_key', format($$INSERT INTO goconnect.networks (tenant_id, name, slug, cidr, cidr6) SELECT %L, 'x', 'x', '10.2.0.0/24', cidr6 FROM goconnect.networks$$, :'other'));
SELECT t.breaks('networks_cidr_check', format($$UPDATE goconnect.networks SET cidr = %L$$, c)) FROM unnest(ARRAY['8.8.8.0/24', '10.0.0.0/30', '0.0.0.0/0', '172.32.0.0/16', '192.168.0.0/15', 'fd00::/64']) c;
SELECT throws_ok($$UPDATE goconnect.networks SET cidr = '10.1.0.1/24'$$, '22P02', NULL, 'a range has no host bits');
SELECT t.breaks('networks_cidr6_check', $$UPDATE goconnect.networks SET cidr6 = '2001:db8::/64'$$);
SELECT t.breaks('networks_cidr6_check', $$UPDATE goconnect.networks SET cidr6 = 'fd00::/48'$$);
SELECT t.breaks('networks_join_policy_check', $$UPDATE goconnect.networks SET join_policy = 'closed'$$);
SELECT t.breaks('networks_required_role_check', $$UPDATE goconnect.networks SET required_role = 'king'$$);
SELECT t.breaks('networks_mode_check', $$UPDATE goconnect.networks SET mode = 'l4'$$);
SELECT t.breaks('networks_settings_check', format($$UPDATE goconnect.networks SET settings = %L$$, c)) FROM unnest(ARRAY['{"mtu": 100}', '{"mtu": 1400.5}', '{"reflector_ports": [0]}', '{"reflector_ports": ["1"]}', '{"birthday_punching": 1}', '{"x": 1}']) c;
SELECT lives_ok($$UPDATE goconnect.networks SET settings = '{"mtu": 1380, "reflector_ports": [27015, 65535], "birthday_punching": true}'$$, 'known network settings');

-- memberships
SELECT t.breaks('memberships_member_key', format($$INSERT INTO goconnect.memberships (tenant_id, user_id, joined_at) VALUES (%L, %L, now())$$, :'acme', (:'bob'::api_1.ctx).user_id));
SELECT t.breaks('memberships_network_fkey', format($$INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, joined_at) VALUES (%L, %L, %L, now())$$, :'other', :'lan', (:'bob'::api_1.ctx).user_id));
SELECT t.breaks('memberships_role_check', $$UPDATE goconnect.memberships SET role = 'owner' WHERE network_id IS NOT NULL$$);
SELECT t.breaks('memberships_status_check', $$UPDATE goconnect.memberships SET status = 'gone'$$);
SELECT t.breaks('memberships_joined_at_check', $$UPDATE goconnect.memberships SET joined_at = NULL$$);
SELECT t.breaks('memberships_owner_check', format($$UPDATE goconnect.memberships SET role = 'admin' WHERE tenant_id = %L AND role = 'owner'$$, :'acme'));
SELECT t.breaks('memberships_owner_check', format($$UPDATE goconnect.memberships SET status = 'banned' WHERE tenant_id = %L AND role = 'owner'$$, :'acme'));
SELECT t.breaks('memberships_owner_check', format($$DELETE FROM goconnect.memberships WHERE tenant_id = %L AND role = 'owner'$$, :'acme'));
SELECT t.breaks('memberships_peers_check', format($$UPDATE goconnect.memberships SET status = 'banned' WHERE user_id = %L$$, (:'bob'::api_1.ctx).user_id));
SELECT t.breaks('peers_membership_fkey', format($$DELETE FROM goconnect.memberships WHERE user_id = %L$$, (:'bob'::api_1.ctx).user_id));
SELECT lives_ok(format($$UPDATE goconnect.memberships SET role = 'moderator' WHERE network_id IS NULL AND user_id = %L$$, (:'bob'::api_1.ctx).user_id), 'a role may change');
SELECT is((SELECT role FROM goconnect.peers WHERE id = :'peer'), 'moderator', '... and the peer has it at once');
SELECT t.breaks('invites_uses_check', format($$INSERT INTO goconnect.invites (tenant_id, code_hmac, max_uses, uses, expires_at) VALUES (%L, sha256('x'), 1, 2, now())$$, :'acme'));
SELECT t.breaks('invites_network_fkey', format($$INSERT INTO goconnect.invites (tenant_id, network_id, code_hmac, expires_at) VALUES (%L, %L, sha256('x'), now())$$, :'other', :'lan'));

-- peers and their keys
SELECT t.device(:'bob', 'phone') AS phone \gset
SELECT t.network(:'alice', :'acme', '{"name": "lan2", "cidr": "10.2.0.0/24"}') AS lan2 \gset
SELECT t.join(:'alice', :'bob', :'acme', :'lan2') \g /dev/null
SELECT t.peer(:'phone', :'lan2') AS peer2 \gset
SELECT t.breaks('peer_keys_pkey', format($$UPDATE goconnect.peers SET public_key = (SELECT public_key FROM goconnect.peers WHERE id = %L) WHERE id = %L$$, :'peer', :'peer2'));
SELECT t.breaks('peer_keys_pkey', format($$UPDATE goconnect.peers SET next_public_key = (SELECT public_key FROM goconnect.peers WHERE id = %L) WHERE id = %L$$, :'peer', :'peer2'));
SELECT t.breaks('peers_next_public_key_check', format($$UPDATE goconnect.peers SET next_public_key = public_key WHERE id = %L$$, :'peer2'));
SELECT t.breaks('peers_endpoints_check', $$UPDATE goconnect.peers SET endpoints = array_fill('1.2.3.4:5'::text, ARRAY[9])$$);
SELECT t.breaks('peers_endpoints_check', $$UPDATE goconnect.peers SET endpoints = ARRAY[NULL]::text[]$$);
SELECT t.breaks('peers_name_check', $$UPDATE goconnect.peers SET name = 'Not A Label'$$);
SELECT t.breaks('peers_ip_address_check', $$UPDATE goconnect.peers SET ip_address = '10.1.0.0/24'$$);
SELECT t.breaks('peers_gateway_check', $$UPDATE goconnect.peers SET gateway = true$$);
SELECT lives_ok(format($$UPDATE goconnect.peers SET next_public_key = %L WHERE id = %L$$, t.key('next'), :'peer2'), 'a next key may be announced');
SELECT set_eq(format($$SELECT kind FROM goconnect.peer_keys WHERE peer_id = %L$$, :'peer2'), ARRAY['current', 'next'], '... and both are held');
SELECT lives_ok(format($$INSERT INTO goconnect.routes (peer_id, prefix, approved_at) VALUES (%L, '192.168.5.0/24', now()), (%L, '192.168.6.0/24', NULL)$$, :'peer', :'peer'), 'routes are offered');
SELECT is((SELECT routes FROM goconnect.peers WHERE id = :'peer'), '{192.168.5.0/24}'::cidr[], '... and the approved ones stand at the peer');
SELECT t.breaks('rules_ports_check', format($$INSERT INTO goconnect.rules (network_id, position, action, protocol, ports) VALUES (%L, 1, 'allow', 'icmp', '[1,2]')$$, :'lan'));
SELECT t.breaks('reservations_holder_check', format($$INSERT INTO goconnect.reservations (network_id, ip_address, user_id, device_id) SELECT %L, '10.1.0.9', d.user_id, d.id FROM goconnect.devices d LIMIT 1$$, :'lan'));

-- events
SELECT t.breaks('topics_id_check', $$INSERT INTO goconnect.topics (id) VALUES ('user:x')$$);
SELECT t.breaks('topics_id_check', $$INSERT INTO goconnect.topics (id) VALUES ('user:11111111-1111-1111-1111-111111111111/staff')$$);
SELECT t.breaks('messages_content_check', format($$INSERT INTO goconnect.messages (tenant_id, user_id, content, number, seq) VALUES (%L, %L, '', 1, 1)$$, :'acme', (:'bob'::api_1.ctx).user_id));
SELECT t.breaks('messages_content_check', format($$INSERT INTO goconnect.messages (tenant_id, user_id, content, number, seq) VALUES (%L, %L, repeat('x', 4001), 1, 1)$$, :'acme', (:'bob'::api_1.ctx).user_id));

-- revisions
SELECT rev AS before FROM goconnect.peers WHERE id = :'peer' \gset
UPDATE goconnect.peers SET last_seen = now() WHERE id = :'peer';
SELECT is((SELECT rev FROM goconnect.peers WHERE id = :'peer'), :'before'::bigint, 'being seen is no revision');
UPDATE goconnect.peers SET name = 'renamed' WHERE id = :'peer';
SELECT is((SELECT rev FROM goconnect.peers WHERE id = :'peer'), :'before'::bigint + 1, 'a change is');

-- a suspended user has no session
UPDATE goconnect.users SET suspended_at = now() WHERE id = (:'bob'::api_1.ctx).user_id;
SELECT is(t.said(api_1.auth_me(:'bob')), '401 session_revoked', 'a suspended user is out at once');
SELECT is(t.said(api_1.peers_list(:'laptop', :'lan', NULL, NULL)), '401 session_revoked', '... and the devices too');

-- deleting a network takes everything of it
SELECT lives_ok(format($$DELETE FROM goconnect.networks WHERE id = %L$$, :'lan'), 'a network can be deleted');
SELECT is((SELECT count(*) FROM goconnect.peers WHERE network_id = :'lan'), 0::bigint, '... with its peers');
SELECT lives_ok(format($$DELETE FROM goconnect.tenants WHERE id = %L$$, :'acme'), 'so can a tenant');

SELECT * FROM finish();
ROLLBACK;
