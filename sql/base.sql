-- What every run of sql/migrate needs before the first migration: the schema
-- and the record of what was done. Idempotent.

DO $base$
BEGIN
    IF to_regnamespace('goconnect') IS NULL THEN
        CREATE SCHEMA goconnect AUTHORIZATION goconnect_owner;
    END IF;
    -- to install api_N as its owner
    IF NOT has_database_privilege('goconnect_owner', current_database(), 'CREATE') THEN
        EXECUTE format('GRANT CREATE ON DATABASE %I TO goconnect_owner',
                       current_database());
    END IF;
    -- nobody gets anything that is not granted by name
    IF NOT EXISTS (SELECT FROM pg_default_acl d
                    WHERE d.defaclrole = 'goconnect_owner'::regrole
                      AND d.defaclnamespace = 0 AND d.defaclobjtype = 'f')
    THEN
        ALTER DEFAULT PRIVILEGES FOR ROLE goconnect_owner
            REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
        ALTER DEFAULT PRIVILEGES FOR ROLE goconnect_owner
            REVOKE USAGE ON TYPES FROM PUBLIC;
    END IF;
END
$base$;

BEGIN;
SET LOCAL ROLE goconnect_owner;

CREATE TABLE IF NOT EXISTS goconnect.migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT migrations_pkey PRIMARY KEY (number)
);

-- The releases that this database serves: those whose API_VERSION lies between
-- compatible_from and version.
CREATE TABLE IF NOT EXISTS goconnect.schema_version (
    version integer NOT NULL,
    compatible_from integer NOT NULL,
    checksum text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT schema_version_pkey PRIMARY KEY (version),
    CONSTRAINT schema_version_check CHECK (compatible_from BETWEEN 1 AND version)
);

-- True if a migration is still to be run; refuses one that was changed since.
CREATE OR REPLACE FUNCTION goconnect.migration_wanted(n integer, file text, sum text)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    done goconnect.migrations;
BEGIN
    SELECT m.* INTO done FROM goconnect.migrations m WHERE m.number = n;
    IF NOT FOUND THEN
        RETURN true;
    END IF;
    IF done.name <> file OR done.checksum <> sum THEN
        RAISE EXCEPTION 'migration % was changed after it was applied', file
            USING DETAIL = format('Applied %s as %s with checksum %s, the file has %s.',
                                  done.applied_at, done.name, done.checksum, sum),
                  HINT = 'Restore the file and put the change in a new migration.';
    END IF;
    RETURN false;
END
$$;

-- Refuses a database that is newer than these files.
CREATE OR REPLACE FUNCTION goconnect.migrations_known(last integer)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    newest text;
BEGIN
    SELECT m.name INTO newest FROM goconnect.migrations m
     WHERE m.number > last ORDER BY m.number DESC LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the database is newer than this release: it has migration %', newest
            USING HINT = 'Run the migrate of the newer release.';
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION goconnect.api_wanted(n integer, sum text)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    newest integer;
BEGIN
    SELECT max(v.version) INTO newest FROM goconnect.schema_version v;
    IF newest > n THEN
        RAISE EXCEPTION 'the database is newer than this release: it has api_%', newest
            USING HINT = 'Run the migrate of the newer release.';
    END IF;
    RETURN NOT EXISTS (SELECT FROM goconnect.schema_version v
                        WHERE v.version = n AND v.checksum = sum);
END
$$;

-- Makes room for the functions of api_N. The types stay: the module's prepared
-- statements name them, and another ctx or reply is another API_VERSION.
CREATE OR REPLACE FUNCTION goconnect.api_clear(n integer)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    space text := 'api_' || n;
    object text;
BEGIN
    IF pg_catalog.to_regnamespace(space) IS NULL THEN
        EXECUTE pg_catalog.format('CREATE SCHEMA %I', space);
    END IF;
    FOR object IN
        SELECT p.oid::pg_catalog.regprocedure::text
          FROM pg_catalog.pg_proc p
         WHERE p.pronamespace = pg_catalog.to_regnamespace(space)
    LOOP
        EXECUTE 'DROP FUNCTION IF EXISTS ' || object || ' CASCADE';
    END LOOP;
    FOR object IN
        SELECT c.oid::pg_catalog.regclass::text
          FROM pg_catalog.pg_class c
         WHERE c.relnamespace = pg_catalog.to_regnamespace(space) AND c.relkind = 'v'
    LOOP
        EXECUTE 'DROP VIEW IF EXISTS ' || object || ' CASCADE';
    END LOOP;
END
$$;

-- Records api_N, and drops what no supported release uses any more.
CREATE OR REPLACE FUNCTION goconnect.api_installed(n integer, sum text)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    old integer;
BEGIN
    FOR old IN
        SELECT pg_catalog.substr(s.nspname, 5)::integer
          FROM pg_catalog.pg_namespace s
         WHERE s.nspname ~ '^api_[0-9]+$'
           AND pg_catalog.substr(s.nspname, 5)::integer < n - 1
    LOOP
        EXECUTE pg_catalog.format('DROP SCHEMA %I CASCADE', 'api_' || old);
    END LOOP;
    DELETE FROM goconnect.schema_version v WHERE v.version <= n;
    INSERT INTO goconnect.schema_version (version, compatible_from, checksum)
    VALUES (n,
            CASE WHEN pg_catalog.to_regnamespace('api_' || (n - 1)) IS NULL
                 THEN n ELSE n - 1 END,
            sum);
END
$$;

COMMIT;
