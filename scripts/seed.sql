-- What scripts/seed puts into a database, as a superuser. Triggers and foreign
-- keys are off meanwhile, so that a million rows take a minute: what they would
-- have kept is written here too, and t/sql/plans.t checks it.
--
-- User i is in the tenant t = (i - 1) mod T + 1 and in one of its ten networks;
-- the first tenant holds every tenth user too, and its first network up to a
-- thousand of them. A tenth of all messages is in the first tenant's channel,
-- a tenth in its first network's.

\set ON_ERROR_STOP on
SET client_min_messages = warning;

SELECT greatest(10, round(1000 * :scale)) AS tenants \gset
SELECT :tenants * 100 AS users, :tenants * 10 AS networks, :tenants * 1000 AS messages \gset

DO $$
BEGIN
    IF EXISTS (SELECT FROM goconnect.users WHERE username_norm = 'seed000001') THEN
        RAISE 'the database has been filled before';
    END IF;
END
$$;

BEGIN;
SET LOCAL session_replication_role = replica;
SET LOCAL synchronous_commit = off;

CREATE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$ SELECT md5('seed/' || kind || '/' || n)::uuid $$;

-- rows are a second apart and end an hour ago
CREATE FUNCTION pg_temp.at(n bigint, last bigint) RETURNS timestamptz
LANGUAGE sql STABLE AS $$ SELECT now() - interval '1 hour' - (last - n) * interval '1 second' $$;

\echo :users users, each with a session and a device
INSERT INTO goconnect.users (id, username, email, password_hash, created_at)
SELECT pg_temp.id('user', i), 'seed' || lpad(i::text, 6, '0'), 'seed' || i || '@example.org',
       :'hash', pg_temp.at(i, :users)
  FROM generate_series(1, :users) i;

INSERT INTO goconnect.devices (id, user_id, name, platform, public_key, last_seen, created_at)
SELECT pg_temp.id('device', i), pg_temp.id('user', i), 'device ' || i, 'linux',
       encode(sha256(convert_to('seed/device/' || i, 'UTF8')), 'base64'), now(),
       pg_temp.at(i, :users)
  FROM generate_series(1, :users) i;

INSERT INTO goconnect.sessions (id, user_id, device_id, expires_at)
SELECT pg_temp.id('session', i), pg_temp.id('user', i), pg_temp.id('device', i),
       now() + interval '30 days'
  FROM generate_series(1, :users) i;

INSERT INTO goconnect.refresh_tokens (hash, session_id, generation)
SELECT sha256(convert_to('seed/token/' || i, 'UTF8')), pg_temp.id('session', i), 0
  FROM generate_series(1, :users) i;

\echo :tenants tenants with :networks networks
INSERT INTO goconnect.tenants (id, name, slug, description, visibility, access, created_at)
SELECT pg_temp.id('tenant', t), 'Community ' || t, 'seed-' || t, 'Made by make seed',
       CASE WHEN t % 2 = 1 THEN 'public' ELSE 'private' END,
       CASE WHEN t % 4 = 1 THEN 'open' ELSE 'invite_only' END, pg_temp.at(t, :tenants)
  FROM generate_series(1, :tenants) t;

INSERT INTO goconnect.networks (id, tenant_id, name, slug, cidr, cidr6, visibility,
                                join_policy, high_water, created_at)
SELECT pg_temp.id('network', n), pg_temp.id('tenant', (n - 1) % :tenants + 1),
       'Network ' || n, 'seed-' || n,
       CASE n WHEN 1 THEN '172.16.0.0/16'::cidr
              ELSE set_masklen(('10.0.0.0'::inet + n * 256)::cidr, 24) END,
       api_1._cidr6(pg_temp.id('network', n), 0), 'public',
       (ARRAY['open', 'invite', 'approval'])[n % 3 + 1], 1100, pg_temp.at(n, :networks)
  FROM generate_series(1, :networks) n;

CREATE TEMP TABLE member ON COMMIT DROP AS
SELECT i, (i - 1) % :tenants + 1 AS t, NULL::bigint AS n,
       CASE WHEN i <= :tenants THEN 'owner' WHEN i <= :tenants * 2 THEN 'admin'
            WHEN i <= :tenants * 4 THEN 'moderator' ELSE 'member' END AS role
  FROM generate_series(1, :users) i
UNION ALL
SELECT i, 1, NULL, 'member'
  FROM generate_series(1, :users) i WHERE i % 10 = 0 AND (i - 1) % :tenants <> 0
UNION ALL
SELECT i, (i - 1) % :tenants + 1,
       (i - 1) % :tenants + 1 + :tenants * ((i - 1) / :tenants % 10), 'member'
  FROM generate_series(1, :users) i
UNION ALL
SELECT i, 1, 1, 'member'
  FROM generate_series(10, least(:users, 10000), 10) i
 WHERE (i - 1) % :tenants <> 0;

INSERT INTO goconnect.memberships (id, tenant_id, network_id, user_id, role, joined_at,
                                   created_at)
SELECT pg_temp.id('member/' || coalesce(m.n, 0), m.t * 10000000::bigint + m.i),
       pg_temp.id('tenant', m.t), pg_temp.id('network', m.n), pg_temp.id('user', m.i),
       m.role, now(), pg_temp.at(m.i, :users)
  FROM member m;

\echo a peer for each membership of a network
CREATE TEMP TABLE peer ON COMMIT DROP AS
SELECT m.i, m.t, m.n, row_number() OVER (PARTITION BY m.n ORDER BY m.i) + 1 AS host
  FROM member m WHERE m.n IS NOT NULL;

INSERT INTO goconnect.peers (id, tenant_id, network_id, device_id, user_id, role, name,
                             ip_address, ip6_address, public_key, endpoints, last_seen)
SELECT pg_temp.id('peer/' || p.n, p.i), w.tenant_id, w.id, pg_temp.id('device', p.i),
       pg_temp.id('user', p.i), goconnect.effective_role(w.tenant_id, w.id,
                                                         pg_temp.id('user', p.i)),
       'device-' || p.i, api_1._address(w.cidr, p.host), api_1._address(w.cidr6, p.host),
       encode(sha256(convert_to('seed/peer/' || p.n || '/' || p.i, 'UTF8')), 'base64'),
       ARRAY['203.0.113.' || p.i % 250 + 1 || ':' || 10000 + p.i % 50000], now()
  FROM peer p JOIN goconnect.networks w ON w.id = pg_temp.id('network', p.n);

INSERT INTO goconnect.peer_keys (public_key, peer_id, kind)
SELECT p.public_key, p.id, 'current' FROM goconnect.peers p
    ON CONFLICT DO NOTHING;

\echo :messages messages
-- c = 0: the first tenant's channel; else the network's of that number
CREATE TEMP TABLE said ON COMMIT DROP AS
SELECT 0::bigint AS c, k AS number, k AS m FROM generate_series(1, :messages / 10) k
UNION ALL
SELECT 1, k, :messages / 10 + k FROM generate_series(1, :messages / 10) k
UNION ALL
SELECT (k - 1) % (:networks - 1) + 2, (k - 1) / (:networks - 1) + 1, :messages / 5 + k
  FROM generate_series(1, :messages - :messages / 5) k;

INSERT INTO goconnect.messages (id, tenant_id, network_id, user_id, content, number, seq,
                                created_at)
SELECT pg_temp.id('message', s.m), pg_temp.id('tenant', greatest(s.c - 1, 0) % :tenants + 1),
       CASE WHEN s.c > 0 THEN pg_temp.id('network', s.c) END,
       pg_temp.id('user', greatest(s.c, 1) + :tenants * 10 * (s.number % 10)),
       'Message ' || s.number || repeat(' and so on', (s.m % 8)::integer), s.number, s.number,
       pg_temp.at(s.m, :messages)
  FROM said s;

INSERT INTO goconnect.topics (id, seq, number)
SELECT CASE WHEN s.c = 0 THEN 'tenant:' || pg_temp.id('tenant', 1)
            ELSE 'network:' || pg_temp.id('network', s.c) END, max(s.number), max(s.number)
  FROM said s GROUP BY s.c
UNION ALL
SELECT 'tenant:' || pg_temp.id('tenant', t), 0, 0 FROM generate_series(2, :tenants) t;

INSERT INTO goconnect.events (topic, seq, kind, payload)
SELECT CASE WHEN m.network_id IS NULL THEN 'tenant:' || m.tenant_id
            ELSE 'network:' || m.network_id END, m.seq, 'chat_message',
       json_build_object('id', m.id, 'tenant_id', m.tenant_id, 'network_id', m.network_id,
           'user_id', m.user_id, 'username', u.username, 'content', m.content,
           'timestamp', m.created_at, 'edited_at', NULL, 'deleted', false,
           'number', m.number)
  FROM goconnect.messages m JOIN goconnect.users u ON u.id = m.user_id
 WHERE m.channel IN (pg_temp.id('tenant', 1), pg_temp.id('network', 1))
   AND m.number > :messages / 10 - 5000;

\echo invites and an audit trail
INSERT INTO goconnect.invites (id, tenant_id, network_id, code_hmac, expires_at, created_by,
                               created_at)
SELECT pg_temp.id('invite', n), w.tenant_id, w.id,
       sha256(convert_to('seed/invite/' || n, 'UTF8')), now() + interval '30 days',
       pg_temp.id('user', (n - 1) % :tenants + 1), pg_temp.at(n, :networks)
  FROM generate_series(1, :networks) n
  JOIN goconnect.networks w ON w.id = pg_temp.id('network', n);

INSERT INTO goconnect.audit_log (tenant_id, actor_id, action, target_kind, target_id,
                                 created_at)
SELECT m.tenant_id, m.user_id, CASE WHEN m.network_id IS NULL THEN 'member.accept'
                                    ELSE 'network.join' END,
       CASE WHEN m.network_id IS NULL THEN 'user' ELSE 'network' END,
       coalesce(m.network_id, m.user_id), m.created_at
  FROM goconnect.memberships m WHERE m.joined_at = now() ORDER BY m.created_at;
COMMIT;

\echo statistics
VACUUM (ANALYZE);
