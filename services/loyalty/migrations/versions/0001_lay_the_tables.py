"""Lay the tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import create_chassis_tables, guard

revision = "0001"
down_revision = None

KEPT = ("operation", "lot_move", "seal")
GUARDS_OF_THE_JOURNAL = (
    # Also a statement that would change no row: nobody has a reason to write one.
    """
    CREATE FUNCTION journal_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'the journal is only ever added to' USING ERRCODE = 'P0L02';
    END $$
    """,
    *(
        f"""
        CREATE TRIGGER journal_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION journal_is_kept()
        """
        for table in KEPT
    ),
    # What the entries of a ledger are elsewhere: a row for each leg.
    """
    CREATE VIEW entry AS
    SELECT operation.id AS operation_id, seq, leg.bucket, leg.account_id, leg.delta
    FROM operation CROSS JOIN LATERAL (VALUES
        ('AVAILABLE', account_id, available),
        ('PENDING', account_id, pending),
        ('HELD', account_id, held),
        ('ARREARS', account_id, -arrears),
        (against, NULL, amount)
    ) AS leg (bucket, account_id, delta) WHERE leg.delta <> 0
    """,
    "INSERT INTO chain (id, number, root) VALUES (1, 0, decode(repeat('00', 32), 'hex'))",
)


def upgrade() -> None:
    create_chassis_tables()
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("arrears", sa.BigInteger(), nullable=False),
        sa.Column("due_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("close_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("arrears = 0 OR available = 0", name=op.f("account_arrears_first_check")),
        sa.CheckConstraint(
            "available >= 0 AND pending >= 0 AND held >= 0 AND arrears >= 0", name=op.f("account_positive_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("account_pkey")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        op.f("account_due_time_idx"), "account", ["due_time"], unique=False, postgresql_where="due_time IS NOT NULL"
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
        "chain",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("chain_one_row_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("chain_pkey")),
    )
    op.create_table(
        "hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.Column("released", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "OPEN",
                "CAPTURED",
                "RELEASED",
                "EXPIRED",
                name="holdstate",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(state = 'OPEN') = (captured + released < points)", name=op.f("hold_open_check")),
        sa.CheckConstraint("captured + released <= points", name=op.f("hold_no_more_than_held_check")),
        sa.CheckConstraint("points > 0 AND captured >= 0 AND released >= 0", name=op.f("hold_positive_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("hold_pkey")),
    )
    op.create_index(op.f("hold_account_id_expire_time_idx"), "hold", ["account_id", "expire_time"], unique=False)
    op.create_table(
        "lot",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column(
            "origin",
            sa.Enum(
                "PURCHASE",
                "PROMOTION",
                "GOODWILL",
                "IMPORTED",
                name="origin",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("available_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.BigInteger(), nullable=False),
        sa.Column("open", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("expired", sa.BigInteger(), nullable=False),
        sa.Column("reversed", sa.BigInteger(), nullable=False),
        sa.Column("absorbed", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.BigInteger(), nullable=False),
        sa.Column("clawed", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "amount = pending + open + held + spent + expired + reversed + absorbed + removed",
            name=op.f("lot_each_in_one_place_check"),
        ),
        sa.CheckConstraint(
            "pending >= 0 AND open >= 0 AND held >= 0 AND spent >= 0 AND expired >= 0 AND reversed >= 0"
            " AND absorbed >= 0 AND removed >= 0 AND clawed BETWEEN 0 AND amount AND amount > 0",
            name=op.f("lot_positive_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("lot_pkey")),
    )
    op.create_index(op.f("lot_account_id_seq_idx"), "lot", ["account_id", "seq"], unique=False)
    op.create_index(
        "lot_burn_idx",
        "lot",
        ["account_id", "priority", "expire_time", "available_time", "seq"],
        unique=False,
        postgresql_where="open > 0",
    )
    op.create_index("lot_descended_idx", "lot", ["operation_id"], unique=False, postgresql_where="id <> operation_id")
    op.create_index(
        "lot_pending_idx", "lot", ["account_id", "available_time"], unique=False, postgresql_where="pending > 0"
    )
    op.create_table(
        "lot_move",
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lot_id", sa.Uuid(), nullable=False),
        sa.Column(
            "source",
            sa.Enum(
                "PENDING",
                "OPEN",
                "HELD",
                "SPENT",
                "EXPIRED",
                "REVERSED",
                "ABSORBED",
                "REMOVED",
                name="source",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column(
            "target",
            sa.Enum(
                "PENDING",
                "OPEN",
                "HELD",
                "SPENT",
                "EXPIRED",
                "REVERSED",
                "ABSORBED",
                "REMOVED",
                name="target",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points > 0", name=op.f("lot_move_points_check")),
        sa.PrimaryKeyConstraint("operation_id", "position", name=op.f("lot_move_pkey")),
    )
    op.create_table(
        "operation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("batch", sa.Uuid(), nullable=False),
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
                "ACTIVATE",
                "EXPIRE",
                "REDEEM",
                "HOLD",
                "CAPTURE",
                "RELEASE",
                "REFUND",
                "REVERSE",
                "TRANSFER_OUT",
                "TRANSFER_IN",
                "ADJUST",
                "IMPORT",
                "REFERRAL",
                "CAMPAIGN",
                "VOUCHER",
                name="kind",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("asked", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("refusal", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("about", sa.Uuid(), nullable=True),
        sa.Column("order_number", sa.Text(), nullable=True),
        sa.Column("programme_version", sa.BigInteger(), nullable=True),
        sa.Column("effective_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("available", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("arrears", sa.BigInteger(), nullable=False),
        sa.Column(
            "against",
            sa.Enum(
                "ISSUED",
                "REDEEMED",
                "EXPIRED",
                "REVERSED",
                "FORFEITED",
                "ADJUSTED",
                "TRANSFERRED",
                "WRITTEN_OFF",
                name="bucket",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=True,
        ),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("available_after", sa.BigInteger(), nullable=False),
        sa.Column("pending_after", sa.BigInteger(), nullable=False),
        sa.Column("held_after", sa.BigInteger(), nullable=False),
        sa.Column("arrears_after", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(against IS NULL) = (amount = 0)", name=op.f("operation_against_check")),
        sa.CheckConstraint("(scope IS NULL) = (key IS NULL)", name=op.f("operation_key_check")),
        sa.CheckConstraint(
            "available + pending + held - arrears + amount = 0", name=op.f("operation_sums_to_zero_check")
        ),
        sa.CheckConstraint(
            "refusal IS NULL OR (available, pending, held, arrears, amount) = (0, 0, 0, 0, 0)",
            name=op.f("operation_refusal_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("operation_pkey")),
        sa.UniqueConstraint("scope", "key", name=op.f("operation_scope_key_key")),
    )
    op.create_index(
        op.f("operation_about_idx"), "operation", ["about"], unique=False, postgresql_where="about IS NOT NULL"
    )
    op.create_index(op.f("operation_account_id_seq_idx"), "operation", ["account_id", "seq"], unique=True)
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
        sa.Column("currencies", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("newsletter_bonus", sa.BigInteger(), nullable=False),
        sa.Column("points_per_unit", sa.BigInteger(), nullable=False),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("newsletter_bonus >= 0 AND points_per_unit >= 0", name=op.f("programme_rules_check")),
        sa.PrimaryKeyConstraint("version", name=op.f("programme_pkey")),
    )
    op.create_table(
        "refunded",
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points > 0", name=op.f("refunded_points_check")),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("refunded_pkey")),
    )
    op.create_table(
        "seal",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch", sa.Uuid(), nullable=False),
        sa.Column("operations", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("seal_pkey")),
        sa.UniqueConstraint("batch", name=op.f("seal_batch_key")),
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
        "substitution",
        sa.Column("operation_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lot_id", sa.Uuid(), nullable=False),
        sa.Column("payer_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("returned", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points > 0 AND returned BETWEEN 0 AND points", name=op.f("substitution_points_check")),
        sa.PrimaryKeyConstraint("operation_id", "position", name=op.f("substitution_pkey")),
    )
    op.create_index(op.f("substitution_lot_id_idx"), "substitution", ["lot_id"], unique=False)
    op.create_table(
        "member",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("member_account_id_fkey")),
        sa.PrimaryKeyConstraint("user_id", "currency", name=op.f("member_pkey")),
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
    guard("opt_in", "user_id", token_hash=None, email=None, end_token=None)
    guard("subscription", "user_id", email=None, end_token=None)
    guard("member", "user_id")
    for statement in GUARDS_OF_THE_JOURNAL:
        op.execute(statement)
