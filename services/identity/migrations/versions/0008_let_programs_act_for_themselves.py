"""Let programs act for themselves, prove themselves by keys, push what they ask for, bind tokens to keys, and run on
what has no browser."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    one_of("profile", "WEB", "PUBLIC", "CONFORMANCE", "SERVICE")
    one_of("id_token_algorithm", "RS256", "ED25519", "ES256", name="algorithm")
    for column in (
        sa.Column("credential_id", sa.Uuid(), nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("keys", postgresql.JSONB(), nullable=False, server_default="[]"),
        sa.Column("pushes", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("types", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("binds", sa.Boolean(), nullable=False, server_default=sa.false()),
    ):
        op.add_column("client", column)
    op.add_column("authorization", sa.Column("thumbprint", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "spent",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("spent_pkey")),
    )
    op.create_index(op.f("spent_expire_time_idx"), "spent", ["expire_time"], unique=False)
    op.create_table(
        "pushed_request",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("open_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("pushed_request_client_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pushed_request_pkey")),
    )
    op.create_index(op.f("pushed_request_client_id_idx"), "pushed_request", ["client_id"], unique=False)
    op.create_index(op.f("pushed_request_expire_time_idx"), "pushed_request", ["expire_time"], unique=False)
    op.create_table(
        "device_code",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("typed_digest", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("authorization_id", sa.Uuid(), nullable=True),
        sa.Column("denied", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("interval", sa.BigInteger(), nullable=False),
        sa.Column("ask_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("device_code_client_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("device_code_pkey")),
        sa.UniqueConstraint("typed_digest", name=op.f("device_code_typed_digest_key")),
    )
    op.create_index(op.f("device_code_client_id_idx"), "device_code", ["client_id"], unique=False)
    op.create_index(op.f("device_code_expire_time_idx"), "device_code", ["expire_time"], unique=False)


def one_of(column: str, *words: str, name: str = "") -> None:
    """Let the column hold these words: what the old code writes is among them."""
    constraint = op.f(f"client_{name or column}_check")
    said = ", ".join(f"'{word}'" for word in words)
    op.drop_constraint(constraint, "client", type_="check")
    op.create_check_constraint(constraint, "client", f"{column} IN ({said})")
