"""What becomes of somebody whom a provider has proven: a sign-in, an account, a link, or a claim to one.

An address never says who somebody is. A new account gets it only where it is proven: by the provider, if that is the
mailbox itself, or by a mailed link. Every account of ours has a proven address from its beginning, so there is none
that somebody prepared for its later owner (pre-hijacking); a registration that was begun with the address ends.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.identity import addresses, registrations, sign_ins, users
from services.identity.models import ClaimKind, ExternalIdentity, Photo, Session, SocialClaim, State, User
from services.identity.refusals import UserDeleting, UserDisabled
from services.identity.sign_ins import Waiting
from services.identity.social import claims, links, notices
from services.identity.social.asking import Person
from services.identity.social.providers import Provider


@dataclass(frozen=True)
class SignedIn:
    """A session and its secret, or what is missing before there is one."""

    come_to: tuple[Session, str] | Waiting
    is_new: bool = False


@dataclass(frozen=True)
class Waits:
    """One thing more is to be proven."""

    kind: ClaimKind
    secret: str


async def arrive(
    session: AsyncSession, person: Person, *, photo: Photo | None, device: str, now: datetime
) -> SignedIn | Waits:
    """Sign in who is known, make an account where the address is proven, and let others prove one thing more."""
    known = await links.find(session, person.issuer, person.sub)
    if known is not None:
        return await come_back(session, known, device=device, now=now)
    if not person.email_is_proven:
        return Waits(ClaimKind.ADDRESS, await waiting(session, person, ClaimKind.ADDRESS, photo, None, now))
    await addresses.take_turns(session, person.email)
    known = await links.find(session, person.issuer, person.sub)  # as it is after whoever had the turn before
    if known is not None:
        return await come_back(session, known, device=device, now=now)
    owner = (await session.execute(select(User.id, User.state).where(User.email == person.email))).one_or_none()
    if owner is None:
        return await sign_up(session, person, id=uuid4(), photo=photo, device=device, now=now)
    if owner.state is State.DELETING:
        raise deleting()
    if owner.state is State.DISABLED:
        raise UserDisabled("The account with this address is switched off.")
    return Waits(ClaimKind.PASSWORD, await waiting(session, person, ClaimKind.PASSWORD, photo, owner.id, now))


async def waiting(
    session: AsyncSession, person: Person, kind: ClaimKind, photo: Photo | None, user: UUID | None, now: datetime
) -> str:
    return await claims.make(session, person, kind, photo=photo, user=user, now=now)


async def come_back(session: AsyncSession, known: ExternalIdentity, *, device: str, now: datetime) -> SignedIn:
    """Sign in who came this way before."""
    user = await users.hold_active(session, known.user_id)
    present = await links.find(session, known.issuer, known.sub)  # as it is after whoever held the user before
    if present is None or present.user_id != user.id:
        raise claims.claim_invalid()
    present.last_use_time = now
    return SignedIn(await sign_ins.by_provider(session, user.id, device=device, now=now))


async def sign_up(
    session: AsyncSession, person: Person, *, id: UUID, photo: Photo | None, device: str, now: datetime
) -> SignedIn:
    """Make an account without a password, with a name and a photo from there. Its address is proven."""
    profile = {"display_name": person.account_name}
    user = await users.create(session, id=id, email=person.email, password_hash=None, profile=profile, now=now)
    user.photo = photo
    await links.link(session, user, person, is_proven=True, now=now)
    await registrations.forget(session, user.email)
    await claims.forget(session, user.email)
    return SignedIn(await sign_ins.by_provider(session, user.id, device=device, now=now), is_new=True)


async def sign_up_by_claim(
    session: AsyncSession, claim: SocialClaim, provider: Provider, *, device: str, now: datetime
) -> SignedIn:
    """Make the account of a claim whose address is proven by now."""
    person, photo = claims.person_of(claim, provider), claims.photo_of(claim)
    return await sign_up(session, person, id=claim.user_id, photo=photo, device=device, now=now)


async def link(
    session: AsyncSession, user_id: UUID, person: Person, *, is_proven: bool, public_url: str, now: datetime
) -> ExternalIdentity:
    """Link for a user who has proven themself, and tell them. Linked already, nothing happens."""
    user = await users.hold_active(session, user_id)
    proven = is_proven or (person.email_is_proven and person.email == user.email)
    known = await links.find(session, person.issuer, person.sub)
    if known is not None and known.user_id == user.id:
        return known
    found = await links.link(session, user, person, is_proven=proven, now=now)
    title = person.provider.title
    await notices.linked(session, to=user.email, person=user.id, title=title, public_url=public_url)
    return found


def deleting() -> UserDeleting:
    return UserDeleting("An account with this address is being deleted. When that is done, you can begin again.")
