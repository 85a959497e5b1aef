-- The audit trail: what every function that changes something writes.

-- One member of an audited row: a secret only says whether there is one, and
-- what is long is cut.
CREATE FUNCTION api_1._audited(field text, value jsonb) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN value IS NULL OR value = 'null' THEN 'null'
                WHEN field ~ '(_hash|_hmac|_encrypted|_secret|_token)$' THEN '"***"'
                WHEN octet_length(value::text) > 512
                THEN jsonb_build_object('cut', left(value::text, 120),
                                        'bytes', octet_length(value::text))
                ELSE value END
$$;

-- What a change was, for the detail of _audit: {"before": {...}, "after":
-- {...}}, each with the members in which the two differ. NULL for old is a
-- thing that was made, NULL for new one that was removed. Give it rows
-- (to_jsonb(old), to_jsonb(new)) or objects of your own; what counts and times
-- itself is passed over, secrets become "***", and the result leaves room for
-- what else stands in the detail's 8 KiB.
CREATE FUNCTION api_1._changes(old jsonb, new jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb;
BEGIN
    SELECT jsonb_build_object(
               'before', coalesce(jsonb_object_agg(k.key, api_1._audited(k.key, old -> k.key))
                                  FILTER (WHERE old ? k.key), '{}'),
               'after', coalesce(jsonb_object_agg(k.key, api_1._audited(k.key, new -> k.key))
                                 FILTER (WHERE new ? k.key), '{}'))
      INTO found
      FROM (SELECT jsonb_object_keys(coalesce(old, '{}') || coalesce(new, '{}')) AS key) k
     WHERE coalesce(old -> k.key, 'null') <> coalesce(new -> k.key, 'null')
       AND NOT k.key = ANY ('{id,rev,created_at,updated_at,last_seen,netmap_version,high_water,username_norm,failed_logins,locked_until,member_count,peer_count,online,endpoints}');
    IF octet_length(found::text) > 6144 THEN
        RETURN jsonb_build_object(
            'before', jsonb_build_object('cut', ARRAY(SELECT jsonb_object_keys(found -> 'before') k
                                                       ORDER BY k LIMIT 64)),
            'after', jsonb_build_object('cut', ARRAY(SELECT jsonb_object_keys(found -> 'after') k
                                                      ORDER BY k LIMIT 64)));
    END IF;
    RETURN found;
END
$$;

-- What of a detail is about a person, as field and value: it stands in
-- audit_personal, where it can be erased without breaking the chain.
CREATE FUNCTION api_1._personal(kind text, detail jsonb)
RETURNS TABLE (part text, key text, value text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT p.part, m.key, m.value
      FROM (VALUES ('before'), ('after')) AS p (part),
           jsonb_each_text(CASE jsonb_typeof(detail -> p.part)
                           WHEN 'object' THEN detail -> p.part ELSE '{}' END) AS m (key, value)
     WHERE m.value IS NOT NULL
       AND (m.key IN ('username', 'email', 'content', 'note', 'address')
            OR m.key = 'subnets' AND kind = 'device'
            OR m.key = 'name' AND kind IN ('device', 'peer'))
$$;

-- One row of the audit trail: who, what, to whom, and in detail what changed
-- (_changes) with anything else that tells of it. personal holds texts that
-- are about a person (a user_id in the detail says who, else he is the target or
-- the actor) and too long for the detail, such as {"before.content": ...}. These, the caller's address and what _personal finds in the detail are
-- kept apart, each with a salt of its own; the chain covers their hashes.
CREATE FUNCTION api_1._audit(ctx api_1.ctx, tenant uuid, action text, target_kind text,
                             target uuid, detail jsonb DEFAULT '{}',
                             personal jsonb DEFAULT '{}')
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    row_id bigint;
    subject uuid := CASE WHEN target_kind = 'user' THEN target
                         ELSE coalesce((detail ->> 'user_id')::uuid, ctx.user_id) END;
    p record;
BEGIN
    IF ctx.address IS NOT NULL THEN
        personal := personal || jsonb_build_object('address', host(ctx.address));
    END IF;
    IF detail ?| '{before,after}' THEN
        FOR p IN SELECT x.part, x.key, x.value FROM api_1._personal(target_kind, detail) x
        LOOP
            detail := detail #- ARRAY[p.part, p.key];
            personal := jsonb_build_object(p.part || '.' || p.key, p.value) || personal;
        END LOOP;
    END IF;
    INSERT INTO goconnect.audit_log (tenant_id, actor_id, device_id, action, target_kind,
                                     target_id, detail)
    VALUES (tenant, ctx.user_id, ctx.device_id, action, target_kind, target, detail)
    RETURNING audit_log.id INTO row_id;
    INSERT INTO goconnect.audit_personal (audit_id, field, value, salt, hash, user_id)
    SELECT row_id, e.key, e.value, s.salt, sha256(s.salt || convert_to(e.value, 'UTF8')),
           CASE e.key WHEN 'address' THEN ctx.user_id ELSE subject END
      FROM jsonb_each_text(personal) e,
           LATERAL (SELECT substr(sha256(uuid_send(gen_random_uuid())
                                         || uuid_send(gen_random_uuid())
                                         || convert_to(e.key, 'UTF8')), 1, 16) AS salt) s
     WHERE e.value IS NOT NULL;
END
$$;
