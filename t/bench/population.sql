-- What t/bench/sockets connects with: :devices devices of as many sessions,
-- eight of each user, who has eight more sessions without a device. All users
-- are in the tenant; device i is in network 0 of every size that is at least i,
-- and with a hundred others in a network of their own.
--
-- Prints a line for each session: its place, user, session, and device if it
-- has one. Triggers and foreign keys are off meanwhile, as in scripts/seed.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;
SET LOCAL session_replication_role = replica;
SET LOCAL synchronous_commit = off;

CREATE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$ SELECT md5('bench/' || kind || '/' || n)::uuid $$;

INSERT INTO goconnect.users (id, username, password_hash)
SELECT pg_temp.id('user', u), 'bench' || u, '$2b$12$' || repeat('x', 53) FROM generate_series(0, (:devices - 1) / 8) u;

INSERT INTO goconnect.devices (id, user_id, name, platform, public_key)
SELECT pg_temp.id('device', i), pg_temp.id('user', (i - 1) / 8), 'device ' || i, 'linux',
       encode(sha256(convert_to('bench/device/' || i, 'UTF8')), 'base64')
  FROM generate_series(1, :devices) i;

INSERT INTO goconnect.sessions (id, user_id, device_id, expires_at)
SELECT pg_temp.id('session', i), pg_temp.id('user', (i - 1) % :devices / 8),
       CASE WHEN i <= :devices THEN pg_temp.id('device', i) END, now() + interval '1 day'
  FROM generate_series(1, :devices * 2) i;

INSERT INTO goconnect.tenants (id, name, slug, visibility, access)
VALUES (pg_temp.id('tenant', 0), 'Bench', 'bench', 'private', 'invite_only');

-- 0, -1, ...: a network of each size; 1 and up: those of a hundred
CREATE TEMP TABLE net ON COMMIT DROP AS
SELECT 1 - s.place AS n, 1 AS first, s.size AS last
  FROM unnest(:'sizes'::integer[]) WITH ORDINALITY AS s (size, place)
UNION ALL
SELECT k, (k - 1) * 100 + 1, least(k * 100, :devices) FROM generate_series(1, (:devices + 99) / 100) k;

INSERT INTO goconnect.networks (id, tenant_id, name, slug, cidr, cidr6, visibility,
                                join_policy, high_water)
SELECT pg_temp.id('network', w.n), pg_temp.id('tenant', 0), 'Network ' || w.n,
       'network-' || w.n + 100,
       CASE WHEN w.n < 1 THEN set_masklen(('172.16.0.0'::inet + (-w.n) * 65536)::cidr, 16)
            ELSE set_masklen(('10.0.0.0'::inet + w.n * 256)::cidr, 24) END,
       api_1._cidr6(pg_temp.id('network', w.n), 0), 'public', 'open', 20000
  FROM net w;

INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, role, joined_at)
SELECT pg_temp.id('tenant', 0), NULL, u.id,
       CASE WHEN u.id = pg_temp.id('user', 0) THEN 'owner' ELSE 'member' END, now()
  FROM goconnect.users u WHERE u.username LIKE 'bench%'
UNION ALL
SELECT DISTINCT pg_temp.id('tenant', 0), pg_temp.id('network', w.n),
       pg_temp.id('user', (i - 1) / 8), 'member', now()
  FROM net w, generate_series(w.first, w.last) i;

INSERT INTO goconnect.peers (id, tenant_id, network_id, device_id, user_id, role, name,
                             ip_address, ip6_address, public_key, endpoints)
SELECT pg_temp.id('peer/' || w.n, i), n.tenant_id, n.id, pg_temp.id('device', i),
       pg_temp.id('user', (i - 1) / 8), CASE WHEN i <= 8 THEN 'owner' ELSE 'member' END,
       'device-' || i, api_1._address(n.cidr, i - w.first + 1),
       api_1._address(n.cidr6, i - w.first + 1),
       encode(sha256(convert_to('bench/peer/' || w.n || '/' || i, 'UTF8')), 'base64'),
       ARRAY['203.0.113.' || i % 250 + 1 || ':' || 10000 + i % 50000]
  FROM net w JOIN goconnect.networks n ON n.id = pg_temp.id('network', w.n),
       generate_series(w.first, w.last) i;

INSERT INTO goconnect.peer_keys (public_key, peer_id, kind)
SELECT p.public_key, p.id, 'current' FROM goconnect.peers p ON CONFLICT DO NOTHING;

INSERT INTO goconnect.topics (id)
SELECT 'tenant:' || pg_temp.id('tenant', 0)
UNION ALL
SELECT 'network:' || pg_temp.id('network', w.n) FROM net w ON CONFLICT DO NOTHING;

\pset tuples_only
\pset format unaligned
\pset fieldsep ' '
SELECT i, pg_temp.id('user', (i - 1) % :devices / 8), pg_temp.id('session', i),
       CASE WHEN i <= :devices THEN pg_temp.id('device', i) END
  FROM generate_series(1, :devices * 2) i ORDER BY i;
COMMIT;
VACUUM (ANALYZE);
