"""Tell clients of sign-outs, and let them ask for claims by name."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import guard

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("client", sa.Column("backchannel_logout_uri", sa.Text(), nullable=False, server_default=""))
    required = "backchannel_logout_session_required"
    op.add_column("client", sa.Column(required, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("authorization", sa.Column("sign_in_id", sa.Uuid(), nullable=True))
    op.create_index(op.f("authorization_sign_in_id_idx"), "authorization", ["sign_in_id"], unique=False)
    for name in ("userinfo_claims", "id_token_claims"):
        names = postgresql.ARRAY(sa.Text())
        op.add_column("authorization", sa.Column(name, names, nullable=False, server_default="{}"))
    op.create_table(
        "sign_out_notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("sign_out_notice_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("sign_out_notice_pkey")),
        sa.UniqueConstraint("session_id", "client_id", name=op.f("sign_out_notice_session_id_client_id_key")),
    )
    for name in ("client_id", "next_time", "user_id"):
        op.create_index(op.f(f"sign_out_notice_{name}_idx"), "sign_out_notice", [name], unique=False)
    guard("sign_out_notice", "user_id", user_id=None)
