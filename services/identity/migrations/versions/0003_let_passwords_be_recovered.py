"""Let passwords be recovered."""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import guard

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "recovery",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("recovery_user_id_fkey")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("recovery_pkey")),
    )
    op.create_index(op.f("recovery_create_time_idx"), "recovery", ["create_time"], unique=False)
    op.create_index("recovery_of_user", "recovery", ["user_id", "create_time"], unique=False)
    guard("recovery", "user_id", token_hash=None)
