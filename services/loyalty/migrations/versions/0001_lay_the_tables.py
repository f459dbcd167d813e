"""Lay the tables."""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import create_chassis_tables, guard

revision = "0001"
down_revision = None

GUARDS_OF_THE_JOURNAL = (
    # A statement writes all legs of an operation or is refused: an operation that stands sums to zero.
    """
    CREATE FUNCTION legs_sum_to_zero() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF EXISTS (SELECT FROM written GROUP BY operation_id HAVING sum(delta) <> 0) THEN
        RAISE EXCEPTION 'the legs of an operation do not sum to zero' USING ERRCODE = 'P0L01';
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER legs_sum_to_zero AFTER INSERT ON entry REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION legs_sum_to_zero()
    """,
    # Also a statement that would change no row: nobody has a reason to write one.
    """
    CREATE FUNCTION journal_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'the journal is only ever added to' USING ERRCODE = 'P0L02';
    END $$
    """,
    """
    CREATE TRIGGER journal_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON operation
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_kept()
    """,
    """
    CREATE TRIGGER journal_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_kept()
    """,
)


def upgrade() -> None:
    create_chassis_tables()
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=False),
        sa.Column("arrears", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("close_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("arrears = 0 OR available = 0", name=op.f("account_arrears_first_check")),
        sa.CheckConstraint("arrears >= 0", name=op.f("account_arrears_check")),
        sa.CheckConstraint("available >= 0", name=op.f("account_available_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("account_pkey")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "bonus_mark",
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("key_version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("form IN ('exact', 'canonical')", name=op.f("bonus_mark_form_check")),
        sa.PrimaryKeyConstraint("campaign", "key_version", "form", "mac", name=op.f("bonus_mark_pkey")),
    )
    op.create_index(op.f("bonus_mark_create_time_idx"), "bonus_mark", ["create_time"], unique=False)
    op.create_table(
        "opt_in",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("end_token", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirm_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("opt_in_pkey")),
    )
    op.create_index(op.f("opt_in_email_idx"), "opt_in", ["email"], unique=False)
    op.create_index(op.f("opt_in_end_token_idx"), "opt_in", ["end_token"], unique=False)
    op.create_index(op.f("opt_in_expire_time_idx"), "opt_in", ["expire_time"], unique=False)
    op.create_index(op.f("opt_in_user_id_idx"), "opt_in", ["user_id"], unique=False)
    op.create_table(
        "programme",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("newsletter_bonus", sa.BigInteger(), nullable=False),
        sa.Column("points_per_unit", sa.BigInteger(), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("newsletter_bonus >= 0 AND points_per_unit >= 0", name=op.f("programme_rules_check")),
        sa.PrimaryKeyConstraint("version", name=op.f("programme_pkey")),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("end_token", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("CONFIRMED", "ENDED", name="state", native_enum=False, create_constraint=True, length=30),
            nullable=False,
        ),
        sa.Column(
            "bonus",
            sa.Enum(
                "BONUS_UNSPECIFIED",
                "GRANTED",
                "ALREADY_GRANTED",
                "CLAIM_WAITING",
                name="bonus",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("bonus_points", sa.BigInteger(), nullable=False),
        sa.Column("confirm_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claim_end_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(bonus = 'CLAIM_WAITING') = (claim_end_time IS NOT NULL)", name=op.f("subscription_claim_check")
        ),
        sa.CheckConstraint("(bonus = 'GRANTED') = (bonus_points > 0)", name=op.f("subscription_bonus_points_check")),
        sa.CheckConstraint("user_id IS NOT NULL OR state = 'CONFIRMED'", name=op.f("subscription_guest_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("subscription_pkey")),
        sa.UniqueConstraint("email", name=op.f("subscription_email_key")),
        sa.UniqueConstraint("end_token", name=op.f("subscription_end_token_key")),
    )
    op.create_index(op.f("subscription_user_id_idx"), "subscription", ["user_id"], unique=False)
    op.create_table(
        "member",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("member_account_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("member_pkey")),
        sa.UniqueConstraint("account_id", name=op.f("member_account_id_key")),
    )
    op.create_table(
        "purchase",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("currency", sa.CHAR(length=3), nullable=True),
        sa.Column("paid", sa.Numeric(precision=28, scale=9), nullable=True),
        sa.Column("refunded", sa.Numeric(precision=28, scale=9), nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("programme_version", sa.BigInteger(), nullable=True),
        sa.Column("earned", sa.BigInteger(), nullable=False),
        sa.Column("taken_back", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(paid IS NULL) = (programme_version IS NULL)", name=op.f("purchase_rules_check")),
        sa.CheckConstraint("paid >= 0 AND refunded >= 0", name=op.f("purchase_amounts_check")),
        sa.CheckConstraint("taken_back BETWEEN 0 AND earned", name=op.f("purchase_taken_back_check")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("purchase_account_id_fkey")),
        sa.ForeignKeyConstraint(
            ["programme_version"], ["programme.version"], name=op.f("purchase_programme_version_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", "number", name=op.f("purchase_pkey")),
    )
    op.create_index(op.f("purchase_number_idx"), "purchase", ["number"], unique=False)
    op.create_table(
        "operation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "NEWSLETTER_BONUS",
                "ORDER",
                "ORDER_REFUND",
                "GOODWILL",
                "FORFEIT",
                "WRITE_OFF",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("order_number", sa.Text(), nullable=True),
        sa.Column("programme_version", sa.BigInteger(), nullable=True),
        sa.Column("effective_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id", "order_number"],
            ["purchase.account_id", "purchase.number"],
            name=op.f("operation_account_id_order_number_fkey"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("operation_account_id_fkey")),
        sa.ForeignKeyConstraint(
            ["programme_version"], ["programme.version"], name=op.f("operation_programme_version_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("operation_pkey")),
        sa.UniqueConstraint("scope", "key", name=op.f("operation_scope_key_key")),
        sa.UniqueConstraint("seq", name=op.f("operation_seq_key")),
    )
    op.create_index(op.f("operation_account_id_seq_idx"), "operation", ["account_id", "seq"], unique=False)
    op.create_table(
        "entry",
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("leg", sa.BigInteger(), nullable=False),
        sa.Column(
            "bucket",
            sa.Enum(
                "AVAILABLE",
                "ARREARS",
                "ISSUED",
                "REVERSED",
                "FORFEITED",
                "WRITTEN_OFF",
                name="bucket",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("delta", sa.BigInteger(), nullable=False),
        sa.Column("balance_after", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(bucket IN ('AVAILABLE', 'ARREARS')) = (account_id IS NOT NULL)", name=op.f("entry_owner_check")
        ),
        sa.CheckConstraint(
            "(balance_after IS NULL) = (account_id IS NULL) AND balance_after >= 0",
            name=op.f("entry_balance_after_check"),
        ),
        sa.CheckConstraint("delta <> 0", name=op.f("entry_delta_check")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("entry_account_id_fkey")),
        sa.ForeignKeyConstraint(["operation_id"], ["operation.id"], name=op.f("entry_operation_id_fkey")),
        sa.PrimaryKeyConstraint("operation_id", "leg", name=op.f("entry_pkey")),
    )
    op.create_index(op.f("entry_account_id_idx"), "entry", ["account_id"], unique=False)
    guard("opt_in", "user_id", token_hash=None, email=None, end_token=None)
    guard("subscription", "user_id", email=None, end_token=None)
    guard("member", "user_id")
    for statement in GUARDS_OF_THE_JOURNAL:
        op.execute(statement)
