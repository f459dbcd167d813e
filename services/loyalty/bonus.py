"""The newsletter's bonus: once for each account, and once for each mailbox, which is remembered by a keyed mark alone.

A mark is HMAC-SHA256 over campaign and address. Without the key nobody can tell whose it is, or try addresses on it; it
names no account, so that it outlives an erasure and says nothing about who was erased. See docs/decisions/0132.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.loyalty import points, programme, rewards, velocity
from services.loyalty.keys import Keys, marks
from services.loyalty.ledger.movements import has, operation_of
from services.loyalty.ledger.post import book_one
from services.loyalty.ledger.requests import SOMEDAY, Earn, Policy, Request, Reverse, Thaw
from services.loyalty.models import Action, Bonus, BonusMark, Kind, Lot, Member, Origin, Subscription, Verdict
from services.loyalty.rules import Rules

CAMPAIGN, DECIDED = "shop-eu/newsletter-500/v1", "newsletter/decided"


@dataclass(frozen=True)
class Outcome:
    bonus: Bonus
    points: int = 0


async def grant(
    session: AsyncSession, *, user: UUID, email: str, keys: Keys, effective: datetime, now: datetime
) -> Outcome:
    """Give the bonus to a user whose address this is, unless it was given before: to them, or to the mailbox."""
    rules = await programme.in_force(session, effective)
    if rules.newsletter_bonus == 0:
        return Outcome(Bonus.BONUS_UNSPECIFIED)
    held = await points.hold(session, user, now=now)
    if held is None:
        return Outcome(Bonus.BONUS_UNSPECIFIED)  # erased while we worked: there is nobody to give it to
    key = str(held.account_id)
    ends = (await rewards.latest(session)).mark_ends(month_of(now))
    if await has(session, CAMPAIGN, key) or not await remember(session, email, keys, ends=ends, now=now):
        return Outcome(Bonus.ALREADY_GRANTED)
    subject = velocity.Subject(Action.BONUS, account=held.account_id, member=user, email=email)
    verdict = await velocity.judge(session, subject, keys, now=now)
    if verdict is Verdict.DENY:
        await forget(session, email, keys)
        return Outcome(Bonus.DENIED)
    waits = verdict is Verdict.HOLD
    earning = Earn(
        account=held.account_id,
        scope=CAMPAIGN,
        key=key,
        effective=effective,
        kind=Kind.NEWSLETTER_BONUS,
        points=rules.newsletter_bonus,
        origin=Origin.PROMOTION,
        term=Rules.of(rules).newsletter_term,
        programme_version=rules.version,
        available_time=SOMEDAY if waits else None,
    )
    await book_one(session, earning, now=now)
    return Outcome(Bonus.IN_REVIEW) if waits else Outcome(Bonus.GRANTED, rules.newsletter_bonus)


async def decided(session: AsyncSession, account: UUID, is_approved: bool, *, now: datetime) -> None:
    """Let a bonus go that waited for somebody to look at it, or take it back."""
    operation = await operation_of(session, CAMPAIGN, str(account))
    worth = (await session.scalars(select(Lot.amount).where(Lot.id == operation))).one()
    done: Request
    if is_approved:
        done = Thaw(account=account, scope=DECIDED, key=str(account), operation=operation, available_time=now)
    else:
        done = Reverse(
            account=account, scope=DECIDED, key=str(account), operation=operation, points=worth, policy=Policy.UNLIMITED
        )  # fmt: skip
    await book_one(session, done, now=now)
    theirs = select(Member.user_id).where(Member.account_id == account)
    waiting = update(Subscription).where(
        Subscription.user_id.in_(theirs), Subscription.bonus.in_((Bonus.IN_REVIEW, Bonus.ALREADY_GRANTED))
    )
    told = (Bonus.GRANTED, worth) if is_approved else (Bonus.DENIED, 0)
    await session.execute(waiting.values(bonus=told[0], bonus_points=told[1]))


async def remember(
    session: AsyncSession, email: str, keys: Keys, *, ends: datetime, now: datetime, campaign: str = CAMPAIGN
) -> bool:
    """Mark an address until then; False when it, or another address of its mailbox, is marked already."""
    if await is_remembered(session, email, keys, campaign=campaign):
        return False
    newest = max(keys.versions)
    rows = [
        {
            "campaign": campaign,
            "key_version": newest,
            "form": form,
            "mac": mac,
            "create_time": month_of(now),
            "delete_time": ends,
        }
        for form, mac in marks(keys.versions[newest], campaign, email).items()
    ]
    # Two at once for one mailbox: the second waits here for the first, and finds its marks.
    marked = await session.scalars(
        insert(BonusMark).values(rows).on_conflict_do_nothing().returning(BonusMark.form)
    )  # fmt: skip
    return len(marked.all()) == len(rows)


async def is_remembered(session: AsyncSession, email: str, keys: Keys, *, campaign: str = CAMPAIGN) -> bool:
    return await session.scalar(select(BonusMark.form).where(marked(email, keys, campaign)).limit(1)) is not None


async def forget(session: AsyncSession, email: str, keys: Keys, *, campaign: str = CAMPAIGN) -> None:
    """Take the marks of an address back, where nothing was given for it."""
    await session.execute(delete(BonusMark).where(marked(email, keys, campaign)))


def marked(email: str, keys: Keys, campaign: str) -> ColumnElement[bool]:
    wanted = [
        (campaign, version, form, mac)
        for version, key in keys.versions.items()
        for form, mac in marks(key, campaign, email).items()
    ]
    return tuple_(BonusMark.campaign, BonusMark.key_version, BonusMark.form, BonusMark.mac).in_(wanted)


async def forget_ended(session: AsyncSession, now: datetime) -> int:
    """Delete the marks whose time is over; from then on the bonus can be earned again."""
    gone = await session.scalars(delete(BonusMark).where(BonusMark.delete_time <= now).returning(BonusMark.form))
    return len(gone.all())


def month_of(now: datetime) -> datetime:
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
