"""Let programs provision staff."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import guard

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.drop_constraint(op.f("user_state_check"), "user")
    op.create_check_constraint(op.f("user_state_check"), "user", "state IN ('ACTIVE', 'DELETING', 'DISABLED')")
    roles = postgresql.ARRAY(sa.Text())
    op.add_column("client", sa.Column("grantable_roles", roles, nullable=False, server_default="{}"))
    op.create_table(
        "provisioned_user",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("provisioned_user_user_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("provisioned_user_pkey")),
    )
    op.create_index(
        "provisioned_user_of_client", "provisioned_user", ["client_id", "create_time", "user_id"], unique=False
    )
    guard("provisioned_user", "user_id", external_id=None)
