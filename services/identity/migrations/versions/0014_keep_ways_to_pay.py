"""Keep ways to pay."""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import guard

revision = "0014"
down_revision = "0013"

KINDS = ("CARD", "PAYPAL")
BRANDS = (
    "VISA",
    "MASTERCARD",
    "AMERICAN_EXPRESS",
    "DISCOVER",
    "DINERS_CLUB",
    "JCB",
    "UNIONPAY",
    "MAESTRO",
    "OTHER",
)


def one_of(words: tuple[str, ...], name: str) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=30)


def upgrade() -> None:
    op.create_table(
        "payment_method",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("kind", one_of(KINDS, "paymentkind"), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("brand", one_of(BRANDS, "cardbrand"), nullable=True),
        sa.Column("last_four", sa.Text(), nullable=True),
        sa.Column("expire_month", sa.BigInteger(), nullable=True),
        sa.Column("expire_year", sa.BigInteger(), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "num_nonnulls(brand, last_four, expire_month, expire_year) = CASE kind WHEN 'CARD' THEN 4 ELSE 0 END",
            name=op.f("payment_method_card_told_whole_check"),
        ),
        sa.CheckConstraint("last_four ~ '^[0-9]{4}$'", name=op.f("payment_method_no_more_than_four_check")),
        sa.CheckConstraint("expire_month BETWEEN 1 AND 12", name=op.f("payment_method_month_of_a_year_check")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("payment_method_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("payment_method_pkey")),
    )
    op.create_index("payment_method_of_user", "payment_method", ["user_id", "create_time", "id"], unique=False)
    guard("payment_method", "user_id", sealed=None, brand=None, last_four=None, expire_month=None, expire_year=None)
