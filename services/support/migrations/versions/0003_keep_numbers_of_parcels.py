"""Keep the numbers of parcels."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import guard

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    column = sa.Column("tracking_numbers", postgresql.JSONB(), nullable=False, server_default="[]")
    op.add_column("order", column)
    guard("order", "user_id", number=None, lines=None, tracking_numbers=None)
