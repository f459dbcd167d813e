"""The newsletter: asked for, confirmed by mail, ended by one click.

A link that waits is an `opt_in`; the subscription itself is made, or renewed, by its confirmation alone. So nobody can
subscribe, disturb or end the subscription of somebody else's address by asking for one.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from rapport.loyalty.v1.events_pb2 import SubscriptionConfirmed, SubscriptionEnded
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.mail import mail
from chassis.outbox import publish
from chassis.time import timestamp
from services.loyalty import addresses, bonus, mails, rewards
from services.loyalty.keys import Keys
from services.loyalty.models import Bonus, OptIn, State, Subscription
from services.loyalty.refusals import LinkInvalid, SubscriptionNotFound

LINK_LASTS = timedelta(hours=48)
MAILS_A_DAY = 5  # to one address: nobody's mailbox is filled by asking for it here


async def begin(session: AsyncSession, *, email: str, user: UUID | None, public_url: str, now: datetime) -> None:
    """Mail a link that confirms. `user` is who asks, where the address is known to be theirs; else it is a guest's."""
    address = addresses.exact(email)
    # One at a time for an address, or a hundred requests at once would each see that no mail was sent yet.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(address, 0))))
    lately = select(func.count()).where(OptIn.email == address, OptIn.create_time > now - timedelta(days=1))
    if (await session.scalar(lately) or 0) >= MAILS_A_DAY:
        return
    token = secrets.token_urlsafe(24)
    end_token = await end_token_of(session, address) or secrets.token_urlsafe(24)
    opt_in = OptIn(
        token_hash=hash_of(token),
        user_id=user,
        email=address,
        end_token=end_token,
        create_time=now,
        expire_time=now + LINK_LASTS,
    )
    session.add(opt_in)
    await session.flush()
    await mails.confirm(session, opt_in, token, public_url=public_url)


async def confirm(session: AsyncSession, *, token: str, keys: Keys, now: datetime) -> Subscription:
    """Subscribe the address that a link was mailed to. A second click finds the same; an ended link is refused."""
    opt_in = await session.get(OptIn, hash_of(token), with_for_update=True)
    if opt_in is None or opt_in.expire_time <= now:
        raise LinkInvalid("This link has ended or was never ours. Please subscribe again.")
    if opt_in.confirm_time is not None:
        return await of_address(session, opt_in.email)
    opt_in.confirm_time = now
    fresh = insert(Subscription).values(
        user_id=opt_in.user_id, email=opt_in.email, end_token=opt_in.end_token, state=State.CONFIRMED,
        bonus=Bonus.BONUS_UNSPECIFIED, confirm_time=now,
    )  # fmt: skip
    made = await session.scalar(fresh.on_conflict_do_nothing().returning(Subscription.id))
    subscription = await of_address(session, opt_in.email)
    renewed = made is None and subscription.state is State.ENDED
    if renewed:
        subscription.state, subscription.confirm_time = State.CONFIRMED, now
    found_owner = subscription.user_id is None and opt_in.user_id is not None
    subscription.user_id = opt_in.user_id or subscription.user_id
    await give_bonus(session, subscription, keys, effective=now, now=now)
    if made or renewed or found_owner:
        await state_confirmed(session, subscription, now)
    return subscription


async def give_bonus(
    session: AsyncSession, subscription: Subscription, keys: Keys, *, effective: datetime, now: datetime
) -> None:
    """Give what the subscription earns; a guest's waits until they register."""
    if subscription.user_id is not None:
        outcome = await bonus.grant(
            session, user=subscription.user_id, email=subscription.email, keys=keys, effective=effective, now=now
        )
    elif subscription.claim_end_time is not None and now < subscription.claim_end_time:
        return  # asking again does not lengthen the wait
    elif await bonus.is_remembered(session, subscription.email, keys):
        outcome = bonus.Outcome(Bonus.ALREADY_GRANTED)
    else:
        outcome = bonus.Outcome(Bonus.CLAIM_WAITING)
    waits = outcome.bonus is Bonus.CLAIM_WAITING
    window = timedelta(days=(await rewards.latest(session)).guest_days)
    subscription.bonus, subscription.bonus_points = outcome.bonus, outcome.points
    subscription.claim_end_time = now + window if waits else None


async def claim(
    session: AsyncSession, *, user: UUID, email: str, registered: datetime, keys: Keys, now: datetime
) -> None:
    """Who registers owns what was begun as a guest with the same address, and gets the bonus if it still waits."""
    address = addresses.exact(email)
    # Links first: a confirmation under way holds its link, and is awaited here.
    await session.execute(
        update(OptIn).where(OptIn.email == address, OptIn.user_id.is_(None)).values(user_id=user)
    )  # fmt: skip
    subscription = await session.scalar(
        select(Subscription).where(Subscription.email == address, Subscription.user_id.is_(None)).with_for_update()
    )
    if subscription is None:
        return
    subscription.user_id = user
    end, subscription.claim_end_time = subscription.claim_end_time, None
    if end is not None:
        subscription.bonus = Bonus.BONUS_UNSPECIFIED
        if registered < end:
            await give_bonus(session, subscription, keys, effective=registered, now=now)
    await state_confirmed(session, subscription, now)


async def end(session: AsyncSession, *, token: str, now: datetime) -> None:
    """End what the token ends. One that is unknown ends nothing: who was erased is subscribed to nothing, too."""
    await session.execute(delete(OptIn).where(OptIn.end_token == token))
    subscription = await session.scalar(select(Subscription).where(Subscription.end_token == token).with_for_update())
    if subscription is None or subscription.state is State.ENDED:
        return
    if subscription.user_id is None:
        await session.delete(subscription)  # there is nobody to show it to, and no reason left to keep the address
        return
    subscription.state = State.ENDED
    name = f"users/{subscription.user_id}"
    await publish(
        session, SubscriptionEnded(user=name, subscription=f"{name}/subscription", event_time=timestamp(now))
    )  # fmt: skip


@dataclass(frozen=True)
class Requested:
    """No subscription yet: a mail waits to be confirmed."""


async def of_user(session: AsyncSession, user: UUID, *, now: datetime) -> Subscription | Requested:
    """A user's subscription, or refuse because they never asked for one."""
    newest = (
        select(Subscription).where(Subscription.user_id == user).order_by(Subscription.confirm_time.desc()).limit(1)
    )
    if subscription := await session.scalar(newest):
        return subscription
    waiting = select(OptIn.token_hash).where(OptIn.user_id == user, OptIn.expire_time > now).limit(1)
    if await session.scalar(waiting) is None:
        raise SubscriptionNotFound("There is no subscription.", user=f"users/{user}")
    return Requested()


async def of_address(session: AsyncSession, address: str) -> Subscription:
    subscription = await session.scalar(select(Subscription).where(Subscription.email == address).with_for_update())
    if subscription is None:
        raise LinkInvalid("This subscription was ended since. Please subscribe again.")
    return subscription


async def end_token_of(session: AsyncSession, address: str) -> str | None:
    """One for each address, so that whichever mail is at hand ends the same subscription."""
    token: str | None = await session.scalar(
        select(Subscription.end_token)
        .where(Subscription.email == address)
        .union_all(select(OptIn.end_token).where(OptIn.email == address))
        .limit(1)
    )
    return token


async def forget_guest(session: AsyncSession, email: str) -> None:
    """Delete what somebody began as a guest with an address. It bears no user id, so erasure can not find it."""
    address = addresses.exact(email)
    await session.execute(delete(OptIn).where(OptIn.email == address, OptIn.user_id.is_(None)))
    await session.execute(delete(Subscription).where(Subscription.email == address, Subscription.user_id.is_(None)))
    await session.execute(delete(mail).where(mail.c.recipient == address))


async def forget_links(session: AsyncSession, now: datetime) -> int:
    """Delete the links that have ended, clicked or not."""
    gone = await session.scalars(delete(OptIn).where(OptIn.expire_time <= now).returning(OptIn.create_time))
    return len(gone.all())


async def state_confirmed(session: AsyncSession, subscription: Subscription, now: datetime) -> None:
    if subscription.user_id is None:
        return  # a guest is nobody whom an event could name
    name = f"users/{subscription.user_id}"
    await publish(
        session, SubscriptionConfirmed(user=name, subscription=f"{name}/subscription", event_time=timestamp(now))
    )  # fmt: skip


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
