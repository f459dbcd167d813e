"""Keep lots on their page: an index that goes by whether points are left needs no entry for every one spent."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.drop_index("lot_burn_idx", table_name="lot")
    op.drop_index("lot_pending_idx", table_name="lot")
    op.execute("ALTER TABLE lot SET (fillfactor = 85)")
    op.add_column("lot", sa.Column("is_open", sa.Boolean(), sa.Computed("open > 0", persisted=True), nullable=False))
    op.add_column(
        "lot", sa.Column("is_pending", sa.Boolean(), sa.Computed("pending > 0", persisted=True), nullable=False)
    )
    burn = ["account_id", "priority", "expire_time", "available_time", "seq"]
    op.create_index("lot_burn_idx", "lot", burn, unique=False, postgresql_where="is_open")
    op.create_index(
        "lot_pending_idx", "lot", ["account_id", "available_time"], unique=False, postgresql_where="is_pending"
    )
