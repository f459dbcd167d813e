from collections.abc import Mapping
from typing import Any

from grpc import StatusCode
from rapport.loyalty.v1.errors_pb2 import (
    ACCOUNT_CLOSED,
    ADJUSTMENT_DECIDED,
    ADJUSTMENT_NOT_FOUND,
    BUDGET_EXHAUSTED,
    CAMPAIGN_CLOSED,
    CAMPAIGN_NOT_FOUND,
    CAP_REACHED,
    CURRENCY_UNKNOWN,
    EMAIL_MALFORMED,
    EXCEEDS_EARNED,
    EXCEEDS_HOLD,
    EXCEEDS_REDEEMED,
    HOLD_ENDED,
    HOLD_NOT_FOUND,
    INSUFFICIENT_POINTS,
    LEDGER_BUSY,
    LIMIT_REACHED,
    LINK_INVALID,
    MOVEMENT_NOT_FOUND,
    OFFER_NOT_FOUND,
    OFFER_SOLD_OUT,
    PERIOD_NOT_NEXT,
    PERIOD_OPEN,
    PROGRAMME_NOT_SET,
    REFERRAL_CLAIMED,
    REFERRAL_CLOSED,
    REFERRAL_CODE_UNKNOWN,
    REFERRAL_OF_SELF,
    REVIEW_NOT_OPEN,
    SAME_ACCOUNT,
    SECOND_PERSON_NEEDED,
    STATEMENT_NOT_FOUND,
    SUBSCRIPTION_NOT_FOUND,
    TIERS_NOT_SET,
    VOUCHER_ENDED,
    VOUCHER_NOT_FOUND,
    ErrorReason,
)

from chassis.refusal import Refusal


class LinkInvalid(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(LINK_INVALID)


class EmailMalformed(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(EMAIL_MALFORMED)


class SubscriptionNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(SUBSCRIPTION_NOT_FOUND)


class AccountClosed(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(ACCOUNT_CLOSED)


class ProgrammeNotSet(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(PROGRAMME_NOT_SET)


class InsufficientPoints(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(INSUFFICIENT_POINTS)


class HoldNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(HOLD_NOT_FOUND)


class HoldEnded(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(HOLD_ENDED)


class ExceedsHold(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(EXCEEDS_HOLD)


class MovementNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(MOVEMENT_NOT_FOUND)


class ExceedsRedeemed(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(EXCEEDS_REDEEMED)


class ExceedsEarned(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(EXCEEDS_EARNED)


class SameAccount(Refusal):
    code, reason = StatusCode.INVALID_ARGUMENT, ErrorReason.Name(SAME_ACCOUNT)


class LedgerBusy(Refusal):
    code, reason = StatusCode.RESOURCE_EXHAUSTED, ErrorReason.Name(LEDGER_BUSY)


class CurrencyUnknown(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(CURRENCY_UNKNOWN)


class CampaignNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(CAMPAIGN_NOT_FOUND)


class CampaignClosed(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(CAMPAIGN_CLOSED)


class BudgetExhausted(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(BUDGET_EXHAUSTED)


class CapReached(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(CAP_REACHED)


class TiersNotSet(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(TIERS_NOT_SET)


class AdjustmentNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(ADJUSTMENT_NOT_FOUND)


class AdjustmentDecided(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(ADJUSTMENT_DECIDED)


class SecondPersonNeeded(Refusal):
    code, reason = StatusCode.PERMISSION_DENIED, ErrorReason.Name(SECOND_PERSON_NEEDED)


class StatementNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(STATEMENT_NOT_FOUND)


class PeriodOpen(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(PERIOD_OPEN)


class PeriodNotNext(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(PERIOD_NOT_NEXT)


class OfferNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(OFFER_NOT_FOUND)


class OfferSoldOut(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(OFFER_SOLD_OUT)


class VoucherNotFound(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(VOUCHER_NOT_FOUND)


class VoucherEnded(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(VOUCHER_ENDED)


class ReferralCodeUnknown(Refusal):
    code, reason = StatusCode.NOT_FOUND, ErrorReason.Name(REFERRAL_CODE_UNKNOWN)


class ReferralClosed(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(REFERRAL_CLOSED)


class ReferralClaimed(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(REFERRAL_CLAIMED)


class ReferralOfSelf(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(REFERRAL_OF_SELF)


class ReviewNotOpen(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(REVIEW_NOT_OPEN)


class LimitReached(Refusal):
    code, reason = StatusCode.FAILED_PRECONDITION, ErrorReason.Name(LIMIT_REACHED)


def refused_again(said: Mapping[str, Any]) -> Refusal:
    """The refusal that was written down: its reason, its words, its numbers."""
    kinds = {one.reason: one for one in Refusal.__subclasses__() if one.__module__ == __name__}
    rest = {name: value for name, value in said.items() if name not in ("reason", "message")}
    return kinds[said["reason"]](said["message"], **rest)
