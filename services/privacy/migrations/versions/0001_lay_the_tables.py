"""Lay the tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import create_chassis_tables, guard

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_chassis_tables()
    op.create_table(
        "erasure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column(
            "state", sa.Enum("ORDERED", "VERIFYING", "COMPLETED", "OVERDUE", name="erasure_state"), nullable=False
        ),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("complete_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(complete_time IS NOT NULL) = (state = 'COMPLETED')", name=op.f("erasure_complete_when_completed_check")
        ),
        sa.CheckConstraint(
            "(user_id IS NULL) = (state = 'COMPLETED')", name=op.f("erasure_nobody_when_completed_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("erasure_pkey")),
    )
    op.create_index("erasure_by_time", "erasure", ["create_time", "id"], unique=False)
    op.create_index(
        "erasure_open", "erasure", ["due_time"], unique=False, postgresql_where=sa.text("state <> 'COMPLETED'")
    )
    op.create_index(op.f("erasure_user_id_idx"), "erasure", ["user_id"], unique=False)
    op.create_table(
        "export",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("export_pkey")),
    )
    op.create_index("export_of_user", "export", ["user_id", "create_time", "id"], unique=False)
    op.create_index(op.f("export_user_id_idx"), "export", ["user_id"], unique=False)
    op.create_table(
        "policy",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("publish_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("policy_pkey")),
        sa.UniqueConstraint("digest", name=op.f("policy_digest_key")),
    )
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "use",
            sa.Enum("POLICY", "NEWSLETTER", "TARGETED_ADVERTISING", "SITE_STATISTICS", name="consent_use"),
            nullable=False,
        ),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("policy_version", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["policy_version"], ["policy.version"], name=op.f("consent_policy_version_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("consent_pkey")),
    )
    op.create_index("consent_of_user", "consent", ["user_id", "create_time", "id"], unique=False)
    op.create_index(op.f("consent_user_id_idx"), "consent", ["user_id"], unique=False)
    op.create_table(
        "erasure_answer",
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("done_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcomes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("verify_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remaining", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["erasure_id"], ["erasure.id"], name=op.f("erasure_answer_erasure_id_fkey")),
        sa.PrimaryKeyConstraint("erasure_id", "holder", name=op.f("erasure_answer_pkey")),
    )
    guard("erasure", "user_id")
    guard("export", "user_id")
    guard("consent", "user_id")
