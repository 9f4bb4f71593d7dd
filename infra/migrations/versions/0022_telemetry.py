"""Where spans and log lines of tasks are kept, for as long as the bounds let them.

Revision ID: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

# JSON arrays of a few kilobytes: kept as they are, in the row itself as long as a page takes it.
AS_IT_IS = """
ALTER TABLE telemetry.{0} ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE telemetry.{0} SET (toast_tuple_target = 8160)
"""

# The lock makes the order of the numbers that of the commits: whoever has read up to one has missed none before it.
KEEP_LINES = """
CREATE FUNCTION telemetry.keep_lines(task_ids uuid[], levels smallint[], bodies bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('blotter.telemetry.lines'));
    INSERT INTO telemetry.lines (task_id, highest, body) SELECT * FROM unnest(task_ids, levels, bodies);
END
$$
"""


def upgrade() -> None:
    op.execute("CREATE SCHEMA telemetry")
    op.create_table(
        "spans",
        _id(),
        sa.Column("trace_id", sa.Uuid, nullable=False),
        sa.Column("task_id", sa.Uuid),
        _kept_at(),
        sa.Column("body", sa.LargeBinary, nullable=False),
        schema="telemetry",
    )
    op.create_table(
        "lines",
        _id(),
        sa.Column("task_id", sa.Uuid, nullable=False),
        sa.Column("highest", sa.SmallInteger, nullable=False),
        _kept_at(),
        sa.Column("body", sa.LargeBinary, nullable=False),
        schema="telemetry",
    )
    op.create_index("ix_telemetry_spans_trace_id", "spans", ["trace_id"], schema="telemetry")
    op.create_index("ix_telemetry_lines_task_id", "lines", ["task_id"], schema="telemetry")
    for table in ("spans", "lines"):
        op.execute(AS_IT_IS.format(table))
    op.execute(KEEP_LINES)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True)


def _kept_at() -> sa.Column[object]:
    return sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def downgrade() -> None:
    op.execute("DROP SCHEMA telemetry CASCADE")
