"""What loyalty writes to people."""

from html import escape
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import mail
from services.loyalty.models import OptIn


async def confirm(session: AsyncSession, opt_in: OptIn, token: str, *, public_url: str) -> None:
    """The link that confirms a subscription; and, as every newsletter has it, the one that ends it."""
    # Behind a #, so that no browser sends it to a server, and no scanner of mail confirms by opening it.
    link, end = f"{public_url}/confirm#token={token}", f"{public_url}/unsubscribe/{opt_in.end_token}"
    asked = "You asked for our newsletter with this address. Open this link and confirm, and you will get it:"
    ignore = "The link works for 48 hours. If you did not ask for it, ignore this mail and nothing happens."
    await mail.send(
        session,
        to=opt_in.email,
        person=opt_in.user_id or uuid4(),  # a guest is nobody we have a name for
        template="confirm_subscription",
        subject="Please confirm your subscription",
        text=f"{asked}\n\n{link}\n\n{ignore}\n\nNever hear of this again: {end}\n",
        html=(
            f'<p>{escape(asked)}</p><p><a href="{escape(link)}">Confirm my subscription</a></p>'
            f'<p>{escape(ignore)}</p><p><a href="{escape(end)}">Never hear of this again</a></p>'
        ),
        # RFC 8058: a mail program ends it by a POST, without asking for anything more.
        headers={"List-Unsubscribe": f"<{end}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    )
