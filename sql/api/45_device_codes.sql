-- Device codes (RFC 8628): a user lets in a device that has no user at hand.

-- body: name, platform, public_key, device_code_hash, user_code
CREATE FUNCTION api_1.auth_device_code(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    errs json[] := api_1._check_device(body, true);
    -- a house has one address, or one /64
    house inet := set_masklen(ctx.address, CASE family(ctx.address) WHEN 6 THEN 64 ELSE 32 END);
BEGIN
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    IF (SELECT count(*) FROM (SELECT FROM goconnect.device_codes c
                               WHERE c.address BETWEEN host(network(house))::inet
                                                   AND host(broadcast(house))::inet
                                 AND c.expires_at > now() LIMIT 100) x) >= 100
       OR (SELECT count(*) FROM (SELECT FROM goconnect.device_codes c
                                  WHERE c.expires_at > now() LIMIT 20000) x) >= 20000
    THEN
        RETURN api_1._refuse(429, 'too_many_attempts',
            'Too many devices wait for their approval; try again in a few minutes.');
    END IF;
    INSERT INTO goconnect.device_codes (hash, user_code, name, platform, public_key, address,
                                        expires_at)
    VALUES (api_1._hash(body ->> 'device_code_hash'), body ->> 'user_code',
            btrim(body ->> 'name'), body ->> 'platform', body ->> 'public_key', ctx.address,
            now() + interval '10 minutes');
    RETURN api_1._ok(200, json_build_object('expires_in', 600, 'interval', 5));
END
$$;

-- body: device_code_hash, refresh_hash. The refusals are those of RFC 8628,
-- section 3.5. The code is good once.
CREATE FUNCTION api_1.auth_device_token(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    c goconnect.device_codes;
    d record;
BEGIN
    SELECT x.* INTO c FROM goconnect.device_codes x
     WHERE x.hash = api_1._hash(body ->> 'device_code_hash')
       FOR UPDATE;
    IF NOT FOUND OR c.expires_at <= now() THEN
        RETURN api_1._refuse(400, 'expired_token', 'This code has expired, or was used; begin again.');
    END IF;
    IF c.denied_at IS NOT NULL THEN
        RETURN api_1._refuse(400, 'access_denied', 'The login was refused.');
    END IF;
    -- the network may bring two polls a little closer together
    IF c.polled_at > now() - (c.poll_interval - 1) * interval '1 second' THEN
        UPDATE goconnect.device_codes x
           SET polled_at = now(), poll_interval = least(60, c.poll_interval + 5)
         WHERE x.hash = c.hash;
        RETURN api_1._refuse(400, 'slow_down',
            format('Ask every %s seconds.', least(60, c.poll_interval + 5)));
    END IF;
    IF c.approved_by IS NULL THEN
        UPDATE goconnect.device_codes x SET polled_at = now() WHERE x.hash = c.hash;
        RETURN api_1._refuse(400, 'authorization_pending', 'Nobody has approved this device yet.');
    END IF;

    PERFORM FROM goconnect.users u
      WHERE u.id = c.approved_by AND u.suspended_at IS NULL AND u.deleted_at IS NULL
        FOR KEY SHARE;
    IF NOT FOUND THEN
        RETURN api_1._refuse(400, 'access_denied', 'The account that approved this device is closed.');
    END IF;
    ctx.user_id := c.approved_by;
    SELECT x.* INTO d
      FROM api_1._enroll_device(ctx, c.approved_by,
               jsonb_build_object('name', c.name, 'platform', c.platform,
                                  'public_key', c.public_key,
                                  'refresh_hash', body ->> 'refresh_hash'), false) x;
    IF (d.refusal).status IS NOT NULL THEN
        RETURN d.refusal;
    END IF;
    DELETE FROM goconnect.device_codes x WHERE x.hash = c.hash;
    PERFORM api_1._audit(ctx, NULL, 'device.enroll', 'device', d.device, d.detail);
    RETURN api_1._ok(200, api_1._enrolled(d.device, d.session, c.approved_by, c.networks), NULL,
                     NULL, api_1._publish(d.evs));
END
$$;

-- The code that a user has typed, for a look or, locked, for an answer. Who
-- guesses is stopped: ten wrong ones in ten minutes.
CREATE FUNCTION api_1._typed_code(ctx api_1.ctx, code text, OUT refusal api_1.reply,
                                  OUT found_one goconnect.device_codes)
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM goconnect.code_attempts a
                WHERE a.user_id = ctx.user_id AND a.until > now() AND a.wrong >= 10)
    THEN
        refusal := api_1._refuse(429, 'too_many_attempts',
            'Too many wrong codes; try again in ten minutes.');
        RETURN;
    END IF;
    SELECT c.* INTO found_one FROM goconnect.device_codes c
     WHERE c.user_code = code AND c.expires_at > now()
       FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO goconnect.code_attempts AS a (user_id, wrong, until)
        VALUES (ctx.user_id, 1, now() + interval '10 minutes')
        ON CONFLICT (user_id) DO UPDATE
           SET wrong = CASE WHEN a.until > now() THEN a.wrong + 1 ELSE 1 END,
               until = excluded.until;
        refusal := api_1._refuse(404, 'not_found', 'There is no such code, or it has expired.');
    ELSIF found_one.approved_by IS NOT NULL OR found_one.denied_at IS NOT NULL THEN
        refusal := api_1._refuse(409, 'already_answered', 'This code was answered already.');
    END IF;
END
$$;

-- What the user is asked: which device it is, and where it asked from.
CREATE FUNCTION api_1.auth_device_get(ctx api_1.ctx, user_code text) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    c record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO c FROM api_1._typed_code(ctx, user_code) x;
    IF (c.refusal).status IS NOT NULL THEN
        RETURN c.refusal;
    END IF;
    RETURN api_1._ok(200, json_build_object('user_code', (c.found_one).user_code,
        'name', (c.found_one).name, 'platform', (c.found_one).platform,
        'address', host((c.found_one).address), 'created_at', (c.found_one).created_at,
        'expires_at', (c.found_one).expires_at));
END
$$;

-- body: user_code, approve, networks? (those that the device is to enter)
CREATE FUNCTION api_1.auth_device_approve(ctx api_1.ctx, body jsonb) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    c record;
    nets uuid[] := api_1._network_ids(body);
    errs json[] := '{}';
    clash text;
    yes boolean := (body ->> 'approve')::boolean;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    IF yes IS NULL THEN
        RETURN api_1._invalid('approve', 'required', 'Yes or no?');
    END IF;
    IF cardinality(nets) > 32 THEN
        RETURN api_1._invalid('networks', 'too_long', 'At most 32 networks.');
    END IF;
    SELECT x.* INTO c FROM api_1._typed_code(ctx, body ->> 'user_code') x;
    IF (c.refusal).status IS NOT NULL THEN
        RETURN c.refusal;
    END IF;
    SELECT coalesce(array_agg(api_1._wrong('networks[' || (x.place - 1) || ']', 'unknown',
                                           'You are in no such network.') ORDER BY x.place), '{}')
      INTO errs
      FROM jsonb_array_elements_text(CASE WHEN cardinality(nets) > 0
               THEN body -> 'networks' ELSE '[]' END) WITH ORDINALITY AS x (id, place)
     WHERE NOT EXISTS (SELECT FROM api_1._network_access(ctx.user_id, x.id::uuid) a
                        WHERE a.joined);
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    clash := api_1._overlapping(nets);
    IF clash IS NOT NULL THEN
        RETURN api_1._refuse(409, 'address_overlap', clash);
    END IF;

    UPDATE goconnect.device_codes x
       SET approved_by = CASE WHEN yes THEN ctx.user_id END,
           denied_at = CASE WHEN NOT yes THEN now() END,
           networks = CASE WHEN yes THEN nets ELSE '{}' END
     WHERE x.hash = (c.found_one).hash;
    PERFORM api_1._audit(ctx, NULL, CASE WHEN yes THEN 'device.approve' ELSE 'device.deny' END,
        'device', NULL, jsonb_build_object('after', jsonb_build_object(
            'name', (c.found_one).name, 'platform', (c.found_one).platform,
            'networks', CASE WHEN yes THEN to_jsonb(nets) ELSE '[]' END)));
    RETURN api_1._ok(204);
END
$$;
