"""Let businesses apply."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.migrations import guard

revision = "0012"
down_revision = "0011"
# From one state of an application to the other, as services.identity.businesses.states had them then.
WAYS = """(
    ('APPROVED', 'SUBMITTED'), ('APPROVED', 'SUSPENDED'), ('DRAFT', 'SUBMITTED'), ('NEEDS_INFO', 'DRAFT'),
    ('NEEDS_INFO', 'REFUSED'), ('NEEDS_INFO', 'SUBMITTED'), ('REFUSED', 'SUBMITTED'), ('SUBMITTED', 'APPROVED'),
    ('SUBMITTED', 'DRAFT'), ('SUBMITTED', 'NEEDS_INFO'), ('SUBMITTED', 'REFUSED'), ('SUSPENDED', 'APPROVED')
)"""


def upgrade() -> None:
    op.create_table(
        "business_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "WHOLESALER",
                "DROPSHIPPER",
                "AFFILIATE",
                name="businesskind",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("website", sa.Text(), nullable=False),
        sa.Column("region_code", sa.Text(), nullable=False),
        sa.Column("tax_id", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "DRAFT",
                "SUBMITTED",
                "NEEDS_INFO",
                "APPROVED",
                "REFUSED",
                "SUSPENDED",
                name="businessstate",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("state_before", sa.Text(), nullable=True),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("review_text", sa.Text(), nullable=False),
        sa.Column("submit_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(state = 'REFUSED') = (cardinality(reasons) > 0)", name=op.f("business_account_refused_with_reasons_check")
        ),
        sa.CheckConstraint("state = 'DRAFT' OR submit_time IS NOT NULL", name=op.f("business_account_submitted_check")),
        sa.CheckConstraint(
            f"state_before IS NULL AND state = 'DRAFT' OR (coalesce(state_before, ''), state) IN {WAYS}",
            name=op.f("business_account_step_check"),
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("business_account_owner_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("business_account_pkey")),
        sa.UniqueConstraint("id", "owner_id", name=op.f("business_account_id_owner_id_key")),
    )
    op.create_index(op.f("business_account_owner_id_idx"), "business_account", ["owner_id"], unique=False)
    op.create_index("business_account_queue", "business_account", ["state", "submit_time", "id"], unique=False)
    op.create_table(
        "business_contact",
        sa.Column("business_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["business_id", "owner_id"],
            ["business_account.id", "business_account.owner_id"],
            name=op.f("business_contact_business_id_owner_id_fkey"),
            onupdate="CASCADE",
        ),
        sa.PrimaryKeyConstraint("business_id", "position", name=op.f("business_contact_pkey")),
    )
    op.create_index(op.f("business_contact_owner_id_idx"), "business_contact", ["owner_id"], unique=False)
    op.create_table(
        "business_document",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("business_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(received_bytes = 0) = (content_type = '')", name=op.f("business_document_told_by_its_first_bytes_check")
        ),
        sa.CheckConstraint(
            "size_bytes BETWEEN 1 AND 2097152 AND received_bytes BETWEEN 0 AND size_bytes",
            name=op.f("business_document_size_check"),
        ),
        sa.ForeignKeyConstraint(
            ["business_id", "owner_id"],
            ["business_account.id", "business_account.owner_id"],
            name=op.f("business_document_business_id_owner_id_fkey"),
            onupdate="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("business_document_pkey")),
        sa.UniqueConstraint("id", "owner_id", name=op.f("business_document_id_owner_id_key")),
    )
    op.create_index(
        "business_document_of_business", "business_document", ["business_id", "create_time", "id"], unique=False
    )
    op.create_index(op.f("business_document_owner_id_idx"), "business_document", ["owner_id"], unique=False)
    op.create_index(
        "business_document_unfinished",
        "business_document",
        ["create_time"],
        unique=False,
        postgresql_where="received_bytes < size_bytes",
    )
    op.create_table(
        "business_document_piece",
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id", "owner_id"],
            ["business_document.id", "business_document.owner_id"],
            name=op.f("business_document_piece_document_id_owner_id_fkey"),
            onupdate="CASCADE",
        ),
        sa.PrimaryKeyConstraint("document_id", "offset_bytes", name=op.f("business_document_piece_pkey")),
    )
    op.create_index(op.f("business_document_piece_owner_id_idx"), "business_document_piece", ["owner_id"], unique=False)
    op.create_table(
        "business_invitation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("business_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "VIEWER", "MANAGER", "OWNER", name="memberrole", native_enum=False, create_constraint=True, length=30
            ),
            nullable=False,
        ),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("business_invitation_pkey")),
        sa.UniqueConstraint("token_hash", name=op.f("business_invitation_token_hash_key")),
    )
    op.create_index(op.f("business_invitation_create_time_idx"), "business_invitation", ["create_time"], unique=False)
    op.create_index(
        "business_invitation_of_business", "business_invitation", ["business_id", "create_time", "id"], unique=False
    )
    op.create_index(op.f("business_invitation_person_id_idx"), "business_invitation", ["person_id"], unique=False)
    op.create_index("business_invitation_to_address", "business_invitation", ["email", "create_time"], unique=False)
    op.create_table(
        "business_member",
        sa.Column("business_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "VIEWER", "MANAGER", "OWNER", name="memberrole", native_enum=False, create_constraint=True, length=30
            ),
            nullable=False,
        ),
        sa.Column("membership_id", sa.Uuid(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name=op.f("business_member_user_id_fkey")),
        sa.PrimaryKeyConstraint("business_id", "user_id", name=op.f("business_member_pkey")),
        sa.UniqueConstraint("membership_id", name=op.f("business_member_membership_id_key")),
    )
    op.create_index(op.f("business_member_user_id_idx"), "business_member", ["user_id"], unique=False)
    op.create_table(
        "business_step",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("business_id", sa.Uuid(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("state_before", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "DRAFT",
                "SUBMITTED",
                "NEEDS_INFO",
                "APPROVED",
                "REFUSED",
                "SUSPENDED",
                name="businessstate",
                native_enum=False,
                create_constraint=True,
                length=30,
            ),
            nullable=False,
        ),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(f"(state_before, state) IN {WAYS}", name=op.f("business_step_step_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("business_step_pkey")),
    )
    op.create_index(op.f("business_step_actor_id_idx"), "business_step", ["actor_id"], unique=False)
    op.create_index("business_step_of_business", "business_step", ["business_id", "create_time", "id"], unique=False)
    guard("business_account", "owner_id", company=None, website=None, tax_id=None, review_text=None)
    guard("business_contact", "owner_id", name=None, email=None, phone=None)
    guard("business_document", "owner_id", title=None)
    guard("business_document_piece", "owner_id", content=None)
    guard("business_invitation", "person_id", token_hash=None, email=None)
    guard("business_member", "user_id")
    guard("business_step", "actor_id")
    op.create_table(
        "business_customer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("business_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("lines", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("postal_code", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("region_code", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("business_customer_pkey")),
        sa.UniqueConstraint("business_id", "email", name=op.f("business_customer_business_id_email_key")),
    )
    op.create_index("business_customer_address", "business_customer", ["email"], unique=False)
    op.create_index(
        "business_customer_of_business", "business_customer", ["business_id", "create_time", "id"], unique=False
    )
    op.create_index(op.f("business_customer_subject_id_idx"), "business_customer", ["subject_id"], unique=False)
    op.create_table(
        "subject_access",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("subject_access_pkey")),
    )
    op.create_index(op.f("subject_access_expire_time_idx"), "subject_access", ["expire_time"], unique=False)
    op.create_index("subject_access_of_address", "subject_access", ["email", "create_time"], unique=False)
    op.create_index(op.f("subject_access_subject_id_idx"), "subject_access", ["subject_id"], unique=False)
    guard(
        "business_customer",
        "subject_id",
        email=None,
        recipient=None,
        lines=None,
        postal_code=None,
        city=None,
        region_code=None,
    )
    guard("subject_access", "subject_id", token_hash=None, email=None)
