"""Keep what finance signs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import guard

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "adjustment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "WAITING",
                "BOOKED",
                "REFUSED",
                "FAILED",
                name="adjustmentstate",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("asked_by", sa.Uuid(), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("operation_id", sa.Uuid(), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decide_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'BOOKED') = (operation_id IS NOT NULL)", name=op.f("adjustment_operation_check")),
        sa.CheckConstraint("(state = 'WAITING') = (decide_time IS NULL)", name=op.f("adjustment_decided_check")),
        sa.CheckConstraint("decided_by <> asked_by", name=op.f("adjustment_two_people_check")),
        sa.CheckConstraint("points <> 0", name=op.f("adjustment_points_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("adjustment_pkey")),
    )
    op.create_index(op.f("adjustment_asked_by_idx"), "adjustment", ["asked_by"], unique=False)
    op.create_index(op.f("adjustment_create_time_id_idx"), "adjustment", ["create_time", "id"], unique=False)
    op.create_index(op.f("adjustment_decided_by_idx"), "adjustment", ["decided_by"], unique=False)
    op.create_index(op.f("adjustment_user_id_idx"), "adjustment", ["user_id"], unique=False)
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("totals", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("full_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("findings", sa.BigInteger(), nullable=False),
        sa.Column("stated_number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("checkpoint_one_row_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("checkpoint_pkey")),
    )
    op.create_table(
        "statement",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("known_seq", sa.BigInteger(), nullable=False),
        sa.Column("opening_seq", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("opening_seq <= known_seq", name=op.f("statement_known_check")),
        sa.CheckConstraint("start_time < end_time", name=op.f("statement_period_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("statement_pkey")),
        sa.UniqueConstraint("account_id", "start_time", name=op.f("statement_account_id_start_time_key")),
    )
    op.create_index("operation_seq_idx", "operation", ["seq"], unique=False, postgresql_using="brin")
    guard("adjustment", "user_id", reason=None, salt=None)
    guard("adjustment", "asked_by")
    guard("adjustment", "decided_by")
    op.execute(
        "INSERT INTO checkpoint (id, number, root, seq, totals, findings, stated_number)"
        " VALUES (1, 0, decode(repeat('00', 32), 'hex'), 0, '{}', 0, 0)"
    )
