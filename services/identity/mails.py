"""What identity writes to people."""

from datetime import datetime
from html import escape
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import mail
from services.identity.models import State

WELCOME = "Welcome! One more step: open this link, choose a password, and your account is ready."
NO_ACCOUNT = (
    "Somebody, probably you, wanted another password for this address, which has no account here. "
    "You may have one by another address. Or open this link to create one."
)


async def registration_link(
    session: AsyncSession, *, to: str, person: UUID, token: str, public_url: str, why: str
) -> None:
    """The link that makes an account."""
    # Behind a #, so that no browser sends the token to a server, where it would be logged.
    link = f"{public_url}/register#token={token}"
    await send(
        session,
        to,
        person,
        template="registration_link",
        subject="Finish creating your account",
        paragraphs=[
            why,
            link,
            "The link works once, for 24 hours. If you did not ask for it, ignore this mail and nothing happens.",
        ],
    )


async def already_registered(
    session: AsyncSession, *, to: str, person: UUID, state: State, purge_time: datetime | None, public_url: str
) -> None:
    """What the owner of an account gets instead of a link."""
    if state is State.DELETING:
        paragraphs = [
            "Somebody, probably you, asked to create an account with this address.",
            "Your earlier account is still being deleted. When that is done, you can register again.",
        ]
    elif state is State.DISABLED:
        paragraphs = [
            "Somebody, probably you, wanted an account, or another password, for this address.",
            "It has an account, which is switched off. Ask who manages the accounts where you work.",
        ]
    elif purge_time is not None:
        paragraphs = [
            "Somebody, probably you, asked to create an account with this address. You already have one.",
            f"It is to be deleted on {day(purge_time)}. To keep it, sign in here and choose: Keep my account.",
            f"{public_url}/#account",
        ]
    else:
        paragraphs = [
            "Somebody, probably you, asked to create an account with this address. You already have one: sign in here.",
            f"{public_url}/#account",
            "If it was not you, there is nothing to do: nobody has got in, and your account has not changed.",
        ]
    subject = "About your account"
    await send(session, to, person, template="already_registered", subject=subject, paragraphs=paragraphs)


async def recovery_link(session: AsyncSession, *, to: str, person: UUID, token: str, public_url: str) -> None:
    """The link by which the owner of an account chooses another password."""
    await send(
        session,
        to,
        person,
        template="recovery_link",
        subject="Choose another password",
        paragraphs=[
            "Somebody, probably you, forgot the password of your account. Open this link to choose another one.",
            f"{public_url}/recover#token={token}",
            "The link works once, for 10 minutes. If it was not you, ignore this mail: your password still holds.",
        ],
    )


async def account_made(session: AsyncSession, *, to: str, person: UUID, token: str, public_url: str) -> None:
    """The link by which somebody chooses a password whose account others made: who employs them."""
    await send(
        session,
        to,
        person,
        template="account_made",
        subject="Your account at the store",
        paragraphs=[
            "An account was made for you, because you work for the store. Open this link to choose a password.",
            f"{public_url}/recover#token={token}",
            "The link works once, for 24 hours. After that, ask for another one here:",
            f"{public_url}/forgot",
        ],
    )


async def password_changed(session: AsyncSession, *, to: str, person: UUID, public_url: str) -> None:
    """What the owner of an account gets to know of it, in case it was somebody else."""
    await send(
        session,
        to,
        person,
        template="password_changed",
        subject="Your password was changed",
        paragraphs=[
            "The password of your account was changed, and you are signed out everywhere else.",
            "If it was not you, choose another one at once:",
            f"{public_url}/forgot",
        ],
    )


async def impersonation_begun(session: AsyncSession, *, to: str, person: UUID, public_url: str) -> None:
    """What a customer gets to know when one of the store's people looks at their account."""
    await send(
        session,
        to,
        person,
        template="impersonation_begun",
        subject="Somebody of the store looks at your account",
        paragraphs=[
            "One of our people is looking at your account, for five minutes at most.",
            "They see your profile, orders, messages and points as you do, and can change nothing.",
            "Who it was to the store, when, and why is in your account, where you can end it:",
            f"{public_url}/#account",
            "If you do not know why, ask us.",
        ],
    )


async def leave_address(session: AsyncSession, *, to: str, person: UUID, token: str, public_url: str) -> None:
    """The link by which who reads at the present address lets the account go to another."""
    await send(
        session,
        to,
        person,
        template="leave_address",
        subject="Is your address to change?",
        paragraphs=[
            "Somebody who is signed in to your account, probably you, wants it to have another mail address.",
            "Open this link to allow it, and the one we sent to the other address:",
            f"{public_url}/confirm-email#token={token}",
            "The link works for 24 hours. If it was not you, do not open it, and choose another password at once:",
            f"{public_url}/forgot",
        ],
    )


async def take_address(session: AsyncSession, *, to: str, person: UUID, token: str, public_url: str) -> None:
    """The link by which who reads at the new address takes the account."""
    await send(
        session,
        to,
        person,
        template="take_address",
        subject="Confirm your new address",
        paragraphs=[
            "Somebody, probably you, wants their account to have this mail address.",
            "Open this link to confirm it, and the one we sent to the address you had:",
            f"{public_url}/confirm-email#token={token}",
            "The link works for 24 hours. If you did not ask for it, ignore this mail and nothing happens.",
        ],
    )


async def address_wanted(session: AsyncSession, *, to: str, person: UUID) -> None:
    """What the owner of an account gets when another one is to have its address."""
    text = (
        "Somebody, probably you, wanted another account to have this address. It is yours already, so nothing changes."
    )
    await send(session, to, person, template="address_wanted", subject="About your account", paragraphs=[text])


async def address_changed(session: AsyncSession, *, to: str, person: UUID) -> None:
    """The last that the old address hears of the account."""
    text = "Your account has another mail address now, as both confirmed. This one is no longer used to sign in."
    await send(session, to, person, template="address_changed", subject="Your address was changed", paragraphs=[text])


async def address_managed(session: AsyncSession, *, to: str, person: UUID) -> None:
    """Likewise, where those changed it who employ them."""
    text = "Where you work, your account was given another mail address. This one is no longer used to sign in."
    await send(session, to, person, template="address_managed", subject="Your address was changed", paragraphs=[text])


async def factor_added(session: AsyncSession, *, to: str, person: UUID, public_url: str) -> None:
    """What the owner of an account gets to know of it, in case it was somebody else."""
    await send(
        session,
        to,
        person,
        template="factor_added",
        subject="Your account asks for a code now",
        paragraphs=[
            "An app that shows codes was added to your account. From now on signing in asks for a code of it.",
            "Keep the recovery codes you were shown where you find them without your phone.",
            "If it was not you, choose another password at once and tell us:",
            f"{public_url}/forgot",
        ],
    )


async def factor_removed(session: AsyncSession, *, to: str, person: UUID, public_url: str) -> None:
    """Likewise."""
    await send(
        session,
        to,
        person,
        template="factor_removed",
        subject="Your account asks for no code any more",
        paragraphs=[
            "The app that shows codes was removed from your account: your password alone signs you in now.",
            "If it was not you, choose another password at once and tell us:",
            f"{public_url}/forgot",
        ],
    )


async def recovery_codes_replaced(session: AsyncSession, *, to: str, person: UUID, public_url: str) -> None:
    """Likewise."""
    await send(
        session,
        to,
        person,
        template="recovery_codes_replaced",
        subject="You have new recovery codes",
        paragraphs=[
            "New recovery codes were made for your account. Those you had before no longer work.",
            "If it was not you, choose another password at once and tell us:",
            f"{public_url}/forgot",
        ],
    )


async def recovery_code_used(session: AsyncSession, *, to: str, person: UUID, left: int, public_url: str) -> None:
    """Likewise, with how many are left."""
    await send(
        session,
        to,
        person,
        template="recovery_code_used",
        subject="A recovery code was used",
        paragraphs=[
            f"Somebody, probably you, proved with a recovery code that it is you. You have {left} left.",
            "In your account you can make new ones. If it was not you, choose another password at once and tell us:",
            f"{public_url}/forgot",
        ],
    )


async def passkey_added(session: AsyncSession, *, to: str, person: UUID, public_url: str) -> None:
    """Likewise."""
    await send(
        session,
        to,
        person,
        template="passkey_added",
        subject="A passkey was added to your account",
        paragraphs=[
            "A passkey was added to your account. It signs in without your password.",
            "If it was not you, choose another password at once, remove the passkey in your account, and tell us:",
            f"{public_url}/forgot",
        ],
    )


async def passkey_removed(session: AsyncSession, *, to: str, person: UUID, public_url: str) -> None:
    """Likewise."""
    await send(
        session,
        to,
        person,
        template="passkey_removed",
        subject="A passkey was removed from your account",
        paragraphs=[
            "A passkey was removed from your account. It signs nobody in any more.",
            "If it was not you, choose another password at once and tell us:",
            f"{public_url}/forgot",
        ],
    )


async def passkey_suspected(session: AsyncSession, *, to: str, person: UUID, public_url: str) -> None:
    """Likewise."""
    await send(
        session,
        to,
        person,
        template="passkey_suspected",
        subject="A passkey of yours may have been copied",
        paragraphs=[
            "A passkey of your account counted backwards, as a copy of it would. It signs nobody in any more.",
            "Sign in with your password, remove the passkey, and add it again:",
            f"{public_url}/#account",
        ],
    )


async def payment_method_added(session: AsyncSession, *, to: str, person: UUID, public_url: str) -> None:
    """What the owner is told of a way to pay, without what it is."""
    await send(
        session,
        to,
        person,
        template="payment_method_added",
        subject="A way to pay was added to your account",
        paragraphs=[
            "A card or another way to pay was added to your account. You find it there:",
            f"{public_url}/#account",
            "If it was not you, remove it, choose another password at once, and tell us.",
        ],
    )


async def payment_method_removed(session: AsyncSession, *, to: str, person: UUID, public_url: str) -> None:
    """Likewise."""
    await send(
        session,
        to,
        person,
        template="payment_method_removed",
        subject="A way to pay was removed from your account",
        paragraphs=[
            "A card or another way to pay was removed from your account.",
            "If it was not you, choose another password at once and tell us:",
            f"{public_url}/forgot",
        ],
    )


async def subject_access(session: AsyncSession, *, to: str, person: UUID, link: str) -> None:
    """The link by which who reads at an address sees what businesses have us hold of them; "" where that is nothing."""
    paragraphs = ["Somebody, probably you, asked what businesses that trade with us have us hold under this address."]
    paragraphs += (
        [link, "Open the link to see it, to save a copy, or to have it erased. It works for an hour."] if link else []
    )
    paragraphs += [] if link else ["It is nothing. If you have an account with us, you find what we hold of you there."]
    subject = "What is held of you"
    await send(session, to, person, template="subject_access", subject=subject, paragraphs=paragraphs)


async def deletion_scheduled(
    session: AsyncSession, *, to: str, person: UUID, purge_time: datetime, public_url: str
) -> None:
    """What the owner of an account gets to know while it can be kept, in case it was somebody else."""
    when = f"{day(purge_time)}, at {purge_time:%H:%M} UTC"
    await send(
        session,
        to,
        person,
        template="deletion_scheduled",
        subject=f"Your account will be deleted on {day(purge_time)}",
        paragraphs=[
            f"As you asked, your account and what we hold about you will be deleted on {when}.",
            "Until then nothing is lost. You are signed out everywhere.",
            "To keep it, sign in here before then and choose: Keep my account.",
            f"{public_url}/#account",
            "If it was not you, do that at once, and choose another password:",
            f"{public_url}/forgot",
        ],
    )


async def deletion_undone(session: AsyncSession, *, to: str, person: UUID) -> None:
    """Likewise."""
    text = "Your account is not deleted any more: you chose to keep it. Apps that you let in have to ask you again."
    await send(session, to, person, template="deletion_undone", subject="Your account stays", paragraphs=[text])


async def deletion_begun(session: AsyncSession, *, to: str, person: UUID, erasure: str) -> None:
    """The last that the owner of an account hears of us, with the name of the receipt."""
    await send(
        session,
        to,
        person,
        template="deletion_begun",
        subject="Your account is being deleted",
        paragraphs=[
            "We are deleting your account and what we hold about you. You are signed out everywhere.",
            f"Your receipt is {erasure}. It tells, without signing in, which part of the store has forgotten you.",
            "This is the last mail you get from us. Thank you for having been here.",
        ],
    )


def day(time: datetime) -> str:
    return f"{time:%B} {time.day}, {time.year}"


async def send(
    session: AsyncSession, to: str, person: UUID, *, template: str, subject: str, paragraphs: list[str]
) -> None:
    html = "".join(f"<p>{linked(one)}</p>" for one in paragraphs)
    text = "\n\n".join(paragraphs) + "\n"
    await mail.send(session, to=to, person=person, template=template, subject=subject, text=text, html=html)


def linked(paragraph: str) -> str:
    safe = escape(paragraph)
    return f'<a href="{safe}">{safe}</a>' if paragraph.startswith(("http://", "https://")) else safe
