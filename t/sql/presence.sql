-- Presence of devices and users: what workers tell, what they hear of it.
\ir lib/fixtures.psql
BEGIN;
SELECT no_plan();

SELECT t.user('alice') AS alice \gset
SELECT t.user('bob') AS bob \gset
SELECT t.user('eve') AS eve \gset
SELECT t.tenant(:'alice', '{"name": "Acme"}') AS acme \gset
SELECT t.tenant(:'eve', '{"name": "Elsewhere"}') AS other \gset
SELECT t.network(:'alice', :'acme', '{"name": "lan"}') AS lan \gset
SELECT t.join(:'alice', :'bob', :'acme', :'lan') \g /dev/null
SELECT t.device(:'bob', 'laptop') AS laptop \gset
SELECT t.device(:'alice', 'desk') AS desk \gset
SELECT t.peer(:'laptop', :'lan') AS peer, t.peer(:'desk', :'lan') AS deskpeer \gset
SELECT (:'laptop'::api_1.ctx).device_id AS l, (:'desk'::api_1.ctx).device_id AS d \gset
SELECT (:'alice'::api_1.ctx).user_id AS a, (:'bob'::api_1.ctx).user_id AS b, (:'eve'::api_1.ctx).user_id AS e \gset
SELECT gen_random_uuid() AS one, gen_random_uuid() AS two \gset

-- frames in a few words: TYPE/STATUS, TYPE/N STATUS
CREATE FUNCTION t.words(frames jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(w, ' '), '-') FROM (
        SELECT (f ->> 'type') || '/' || coalesce(f #>> '{data,status}',
                   jsonb_array_length(l) || (l #>> '{0,status}')) AS w
          FROM jsonb_array_elements(frames) f, LATERAL (SELECT coalesce(f #> '{data,peers}', f #> '{data,users}')) x (l)) y $$;
CREATE FUNCTION t.told(node uuid, body jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT (r.body ->> 'known') || ' ' || t.words(r.body::jsonb -> 'frames') FROM api_1.ws_presence(node, body) r $$;
CREATE FUNCTION t.list(VARIADIC ids uuid[]) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(ids) $$;
-- time goes by: for graces, silent workers and those that beat all the while
CREATE FUNCTION t.pass(seconds integer) RETURNS void LANGUAGE sql AS $$
    UPDATE goconnect.presence SET until = until - seconds * interval '1 second';
    UPDATE goconnect.presence_users SET until = until - seconds * interval '1 second';
    UPDATE goconnect.presence_news SET at = at - seconds * interval '1 second';
    UPDATE goconnect.nodes SET seen_at = seen_at - seconds * interval '1 second', steady_since = steady_since - seconds * interval '1 second', leaves_at = leaves_at - seconds * interval '1 second' $$;
CREATE FUNCTION t.member(c api_1.ctx, tenant uuid, who uuid) RETURNS jsonb LANGUAGE sql AS $$
    SELECT i::jsonb FROM json_array_elements((api_1.members_list(c, tenant, NULL, NULL)).body -> 'items') i WHERE i ->> 'user_id' = who::text $$;

-- a peer that was made while its device was being told of
SELECT is(t.told(:'one', jsonb_build_object('online', t.list(:'l'))), 'false peer_status/online', 'a device comes');
SELECT is(t.told(:'two', '{}'), 'false peer_status/online', '... and the peer that it got at the same time is told of once more');
SELECT is(t.told(:'one', '{}'), 'true -', '... once');
DELETE FROM goconnect.presence;
DELETE FROM goconnect.presence_news;
DELETE FROM goconnect.nodes;
UPDATE goconnect.peers SET created_at = created_at - interval '1 minute';

-- devices
SELECT is(t.told(:'one', jsonb_build_object('online', t.list(:'l'))), 'false peer_status/online', 'a new node brings a device');
SELECT is((api_1.peers_list(:'bob', :'lan', NULL, NULL)).body::jsonb @? '$.items[*] ? (@.online == true)', true, '... which the list shows');
SELECT is((SELECT x #>> '{status,0,peer_id}' FROM json_array_elements((api_1.ws_subscribe(:'desk', jsonb_build_array(jsonb_build_object('topic', 'network:' || :'lan', 'seq', NULL)))).body -> 'topics') x), :'peer', '... and who subscribes is told');
SELECT is((SELECT last_seen IS NOT NULL FROM goconnect.peers WHERE id = :'peer'), true, '... it was seen');
SELECT is(t.told(:'one', jsonb_build_object('online', t.list(:'l'))), 'true -', '... again is no news');
SELECT is(t.told(:'two', jsonb_build_object('online', t.list(:'l'))), 'false -', '... nor that it moved to another node');
SELECT is(t.told(:'one', jsonb_build_object('offline', t.list(:'l'))), 'true -', '... nor that it left the first');
SELECT is((SELECT until FROM goconnect.presence), NULL, '... which ends nothing');
SELECT is(t.told(:'two', jsonb_build_object('offline', t.list(:'l'))), 'true -', 'it goes, into its grace');
SELECT is((api_1._device_object(:'l')) ->> 'online', 'true', '... in which it counts as here');
SELECT is(t.told(:'one', jsonb_build_object('online', t.list(:'l'))), 'true -', '... comes back elsewhere: nobody is told');
SELECT t.pass(6) \g /dev/null
SELECT is(t.told(:'two', '{}'), 'true -', '... later neither');
SELECT is(t.told(:'one', jsonb_build_object('offline', t.list(:'l'))), 'true -', 'it goes again');
SELECT t.pass(6) \g /dev/null
SELECT is(t.told(:'two', '{}'), 'true peer_status/offline', '... and stays away: any worker tells');
SELECT is(t.told(:'one', jsonb_build_object('online', t.list(:'l', :'d'))), 'true peer_status/2online', 'two of a network make one frame');
SELECT is(t.told(:'one', jsonb_build_object('ended', t.list(:'l'))), 'true peer_status/offline', 'who is thrown out is gone at once');
SELECT is(t.told(:'one', jsonb_build_object('grace', 30, 'offline', t.list(:'d'))), 'true -', 'who was sent away has more time');
SELECT t.pass(6) \g /dev/null
SELECT is(t.told(:'one', '{}'), 'true -', '... than usually');
SELECT t.pass(25) \g /dev/null
SELECT is(t.told(:'one', '{}'), 'true peer_status/offline', '... but not for ever');
SELECT is(t.told(:'two', jsonb_build_object('online', t.list(gen_random_uuid()), 'offline', t.list(gen_random_uuid()), 'users_online', t.list(gen_random_uuid()))), 'true -', 'unknown ones are nothing');

-- users: on the sockets of one worker or of many
SELECT is(t.told(:'one', jsonb_build_object('users_online', t.list(:'b'))), 'true presence/online', 'a user comes');
SELECT is(t.told(:'two', jsonb_build_object('users_online', t.list(:'b'))), 'true -', '... twice');
SELECT is(t.told(:'one', jsonb_build_object('users_ended', t.list(:'b'))), 'true -', '... goes from one');
SELECT is(t.member(:'alice', :'acme', :'b') ->> 'online', 'true', '... and is still here, the list says');
SELECT is(t.told(:'two', jsonb_build_object('users_offline', t.list(:'b'))), 'true -', '... goes from the other');
SELECT is(t.told(:'one', jsonb_build_object('users_online', t.list(:'b'))), 'true -', '... comes back in time');
SELECT t.pass(6) \g /dev/null
SELECT is(t.told(:'two', '{}'), 'true -', '... so that nobody is told');
SELECT is(t.told(:'one', jsonb_build_object('users_offline', t.list(:'b'))), 'true -', 'he goes');
SELECT t.pass(6) \g /dev/null
SELECT is(t.told(:'two', '{}'), 'true presence/offline', '... for good');
SELECT is(t.member(:'alice', :'acme', :'b') ->> 'online', 'false', '... says the list');
SELECT is((t.member(:'alice', :'acme', :'b') ->> 'last_seen')::timestamptz, now(), '... and since when');
SELECT is(t.told(:'one', jsonb_build_object('users_online', t.list(:'a', :'b'), 'online', t.list(:'l', :'d'))), 'true peer_status/2online presence/2online', 'users and devices in one statement');
SELECT is((SELECT json_agg(s ->> 'user_id' ORDER BY s ->> 'user_id')::jsonb FROM json_array_elements((api_1.ws_subscribe(:'alice', jsonb_build_array(jsonb_build_object('topic', 'tenant:' || :'acme', 'seq', NULL)))).body #> '{topics,0,status}') s), (SELECT jsonb_agg(x ORDER BY x) FROM (VALUES (:'a'), (:'b')) v (x)), 'who subscribes to a tenant is told of its users');

-- privacy
SELECT is(t.told(:'one', jsonb_build_object('users_online', t.list(:'e'))), 'true presence/online', 'another one comes');
SELECT is((SELECT news #>> '{frames,0,topic}' FROM goconnect.presence_news ORDER BY number DESC LIMIT 1), 'tenant:' || :'other', '... told where he is a member, and nowhere else');
SELECT api_1.members_add(:'alice', :'acme', jsonb_build_object('user_id', :'e')) \g /dev/null
SELECT is(t.member(:'alice', :'acme', :'e') ->> 'online', 'false', '... who was only asked in shows nothing');
SELECT is(t.member(:'alice', :'acme', :'e') ->> 'last_seen', NULL, '... at all');
SELECT is(t.told(:'one', jsonb_build_object('users_ended', t.list(:'e'))), 'true presence/offline', '... goes');
SELECT is((SELECT json_array_length(news -> 'frames') FROM goconnect.presence_news ORDER BY number DESC LIMIT 1), 1, '... nor is his going told there');
SELECT api_1.tenants_leave(:'bob', :'acme') AS r \gset
SELECT is(t.told(:'one', jsonb_build_object('users_ended', t.list(:'b'))), 'true -', 'who has left is told of to nobody');
UPDATE goconnect.users SET suspended_at = now() WHERE id = :'a';
SELECT is(api_1._member_object(:'acme', NULL, :'a') ->> 'online', 'false', 'who is suspended is not here any more');
SELECT is(api_1._users_here(:'acme')::text, NULL, '... for nobody');
UPDATE goconnect.users SET suspended_at = NULL WHERE id = :'a';

-- workers that end
SELECT t.pass(20) \g /dev/null
SELECT is(t.told(:'one', jsonb_build_object('online', t.list(:'d'), 'users_online', t.list(:'a'))), 'true -', 'after a silence of all workers nobody judges');
SELECT is(t.told(:'two', '{}'), 'true -', '... neither does the other');
SELECT t.pass(4) \g /dev/null
SELECT t.told(:'two', '{}') \g /dev/null
SELECT t.pass(4) \g /dev/null
SELECT is(t.told(:'two', '{}'), 'true -', 'silence of 8 s is none');
SELECT t.pass(3) \g /dev/null
SELECT is(t.told(:'two', '{}'), 'true peer_status/offline presence/offline', 'of 11 s it is the end: told by who was there all the time');
SELECT is(t.told(:'one', '{}'), 'false -', '... one that was only slow has to list its sockets again');
SELECT t.told(:'one', jsonb_build_object('online', t.list(:'d'), 'users_online', t.list(:'a'))) \g /dev/null
SELECT is(t.told(:'one', '{"leaving": 30}'), 'true -', 'a worker leaves');
SELECT t.pass(4) \g /dev/null
SELECT t.told(:'two', '{}') \g /dev/null
SELECT t.pass(4) \g /dev/null
SELECT t.told(:'two', '{}') \g /dev/null
SELECT t.pass(4) \g /dev/null
SELECT is(t.told(:'two', jsonb_build_object('users_online', t.list(:'a'))), 'true -', '... its sockets have the time that it said; one comes back');
SELECT t.pass(20) \g /dev/null
SELECT is(t.told(:'two', '{}'), 'true peer_status/offline', '... and the other does not');

-- news, for all workers
CREATE FUNCTION t.news(node uuid, body jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT (api_1.ws_presence(node, body)).body::jsonb - 'known' $$;
SELECT max(number) AS at FROM goconnect.presence_news \gset
SELECT is(t.news(:'one', '{"since": null}'), jsonb_build_object('busy', false, 'number', :at, 'news', '[]'::jsonb, 'mine', NULL, 'lost', false), 'who begins gets no news');
SELECT is(t.news(:'one', jsonb_build_object('since', :at, 'online', t.list(:'d'))) - 'news', jsonb_build_object('busy', false, 'number', :at + 1, 'mine', :at + 1, 'lost', false), 'who tells something hears its number');
SELECT is(t.news(:'one', jsonb_build_object('since', :at, 'online', t.list(:'d'))) ->> 'mine', NULL, '... if it was something');
SELECT is((SELECT string_agg((n ->> 'number')::bigint - :at || ' ' || (n -> 'devices' = t.list(:'d')) || ' ' || t.words(n -> 'frames'), ',') FROM jsonb_array_elements(t.news(:'two', jsonb_build_object('since', :at)) -> 'news') n), '1 true peer_status/online', 'others hear it');
SELECT is(jsonb_array_length(t.news(:'two', jsonb_build_object('since', :at + 1)) -> 'news'), 0, '... once');
SELECT t.pass(61) \g /dev/null
SELECT t.news(:'one', jsonb_build_object('since', :at + 1, 'ended', t.list(:'d'))) \g /dev/null
SELECT is((SELECT min(number) FROM goconnect.presence_news), :at + 1, 'news are kept for a minute');
SELECT is(t.news(:'two', jsonb_build_object('since', :at)) ->> 'lost', 'false', 'nothing is lost as long as there is no gap');
SELECT is(t.news(:'two', jsonb_build_object('since', :at - 1)) ->> 'lost', 'true', '... else it is');
DELETE FROM goconnect.presence_news;
SELECT is(t.news(:'two', jsonb_build_object('since', :at)) ->> 'lost', 'true', '... and after a crash');
SELECT cmp_ok((SELECT max(number) FROM goconnect.presence_news), '>', :at::bigint + 1, '... when numbers begin far above the old ones');

-- the whole state
SELECT t.news(:'two', jsonb_build_object('since', 1, 'online', t.list(:'d'), 'users_online', t.list(:'a'))) \g /dev/null
SELECT (api_1.ws_presence_state(jsonb_build_array('network:' || :'lan', 'tenant:' || :'acme'))).body AS whole \gset
SELECT is((:'whole'::jsonb ->> 'number')::bigint, (SELECT max(number) FROM goconnect.presence_news), 'the state up to a number');
SELECT is((SELECT string_agg(s ->> 'status', ' ' ORDER BY s ->> 'status') FROM jsonb_array_elements(:'whole'::jsonb -> 'frames') f, jsonb_array_elements(f #> '{data,peers}') s), 'online', '... of all peers of a network');
SELECT is((SELECT string_agg((s ->> 'user_id' = :'a') || ' ' || (s ->> 'status'), ',') FROM jsonb_array_elements(:'whole'::jsonb -> 'frames') f, jsonb_array_elements(f #> '{data,users}') s), 'true online', '... and of all members of a tenant');

SELECT * FROM finish();
ROLLBACK;
