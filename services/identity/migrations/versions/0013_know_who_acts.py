"""Let clients be asked for a nonce of ours."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("client", sa.Column("echoes", sa.Boolean(), nullable=False, server_default=sa.false()))
