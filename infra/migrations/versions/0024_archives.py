"""Archives of streams that ended long ago, and appends that rows may be removed beside.

Revision ID: 0024
"""

from alembic import op

revision = "0024"
down_revision = "0023"

UPGRADE = """
-- Objects that hold events which were moved out of the table. `pruned_at` is null until all of them have left it.
CREATE TABLE log.archives (
    archive_id bigserial PRIMARY KEY,
    sha256 text NOT NULL UNIQUE,
    size bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    events bigint NOT NULL,
    archived_at timestamptz NOT NULL,
    pruned_at timestamptz
);

-- Streams that are closed for ever: nothing is appended to them, and their ids are never given again.
CREATE TABLE log.archived_streams (
    stream_id uuid PRIMARY KEY,
    archive_id bigint NOT NULL REFERENCES log.archives
);

-- What appends lock instead of the table of events, from which rows may now be removed, and the room of removed ones be
-- given back (VACUUM), while others append. Appends of the functions before lock that table, which the INSERT of these
-- waits for, and the other way round: the order of positions stays the order of commits during this migration too.
CREATE TABLE log.append_order ();

ALTER TABLE log.blotter_events SET (
    autovacuum_vacuum_threshold = 50000,
    autovacuum_vacuum_scale_factor = 0.05
);

CREATE FUNCTION log.refuse_closed(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM log.archived_streams WHERE stream_id = ANY(ids)) THEN
        RAISE unique_violation USING MESSAGE = 'an archived stream is closed', CONSTRAINT = 'archived_streams';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION log.append_events(ids uuid[], versions bigint[], topics text[], states bytea[])
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL lock_timeout = '10s';
    LOCK TABLE log.append_order IN EXCLUSIVE MODE;
    PERFORM log.refuse_closed(ids);
    NOTIFY blotter_events;
    RETURN QUERY
        INSERT INTO log.blotter_events (originator_id, originator_version, topic, state)
        SELECT * FROM unnest(ids, versions, topics, states)
        RETURNING notification_id;
END $$;

CREATE OR REPLACE FUNCTION log.append_guarded_events(
    ids uuid[], versions bigint[], topics text[], states bytea[], guard uuid, guard_version bigint
)
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL lock_timeout = '10s';
    LOCK TABLE log.append_order IN EXCLUSIVE MODE;
    PERFORM log.refuse_closed(ids || guard);
    IF EXISTS (
        SELECT FROM log.blotter_events WHERE originator_id = guard AND originator_version > guard_version
    ) THEN
        RAISE unique_violation USING MESSAGE = 'stream ' || guard || ' has moved on from version ' || guard_version;
    END IF;
    NOTIFY blotter_events;
    RETURN QUERY
        INSERT INTO log.blotter_events (originator_id, originator_version, topic, state)
        SELECT * FROM unnest(ids, versions, topics, states)
        RETURNING notification_id;
END $$;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    raise RuntimeError("archives hold events of the log, which no migration gives up; restore a backup instead")
