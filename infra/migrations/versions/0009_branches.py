"""Appends that stand on another stream's version, and branches among the live runs.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0009"
down_revision = "0008"

APPEND_GUARDED = """
-- Appends only while the stream `guard` stands at `guard_version`: what a branch does is decided on its run, which may
-- have been cancelled meanwhile. The lock makes the check and the append one.
CREATE FUNCTION log.append_guarded_events(
    ids uuid[], versions bigint[], topics text[], states bytea[], guard uuid, guard_version bigint
)
RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL lock_timeout = '10s';
    LOCK TABLE log.blotter_events IN EXCLUSIVE MODE;
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

COLUMNS = (
    sa.Column("id", UUID(as_uuid=True), nullable=False),
    sa.Column("opening", sa.Integer),
    sa.Column("step", sa.Text),
    sa.Column("symbol", sa.Text),
    sa.Column("limits", JSONB, nullable=False),
    sa.Column("max_parallel", sa.Integer),
)


def upgrade() -> None:
    op.execute(APPEND_GUARDED)
    # The live runs are made of the log: the dispatcher starts again from its beginning.
    op.execute("TRUNCATE executor.live_runs")
    op.execute("DELETE FROM executor.positions WHERE follower = 'executor.dispatcher'")
    for column in COLUMNS:
        op.add_column("live_runs", column, schema="executor")
    op.execute("ALTER TABLE executor.live_runs DROP CONSTRAINT live_runs_pkey, ADD PRIMARY KEY (id)")


def downgrade() -> None:
    op.execute("DELETE FROM executor.live_runs WHERE id <> task_id")
    op.execute("ALTER TABLE executor.live_runs DROP CONSTRAINT live_runs_pkey, ADD PRIMARY KEY (task_id)")
    for column in COLUMNS:
        op.drop_column("live_runs", column.name, schema="executor")
    op.execute("DROP FUNCTION log.append_guarded_events")
