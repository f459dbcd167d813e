"""What identity writes to who acts for a business."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.identity.businesses.states import Step
from services.identity.mails import send
from services.identity.models import MemberRole, User

SAID: Mapping[Step, tuple[str, str]] = {
    Step.APPROVE: ("Your business is approved", "Welcome: your business may trade with us from now on."),
    Step.ASK: ("We need more about your business", "Before we can decide about your application, we need more:"),
    Step.REFUSE: ("We cannot approve your business", "We cannot approve your application as it is, because:"),
    Step.SUSPEND: ("Your business is suspended", "Your business may not trade with us for the time being:"),
    Step.REINSTATE: ("Your business is approved again", "Your business may trade with us again."),
}
REASONS: Mapping[str, str] = {
    "NOT_PROVEN": "What you sent does not show that the business exists.",
    "DOES_NOT_MATCH": "Company, country, tax id and documents do not belong together.",
    "DOCUMENT_UNREADABLE": "We cannot read a document.",
    "WEBSITE_DOES_NOT_MATCH": "The website does not lead to this business.",
    "NOT_SERVED": "We do not trade there, or not in that.",
    "DUPLICATE": "The business is with us already.",
    "AGAINST_TERMS": "What the business does is against our terms.",
}
AGAIN = "You can mend it and hand it in again:"
INVITED = "You are invited to act for a business at our store"
ROLES: Mapping[MemberRole, str] = {
    MemberRole.VIEWER: "see what it says of itself",
    MemberRole.MANAGER: "keep what it says of itself up to date",
    MemberRole.OWNER: "own its account, with everything that takes",
}


async def decided(
    session: AsyncSession, owner: User, step: Step, *, reasons: Sequence[str], text: str, public_url: str
) -> None:
    """What was decided, and why."""
    subject, first = SAID[step]
    paragraphs = [first, *(REASONS[one] for one in reasons), *text.split("\n\n")]
    paragraphs += [AGAIN] if step in (Step.ASK, Step.REFUSE) else []
    paragraphs.append(f"{public_url}/trade")
    template = f"business_{step.lower()}"
    said = [one.strip() for one in paragraphs if one.strip()]
    await send(session, owner.email, owner.id, template=template, subject=subject, paragraphs=said)


async def invitation(
    session: AsyncSession, *, to: str, person: UUID, role: MemberRole, company: str, token: str, public_url: str
) -> None:
    """The link that makes a member. `company` is "" where nobody has looked at that name yet: it could be anything."""
    first = f"{INVITED}, {company}." if company else f"{INVITED}."
    await send(
        session,
        to,
        person,
        template="business_invitation",
        subject="An invitation",
        paragraphs=[
            f"{first} You would {ROLES[role]}.",
            # Behind a #, so that no browser sends the token to a server, where it would be logged.
            f"{public_url}/join#token={token}",
            "The link works once, for 24 hours. Sign in first, or register. Ignore it if you do not know why.",
        ],
    )
