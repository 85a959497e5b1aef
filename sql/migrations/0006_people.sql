-- Finding tenants and people, and suspending people.

-- Every part of one to three characters of a text, in lower case. An array of
-- them under a GIN index finds a text by any part of it, a single character
-- too, without an extension that somebody would have to install.
CREATE FUNCTION goconnect.grams(value text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT pg_catalog.substr(v, i, n)), '{}')
      FROM pg_catalog.lower(value) v,
           pg_catalog.generate_series(1, 3) n,
           pg_catalog.generate_series(1, pg_catalog.char_length(v) - n + 1) i
$$;

CREATE INDEX tenants_name_grams_idx ON goconnect.tenants
    USING gin (goconnect.grams(name)) WHERE deleted_at IS NULL;
CREATE INDEX tenants_created_idx ON goconnect.tenants (created_at, id)
    WHERE deleted_at IS NULL;

CREATE INDEX users_email_idx ON goconnect.users (email_norm)
    WHERE email_norm IS NOT NULL;

ALTER TABLE goconnect.users
    ADD COLUMN suspended_reason text,
    ADD CONSTRAINT users_suspended_check
        CHECK (suspended_reason IS NULL
               OR suspended_at IS NOT NULL AND char_length(suspended_reason) <= 500);

-- Sessions are listed by when they began.
CREATE INDEX sessions_list_idx ON goconnect.sessions (user_id, created_at, id);
