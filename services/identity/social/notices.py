"""What identity writes to people about their accounts elsewhere."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.identity import mails


async def linked(session: AsyncSession, *, to: str, person: UUID, title: str, public_url: str) -> None:
    """What the owner gets to know of it, in case it was somebody else."""
    paragraphs = [
        f"You can sign in to your account with {title} now.",
        "If it was not you, somebody else can: choose another password, which ends what you did not link yourself.",
        f"{public_url}/forgot",
    ]
    subject = f"{title} is linked to your account"
    await mails.send(session, to, person, template="external_identity_linked", subject=subject, paragraphs=paragraphs)


async def unlinked(session: AsyncSession, *, to: str, person: UUID, title: str, public_url: str) -> None:
    paragraphs = [
        f"You cannot sign in to your account with {title} any more.",
        "If it was not you, choose another password at once:",
        f"{public_url}/forgot",
    ]
    subject = f"{title} is no longer linked to your account"
    await mails.send(session, to, person, template="external_identity_unlinked", subject=subject, paragraphs=paragraphs)


async def address_link(
    session: AsyncSession, *, to: str, person: UUID, title: str, token: str, public_url: str
) -> None:
    """The link that proves the address an account is to have."""
    paragraphs = [
        f"One more step: open this link in the browser in which you began with {title}, and your account is ready.",
        f"{public_url}/social/confirm#token={token}",
        "The link works once, for an hour. If you did not begin it, ignore this mail: nothing happens without you.",
    ]
    subject = "Finish creating your account"
    await mails.send(session, to, person, template="social_address_link", subject=subject, paragraphs=paragraphs)


async def address_known(session: AsyncSession, *, to: str, person: UUID, title: str, public_url: str) -> None:
    """What the owner of an account gets instead."""
    paragraphs = [
        f"Somebody, probably you, wanted to sign in with {title} and this address.",
        f"You already have an account: sign in to it, and link {title} there.",
        f"{public_url}/#account",
        "If it was not you, there is nothing to do: nobody has got in, and your account has not changed.",
    ]
    subject = "About your account"
    await mails.send(session, to, person, template="social_address_known", subject=subject, paragraphs=paragraphs)
