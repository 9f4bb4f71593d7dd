"""Up to where a delivery has heard of requests to try it again: one that is published again is not obeyed again.

Revision ID: 0026
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    asked = sa.Column("asked_position", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("deliveries", asked, schema="notifier")
    op.alter_column("deliveries", "asked_position", server_default=None, schema="notifier")


def downgrade() -> None:
    op.drop_column("deliveries", "asked_position", schema="notifier")
