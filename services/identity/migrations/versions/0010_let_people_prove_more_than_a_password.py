"""Let people prove more than a password."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import guard

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for table in ("session", "authorization"):
        words = postgresql.ARRAY(sa.Text())
        op.add_column(table, sa.Column("amr", words, nullable=False, server_default="{pwd}"))
    op.create_table(
        "totp",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirm_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_use_time", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("totp_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("totp_pkey")),
        sa.UniqueConstraint("user_id", name=op.f("totp_user_id_key")),
    )
    op.create_table(
        "recovery_code",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("recovery_code_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", "code_hash", name=op.f("recovery_code_pkey")),
    )
    op.create_table(
        "challenge",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("amr", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("tries >= 0", name=op.f("challenge_tries_check")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("challenge_user_id_fkey")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("challenge_pkey")),
    )
    op.create_index(op.f("challenge_expire_time_idx"), "challenge", ["expire_time"], unique=False)
    op.create_index("challenge_of_user", "challenge", ["user_id", "create_time"], unique=False)
    op.create_table(
        "guess",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Uuid(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("next_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("guess_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", "place", name=op.f("guess_pkey")),
    )
    op.create_index(op.f("guess_expire_time_idx"), "guess", ["expire_time"], unique=False)
    op.create_table(
        "device",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("proof_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trust_expire_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_use_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("device_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("device_pkey")),
        sa.UniqueConstraint("secret_hash", name=op.f("device_secret_hash_key")),
    )
    op.create_index(op.f("device_expire_time_idx"), "device", ["expire_time"], unique=False)
    op.create_index("device_of_user", "device", ["user_id", "create_time", "id"], unique=False)
    op.create_table(
        "passkey",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("is_synced", sa.Boolean(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_use_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspect_time", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("passkey_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("passkey_pkey")),
        sa.UniqueConstraint("credential_id", name=op.f("passkey_credential_id_key")),
    )
    op.create_index("passkey_of_user", "passkey", ["user_id", "create_time", "id"], unique=False)
    guard("passkey", "user_id", credential_id=None, public_key=None, title=None)
    guard("totp", "user_id", sealed=None)
    guard("recovery_code", "user_id", code_hash=None)
    guard("challenge", "user_id", token_hash=None, device=None)
    guard("guess", "user_id", user_id=None)
    guard("device", "user_id", secret_hash=None, title=None)
