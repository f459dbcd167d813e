"""What can be asked of the ledger. A request is about one account, and knows itself again by scope and key."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from chassis.refusal import Refusal
from services.loyalty.models import Kind, Origin
from services.loyalty.terms import Term

PRIORITY = 100
BY_REQUEST_ID = "request"  # the scope of what callers ask; a fact may be told again with another time, a request not
SOMEDAY = datetime(9999, 12, 31, tzinfo=UTC)  # no clock comes to it: until somebody says so
# What is said elsewhere, or follows from the rules of when it was done.
HIDDEN = frozenset(
    {"account", "to", "scope", "key", "effective", "kind", "order_number", "programme_version", "heeds"}
    | {"term", "default_term", "default_grace", "desired", "refusal"}
)


class Whose(NamedTuple):
    """The account of a user in a currency, opened when it is first needed."""

    user: UUID
    currency: str


class Policy(StrEnum):
    """What a reversal may take when the earned points themselves are gone; the names are those of the contract."""

    ONLY_PENDING = "ONLY_PENDING"
    WITHIN_BALANCE = "WITHIN_BALANCE"
    UNLIMITED = "UNLIMITED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Something to do to an account. With the same scope and key it is done, or refused, once for ever."""

    account: UUID | Whose
    scope: str | None = None
    key: str | None = None
    effective: datetime | None = None  # None is now
    kind: Kind
    order_number: str | None = None
    programme_version: int | None = None
    heeds: UUID | None = None  # the person whose restriction binds whoever asks

    def asked(self) -> dict[str, Any]:
        """What has to be the same when it comes again; ids and numbers."""
        said = {name: plain(value) for name in names(self) if (value := getattr(self, name)) is not None}
        if self.order_number is not None:
            said["order"] = self.order_number
        if self.scope == BY_REQUEST_ID and self.effective is not None:
            said["effective_time"] = plain(self.effective)
        return said


def names(request: Request) -> tuple[str, ...]:
    """The fields that make a request what it is."""
    kind = type(request)
    if kind not in NAMES:
        NAMES[kind] = tuple(one.name for one in fields(kind) if one.name not in HIDDEN)
    return NAMES[kind]


NAMES: dict[type[Request], tuple[str, ...]] = {}  # looking them up costs more than all the rest


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, UUID) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Earn(Request):
    points: int
    origin: Origin = Origin.GOODWILL
    rule: str | None = None
    priority: int = PRIORITY
    available_time: datetime | None = None  # None is at once
    expire_time: datetime | None = None  # None is as `term` says
    term: Term | None = None  # None is never
    default_term: bool = False  # whether the programme's term is meant where neither is said
    desired: int | None = None  # what was asked for, where a cap or a budget left less
    refusal: Refusal | None = None  # why the rules refuse it: written down, as the ledger's own refusals are

    def asked(self) -> dict[str, Any]:
        return Request.asked(self) | ({} if self.desired is None else {"points": self.desired})


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking(Request):
    """What may spend that many of the open points, and so needs lots in burn order."""

    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeem(Taking):
    kind: Kind = Kind.REDEEM


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceHold(Taking):
    lasts: timedelta
    kind: Kind = Kind.HOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(Request):
    hold: UUID
    points: int
    final: bool = False
    kind: Kind = Kind.CAPTURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Request):
    hold: UUID
    kind: Kind = Kind.RELEASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund(Request):
    operation: UUID
    points: int
    grace: timedelta | None = None  # how long what expired meanwhile lives on; None: as `default_grace` says
    default_grace: timedelta | None = None  # None: it expires
    kind: Kind = Kind.REFUND


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverse(Taking):
    operation: UUID
    policy: Policy
    kind: Kind = Kind.REVERSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjust(Taking):
    """By so many points; negative ones are taken away."""

    reason: str | None = None  # a salted hash of it, in hex: the words are kept elsewhere, and may be forgotten
    kind: Kind = Kind.ADJUST


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Taking):
    to: UUID | Whose
    kind: Kind = Kind.TRANSFER_OUT

    def asked(self) -> dict[str, Any]:
        said = Request.asked(self)
        return said | {"destination": str(self.to)} if isinstance(self.to, UUID) else said


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(Request):
    """Have what is left of an earning wait, until it is thawed."""

    operation: UUID
    kind: Kind = Kind.DISPUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Thaw(Request):
    """Have what waits of an earning wait until that time only, or no more."""

    operation: UUID
    available_time: datetime
    kind: Kind = Kind.ACTIVATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(Request):
    """Bring an account to nothing: holds are released, what is there is forfeited, what is owed written off."""

    kind: Kind = Kind.FORFEIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Catch(Request):
    """Do what is due by the clock, and no more."""

    kind: Kind = Kind.EXPIRE
