-- Bans: from a network, from a whole tenant, for good or for a while.

-- key and at are for ordering; the rest is the ban object.
CREATE VIEW api_1._bans AS
    SELECT b.id AS key, b.created_at AS at, b.tenant_id, b.network_id, b.user_id, u.username,
           b.reason, b.banned_by, b.until, b.created_at
      FROM goconnect.bans b
      JOIN goconnect.users u ON u.id = b.user_id;

CREATE FUNCTION api_1._ban_object(tenant uuid, network uuid, member uuid) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT to_jsonb(v) - '{key,at}'::text[] FROM api_1._bans v
             WHERE v.tenant_id = tenant AND v.network_id IS NOT DISTINCT FROM network
               AND v.user_id = member);
END
$$;

-- What is told of a ban: to the staff, and to the banned with told. reason says
-- why it ends (lifted, expired).
CREATE FUNCTION api_1._ban_events(change text, ban json, told boolean, reason text)
RETURNS api_1.event[]
LANGUAGE sql STABLE AS $$
    SELECT ARRAY[api_1._event(
               CASE WHEN ban ->> 'network_id' IS NULL THEN 'tenant:' || (ban ->> 'tenant_id')
                    ELSE 'network:' || (ban ->> 'network_id') END || '/staff',
               'ban', json_build_object('change', change, 'reason', reason, 'ban', ban))]
        || CASE WHEN told THEN ARRAY[api_1._event('user:' || (ban ->> 'user_id'), 'ban',
               json_build_object('change', change, 'reason', reason, 'ban',
                                 ban::jsonb || '{"banned_by": null}'))] END
$$;

-- Writes a ban of a user who is out already, or changes one, and returns what
-- must be told of it. Bans come before their memberships, here as where they
-- are lifted, so that two at once wait for each other.
CREATE FUNCTION api_1._put_ban(ctx api_1.ctx, tenant uuid, network uuid, member uuid,
                               body jsonb, told boolean, OUT object json, OUT fresh boolean,
                               OUT evs api_1.event[])
LANGUAGE plpgsql AS $$
DECLARE
    old goconnect.bans;
    new goconnect.bans;
BEGIN
    SELECT b.* INTO old FROM goconnect.bans b
     WHERE b.tenant_id = tenant AND b.network_id IS NOT DISTINCT FROM network
       AND b.user_id = member;
    INSERT INTO goconnect.bans AS b (tenant_id, network_id, user_id, reason, banned_by, until)
    VALUES (tenant, network, member, api_1._reason(body), ctx.user_id,
            now() + (body ->> 'expires_in')::integer * interval '1 second')
    ON CONFLICT ON CONSTRAINT bans_membership_key DO UPDATE
       SET reason = excluded.reason, banned_by = excluded.banned_by, until = excluded.until
    RETURNING b.* INTO new;
    INSERT INTO goconnect.memberships (tenant_id, network_id, user_id, status)
    VALUES (tenant, network, member, 'banned')
    ON CONFLICT ON CONSTRAINT memberships_member_key DO UPDATE
       SET status = 'banned', role = 'member', note = NULL, joined_at = NULL
     WHERE memberships.status <> 'banned';
    fresh := old.id IS NULL;
    PERFORM api_1._audit(ctx, tenant,
        CASE WHEN network IS NULL THEN 'tenant.ban' ELSE 'network.ban' END, 'user', member,
        api_1._changes(CASE WHEN NOT fresh THEN to_jsonb(old) - 'reason' END,
                       to_jsonb(new) - 'reason')
        || jsonb_build_object('network_id', network),
        jsonb_build_object('before.reason', old.reason, 'after.reason', new.reason));
    object := api_1._ban_object(tenant, network, member);
    evs := api_1._ban_events(CASE WHEN fresh THEN 'added' ELSE 'changed' END, object, told,
                             NULL);
END
$$;

-- Lifts a ban and returns what must be told of it; NULL if there is none. The
-- banned hear it only if they know of the place: in a tenant that they are in,
-- or that everybody may see.
CREATE FUNCTION api_1._lift_ban(ctx api_1.ctx, tenant uuid, network uuid, member uuid,
                                why text)
RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    object json := api_1._ban_object(tenant, network, member);
    knows boolean;
BEGIN
    DELETE FROM goconnect.bans b
     WHERE b.tenant_id = tenant AND b.network_id IS NOT DISTINCT FROM network
       AND b.user_id = member AND (why <> 'expired' OR b.until < now());
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    DELETE FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id IS NOT DISTINCT FROM network
       AND m.user_id = member AND m.status = 'banned';
    knows := CASE WHEN network IS NULL
        THEN EXISTS (SELECT FROM goconnect.tenants t
                      WHERE t.id = tenant AND t.visibility = 'public')
        ELSE EXISTS (SELECT FROM api_1._network_access(member, network)) END;
    PERFORM api_1._audit(ctx, tenant,
        CASE WHEN network IS NULL THEN 'tenant.unban' ELSE 'network.unban' END, 'user', member,
        api_1._changes(object::jsonb - '{reason,username}'::text[], NULL)
        || jsonb_build_object('network_id', network, 'why', why),
        jsonb_build_object('before.reason', object ->> 'reason'));
    RETURN api_1._ban_events('removed', object, knows, why);
END
$$;

-- What a ban needs of its target: a user who exists; NULL if so.
CREATE FUNCTION api_1._check_target(member uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM goconnect.users u WHERE u.id = member AND u.deleted_at IS NULL)
    THEN
        RETURN api_1._invalid('user_id', 'unknown', 'There is no such user.');
    END IF;
    RETURN NULL;
END
$$;

-- body: user_id, reason?, expires_in? (seconds). Who is in goes out; who is not
-- yet in cannot come. A second ban of the same user replaces the first.
CREATE FUNCTION api_1.networks_ban(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    b record;
    member uuid := (body ->> 'user_id')::uuid;
    old text;
    evs api_1.event[] := '{}';
BEGIN
    SELECT x.* INTO a FROM api_1._network_staff(ctx, network, 'moderator') x;
    IF (a.refusal).status IS NOT NULL THEN
        RETURN a.refusal;
    END IF;
    r := api_1._check_target(member);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF member = ctx.user_id OR api_1._rank_of(a.tenant, network, member) >= a.rank THEN
        RETURN api_1._too_high();
    END IF;

    SELECT m.status INTO old FROM goconnect.memberships m
     WHERE m.tenant_id = a.tenant AND m.network_id = network AND m.user_id = member;
    IF old = 'active' THEN
        evs := api_1._explain(api_1._expel(a.tenant, network, ARRAY[member], 'banned'),
                              api_1._reason(body));
    ELSIF old = 'pending' THEN
        evs := api_1._drop_requests(a.tenant, network, ARRAY[member], 'banned');
    END IF;
    SELECT x.* INTO b FROM api_1._put_ban(ctx, a.tenant, network, member, body,
                                          old IS NOT NULL) x;
    RETURN api_1._ok(CASE WHEN b.fresh THEN 201 ELSE 200 END, b.object, NULL,
        CASE WHEN b.fresh THEN '/v1/networks/' || network || '/bans' END,
        api_1._publish(evs || b.evs || api_1._looker_out(a.tenant, network, member, old)));
END
$$;

-- An admin of the tenant may hold the topics of a network that he never joined.
CREATE FUNCTION api_1._looker_out(tenant uuid, network uuid, member uuid, status text)
RETURNS api_1.event[]
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN status IS DISTINCT FROM 'active' AND status IS DISTINCT FROM 'banned'
                 AND api_1._rank_of(tenant, NULL, member) >= 3
                THEN ARRAY[api_1._event('user:' || member, 'revoked',
                    api_1._revoked('network', NULL, NULL, network, tenant,
                        ARRAY['network:' || network, 'network:' || network || '/staff'],
                        'banned'))]
                ELSE '{}' END
$$;

-- body: user_id
CREATE FUNCTION api_1.networks_unban(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    a record;
    member uuid := (body ->> 'user_id')::uuid;
    evs api_1.event[];
BEGIN
    SELECT x.* INTO a FROM api_1._network_staff(ctx, network, 'moderator') x;
    IF (a.refusal).status IS NOT NULL THEN
        RETURN a.refusal;
    END IF;
    IF NOT EXISTS (SELECT FROM goconnect.bans b
                    WHERE b.network_id = network AND b.user_id = member)
    THEN
        RETURN api_1._invalid('user_id', 'unknown', 'This user is not banned.');
    END IF;
    IF api_1._rank_of(a.tenant, network, member) >= a.rank THEN
        RETURN api_1._too_high();
    END IF;
    evs := api_1._lift_ban(ctx, a.tenant, network, member, 'lifted');
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;

-- One page of the bans of a network, or with NULL of a tenant.
CREATE FUNCTION api_1._bans_page(tenant uuid, network uuid, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    n integer := api_1._limit(lim);
    page record;
BEGIN
    IF NOT api_1._cursor_valid(cur) THEN
        RETURN api_1._bad_cursor();
    END IF;
    IF network IS NULL THEN
        SELECT array_agg(to_json(to_jsonb(o) - '{key,at}'::text[])) AS items,
               array_agg(api_1._cursor(o.at, o.key)) AS cursors
          INTO page
          FROM (SELECT v.* FROM api_1._bans v
                 WHERE v.tenant_id = tenant AND v.network_id IS NULL
                   AND (v.at, v.key) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
                 ORDER BY v.at, v.key LIMIT n + 1) o;
    ELSE
        SELECT array_agg(to_json(to_jsonb(o) - '{key,at}'::text[])) AS items,
               array_agg(api_1._cursor(o.at, o.key)) AS cursors
          INTO page
          FROM (SELECT v.* FROM api_1._bans v
                 WHERE v.network_id = network
                   AND (v.at, v.key) > (api_1._cursor_at(cur), api_1._cursor_id(cur))
                 ORDER BY v.at, v.key LIMIT n + 1) o;
    END IF;
    RETURN api_1._ok(200, api_1._page(page.items, page.cursors, n));
END
$$;

CREATE FUNCTION api_1.network_bans_list(ctx api_1.ctx, network uuid, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._network_staff_reader(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN api_1._bans_page(NULL, network, lim, cur);
END
$$;

-- --------------------------------------------------------------- tenant's bans

CREATE FUNCTION api_1.tenant_bans_list(ctx api_1.ctx, tenant uuid, lim integer, cur text)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    its_rank integer;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.rank INTO its_rank FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF its_rank < 2 THEN
        RETURN api_1._forbidden('moderator');
    END IF;
    RETURN api_1._bans_page(tenant, NULL, lim, cur);
END
$$;

-- The beginning of what staff does to somebody in a tenant, with it locked.
CREATE FUNCTION api_1._tenant_staff(ctx api_1.ctx, tenant uuid, OUT refusal api_1.reply,
                                    OUT rank integer)
LANGUAGE plpgsql AS $$
BEGIN
    refusal := api_1._user(ctx);
    IF refusal.status IS NOT NULL THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM api_1._tenant_access(ctx.user_id, tenant)) THEN
        refusal := api_1._not_found();      -- strangers take no locks
        RETURN;
    END IF;
    PERFORM FROM goconnect.tenants t WHERE t.id = tenant FOR NO KEY UPDATE;
    SELECT x.rank INTO rank FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        refusal := api_1._not_found();
    ELSIF rank < 2 THEN
        refusal := api_1._forbidden('moderator');
    END IF;
END
$$;

-- body: reason?, expires_in? (seconds). Out of the tenant, of all its networks,
-- and not to come again.
CREATE FUNCTION api_1.tenant_bans_create(ctx api_1.ctx, tenant uuid, member uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    a record;
    b record;
    old text;
    evs api_1.event[] := '{}';
BEGIN
    SELECT x.* INTO a FROM api_1._tenant_staff(ctx, tenant) x;
    IF (a.refusal).status IS NOT NULL THEN
        RETURN a.refusal;
    END IF;
    IF (api_1._check_target(member)).status IS NOT NULL THEN
        RETURN api_1._not_found();
    END IF;
    IF member = ctx.user_id OR api_1._rank_of(tenant, NULL, member) >= a.rank THEN
        RETURN api_1._too_high();
    END IF;
    SELECT m.status INTO old FROM goconnect.memberships m
     WHERE m.tenant_id = tenant AND m.network_id IS NULL AND m.user_id = member;
    IF old IN ('active', 'pending') THEN
        evs := api_1._explain(api_1._expel_tenant(tenant, ARRAY[member], 'banned'),
                              api_1._reason(body));
    END IF;
    SELECT x.* INTO b FROM api_1._put_ban(ctx, tenant, NULL, member, body, old IS NOT NULL) x;
    RETURN api_1._ok(CASE WHEN b.fresh THEN 201 ELSE 200 END, b.object, NULL,
        CASE WHEN b.fresh THEN '/v1/tenants/' || tenant || '/bans' END,
        api_1._publish(evs || b.evs));
END
$$;

CREATE FUNCTION api_1.tenant_bans_delete(ctx api_1.ctx, tenant uuid, member uuid)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    a record;
    evs api_1.event[];
BEGIN
    SELECT x.* INTO a FROM api_1._tenant_staff(ctx, tenant) x;
    IF (a.refusal).status IS NOT NULL THEN
        RETURN a.refusal;
    END IF;
    evs := api_1._lift_ban(ctx, tenant, NULL, member, 'lifted');
    IF evs IS NULL THEN
        RETURN api_1._not_found();
    END IF;
    RETURN api_1._ok(204, events => api_1._publish(evs));
END
$$;

-- Lifts bans whose time is over, for the sweep, and returns what must be told of
-- it. It never waits: a place that somebody holds keeps its bans until the next
-- time.
CREATE FUNCTION api_1._expire_bans() RETURNS api_1.event[]
LANGUAGE plpgsql AS $$
DECLARE
    b record;
    evs api_1.event[] := '{}';
BEGIN
    FOR b IN
        SELECT x.tenant_id, x.network_id, x.user_id FROM goconnect.bans x
         WHERE x.until < now() ORDER BY x.until LIMIT 100
    LOOP
        PERFORM FROM goconnect.tenants t WHERE t.id = b.tenant_id FOR SHARE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        IF b.network_id IS NOT NULL THEN
            PERFORM FROM goconnect.networks n WHERE n.id = b.network_id
              FOR NO KEY UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
        END IF;
        evs := evs || coalesce(api_1._lift_ban(NULL, b.tenant_id, b.network_id, b.user_id,
                                               'expired'), '{}');
    END LOOP;
    RETURN evs;
END
$$;
