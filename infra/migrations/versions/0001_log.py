"""The event log.

Revision ID: 0001
"""

from alembic import op

revision = "0001"
down_revision = None

UPGRADE = """
CREATE SCHEMA log;

CREATE TABLE log.blotter_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigserial,
    PRIMARY KEY (originator_id, originator_version)
) WITH (
    autovacuum_vacuum_threshold = 100000000,
    autovacuum_vacuum_scale_factor = 0.5,
    autovacuum_analyze_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.01
);

CREATE UNIQUE INDEX blotter_events_notification_id_idx ON log.blotter_events (notification_id);

-- One round trip. The lock makes the order of positions the order of commits, so that no follower ever passes over
-- a gap that is filled later.
CREATE FUNCTION log.append_events(ids uuid[], versions bigint[], topics text[], states bytea[])
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL lock_timeout = '10s';
    LOCK TABLE log.blotter_events IN EXCLUSIVE MODE;
    NOTIFY blotter_events;
    RETURN QUERY
        INSERT INTO log.blotter_events (originator_id, originator_version, topic, state)
        SELECT * FROM unnest(ids, versions, topics, states)
        RETURNING notification_id;
END $$;

-- For people with psql.
CREATE VIEW log.events AS
SELECT notification_id AS position, originator_id AS stream, originator_version AS version, topic,
       convert_from(state, 'UTF8')::jsonb AS event
FROM log.blotter_events;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    raise RuntimeError("the event log is never dropped by a migration; restore a backup instead")
