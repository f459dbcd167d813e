"""Let clients have people signed out, and say where to send them then."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    addresses = postgresql.ARRAY(sa.Text())
    op.add_column("client", sa.Column("post_logout_redirect_uris", addresses, nullable=False, server_default="{}"))
