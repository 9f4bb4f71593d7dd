"""Which levels the dispatcher holds back, and which waiting runs have come from a join.

Revision ID: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0010"


def upgrade() -> None:
    op.create_table("paused_levels", sa.Column("level", sa.Text, primary_key=True), schema="executor")
    # Nothing is paused yet, and only a pause asks for it: those that wait now need not be told apart.
    joined = sa.Column("joined", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("live_runs", joined, schema="executor")


def downgrade() -> None:
    op.drop_column("live_runs", "joined", schema="executor")
    op.drop_table("paused_levels", schema="executor")
