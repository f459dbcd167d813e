"""Whom the steps of the story share, and what they are made of."""

import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx

from deploy.local.people import password
from deploy.local.plan import Plan
from tests.journeys.people import Browser, Mailbox, Missing, Stream
from tests.journeys.shop import Shop


@dataclass
class Story:
    """What the steps share."""

    plan: Plan
    store: httpx.AsyncClient
    mailbox: Mailbox
    shop: Shop
    customer: Browser
    agent: Browser
    other: Browser
    admin: Browser
    canaries: dict[str, str] = field(default_factory=dict)
    order: str = ""
    ticket: str = ""
    secret: str = ""
    hold: str = ""
    captures: list[str] = field(default_factory=list)
    erasure: str = ""
    codes: list[str] = field(default_factory=list)

    def plant(self, name: str, form: str = "{}") -> str:
        """A value that can be told from every other, to look for again."""
        self.canaries[name] = form.format(f"canary{secrets.token_hex(8)}")
        return self.canaries[name]


async def begin(plan: Plan, store: httpx.AsyncClient, mail: httpx.AsyncClient) -> Story:
    """The story's people at their places: the customer is nobody yet."""
    agent, other, admin = Browser(store), Browser(store), Browser(store)
    secret = password(plan)
    await agent.sign_in("ravi@example.org", secret)
    await other.sign_in("bo@example.org", secret)
    await admin.sign_in("alma@example.org", secret)
    return Story(plan, store, Mailbox(mail), Shop(plan), Browser(store), agent, other, admin)


def wallet(story: Story) -> str:
    return f"/v1/{story.customer.user}/pointsAccount"


async def account(story: Story) -> Any:
    return await story.customer.get(wallet(story))


async def balance(story: Story) -> int:
    return int((await account(story))["available"])


async def purse(story: Story) -> tuple[int, int]:
    """What there is to spend, and what is set aside."""
    told = await account(story)
    return int(told["available"]), int(told["held"])


async def statement(story: Story) -> list[Any]:
    """Every movement, newest first, asked for in short pages."""
    found: list[Any] = []
    token = ""
    while True:
        page = await story.customer.get(f"{wallet(story)}/movements?pageSize=4&pageToken={token}")
        found += page["movements"]
        token = page["nextPageToken"]
        if not token:
            return found


async def equals(story: Story, points: int) -> bool:
    return await balance(story) == points


async def answer(story: Story, text: str) -> None:
    await story.agent.post(f"/v1/{story.ticket}/messages", {"body": text}, key=str(uuid4()))


async def arrives(stream: Stream, story: Story) -> None:
    fact = await stream.fact("rapport.support.v1.TicketReplied")
    if fact["event"]["ticket"] != story.ticket or fact["event"]["side"] != "STORE":
        raise Missing("the agent's answer")
    messages = (await story.customer.get(f"/v1/{story.ticket}/messages"))["messages"]
    assert messages[-1]["side"] == "STORE", messages


async def platform_time(story: Story) -> datetime:
    return moment((await story.customer.get("/v1/availability"))["asOfTime"])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).astimezone(UTC)


HOLIDAYS = {"2026-11-26", "2026-12-25", "2027-01-01", "2027-01-18", "2027-02-15", "2027-05-31"}


def expected_online(now: datetime) -> bool:
    """The page's service times, read once more and independently: shifts of Monday to Thursday in New York, 21:00 to
    23:30 and 01:00 to 06:00 of the morning after, except where the shift's day is a holiday."""
    local = now.astimezone(ZoneInfo("America/New_York"))
    minutes = local.hour * 60 + local.minute
    if 21 * 60 <= minutes < 23 * 60 + 30:
        day = local.date()
    elif 60 <= minutes < 6 * 60:
        day = local.date() - timedelta(days=1)
    else:
        return False
    return day.weekday() < 4 and day.isoformat() not in HOLIDAYS
