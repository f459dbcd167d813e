"""Lay the tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import create_chassis_tables, guard

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_chassis_tables()
    op.create_table(
        "category",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("category_pkey")),
    )
    op.create_table(
        "order",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total", sa.Numeric(precision=28, scale=9), nullable=False),
        sa.Column("refunded", sa.Numeric(precision=28, scale=9), nullable=False),
        sa.Column("place_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pay_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ship_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("order_currency_is_iso_check")),
        sa.CheckConstraint("total >= 0 AND refunded >= 0", name=op.f("order_amounts_not_negative_check")),
        sa.PrimaryKeyConstraint("user_id", "number", name=op.f("order_pkey")),
    )
    op.create_index("order_of_user_idx", "order", ["user_id", "place_time", "number"], unique=False)
    op.create_table(
        "service_hours",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("said", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("version > 0", name=op.f("service_hours_counts_from_one_check")),
        sa.PrimaryKeyConstraint("version", name=op.f("service_hours_pkey")),
    )
    op.create_table(
        "article",
        sa.Column("category_slug", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("keywords", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed(
                (
                    "setweight(to_tsvector('english', title), 'A')"
                    " || setweight(to_tsvector('english', keywords), 'B')"
                    " || setweight(to_tsvector('english', body), 'C')"
                ),
                persisted=True,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["category_slug"], ["category.slug"], name=op.f("article_category_slug_fkey")),
        sa.PrimaryKeyConstraint("category_slug", "slug", name=op.f("article_pkey")),
    )
    op.create_index("article_search_idx", "article", ["search"], unique=False, postgresql_using="gin")
    op.create_table(
        "ticket",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
        sa.Column("order_number", sa.Text(), nullable=True),
        sa.Column("kind", sa.Enum("QUERY", "FEEDBACK", "CLAIM", "DISPUTE", name="ticket_kind"), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("state", sa.Enum("NEW", "OPEN", "PENDING", "SOLVED", "CLOSED", name="ticket_state"), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("solve_time", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state <> 'SOLVED' OR solve_time IS NOT NULL", name=op.f("ticket_solved_when_check")),
        sa.ForeignKeyConstraint(
            ["customer_id", "order_number"],
            ["order.user_id", "order.number"],
            name=op.f("ticket_customer_id_order_number_fkey"),
            ondelete="SET NULL (order_number)",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("ticket_pkey")),
    )
    op.create_index("ticket_of_customer_idx", "ticket", ["customer_id", "update_time", "id"], unique=False)
    op.create_index("ticket_solved_idx", "ticket", ["solve_time"], unique=False, postgresql_where="state = 'SOLVED'")
    op.create_index("ticket_update_time_idx", "ticket", ["update_time", "id"], unique=False)
    op.create_table(
        "message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("side", sa.Enum("CUSTOMER", "STORE", name="side"), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("author_name", sa.Text(), nullable=True),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(side = 'CUSTOMER') = (author_id = customer_id)", name=op.f("message_side_of_author_check")
        ),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"], name=op.f("message_ticket_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("message_pkey")),
        sa.UniqueConstraint("ticket_id", "number", name=op.f("message_ticket_id_number_key")),
    )
    op.create_index(op.f("message_author_id_idx"), "message", ["author_id"], unique=False)
    op.create_index(op.f("message_customer_id_idx"), "message", ["customer_id"], unique=False)
    op.create_index(
        "message_unnamed_idx", "message", ["author_id"], unique=False, postgresql_where="author_name IS NULL"
    )
    guard("order", "user_id", number=None, lines=None)
    guard("ticket", "customer_id", order_number=None, title=None)
    guard("message", "customer_id", body=None)
    guard("message", "author_id", author_name="")
