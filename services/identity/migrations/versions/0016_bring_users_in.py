"""Bring users in."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "user_import",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("validate_only", sa.Boolean(), nullable=False),
        sa.Column("source_digest", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("existing", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("without_password", sa.BigInteger(), nullable=False),
        sa.Column("last_row", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finish_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("user_import_pkey")),
    )
    op.create_index("user_import_by_time", "user_import", ["create_time", "id"], unique=False)
    op.create_index(op.f("user_import_update_time_idx"), "user_import", ["update_time"], unique=False)
    op.create_table(
        "user_import_address",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["user_import.id"], name=op.f("user_import_address_import_id_fkey")),
        sa.PrimaryKeyConstraint("import_id", "mac", name=op.f("user_import_address_pkey")),
    )
    op.create_index(op.f("user_import_address_expire_time_idx"), "user_import_address", ["expire_time"], unique=False)
    op.create_table(
        "user_import_row",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "CREATED",
                "EXISTS",
                "REFUSED",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["user_import.id"], name=op.f("user_import_row_import_id_fkey")),
        sa.PrimaryKeyConstraint("import_id", "number", name=op.f("user_import_row_pkey")),
    )
    op.create_index(
        "user_import_row_refused",
        "user_import_row",
        ["import_id", "number"],
        unique=False,
        postgresql_where="outcome = 'REFUSED'",
    )
    op.create_index(
        "user_with_roles", "user", ["create_time", "id"], unique=False, postgresql_where="cardinality(roles) > 0"
    )
