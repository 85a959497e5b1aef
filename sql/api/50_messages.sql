-- Chat: one channel for each tenant and one for each network.

-- One page of a channel, always in the order of seq: the first ones after
-- after_seq, or else the last ones (before before_seq). next_cursor is the seq
-- to go on with in the same direction.
CREATE FUNCTION api_1._messages_page(channel uuid, after_seq bigint, before_seq bigint,
                                     lim integer)
RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
    n integer := api_1._limit(lim);
    items json[];
    seqs bigint[];
BEGIN
    IF after_seq IS NOT NULL THEN
        SELECT array_agg(row_to_json(o)), array_agg(o.seq) INTO items, seqs
          FROM (SELECT v.* FROM api_1._messages v
                 WHERE v.id IN (SELECT m.id FROM goconnect.messages m
                                 WHERE m.channel = _messages_page.channel
                                   AND m.seq > after_seq
                                   AND (before_seq IS NULL OR m.seq < before_seq)
                                 ORDER BY m.seq LIMIT n + 1)
                 ORDER BY v.seq) o;
        RETURN json_build_object('items', coalesce(array_to_json(items[1:n]), '[]'::json),
            'next_cursor', CASE WHEN cardinality(items) > n THEN seqs[n]::text END);
    END IF;
    SELECT array_agg(row_to_json(o)), array_agg(o.seq) INTO items, seqs
      FROM (SELECT v.* FROM api_1._messages v
             WHERE v.id IN (SELECT m.id FROM goconnect.messages m
                             WHERE m.channel = _messages_page.channel
                               AND (before_seq IS NULL OR m.seq < before_seq)
                             ORDER BY m.seq DESC LIMIT n + 1)
             ORDER BY v.seq) o;
    IF cardinality(items) > n THEN
        RETURN json_build_object('items', array_to_json(items[2:]),
                                 'next_cursor', seqs[2]::text);
    END IF;
    RETURN json_build_object('items', coalesce(array_to_json(items), '[]'::json),
                             'next_cursor', NULL);
END
$$;

CREATE FUNCTION api_1.tenant_messages_list(ctx api_1.ctx, tenant uuid, after_seq bigint,
                                           before_seq bigint, lim integer)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 1 THEN
        RETURN api_1._refuse(403, 'membership_required', 'Only members read the chat.');
    END IF;
    RETURN api_1._ok(200, api_1._messages_page(tenant, after_seq, before_seq, lim));
END
$$;

CREATE FUNCTION api_1.network_messages_list(ctx api_1.ctx, network uuid, after_seq bigint,
                                            before_seq bigint, lim integer)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._network_reader(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN api_1._ok(200, api_1._messages_page(network, after_seq, before_seq, lim));
END
$$;

CREATE FUNCTION api_1._check_content(content text) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF coalesce(char_length(content), 0) BETWEEN 1 AND 4000 THEN
        RETURN NULL;
    END IF;
    RETURN api_1._invalid('content', CASE WHEN content = '' OR content IS NULL THEN 'required'
                                          ELSE 'too_long' END,
                          'A message has 1 to 4,000 characters.');
END
$$;

CREATE FUNCTION api_1.tenant_messages_create(ctx api_1.ctx, tenant uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    name text;
    m record;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.rank INTO a FROM api_1._tenant_access(ctx.user_id, tenant) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF a.rank < 1 THEN
        RETURN api_1._refuse(403, 'membership_required', 'Only members chat.');
    END IF;
    r := api_1._check_content(body ->> 'content');
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    r := api_1._before(ctx, 'messages_create/' || tenant, body);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;

    SELECT u.username INTO name FROM goconnect.users u WHERE u.id = ctx.user_id;
    SELECT x.body, x.frame INTO m
      FROM api_1._publish_message('tenant:' || tenant, tenant, NULL, ctx.user_id, name,
                                  body ->> 'content') x;
    r := ROW(201, m.body, NULL, NULL, NULL)::api_1.reply;
    PERFORM api_1._remember(ctx, 'messages_create/' || tenant, body, r);
    r.events := json_build_array(m.frame);
    RETURN r;
END
$$;

-- The busiest write. One statement decides on session and membership; only a
-- refusal looks closer.
CREATE FUNCTION api_1.network_messages_create(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    m record;
BEGIN
    SELECT x.tenant_id, x.username INTO a
      FROM api_1._network_access(ctx.user_id, network) x
     WHERE x.joined
       AND EXISTS (SELECT FROM goconnect.sessions s
                    WHERE s.id = ctx.session_id AND s.user_id = ctx.user_id
                      AND s.device_id IS NOT DISTINCT FROM ctx.device_id
                      AND s.expires_at > now());
    IF NOT FOUND THEN
        r := api_1._network_reader(ctx, network);
        IF r.status IS NOT NULL THEN
            RETURN r;
        END IF;
        RETURN api_1._refuse(403, 'membership_required', 'Join the network first.');
    END IF;
    IF coalesce(char_length(body ->> 'content'), 0) NOT BETWEEN 1 AND 4000 THEN
        RETURN api_1._check_content(body ->> 'content');
    END IF;
    IF ctx.idempotency_key IS NOT NULL THEN
        r := api_1._before(ctx, 'messages_create/' || network, body);
        IF r.status IS NOT NULL THEN
            RETURN r;
        END IF;
    END IF;

    SELECT x.body, x.frame INTO m
      FROM api_1._publish_message('network:' || network, a.tenant_id, network, ctx.user_id,
                                  a.username, body ->> 'content') x;
    r := ROW(201, m.body, NULL, NULL, NULL)::api_1.reply;
    IF ctx.idempotency_key IS NOT NULL THEN
        PERFORM api_1._remember(ctx, 'messages_create/' || network, body, r);
    END IF;
    r.events := json_build_array(m.frame);
    RETURN r;
END
$$;
