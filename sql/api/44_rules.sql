-- The firewall inside a network: one list, first match wins, replaced whole.

CREATE FUNCTION api_1.rules_get(ctx api_1.ctx, network uuid) RETURNS api_1.reply
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
BEGIN
    r := api_1._network_reader(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    RETURN api_1._rules_reply(network);
END
$$;

CREATE FUNCTION api_1._rules_reply(network uuid, events json DEFAULT NULL)
RETURNS api_1.reply
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT api_1._ok(200, json_build_object('rules', api_1._rules(network)),
                             api_1._etag(n.rules_rev), NULL, events)
              FROM goconnect.networks n WHERE n.id = network);
END
$$;

-- Whom a rule is about, an address in its one spelling.
CREATE FUNCTION api_1._selector(value text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN value IS NULL THEN 'any'
                WHEN value ~ '^(any$|role:|tag:|peer:)' THEN value
                WHEN strpos(value, '/') > 0 THEN text(value::cidr)
                ELSE host(value::inet) END
$$;

-- A rule of a body as the row that it becomes.
CREATE FUNCTION api_1._rule(network uuid, place integer, rule jsonb) RETURNS goconnect.rules
LANGUAGE sql VOLATILE AS $$
    SELECT ROW(gen_random_uuid(), network, place, rule ->> 'action',
               api_1._selector(rule ->> 'source'), api_1._selector(rule ->> 'destination'),
               coalesce(rule ->> 'protocol', 'any'),
               CASE WHEN rule ->> 'port_first' IS NOT NULL
                    THEN int4range((rule ->> 'port_first')::integer,
                                   coalesce((rule ->> 'port_last')::integer,
                                            (rule ->> 'port_first')::integer), '[]') END,
               now())::goconnect.rules
$$;

-- What a list of rules says, to be compared.
CREATE FUNCTION api_1._rules_text(rules goconnect.rules[]) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(concat_ws(' ', u.action, u.source, u.destination, u.protocol,
                                        u.ports::text) ORDER BY u.position), '[]')
      FROM unnest(rules) u
$$;

-- errors, with one more for each rule about a peer that the network does not
-- have. Those of a peer that is gone may stay.
CREATE FUNCTION api_1._check_rule_peers(network uuid, rules goconnect.rules[]) RETURNS json[]
LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(api_1._wrong(
               'rules[' || (u.position - 1) || '].' || s.field, 'unknown',
               'The network has no such peer.') ORDER BY u.position, s.field DESC), '{}')
      FROM unnest(rules) u
     CROSS JOIN LATERAL (VALUES ('source', u.source), ('destination', u.destination))
           AS s (field, value)
     WHERE s.value LIKE 'peer:%'
       AND NOT EXISTS (SELECT FROM goconnect.peers p
                        WHERE p.network_id = network AND p.id = substr(s.value, 6)::uuid)
       AND NOT EXISTS (SELECT FROM goconnect.rules o
                        WHERE o.network_id = network AND s.value IN (o.source, o.destination))
$$;

-- body: rules
CREATE FUNCTION api_1.rules_put(ctx api_1.ctx, network uuid, body jsonb)
RETURNS api_1.reply
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    r api_1.reply;
    errs json[];
    n record;
    old goconnect.rules[];
    new goconnect.rules[];
BEGIN
    r := api_1._user(ctx);
    IF r.status IS NULL THEN
        r := api_1._network_admin(ctx, network);    -- others take no locks
    END IF;
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    PERFORM api_1._lock_networks(ARRAY[network]);
    r := api_1._network_admin(ctx, network);
    IF r.status IS NOT NULL THEN
        RETURN r;
    END IF;
    SELECT w.tenant_id, w.rules_rev INTO n FROM goconnect.networks w WHERE w.id = network;
    IF NOT api_1._matches(ctx.if_match, n.rules_rev) THEN
        RETURN api_1._stale();
    END IF;
    IF jsonb_typeof(body -> 'rules') IS DISTINCT FROM 'array'
       OR jsonb_array_length(body -> 'rules') > 128
    THEN
        RETURN api_1._invalid('rules', 'invalid', 'At most 128 rules in a list.');
    END IF;
    new := ARRAY(SELECT api_1._rule(network, x.place::integer, x.value)
                   FROM jsonb_array_elements(body -> 'rules') WITH ORDINALITY x (value, place)
                  ORDER BY x.place);
    errs := api_1._check_rule_peers(network, new);
    IF cardinality(errs) > 0 THEN
        RETURN api_1._invalid(errs);
    END IF;
    old := ARRAY(SELECT o FROM goconnect.rules o WHERE o.network_id = network ORDER BY o.position);
    IF api_1._rules_text(old) = api_1._rules_text(new) THEN
        RETURN api_1._rules_reply(network);
    END IF;

    DELETE FROM goconnect.rules o WHERE o.network_id = network;
    INSERT INTO goconnect.rules SELECT u.* FROM unnest(new) u;
    UPDATE goconnect.networks w SET rules_rev = w.rules_rev + 1 WHERE w.id = network;
    PERFORM api_1._audit(ctx, n.tenant_id, 'network.rules', 'network', network,
        api_1._changes(jsonb_build_object('rules', api_1._rules_text(old)),
                       jsonb_build_object('rules', api_1._rules_text(new))));
    RETURN api_1._rules_reply(network, api_1._publish(ARRAY[
        api_1._event('network:' || network, 'netmap_delta',
                     api_1._delta_parts(network, 'rules'))]));
END
$$;
