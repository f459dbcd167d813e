"""Seal the mail that waits, and schedule deletions."""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import seal_mail

revision = "0015"
down_revision = "0012"


def upgrade() -> None:
    seal_mail()
    op.add_column("user", sa.Column("purge_time", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "user_to_purge", "user", ["purge_time"], unique=False, postgresql_where=sa.text("purge_time IS NOT NULL")
    )
