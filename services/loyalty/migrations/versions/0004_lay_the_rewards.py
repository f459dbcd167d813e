"""Lay the rewards."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import guard

revision = "0004"
down_revision = "0003"

KINDS = (
    "NEWSLETTER_BONUS", "ORDER", "ORDER_REFUND", "GOODWILL", "FORFEIT", "WRITE_OFF", "ACTIVATE", "EXPIRE", "REDEEM",
    "HOLD", "CAPTURE", "RELEASE", "REFUND", "REVERSE", "TRANSFER_OUT", "TRANSFER_IN", "ADJUST", "IMPORT", "REFERRAL",
    "CAMPAIGN", "VOUCHER", "DISPUTE",
)  # fmt: skip
BONUSES = ("BONUS_UNSPECIFIED", "GRANTED", "ALREADY_GRANTED", "CLAIM_WAITING", "IN_REVIEW", "DENIED")
# What holds until the store says otherwise: nobody is brought, nothing comes too often.
FIRST_RULES = """
INSERT INTO reward_rules (version, create_time, said) VALUES (1, '2026-01-01T00:00:00Z', '{
    "referrer_points": 0, "referred_points": 0, "claim_days": 0, "return_days": 0, "guest_days": 30, "mark_months": 24,
    "end_time": null, "limits": []}')
"""


def upgrade() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("attempt_pkey")),
    )
    op.create_index(op.f("attempt_expire_time_idx"), "attempt", ["expire_time"], unique=False)
    op.create_index(op.f("attempt_mac_create_time_idx"), "attempt", ["mac", "create_time"], unique=False)
    op.create_table(
        "dispute",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("OPEN", "WON", "LOST", name="disputestate", native_enum=False, create_constraint=True, length=30),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("account_id", "number", name=op.f("dispute_pkey")),
    )
    op.create_table(
        "frozen_lot",
        sa.Column("lot_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("available_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("lot_id", name=op.f("frozen_lot_pkey")),
    )
    op.create_index(op.f("frozen_lot_account_id_idx"), "frozen_lot", ["account_id"], unique=False)
    op.create_table(
        "referral",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("referrer_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "CLAIMED",
                "REWARDED",
                "TAKEN_BACK",
                "REFUSED",
                name="referralstate",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("is_held", sa.Boolean(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("referrer_points", sa.BigInteger(), nullable=False),
        sa.Column("return_days", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("due_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(number IS NULL) = (due_time IS NULL)", name=op.f("referral_order_check")),
        sa.CheckConstraint("account_id <> referrer_id", name=op.f("referral_two_check")),
        sa.CheckConstraint("points >= 0 AND referrer_points >= 0", name=op.f("referral_points_check")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("referral_pkey")),
    )
    op.create_index(op.f("referral_referrer_id_idx"), "referral", ["referrer_id"], unique=False)
    op.create_table(
        "referral_code",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("referral_code_pkey")),
        sa.UniqueConstraint("code", name=op.f("referral_code_code_key")),
    )
    op.create_table(
        "review",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "action",
            sa.Enum("BONUS", "CLAIM", name="action", native_enum=False, create_constraint=True, length=30),
            nullable=False,
        ),
        sa.Column(
            "verdict",
            sa.Enum("FLAG", "HOLD", "DENY", name="verdict", native_enum=False, create_constraint=True, length=30),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "NOTED",
                "WAITING",
                "APPROVED",
                "REFUSED",
                name="reviewstate",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column(
            "dimension",
            sa.Enum(
                "MEMBER",
                "MAILBOX",
                "MAIL_DOMAIN",
                name="dimension",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=False),
        sa.Column("window_hours", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decide_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'NOTED') = (verdict <> 'HOLD')", name=op.f("review_who_decides_check")),
        sa.CheckConstraint(
            "(state IN ('APPROVED', 'REFUSED')) = (decide_time IS NOT NULL)", name=op.f("review_decided_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("review_pkey")),
    )
    op.create_index(op.f("review_account_id_idx"), "review", ["account_id"], unique=False)
    op.create_index(op.f("review_create_time_id_idx"), "review", ["create_time", "id"], unique=False)
    op.create_table(
        "reward_rules",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("said", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("reward_rules_pkey")),
    )
    op.create_table(
        "voucher",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("offer", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("value", sa.Numeric(precision=28, scale=9), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "ACTIVE", "USED", "VOIDED", name="voucherstate", native_enum=False, create_constraint=True, length=30
            ),
            nullable=False,
        ),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'ACTIVE') = (end_time IS NULL)", name=op.f("voucher_end_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("voucher_pkey")),
        sa.UniqueConstraint("code", name=op.f("voucher_code_key")),
        sa.UniqueConstraint("operation_id", name=op.f("voucher_operation_id_key")),
    )
    op.create_index(
        op.f("voucher_user_id_create_time_id_idx"), "voucher", ["user_id", "create_time", "id"], unique=False
    )
    op.create_table(
        "voucher_offer",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=False),
        sa.Column("value", sa.Numeric(precision=28, scale=9), nullable=False),
        sa.Column("days_valid", sa.BigInteger(), nullable=False),
        sa.Column("stock", sa.BigInteger(), nullable=False),
        sa.Column("sold", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "points > 0 AND value > 0 AND days_valid > 0 AND stock >= 0 AND sold >= 0",
            name=op.f("voucher_offer_numbers_check"),
        ),
        sa.PrimaryKeyConstraint("slug", name=op.f("voucher_offer_pkey")),
    )
    op.add_column("lot", sa.Column("wait_time", sa.DateTime(timezone=True), nullable=True))
    op.add_column("bonus_mark", sa.Column("delete_time", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE bonus_mark SET delete_time = create_time + interval '24 months'")
    op.alter_column("bonus_mark", "delete_time", nullable=False)
    op.drop_index(op.f("bonus_mark_create_time_idx"), table_name="bonus_mark")
    op.create_index(op.f("bonus_mark_delete_time_idx"), "bonus_mark", ["delete_time"], unique=False)
    guard("referral_code", "user_id", code=None)
    guard("voucher", "user_id", code=None)
    one_of("operation", "kind", "kind", KINDS)
    one_of("subscription", "bonus", "bonus", BONUSES)
    op.execute(FIRST_RULES)


def one_of(table: str, column: str, name: str, words: tuple[str, ...]) -> None:
    """Let a column hold other words than before."""
    said = ", ".join(f"'{word}'" for word in words)
    op.drop_constraint(op.f(f"{table}_{name}_check"), table)
    op.create_check_constraint(op.f(f"{table}_{name}_check"), table, f"{column} IN ({said})")
