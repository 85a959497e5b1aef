-- The types of the statement between the module and the database. A change
-- here is a new API_VERSION: prepared statements of a running module name them.

DO $types$
BEGIN
    IF to_regtype('api_1.ctx') IS NOT NULL THEN
        RETURN;
    END IF;

    -- Who asks. device_id set means device scope.
    CREATE TYPE api_1.ctx AS (
        user_id uuid,
        session_id uuid,
        device_id uuid,
        address inet,
        request_id text,
        if_match text,
        idempotency_key uuid
    );

    -- What is answered. events holds the finished WebSocket frames of what the
    -- transaction published, as a JSON array.
    CREATE TYPE api_1.reply AS (
        status integer,
        body json,
        etag text,
        location text,
        events json
    );

    -- What a function hands to _publish.
    CREATE TYPE api_1.event AS (
        topic text,
        kind text,
        data json
    );
END
$types$;
