"""What may become of an application: every state, every step, and no other. The database judges by the same table."""

from collections.abc import Mapping
from enum import StrEnum


class BusinessState(StrEnum):
    """As rapport.identity.v1.BusinessAccount.State."""

    DRAFT = "DRAFT"
    SUBMITTED = "SUBMITTED"
    NEEDS_INFO = "NEEDS_INFO"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"
    SUSPENDED = "SUSPENDED"


class Step(StrEnum):
    """What somebody does with an application."""

    SUBMIT = "SUBMIT"
    WITHDRAW = "WITHDRAW"
    CHANGE = "CHANGE"  # of what the approval stood on
    APPROVE = "APPROVE"
    ASK = "ASK"
    REFUSE = "REFUSE"
    SUSPEND = "SUSPEND"
    REINSTATE = "REINSTATE"


STEPS: Mapping[tuple[BusinessState, Step], BusinessState] = {
    (BusinessState.DRAFT, Step.SUBMIT): BusinessState.SUBMITTED,
    (BusinessState.NEEDS_INFO, Step.SUBMIT): BusinessState.SUBMITTED,
    (BusinessState.REFUSED, Step.SUBMIT): BusinessState.SUBMITTED,
    (BusinessState.SUBMITTED, Step.WITHDRAW): BusinessState.DRAFT,
    (BusinessState.NEEDS_INFO, Step.WITHDRAW): BusinessState.DRAFT,
    (BusinessState.APPROVED, Step.CHANGE): BusinessState.SUBMITTED,
    (BusinessState.SUBMITTED, Step.APPROVE): BusinessState.APPROVED,
    (BusinessState.SUBMITTED, Step.ASK): BusinessState.NEEDS_INFO,
    (BusinessState.SUBMITTED, Step.REFUSE): BusinessState.REFUSED,
    (BusinessState.NEEDS_INFO, Step.REFUSE): BusinessState.REFUSED,
    (BusinessState.APPROVED, Step.SUSPEND): BusinessState.SUSPENDED,
    (BusinessState.SUSPENDED, Step.REINSTATE): BusinessState.APPROVED,
}
DECISIONS = frozenset({Step.APPROVE, Step.ASK, Step.REFUSE, Step.SUSPEND, Step.REINSTATE})  # a reviewer's
# What a reviewer looks at does not change meanwhile; who is suspended does not become somebody else.
EDITABLE = frozenset({BusinessState.DRAFT, BusinessState.NEEDS_INFO, BusinessState.REFUSED, BusinessState.APPROVED})
# What an approval stood on can be shown for as long as it stands.
REMOVABLE = EDITABLE - {BusinessState.APPROVED}
JUDGED = frozenset({"kind", "company", "region_code", "tax_id"})  # what an approval stands on


def after(state: BusinessState, step: Step) -> BusinessState | None:
    """Where the step leads from that state; None where it cannot be taken."""
    return STEPS.get((state, step))


def ways() -> list[tuple[BusinessState, BusinessState]]:
    """Every way from one state to another, in one order."""
    return sorted({(before, state) for (before, _), state in STEPS.items()})
