"""What rules gave, what a campaign has given in all, and where members stand."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from chassis.personal_data import impersonal, subject
from services.loyalty.models.base import POINTS, Base, one_of


class Withheld(StrEnum):
    """Why less was given than the rule says; the names are those of the contract."""

    CAP = "CAP"
    BUDGET = "BUDGET"


class RuleGrant(Base):
    """What one rule gave for one thing, as it was granted: taking back goes by this row, not by the rules of today."""

    __tablename__ = "rule_grant"

    account_id: Mapped[UUID] = subject(
        POINTS, ForeignKey("account.id"), through="member.account_id", primary_key=True, index=False
    )
    source: Mapped[str] = impersonal("an order's number or a request's id, behind our word for which", primary_key=True)
    rule: Mapped[str] = impersonal("the store's word for a rule or a campaign", primary_key=True)
    seq: Mapped[int] = mapped_column(Identity(always=True))
    id: Mapped[UUID] = mapped_column(unique=True)
    operation_id: Mapped[UUID | None]  # that earned it, where something was
    order_number: Mapped[str | None] = impersonal("the shop's own number of the order")
    campaign: Mapped[str | None] = impersonal("the store's word for the campaign that paid")
    programme_version: Mapped[int] = mapped_column(ForeignKey("programme.version"))
    percent: Mapped[int]  # of a point, for each whole unit of money
    fixed: Mapped[int]
    pending_days: Mapped[int]
    qualifying: Mapped[bool]
    desired: Mapped[int]
    granted: Mapped[int]
    taken_back: Mapped[int]  # what the order's refunds asked back
    withheld: Mapped[Withheld | None] = mapped_column(one_of(Withheld))
    effective_time: Mapped[datetime]
    release_time: Mapped[datetime | None]  # from when on it can be spent, until that is booked

    __table_args__ = (
        CheckConstraint("desired > 0 AND granted BETWEEN 0 AND desired", "granted"),
        CheckConstraint("taken_back BETWEEN 0 AND granted", "taken_back"),
        CheckConstraint("(granted > 0) = (operation_id IS NOT NULL)", "operation"),
        CheckConstraint("(granted < desired) = (withheld IS NOT NULL)", "less"),
        Index(None, "account_id", "effective_time"),
        Index(None, "account_id", "seq"),
        Index(None, "release_time", postgresql_where="release_time IS NOT NULL"),
        Index(None, "campaign", postgresql_where="campaign IS NOT NULL"),
    )


class CampaignBudget(Base):
    """What a campaign with a budget has given. Everybody who earns from it waits here, and so locks it last."""

    __tablename__ = "campaign_budget"

    campaign: Mapped[str] = impersonal("the store's word for the campaign", primary_key=True)
    granted: Mapped[int]

    __table_args__ = (CheckConstraint("granted >= 0", "granted"), {"postgresql_with": {"fillfactor": 70}})


class MemberTier(Base):
    """The tier that was stated last, and when time may change it. The truth is the fold; this is what was said."""

    __tablename__ = "member_tier"

    account_id: Mapped[UUID] = subject(
        POINTS, ForeignKey("account.id"), through="member.account_id", primary_key=True, index=False
    )
    tier: Mapped[str] = impersonal("the store's word for the tier")
    start_time: Mapped[datetime | None]
    due_time: Mapped[datetime | None]

    __table_args__ = (Index(None, "due_time", postgresql_where="due_time IS NOT NULL"),)
