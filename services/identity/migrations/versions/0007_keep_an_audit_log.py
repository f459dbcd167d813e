"""Keep an audit log."""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import guard

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "audit_account",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("audit_account_pkey")),
        sa.UniqueConstraint("id", name=op.f("audit_account_id_key")),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("fact", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column(
            "actor",
            sa.Enum(
                "OWNER", "STAFF", "PROGRAM", "CLOCK", name="actor", native_enum=False, create_constraint=True, length=30
            ),
            nullable=False,
        ),
        sa.Column("staff_id", sa.Uuid(), nullable=True),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=True),
        sa.Column("root", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(number IS NULL) = (root IS NULL) AND (number IS NULL) = (before IS NULL)",
            name=op.f("audit_entry_in_the_chain_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_entry_pkey")),
        sa.UniqueConstraint("number", name=op.f("audit_entry_number_key")),
    )
    op.create_index("audit_entry_of_account", "audit_entry", ["account_id", "id"], unique=False)
    op.create_index(op.f("audit_entry_staff_id_idx"), "audit_entry", ["staff_id"], unique=False)
    op.create_index(
        "audit_entry_waiting", "audit_entry", ["id"], unique=False, postgresql_where=sa.text("number IS NULL")
    )
    guard("audit_account", "user_id")
