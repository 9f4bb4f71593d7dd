"""What clean-ups came to, for those who ask the status service.

Revision ID: 0020
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSON

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "cleanups",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kinds", JSON, nullable=False),
        schema="status",
    )


def downgrade() -> None:
    op.drop_table("cleanups", schema="status")
