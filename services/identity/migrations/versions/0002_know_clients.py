"""Know the clients of the OAuth provider, and what people let them do."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import guard

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "client",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column(
            "profile",
            sa.Enum(
                "WEB", "PUBLIC", "CONFORMANCE", name="profile", native_enum=False, create_constraint=True, length=30
            ),
            nullable=False,
        ),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=True),
        sa.Column("redirect_uris", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("first_party", sa.Boolean(), nullable=False),
        sa.Column(
            "id_token_algorithm",
            sa.Enum("RS256", "ED25519", name="algorithm", native_enum=False, create_constraint=True, length=30),
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "profile <> 'PUBLIC' OR secret_hash IS NULL", name=op.f("client_public_keeps_no_secret_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("client_pkey")),
    )
    op.create_table(
        "authorization",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acr", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("challenge", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("code_expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("redeem_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("rotate_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoke_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(generation > 0) = (redeem_time IS NOT NULL)", name=op.f("authorization_redeemed_first_check")
        ),
        sa.ForeignKeyConstraint(["client_id"], ["client.id"], name=op.f("authorization_client_id_fkey")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("authorization_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("authorization_pkey")),
    )
    op.create_index(op.f("authorization_client_id_idx"), "authorization", ["client_id"], unique=False)
    op.create_index(op.f("authorization_expire_time_idx"), "authorization", ["expire_time"], unique=False)
    op.create_index(op.f("authorization_session_id_idx"), "authorization", ["session_id"], unique=False)
    op.create_index("authorization_of_user", "authorization", ["user_id", "create_time", "id"], unique=False)
    guard("authorization", "user_id", user_id=None)
