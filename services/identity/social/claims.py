"""Claims: somebody is proven to a provider, and has to prove one thing more to us, in the same browser, within an hour.

Either the address that their account is to have (a link is mailed to it), or that the account which has it is theirs
(its password). A mailed link alone does nothing: who is made to open one that somebody else asked for has not the
cookie of the browser that began, and so never gets an account that somebody else can enter, too.
"""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from chassis.database import Sessions
from chassis.jobs import job
from chassis.refusal import QuotaExceeded
from services.identity import addresses, opaque
from services.identity.models import ClaimKind, Photo, SocialClaim, User
from services.identity.refusals import SocialClaimInvalid
from services.identity.registrations import MAILS_AN_HOUR, link_invalid
from services.identity.social import notices
from services.identity.social.asking import Person
from services.identity.social.providers import Provider

LASTS = timedelta(hours=1)
MOST_GUESSES = 10  # of a password
BATCH = 1_000


async def make(
    session: AsyncSession, person: Person, kind: ClaimKind, *, photo: Photo | None, user: UUID | None, now: datetime
) -> str:
    """Keep who is proven, and return the secret that their browser comes back with."""
    secret, secret_hash = opaque.make()
    claim = SocialClaim(
        claim_hash=secret_hash,
        kind=kind,
        user_id=user or uuid4(),
        provider=person.provider.name,
        issuer=person.issuer,
        sub=person.sub,
        account_name=person.account_name,
        email=person.email if kind is ClaimKind.PASSWORD else None,
        photo=photo.content if photo else None,
        photo_type=photo.content_type if photo else None,
        expire_time=now + LASTS,
    )
    session.add(claim)
    await session.flush()
    return secret


async def give_address(
    session: AsyncSession, secret: str, *, email: str, titles: dict[str, str], public_url: str, now: datetime
) -> None:
    """Mail a link to the address that the account is to have; to its owner, where it is somebody's, a notice."""
    address = addresses.exact(email)
    await addresses.take_turns(session, address)
    claim = await held(session, secret, ClaimKind.ADDRESS, now=now)
    if claim.tries >= MAILS_AN_HOUR:
        raise QuotaExceeded("That was asked for too often.", retry_after=LASTS, quota="mails to one person an hour")
    waiting = (SocialClaim.email == address, SocialClaim.kind == ClaimKind.ADDRESS, SocialClaim.expire_time > now)
    mailed = await session.scalar(select(func.sum(SocialClaim.tries)).where(*waiting)) or 0
    token, token_hash = opaque.make()
    claim.email, claim.token_hash, claim.tries = address, None, claim.tries + 1
    await session.flush()
    if mailed >= MAILS_AN_HOUR:  # nobody's mailbox is filled by asking for it here
        return
    owner, title = await session.scalar(select(User.id).where(User.email == address)), titles[claim.provider]
    if owner is not None:
        await notices.address_known(session, to=address, person=owner, title=title, public_url=public_url)
        return
    claim.token_hash = token_hash
    await notices.address_link(
        session, to=address, person=claim.user_id, title=title, token=token, public_url=public_url
    )


async def confirmed(session: AsyncSession, secret: str, token: str, *, now: datetime) -> SocialClaim:
    """The claim whose address is proven by this link, which is ended by it. Of two at once, one finds it used."""
    claim = await held(session, secret, ClaimKind.ADDRESS, now=now)
    if claim.token_hash is None or claim.token_hash != opaque.hash_of(token):
        raise link_invalid()
    await session.delete(claim)
    await session.flush()
    return claim


async def count_guess(session: AsyncSession, secret: str, *, now: datetime) -> UUID:
    """Whose password is about to be guessed; counted before it is compared, so that many at once are no way around."""
    mine = SocialClaim.claim_hash == opaque.hash_of(secret), SocialClaim.kind == ClaimKind.PASSWORD
    good = SocialClaim.expire_time > now, SocialClaim.tries < MOST_GUESSES
    counted = update(SocialClaim).where(*mine, *good).values(tries=SocialClaim.tries + 1).returning(SocialClaim.user_id)
    user: UUID | None = await session.scalar(counted)
    if user is None:
        raise claim_invalid()
    return user


async def proven(session: AsyncSession, secret: str, *, now: datetime) -> SocialClaim:
    """The claim whose account's password was just proven, which is ended by it."""
    claim = await held(session, secret, ClaimKind.PASSWORD, now=now)
    await session.delete(claim)
    await session.flush()
    return claim


async def held(session: AsyncSession, secret: str, kind: ClaimKind, *, now: datetime) -> SocialClaim:
    """The claim of a browser, which nobody else takes until this transaction ends; or refuse because there is none."""
    mine = select(SocialClaim).where(SocialClaim.claim_hash == opaque.hash_of(secret), SocialClaim.kind == kind)
    locked = mine.with_for_update().options(undefer(SocialClaim.photo)).execution_options(populate_existing=True)
    claim = await session.scalar(locked.where(SocialClaim.expire_time > now))
    if claim is None:
        raise claim_invalid()
    return claim


def person_of(claim: SocialClaim, provider: Provider) -> Person:
    return Person(provider=provider, sub=claim.sub, account_name=claim.account_name, email=claim.email or "")


def photo_of(claim: SocialClaim) -> Photo | None:
    return Photo(content=claim.photo, content_type=claim.photo_type) if claim.photo is not None else None


async def forget(session: AsyncSession, address: str) -> None:
    """Delete every claim to an address that has an owner now, or is to be forgotten."""
    await session.execute(delete(SocialClaim).where(SocialClaim.email == address))


def claim_invalid() -> SocialClaimInvalid:
    return SocialClaimInvalid("This took too long, or began in another browser. Begin again.")


@job(every=timedelta(minutes=10))
async def forget_social_claims(sessions: Sessions, now: datetime) -> int:
    """Who did not prove the one thing more in time goes, with all that the provider said of them."""
    async with sessions.begin() as session:
        over = select(SocialClaim.claim_hash).where(SocialClaim.expire_time <= now).limit(BATCH)
        gone = delete(SocialClaim).where(SocialClaim.claim_hash.in_(over)).returning(SocialClaim.user_id)
        return len((await session.execute(gone)).all())
