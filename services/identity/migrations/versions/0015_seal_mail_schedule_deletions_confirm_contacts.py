"""Seal the mail that waits, schedule deletions, and have contact data confirmed."""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import seal_mail

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    seal_mail()
    op.add_column("user", sa.Column("purge_time", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "user_to_purge", "user", ["purge_time"], unique=False, postgresql_where=sa.text("purge_time IS NOT NULL")
    )
    doubts = sa.Enum("OLD", "BOUNCED", name="contactdoubt", native_enum=False, create_constraint=True, length=30)
    op.add_column(
        "user",
        sa.Column("contact_confirm_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    op.add_column("user", sa.Column("contact_doubt", doubts, nullable=True))
    op.execute('UPDATE "user" SET contact_confirm_time = create_time')
    op.create_index(
        "user_contact_by_age",
        "user",
        ["contact_confirm_time"],
        unique=False,
        postgresql_where=sa.text("contact_doubt IS NULL"),
    )
