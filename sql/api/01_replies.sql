-- Replies, refusals and the small checks that every domain needs. Functions
-- that begin with an underscore are ours alone: the module cannot call them.

CREATE FUNCTION api_1._ok(status integer, body json DEFAULT NULL, etag text DEFAULT NULL,
                          location text DEFAULT NULL, events json DEFAULT NULL)
RETURNS api_1.reply
LANGUAGE sql IMMUTABLE AS $$
    SELECT ROW(status, body, etag, location, events)::api_1.reply
$$;

CREATE FUNCTION api_1._refuse(status integer, code text, detail text)
RETURNS api_1.reply
LANGUAGE sql STABLE AS $$
    SELECT ROW(status, json_build_object('code', code, 'detail', detail),
               NULL, NULL, NULL)::api_1.reply
$$;

CREATE FUNCTION api_1._not_found() RETURNS api_1.reply
LANGUAGE sql STABLE AS $$
    SELECT api_1._refuse(404, 'not_found', 'There is no such thing, or it is not yours to see.')
$$;

-- One wrong field, for the list that _invalid takes.
CREATE FUNCTION api_1._wrong(field text, code text, detail text)
RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object('field', field, 'code', code, 'detail', detail)
$$;

CREATE FUNCTION api_1._invalid(errors json[])
RETURNS api_1.reply
LANGUAGE sql STABLE AS $$
    SELECT ROW(422, json_build_object('code', 'invalid_fields',
                   'detail', 'Some fields are not valid.',
                   'errors', array_to_json(errors)),
               NULL, NULL, NULL)::api_1.reply
$$;

CREATE FUNCTION api_1._invalid(field text, code text, detail text)
RETURNS api_1.reply
LANGUAGE sql STABLE AS $$
    SELECT api_1._invalid(ARRAY[api_1._wrong(field, code, detail)])
$$;

-- A refusal after the first write: it takes the whole request back.
CREATE FUNCTION api_1._raise(status integer, code text, detail text, field text DEFAULT '')
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'GC' || status, MESSAGE = code, DETAIL = detail, COLUMN = field;
END
$$;

-- "Try again" for the module, which does so once: nothing was committed.
CREATE FUNCTION api_1._raise_moved() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'serialization_failure',
        MESSAGE = 'what was to be locked changed meanwhile';
END
$$;

CREATE FUNCTION api_1._etag(rev bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT '"' || rev || '"'
$$;

-- The same for objects with parts that depend on the reader or on counts: the
-- revision stands before the point, and If-Match looks at it alone.
CREATE FUNCTION api_1._etag(rev bigint, parts text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT '"' || rev || '.' || parts || '"'
$$;

-- True if an If-Match header (RFC 9110, section 13.1.1) allows this revision.
-- A weak tag never matches.
CREATE FUNCTION api_1._matches(if_match text, rev bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT if_match IS NULL OR if_match = '*'
        OR ',' || replace(replace(if_match, ' ', ''), chr(9), '')
           ~ (',"' || rev || '(\.[^"]*)?"')
$$;

CREATE FUNCTION api_1._stale() RETURNS api_1.reply
LANGUAGE sql STABLE AS $$
    SELECT api_1._refuse(412, 'precondition_failed',
        'It was changed since you read it; fetch it again.')
$$;

-- A hash or HMAC as the module sends it.
CREATE FUNCTION api_1._hash(hex text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF hex IS NULL OR hex !~ '^[0-9a-f]{64}$' THEN
        RAISE EXCEPTION 'a SHA-256 in lower-case hexadecimal was expected';
    END IF;
    RETURN decode(hex, 'hex');
END
$$;

CREATE FUNCTION api_1._limit(lim integer) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(1, least(100, coalesce(lim, 50)))
$$;

-- Cursors of lists that are ordered by (created_at, id).
CREATE FUNCTION api_1._cursor(at timestamptz, id uuid) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT (extract(epoch FROM at) * 1000000)::bigint || '_' || id
$$;

CREATE FUNCTION api_1._cursor_valid(cur text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT cur IS NULL
        OR cur ~ '^[0-9]{1,17}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
$$;

CREATE FUNCTION api_1._cursor_at(cur text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(timestamptz '1970-01-01 00:00:00Z'
                    + split_part(cur, '_', 1)::bigint * interval '1 microsecond',
                    '-infinity')
$$;

CREATE FUNCTION api_1._cursor_id(cur text) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(split_part(cur, '_', 2)::uuid, '00000000-0000-0000-0000-000000000000')
$$;

CREATE FUNCTION api_1._bad_cursor() RETURNS api_1.reply
LANGUAGE sql STABLE AS $$
    SELECT api_1._invalid('cursor', 'invalid',
        'A cursor is what next_cursor of the page before said.')
$$;

-- One page of a list, out of one row more than it holds: n items, and the
-- cursor of the last of them if there are more.
CREATE FUNCTION api_1._page(items json[], cursors text[], n integer) RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'items', coalesce(array_to_json(items[1:n]), '[]'::json),
        'next_cursor', CASE WHEN cardinality(items) > n THEN cursors[n] END)
$$;

-- A DNS label out of any text; NULL if nothing of it can stand in one.
CREATE FUNCTION api_1._slug(name text, longest integer DEFAULT 32) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT nullif(btrim(left(btrim(regexp_replace(lower(name), '[^a-z0-9]+', '-', 'g'), '-'),
                             longest), '-'), '')
$$;

CREATE FUNCTION api_1._is_slug(slug text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'
$$;

-- A WireGuard key: 32 bytes in canonical base64, not all zero.
CREATE FUNCTION api_1._is_key(key text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT key ~ '^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$'
       AND key <> 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
$$;

-- An endpoint: ADDRESS:PORT or [ADDRESS]:PORT, numeric.
CREATE FUNCTION api_1._is_endpoint(endpoint text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    part text[];
BEGIN
    IF octet_length(endpoint) > 64 THEN
        RETURN false;
    END IF;
    part := regexp_match(endpoint, '^([0-9.]+):([1-9][0-9]{0,4})$');
    IF part IS NOT NULL THEN
        RETURN part[1] ~ '^((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.(?!$)|$)){4}$'
           AND part[2]::integer <= 65535;
    END IF;
    part := regexp_match(endpoint, '^\[([0-9A-Fa-f:.]+)\]:([1-9][0-9]{0,4})$');
    IF part IS NULL OR part[2]::integer > 65535 OR strpos(part[1], ':') = 0 THEN
        RETURN false;
    END IF;
    RETURN family(part[1]::inet) = 6;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN false;
END
$$;

-- The endpoints of a body as an array; errors says what is wrong with them.
CREATE FUNCTION api_1._endpoints(value jsonb, OUT list text[], OUT errors json[])
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    item jsonb;
    at integer := 0;
BEGIN
    list := '{}';
    errors := '{}';
    IF value IS NULL OR jsonb_typeof(value) = 'null' THEN
        RETURN;
    END IF;
    IF jsonb_typeof(value) <> 'array' OR jsonb_array_length(value) > 8 THEN
        errors := ARRAY[api_1._wrong('endpoints', 'invalid',
                                     'At most 8 endpoints in a list.')];
        RETURN;
    END IF;
    FOR item IN SELECT e.value FROM jsonb_array_elements(value) e
    LOOP
        IF jsonb_typeof(item) <> 'string' OR NOT api_1._is_endpoint(item #>> '{}') THEN
            errors := errors || api_1._wrong('endpoints[' || at || ']', 'invalid',
                'An endpoint is ADDRESS:PORT or [ADDRESS]:PORT.');
        ELSIF NOT item #>> '{}' = ANY (list) THEN
            list := list || (item #>> '{}');
        END IF;
        at := at + 1;
    END LOOP;
END
$$;

-- Checks of the name, slug, description and settings that tenants and networks
-- share. A missing member is not looked at; need_name refuses a missing name.
CREATE FUNCTION api_1._check_common(owner text, body jsonb, need_name boolean)
RETURNS json[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    errs json[] := '{}';
BEGIN
    IF need_name OR body ? 'name' THEN
        IF coalesce(char_length(btrim(body ->> 'name')), 0) NOT BETWEEN 1 AND 64
           OR body ->> 'name' ~ '[[:cntrl:]]'
        THEN
            errs := errs || api_1._wrong('name', 'invalid',
                'A name has 1 to 64 characters and no control characters.');
        END IF;
    END IF;
    IF (body ->> 'slug' IS NOT NULL OR NOT need_name AND body ? 'slug')
       AND api_1._is_slug(body ->> 'slug') IS NOT TRUE
    THEN
        errs := errs || api_1._wrong('slug', 'invalid',
            'A slug has 1 to 63 letters a-z, digits and inner hyphens.');
    END IF;
    IF char_length(body ->> 'description') > 1000 THEN
        errs := errs || api_1._wrong('description', 'too_long',
            'A description has at most 1,000 characters.');
    END IF;
    IF body ? 'settings'
       AND goconnect.settings_valid(owner, body -> 'settings') IS NOT TRUE
    THEN
        errs := errs || api_1._wrong('settings', 'invalid',
            'Settings have a fixed set of members, at most 8 KiB together.');
    END IF;
    RETURN errs;
END
$$;

-- errors, with one more if a member that is there is none of the words.
CREATE FUNCTION api_1._check_word(errors json[], body jsonb, field text,
                                  VARIADIC words text[])
RETURNS json[]
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN NOT body ? field OR body ->> field = ANY (words) THEN errors
                ELSE errors || api_1._wrong(field, 'invalid',
                         'One of: ' || array_to_string(words, ', ') || '.') END
$$;
