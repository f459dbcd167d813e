"""Let clients be asked for a nonce of ours and exchange tokens, and the store's people look at accounts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import guard

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("client", sa.Column("echoes", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column(
        "client", sa.Column("exchange_scopes", postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}")
    )
    op.create_table(
        "impersonation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column(
            "reason",
            sa.Enum(
                "SUPPORT_REQUEST",
                "FRAUD_REVIEW",
                "LEGAL_REQUEST",
                name="impersonationreason",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("impersonation_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("impersonation_pkey")),
    )
    op.create_index("impersonation_of_user", "impersonation", ["user_id", "create_time", "id"], unique=False)
    op.create_index(op.f("impersonation_session_id_idx"), "impersonation", ["session_id"], unique=False)
    op.create_index(op.f("impersonation_create_time_idx"), "impersonation", ["create_time"], unique=False)
    guard("impersonation", "user_id", note=None)
    op.create_table(
        "impersonation_staff",
        sa.Column("impersonation_id", sa.Uuid(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("impersonation_id", name=op.f("impersonation_staff_pkey")),
    )
    op.create_index(op.f("impersonation_staff_staff_id_idx"), "impersonation_staff", ["staff_id"], unique=False)
    guard("impersonation_staff", "staff_id", staff_id=None)
