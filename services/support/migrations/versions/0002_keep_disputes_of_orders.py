"""Keep disputes of orders."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("order", sa.Column("dispute_time", sa.DateTime(timezone=True), nullable=True))
    op.add_column("order", sa.Column("dispute_end_time", sa.DateTime(timezone=True), nullable=True))
