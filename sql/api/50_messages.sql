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
BEGIN
    r := api_1._tenant_reader(ctx, tenant);
    IF r.status IS NOT NULL THEN
        RETURN r;
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

-- Empty if the caller may write in the tenant's channel.
CREATE FUNCTION api_1._tenant_writer(ctx api_1.ctx, tenant uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r api_1.reply;
    a record;
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
    RETURN NULL;
END
$$;

-- What to say to a caller who may not write in the network's channel.
CREATE FUNCTION api_1._no_network_writer(ctx api_1.ctx, network uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._network_reader(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN api_1._refuse(403, 'membership_required', 'Join the network first.');
END
$$;

CREATE FUNCTION api_1.tenant_messages_create(ctx api_1.ctx, tenant uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    name text;
    m record;
BEGIN
    r := api_1._tenant_writer(ctx, tenant);
    IF r.status IS NOT NULL THEN
        RETURN r;
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
    r := ROW(201, m.body, '"1"', NULL, NULL)::api_1.reply;
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
        RETURN api_1._no_network_writer(ctx, network);
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
    r := ROW(201, m.body, '"1"', NULL, NULL)::api_1.reply;
    IF ctx.idempotency_key IS NOT NULL THEN
        PERFORM api_1._remember(ctx, 'messages_create/' || network, body, r);
    END IF;
    r.events := json_build_array(m.frame);
    RETURN r;
END
$$;

-- Who is typing, if he may write in the channel: of the network, or, if that is
-- NULL, of the tenant. Nothing is stored.
CREATE FUNCTION api_1.ws_typing(ctx api_1.ctx, tenant uuid, network uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
BEGIN
    IF network IS NULL THEN
        r := api_1._tenant_writer(ctx, tenant);
        IF r.status IS NOT NULL THEN
            RETURN r;
        END IF;
        SELECT tenant AS tenant_id, u.username INTO a
          FROM goconnect.users u WHERE u.id = ctx.user_id;
    ELSE
        r := api_1._any(ctx);
        IF r.status IS NOT NULL THEN
            RETURN r;
        END IF;
        SELECT x.tenant_id, x.username INTO a
          FROM api_1._network_access(ctx.user_id, network) x WHERE x.joined;
        IF NOT FOUND THEN
            RETURN api_1._no_network_writer(ctx, network);
        END IF;
    END IF;
    RETURN api_1._ok(200, json_build_object('tenant_id', a.tenant_id, 'network_id', network,
                                            'user_id', ctx.user_id, 'username', a.username));
END
$$;

-- A message's channel, as the caller stands to it: no row if he may not read
-- it. speaks says that he may write there.
CREATE FUNCTION api_1._message_access(ctx api_1.ctx, message uuid)
RETURNS TABLE (tenant_id uuid, network_id uuid, topic text, rank integer, speaks boolean)
LANGUAGE sql STABLE AS $$
    SELECT m.tenant_id, NULL::uuid, 'tenant:' || m.tenant_id, a.rank, true
      FROM goconnect.messages m,
           LATERAL api_1._tenant_access(ctx.user_id, m.tenant_id) a
     WHERE m.id = message AND m.network_id IS NULL
       AND a.rank >= 1 AND ctx.device_id IS NULL
    UNION ALL
    SELECT m.tenant_id, m.network_id, 'network:' || m.network_id, a.rank, a.joined
      FROM goconnect.messages m,
           LATERAL api_1._network_access(ctx.user_id, m.network_id) a
     WHERE m.id = message AND m.network_id IS NOT NULL
       AND (a.joined OR a.tenant_rank >= 3 AND ctx.device_id IS NULL)
$$;

-- Tells of a message that changed: an event with the same id, and the events
-- that told of it before say the same from now on, so that nobody who catches
-- up reads what was taken back. Returns the frames.
CREATE FUNCTION api_1._publish_message_change(topic text, m goconnect.messages)
RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    data json;
    frames json;
BEGIN
    SELECT to_json(to_jsonb(v) - 'seq') INTO data FROM api_1._messages v WHERE v.id = m.id;
    -- the first one stays news to those who have not seen it
    UPDATE goconnect.events e
       SET payload = CASE WHEN e.seq = m.seq AND m.deleted_at IS NULL
                          THEN to_json(data::jsonb || '{"edited_at": null}') ELSE data END
     WHERE e.topic = _publish_message_change.topic AND e.seq = ANY (m.seq || m.change_seqs)
       AND e.kind = 'chat_message';
    frames := api_1._publish(ARRAY[api_1._event(topic, 'chat_message', data)]);
    UPDATE goconnect.messages w
       SET change_seqs = m.change_seqs || (frames #>> '{0,seq}')::bigint
     WHERE w.id = m.id;
    RETURN frames;
END
$$;

-- body: content. Its author's, as long as he may write in the channel.
CREATE FUNCTION api_1.messages_update(ctx api_1.ctx, message uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    old goconnect.messages;
    new goconnect.messages;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO a FROM api_1._message_access(ctx, message) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    SELECT m.* INTO old FROM goconnect.messages m WHERE m.id = message FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF old.user_id <> ctx.user_id THEN
        RETURN api_1._refuse(403, 'forbidden', 'Only its author changes a message.');
    END IF;
    IF NOT a.speaks THEN
        RETURN api_1._refuse(403, 'membership_required', 'Join the network first.');
    END IF;
    IF old.deleted_at IS NOT NULL THEN
        RETURN api_1._refuse(409, 'message_deleted', 'This message was deleted.');
    END IF;
    IF NOT api_1._matches(ctx.if_match, old.rev) THEN
        RETURN api_1._stale();
    END IF;
    r := api_1._check_content(body ->> 'content');
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;

    IF old.content <> body ->> 'content' THEN
        IF cardinality(old.change_seqs) >= 100 THEN
            -- the events that the sweep has taken need no correction any more
            old.change_seqs := ARRAY(SELECT e.seq FROM goconnect.events e
                                      WHERE e.topic = a.topic AND e.seq = ANY (old.change_seqs)
                                      ORDER BY e.seq);
        END IF;
        IF cardinality(old.change_seqs) >= 100 THEN
            RETURN api_1._refuse(409, 'limit_reached',
                'This message was changed 100 times within three days.');
        END IF;
        UPDATE goconnect.messages m
           SET content = body ->> 'content', edited_at = now(), rev = old.rev + 1,
               change_seqs = old.change_seqs
         WHERE m.id = message
        RETURNING m.* INTO new;
        PERFORM api_1._audit(ctx, a.tenant_id, 'message.update', 'message', message,
            jsonb_build_object('network_id', a.network_id, 'user_id', old.user_id,
                               'number', old.number),
            jsonb_build_object('before.content', old.content, 'after.content', new.content));
        r.events := api_1._publish_message_change(a.topic, new);
    END IF;
    SELECT row_to_json(v), api_1._etag(m.rev) INTO r.body, r.etag
      FROM api_1._messages v JOIN goconnect.messages m ON m.id = v.id
     WHERE v.id = message;
    r.status := 200;
    RETURN r;
END
$$;

-- Leaves a tombstone: the number stays taken. Who may: the author, and
-- moderators of the channel above his role.
CREATE FUNCTION api_1.messages_delete(ctx api_1.ctx, message uuid) RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    a record;
    old goconnect.messages;
    new goconnect.messages;
    author integer;
BEGIN
    r := api_1._any(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT x.* INTO a FROM api_1._message_access(ctx, message) x;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    SELECT m.* INTO old FROM goconnect.messages m WHERE m.id = message FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    IF old.user_id <> ctx.user_id THEN
        IF a.rank < 2 OR ctx.device_id IS NOT NULL THEN
            RETURN api_1._forbidden('moderator');
        END IF;
        author := goconnect.role_rank(goconnect.effective_role(a.tenant_id, a.network_id,
                                                               old.user_id));
        IF author >= a.rank AND a.rank < 4 THEN
            RETURN api_1._refuse(403, 'role_too_low',
                'The message is of somebody of your role or above.');
        END IF;
    END IF;
    IF old.deleted_at IS NOT NULL THEN
        RETURN api_1._ok(204);
    END IF;
    IF NOT api_1._matches(ctx.if_match, old.rev) THEN
        RETURN api_1._stale();
    END IF;

    UPDATE goconnect.messages m
       SET content = '', deleted_at = now(), rev = old.rev + 1
     WHERE m.id = message
    RETURNING m.* INTO new;
    PERFORM api_1._audit(ctx, a.tenant_id, 'message.delete', 'message', message,
        jsonb_build_object('network_id', a.network_id, 'user_id', old.user_id,
                           'number', old.number),
        jsonb_build_object('before.content', old.content));
    RETURN api_1._ok(204, events =>
        api_1._publish_message_change(a.topic, new));
END
$$;

-- How far the caller has read a channel, and how far it goes.
CREATE FUNCTION api_1._read_mark(reader uuid, tenant uuid, network uuid)
RETURNS TABLE (tenant_id uuid, network_id uuid, number bigint, last_number bigint,
               unread bigint, updated_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT tenant, network, coalesce(m.number, 0), coalesce(t.number, 0),
           greatest(coalesce(t.number, 0) - coalesce(m.number, 0), 0), m.updated_at
      FROM (VALUES (true)) AS one
      LEFT JOIN goconnect.read_marks m
        ON m.user_id = reader AND m.tenant_id = tenant AND m.network_id IS NOT DISTINCT FROM network
      LEFT JOIN goconnect.topics t
        ON t.id = CASE WHEN network IS NULL THEN 'tenant:' || tenant
                       ELSE 'network:' || network END
$$;

CREATE FUNCTION api_1._read_mark_reply(reader uuid, tenant uuid, network uuid)
RETURNS api_1.reply
LANGUAGE sql STABLE AS $$
    SELECT api_1._ok(200, row_to_json(m), api_1._etag(m.number, m.last_number::text))
      FROM api_1._read_mark(reader, tenant, network) m
$$;

-- The marks of all channels that the caller is a member of, in one list.
CREATE FUNCTION api_1.read_marks_list(ctx api_1.ctx) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN api_1._ok(200, json_build_object('items',
        (SELECT coalesce(json_agg(row_to_json(x) ORDER BY x.tenant_id, x.network_id NULLS FIRST),
                         '[]'::json)
           FROM goconnect.memberships m
           JOIN goconnect.tenants t ON t.id = m.tenant_id AND t.deleted_at IS NULL
          CROSS JOIN LATERAL api_1._read_mark(ctx.user_id, m.tenant_id, m.network_id) x
          WHERE m.user_id = ctx.user_id AND m.status = 'active'
            AND (m.network_id IS NULL
                 OR EXISTS (SELECT FROM api_1._network_access(ctx.user_id, m.network_id) a
                             WHERE a.joined))),
        'next_cursor', NULL));
END
$$;

-- Sets a mark, also back; the user's other windows hear of it.
CREATE FUNCTION api_1._set_read_mark(ctx api_1.ctx, tenant uuid, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql AS $$
DECLARE
    r api_1.reply;
    wanted bigint := (body ->> 'number')::bigint;
    old record;
BEGIN
    SELECT m.* INTO old FROM api_1._read_mark(ctx.user_id, tenant, network) m;
    IF NOT api_1._matches(ctx.if_match, old.number) THEN
        RETURN api_1._stale();
    END IF;
    IF wanted > old.last_number THEN
        RETURN api_1._invalid('number', 'out_of_range',
            'The channel has ' || old.last_number || ' messages.');
    END IF;
    IF wanted = old.number AND old.updated_at IS NOT NULL THEN
        RETURN api_1._read_mark_reply(ctx.user_id, tenant, network);
    END IF;
    INSERT INTO goconnect.read_marks AS m (user_id, tenant_id, network_id, number)
    VALUES (ctx.user_id, tenant, network, wanted)
    ON CONFLICT ON CONSTRAINT read_marks_key DO UPDATE
       SET number = excluded.number, updated_at = now();
    r := api_1._read_mark_reply(ctx.user_id, tenant, network);
    r.events := api_1._publish(ARRAY[
        api_1._event('user:' || ctx.user_id, 'read_mark', r.body)]);
    RETURN r;
END
$$;

CREATE FUNCTION api_1._tenant_reader(ctx api_1.ctx, tenant uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r api_1.reply;
    a record;
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
        RETURN api_1._refuse(403, 'membership_required', 'Only members read the chat.');
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION api_1.tenant_read_mark_get(ctx api_1.ctx, tenant uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._tenant_reader(ctx, tenant);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN api_1._read_mark_reply(ctx.user_id, tenant, NULL);
END
$$;

-- body: number
CREATE FUNCTION api_1.tenant_read_mark_set(ctx api_1.ctx, tenant uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._tenant_reader(ctx, tenant);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN api_1._set_read_mark(ctx, tenant, NULL, body);
END
$$;

CREATE FUNCTION api_1.network_read_mark_get(ctx api_1.ctx, network uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NULL THEN
        r := api_1._network_reader(ctx, network);
    END IF;
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN (SELECT api_1._read_mark_reply(ctx.user_id, n.tenant_id, network)
              FROM goconnect.networks n WHERE n.id = network);
END
$$;

-- body: number
CREATE FUNCTION api_1.network_read_mark_set(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    tenant uuid;
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NULL THEN
        r := api_1._network_reader(ctx, network);
    END IF;
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT n.tenant_id INTO tenant FROM goconnect.networks n WHERE n.id = network;
    IF NOT FOUND THEN
        RETURN api_1._not_found();
    END IF;
    RETURN api_1._set_read_mark(ctx, tenant, network, body);
END
$$;
