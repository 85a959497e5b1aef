-- The two roles of GoConnect. Run by sql/migrate before anything else, in any
-- database of the cluster and by several runs at once: roles belong to the
-- whole cluster, so what is there already is left alone.
--
-- goconnect_owner  owns every object and cannot log in
-- goconnect        is what the nginx module logs in as: EXECUTE and no more

DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['goconnect_owner NOLOGIN', 'goconnect LOGIN']
    LOOP
        IF to_regrole(split_part(wanted, ' ', 1)) IS NULL THEN
            BEGIN
                EXECUTE 'CREATE ROLE ' || wanted
                    || ' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION';
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;   -- a run in another database was a moment earlier
            END;
        END IF;
    END LOOP;
END
$roles$;

-- Who creates roles without being a superuser is not in them by that.
DO $member$
BEGIN
    -- from 16 on its maker is a member who may not become it
    IF NOT pg_has_role(current_user, 'goconnect_owner',
                       CASE WHEN current_setting('server_version_num')::int >= 160000
                            THEN 'SET' ELSE 'MEMBER' END)
    THEN
        EXECUTE format('GRANT goconnect_owner TO %I', current_user);
    END IF;
END
$member$;

-- Settings of the module's sessions. The functions have no SET clause (it
-- costs more than qualified names do), so the session carries these.
DO $settings$
DECLARE
    wanted text;
    have text[];
BEGIN
    SELECT s.setconfig INTO have
      FROM pg_db_role_setting s
     WHERE s.setrole = 'goconnect'::regrole AND s.setdatabase = 0;

    FOREACH wanted IN ARRAY ARRAY['search_path=pg_catalog, pg_temp',
                                  'TimeZone=UTC', 'DateStyle=ISO, YMD',
                                  'lock_timeout=1s',
                                  -- every statement is short, compiling is not
                                  'jit=off',
                                  'default_transaction_isolation=read committed']
    LOOP
        IF have IS NULL OR NOT wanted = ANY (have) THEN
            BEGIN
                EXECUTE format('ALTER ROLE goconnect SET %I = %s',
                    split_part(wanted, '=', 1),
                    CASE WHEN wanted LIKE 'search_path=%' OR wanted LIKE 'DateStyle=%'
                         THEN split_part(wanted, '=', 2)
                         ELSE quote_literal(split_part(wanted, '=', 2)) END);
            EXCEPTION WHEN unique_violation OR internal_error THEN
                NULL;   -- likewise: "tuple concurrently updated"
            END;
        END IF;
    END LOOP;
END
$settings$;
