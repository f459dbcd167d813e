"""Keep the rules of the programme."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "campaign_budget",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("granted >= 0", name=op.f("campaign_budget_granted_check")),
        sa.PrimaryKeyConstraint("campaign", name=op.f("campaign_budget_pkey")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "member_tier",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_time", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("member_tier_account_id_fkey")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("member_tier_pkey")),
    )
    op.create_index(
        op.f("member_tier_due_time_idx"),
        "member_tier",
        ["due_time"],
        unique=False,
        postgresql_where="due_time IS NOT NULL",
    )
    op.create_table(
        "rule_grant",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=True),
        sa.Column("order_number", sa.Text(), nullable=True),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("programme_version", sa.BigInteger(), nullable=False),
        sa.Column("percent", sa.BigInteger(), nullable=False),
        sa.Column("fixed", sa.BigInteger(), nullable=False),
        sa.Column("pending_days", sa.BigInteger(), nullable=False),
        sa.Column("qualifying", sa.Boolean(), nullable=False),
        sa.Column("desired", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.Column("taken_back", sa.BigInteger(), nullable=False),
        sa.Column(
            "withheld",
            sa.Enum("CAP", "BUDGET", name="withheld", native_enum=False, create_constraint=True, length=30),
            nullable=True,
        ),
        sa.Column("effective_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("release_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(granted < desired) = (withheld IS NOT NULL)", name=op.f("rule_grant_less_check")),
        sa.CheckConstraint("(granted > 0) = (operation_id IS NOT NULL)", name=op.f("rule_grant_operation_check")),
        sa.CheckConstraint("desired > 0 AND granted BETWEEN 0 AND desired", name=op.f("rule_grant_granted_check")),
        sa.CheckConstraint("taken_back BETWEEN 0 AND granted", name=op.f("rule_grant_taken_back_check")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("rule_grant_account_id_fkey")),
        sa.ForeignKeyConstraint(
            ["programme_version"], ["programme.version"], name=op.f("rule_grant_programme_version_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", "source", "rule", name=op.f("rule_grant_pkey")),
        sa.UniqueConstraint("id", name=op.f("rule_grant_id_key")),
    )
    op.create_index(
        op.f("rule_grant_account_id_effective_time_idx"), "rule_grant", ["account_id", "effective_time"], unique=False
    )
    op.create_index(op.f("rule_grant_account_id_seq_idx"), "rule_grant", ["account_id", "seq"], unique=False)
    op.create_index(
        op.f("rule_grant_campaign_idx"),
        "rule_grant",
        ["campaign"],
        unique=False,
        postgresql_where="campaign IS NOT NULL",
    )
    op.create_index(
        op.f("rule_grant_release_time_idx"),
        "rule_grant",
        ["release_time"],
        unique=False,
        postgresql_where="release_time IS NOT NULL",
    )
    op.add_column(
        "programme",
        sa.Column("terms", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("purchase", sa.Column("inputs_hash", sa.LargeBinary(), nullable=True))
    op.add_column("purchase", sa.Column("shipped_time", sa.DateTime(timezone=True), nullable=True))
