"""Let addresses be changed."""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import guard

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "email_change",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("present_hash", sa.LargeBinary(), nullable=False),
        sa.Column("present_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_hash", sa.LargeBinary(), nullable=False),
        sa.Column("new_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("email_change_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("email_change_pkey")),
        sa.UniqueConstraint("new_hash", name=op.f("email_change_new_hash_key")),
        sa.UniqueConstraint("present_hash", name=op.f("email_change_present_hash_key")),
    )
    op.create_index(op.f("email_change_expire_time_idx"), "email_change", ["expire_time"], unique=False)
    guard("email_change", "user_id", email=None, new_hash=None, present_hash=None)
