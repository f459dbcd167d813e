"""Know the accounts that people have elsewhere."""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import guard

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "external_identity",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("account_name", sa.Text(), nullable=False),
        sa.Column("is_proven", sa.Boolean(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_use_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("external_identity_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("external_identity_pkey")),
        sa.UniqueConstraint("issuer", "sub", name=op.f("external_identity_issuer_sub_key")),
    )
    op.create_index("external_identity_of_user", "external_identity", ["user_id", "create_time", "id"], unique=False)
    op.create_table(
        "social_flow",
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("browser_hash", sa.LargeBinary(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("social_flow_user_id_fkey")),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("social_flow_pkey")),
    )
    op.create_index(op.f("social_flow_expire_time_idx"), "social_flow", ["expire_time"], unique=False)
    op.create_index(op.f("social_flow_user_id_idx"), "social_flow", ["user_id"], unique=False)
    op.create_table(
        "social_claim",
        sa.Column("claim_hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("ADDRESS", "PASSWORD", name="claimkind", native_enum=False, create_constraint=True, length=30),
            nullable=False,
        ),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("account_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("token_hash", sa.LargeBinary(), nullable=True),
        sa.Column("photo", sa.LargeBinary(), nullable=True),
        sa.Column("photo_type", sa.Text(), nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(photo IS NULL) = (photo_type IS NULL)", name=op.f("social_claim_photo_with_its_type_check")
        ),
        sa.PrimaryKeyConstraint("claim_hash", name=op.f("social_claim_pkey")),
    )
    op.create_index(op.f("social_claim_email_idx"), "social_claim", ["email"], unique=False)
    op.create_index(op.f("social_claim_expire_time_idx"), "social_claim", ["expire_time"], unique=False)
    op.create_index(op.f("social_claim_user_id_idx"), "social_claim", ["user_id"], unique=False)
    op.create_table(
        "social_deletion",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("erasure_id", sa.Uuid(), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("social_deletion_pkey")),
    )
    op.create_index(op.f("social_deletion_create_time_idx"), "social_deletion", ["create_time"], unique=False)
    guard("external_identity", "user_id", sub=None, account_name=None)
    guard("social_flow", "user_id", state_hash=None, browser_hash=None)
    guard(
        "social_claim", "user_id", claim_hash=None, sub=None, account_name=None, email=None, token_hash=None, photo=None
    )
