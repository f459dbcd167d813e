"""The tables of loyalty, a module a noun."""

from services.loyalty.models.base import Base
from services.loyalty.models.finance import Adjustment, AdjustmentState, Checkpoint, Statement
from services.loyalty.models.grants import CampaignBudget, MemberTier, RuleGrant, Withheld
from services.loyalty.models.ledger import (
    JOURNAL,
    Account,
    Bucket,
    Chain,
    Hold,
    HoldState,
    Kind,
    Lot,
    LotMove,
    Member,
    Operation,
    Origin,
    Place,
    Refunded,
    Seal,
    Substitution,
)
from services.loyalty.models.newsletter import Bonus, BonusMark, OptIn, State, Subscription
from services.loyalty.models.orders import Purchase
from services.loyalty.models.programme import Programme

__all__ = [
    "JOURNAL",
    "Account",
    "Adjustment",
    "AdjustmentState",
    "Base",
    "Bonus",
    "BonusMark",
    "Bucket",
    "CampaignBudget",
    "Chain",
    "Checkpoint",
    "Hold",
    "HoldState",
    "Kind",
    "Lot",
    "LotMove",
    "Member",
    "MemberTier",
    "Operation",
    "OptIn",
    "Origin",
    "Place",
    "Programme",
    "Purchase",
    "Refunded",
    "RuleGrant",
    "Seal",
    "State",
    "Statement",
    "Subscription",
    "Substitution",
    "Withheld",
]
