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
        "registration",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("registration_pkey")),
    )
    op.create_index(op.f("registration_expire_time_idx"), "registration", ["expire_time"], unique=False)
    op.create_index("registration_of_address", "registration", ["email", "create_time"], unique=False)
    op.create_index(op.f("registration_user_id_idx"), "registration", ["user_id"], unique=False)
    op.create_table(
        "user",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("ACTIVE", "DELETING", name="state", native_enum=False, create_constraint=True, length=30),
            nullable=False,
        ),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("erasure_id", sa.Uuid(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(erasure_id IS NOT NULL) = (state = 'DELETING')", name=op.f("user_receipt_while_deleting_check")
        ),
        sa.CheckConstraint("roles <@ ARRAY['agent', 'privacy_officer', 'admin']", name=op.f("user_roles_check")),
        sa.CheckConstraint('email = lower(email COLLATE "C")', name=op.f("user_email_compares_as_text_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("user_pkey")),
        sa.UniqueConstraint("email", name=op.f("user_email_key")),
    )
    op.create_index("user_by_time", "user", ["create_time", "id"], unique=False)
    op.create_table(
        "billing_address",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("lines", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("postal_code", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("region_code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("billing_address_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("billing_address_pkey")),
    )
    op.create_table(
        "business",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "WHOLESALER",
                "DROPSHIPPER",
                "AFFILIATE",
                name="businesskind",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("website", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("business_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("business_pkey")),
    )
    op.create_table(
        "credential",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("credential_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("credential_pkey")),
    )
    op.create_table(
        "photo",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("photo_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("photo_pkey")),
    )
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("acr", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_use_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoke_time", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("session_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("session_pkey")),
        sa.UniqueConstraint("secret_hash", name=op.f("session_secret_hash_key")),
    )
    op.create_index(op.f("session_expire_time_idx"), "session", ["expire_time"], unique=False)
    op.create_index("session_of_user", "session", ["user_id", "create_time", "id"], unique=False)
    op.create_table(
        "shipping_address",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("lines", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("postal_code", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("region_code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("shipping_address_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("shipping_address_pkey")),
    )
    guard("registration", "user_id", token_hash=None, email=None)
    guard("user", "id", email=None, display_name=None)
    guard("billing_address", "user_id", recipient=None, lines=None, postal_code=None, city=None, region_code=None)
    guard("business", "user_id", company=None, website=None)
    guard("credential", "user_id", password_hash=None)
    guard("photo", "user_id", content=None)
    guard("session", "user_id", secret_hash=None, device=None)
    guard("shipping_address", "user_id", recipient=None, lines=None, postal_code=None, city=None, region_code=None)
