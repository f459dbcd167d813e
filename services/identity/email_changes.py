"""Changes of address: asked for by who has just signed in, made when both mailboxes say yes.

Who stole a session has neither mailbox, and who stole the present mailbox would have to show themself at another. The
answer does not tell whether the new address is somebody's: its owner is told, and nothing is changed.
"""

from datetime import datetime, timedelta
from uuid import UUID

from rapport.identity.v1.identity_pb2 import ConfirmEmailChangeResponse
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.database import Sessions
from chassis.jobs import job
from chassis.refusal import QuotaExceeded
from services.identity import addresses, mails, opaque, registrations, users
from services.identity.models import EmailChange, Recovery, State, User
from services.identity.refusals import EmailTaken
from services.identity.registrations import link_invalid
from services.identity.social import links

LINK_LASTS = timedelta(hours=24)
MOST_AN_HOUR = 5
BATCH = 1_000
HALF, WHOLE = ConfirmEmailChangeResponse.HALF_CONFIRMED, ConfirmEmailChangeResponse.CHANGED


async def begin(session: AsyncSession, id: UUID, *, email: str, public_url: str, now: datetime) -> None:
    """Mail both sides their links. Whatever was asked for before is over."""
    address = addresses.exact(email)
    user = await users.hold_active(session, id)
    if address == user.email:
        return
    change = await session.get(EmailChange, id)
    if change is None:
        change = EmailChange(user_id=id, asked=0, since=now)
        session.add(change)
    if now - change.since >= timedelta(hours=1):
        change.asked, change.since = 0, now
    if change.asked >= MOST_AN_HOUR:
        wait = change.since + timedelta(hours=1) - now
        raise QuotaExceeded("That was asked for too often.", retry_after=wait, quota="changes of address an hour")
    (present, change.present_hash), (new, change.new_hash) = opaque.make(), opaque.make()
    change.email, change.asked, change.expire_time = address, change.asked + 1, now + LINK_LASTS
    change.present_time = change.new_time = None
    await session.flush()
    await mails.leave_address(session, to=user.email, person=id, token=present, public_url=public_url)
    owner = await session.scalar(select(User.id).where(User.email == address))
    if owner is None:
        await mails.take_address(session, to=address, person=id, token=new, public_url=public_url)
    else:
        await mails.address_wanted(session, to=address, person=owner)


async def confirm(session: AsyncSession, token: str, *, now: datetime) -> "ConfirmEmailChangeResponse.State.ValueType":
    """Take one side's word, and make the change when it is the second. Said again, it is as it was."""
    user = await users.hold_active(session, (await of(session, token, now=now)).user_id)
    change = await of(session, token, now=now)  # as it is after whoever held the user before
    if change.present_hash == opaque.hash_of(token):
        change.present_time = change.present_time or now
    else:
        change.new_time = change.new_time or now
    if change.present_time is None or change.new_time is None:
        return HALF
    before = await make(session, user, change.email, now=now)
    await mails.address_changed(session, to=before, person=user.id)
    return WHOLE


async def make(session: AsyncSession, user: User, address: str, *, now: datetime) -> str:
    """Have a user, who is held, be reached at another address, or refuse because it is somebody's. Returns the one
    before."""
    await addresses.take_turns(session, address)
    if await session.scalar(select(User.id).where(User.email == address)) is not None:
        raise EmailTaken("That address already belongs to a user.")
    before, user.email = user.email, address
    users.note_contact(user, ["email"], now)
    await users.state_update(session, user, ["email"], now)
    await registrations.forget(session, user.email)
    await links.doubt(session, user.id)
    await session.execute(delete(Recovery).where(Recovery.user_id == user.id))  # they were mailed to the old address
    await session.execute(delete(EmailChange).where(EmailChange.user_id == user.id))
    return before


async def of(session: AsyncSession, token: str, *, now: datetime) -> EmailChange:
    """The change that a link belongs to, or refuse because there is none."""
    said = opaque.hash_of(token)
    mine = (EmailChange.present_hash == said) | (EmailChange.new_hash == said)
    query = select(EmailChange).join(User, User.id == EmailChange.user_id).where(User.state == State.ACTIVE, mine)
    found = await session.scalar(query.where(EmailChange.expire_time > now).execution_options(populate_existing=True))
    if found is None:
        raise link_invalid()
    return found


@job(every=timedelta(minutes=10))
async def forget_email_changes(sessions: Sessions, now: datetime) -> int:
    """What was not confirmed in time is over, and the address that was wanted goes."""
    async with sessions.begin() as session:
        over = select(EmailChange.user_id).where(EmailChange.expire_time <= now).limit(BATCH)
        gone = delete(EmailChange).where(EmailChange.user_id.in_(over)).returning(EmailChange.user_id)
        return len((await session.execute(gone)).all())
