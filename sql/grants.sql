-- What the module's role may do: EXECUTE on the functions of api_N whose names
-- do not begin with an underscore, and nothing else. :api is N.

BEGIN;
SELECT set_config('goconnect.api', 'api_' || :api, true) \g /dev/null

DO $grants$
DECLARE
    space text := current_setting('goconnect.api');
    f record;
BEGIN
    -- temporary tables and a writable public schema would be places to put
    -- objects that stand before ours
    IF has_database_privilege('public', current_database(), 'TEMP') THEN
        EXECUTE format('REVOKE TEMP, CREATE ON DATABASE %I FROM PUBLIC',
                       current_database());
    END IF;
    IF has_schema_privilege('public', 'public', 'CREATE') THEN
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    END IF;

    EXECUTE format('REVOKE ALL ON SCHEMA goconnect, %I FROM PUBLIC', space);
    IF NOT has_database_privilege('goconnect', current_database(), 'CONNECT') THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO goconnect', current_database());
    END IF;

    SET LOCAL ROLE goconnect_owner;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO goconnect', space);
    EXECUTE format('GRANT USAGE ON TYPE %I.ctx, %I.reply TO goconnect', space, space);
    FOR f IN
        SELECT p.oid::regprocedure::text AS name,
               p.proname NOT LIKE '\_%' AS wanted,
               has_function_privilege('goconnect', p.oid, 'EXECUTE') AS granted
          FROM pg_proc p
         WHERE p.pronamespace = space::regnamespace
    LOOP
        IF f.wanted AND NOT f.granted THEN
            EXECUTE 'GRANT EXECUTE ON FUNCTION ' || f.name || ' TO goconnect';
        ELSIF f.granted AND NOT f.wanted THEN
            EXECUTE 'REVOKE EXECUTE ON FUNCTION ' || f.name || ' FROM goconnect, PUBLIC';
        END IF;
    END LOOP;
END
$grants$;

COMMIT;
