"""What people were told while processes were killed: every write that was acknowledged is looked for in the end.

Three write all the while: a customer submits tickets, the shop tells of her paid orders (by call and by message in
turn), and newcomers subscribe for the bonus, of whom every other deletes the account again. What is answered with "try
again" is tried again under the same key.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import grpc
import httpx
from google.protobuf.message import Message
from nats.errors import Error as NatsError

from tests.journeys.people import Answer, Browser, Missing, done, eventually, new_key
from tests.journeys.platform import advance
from tests.journeys.shop import paid, placed
from tests.journeys.steps import BONUS, PAID, STEPS
from tests.journeys.story import Story, moment

PATIENCE = 90.0  # seconds until all that was promised is kept, once nothing is killed any more
PAUSE = 0.05
PACE = 0.2  # seconds between two writes of one writer: what is measured is the return of a process, not a full machine
SECRET = "brass kettle at dawn"
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED)


@dataclass
class Diary:
    story: Story
    tickets: list[str] = field(default_factory=list)  # names of those acknowledged
    orders: int = 0  # acknowledged as paid
    subscribers: list[Browser] = field(default_factory=list)  # told that they have the bonus
    erasures: list[str] = field(default_factory=list)  # acknowledged as opened
    over: bool = False

    # Writing ------------------------------------------------------------------------------------------------------

    async def write_tickets(self) -> None:
        path = f"/v1/{self.story.customer.user}/tickets"
        while not self.over:
            title = f"No. {len(self.tickets) + 1}"
            ticket = {"order": self.story.order, "kind": "QUERY", "title": title, "body": "Well?"}
            made = await insist(self.story.customer, "POST", path, ticket, idempotency_key=new_key())
            self.tickets.append(done(made)["name"])
            await asyncio.sleep(PACE)

    async def write_orders(self) -> None:
        user = self.story.customer.user
        while not self.over:
            number, now = f"D-{self.orders:06}", await self.platform_time()
            await again(partial(self.tell, placed=placed(user, number, PAID, now)))
            await again(partial(self.tell, paid=paid(user, number, PAID, now)))
            self.orders += 1
            await asyncio.sleep(PACE)

    async def tell(self, **fact: Message) -> None:
        if self.orders % 2:
            await self.story.shop.states(*fact.values())
        else:
            await self.story.shop.calls(**fact)

    async def platform_time(self) -> datetime:
        return moment(done(await insist(self.story.customer, "GET", "/v1/availability"))["asOfTime"])

    async def welcome(self) -> None:
        while not self.over:
            person, email = Browser(self.story.store), f"newcomer-{uuid4().hex}@example.org"
            await self.register(person, email)
            await self.subscribe(person, email)
            if len(self.subscribers) > len(self.erasures):
                await self.delete(person)
            else:
                self.subscribers.append(person)
            await asyncio.sleep(PACE)

    async def register(self, person: Browser, email: str) -> None:
        operator = {"x_rapport_service": self.story.plan.state.secret("token-operator").read_text()}
        asked = {"user": {"email": email, "displayName": "Newcomer"}, "password": SECRET}
        made = await insist(
            Browser(self.story.store), "POST", "/v1/users", asked, idempotency_key=new_key(), **operator
        )
        signed_in = await insist(person, "POST", "/session", {"email": email, "password": SECRET})
        person.user = done(signed_in)["user"]
        assert person.user == done(made)["name"]

    async def subscribe(self, person: Browser, email: str) -> None:
        done(await insist(person, "POST", "/v1/subscriptions:begin", {"email": email}))
        token = await again(lambda: self.story.mailbox.token(email, "/confirm"))
        told = done(await insist(person, "POST", "/v1/subscriptions:confirm", {"token": token}))
        assert told["bonus"] == "GRANTED", told

    async def delete(self, person: Browser) -> None:
        gone = await insist(person, "DELETE", f"/v1/{person.user}?skipCoolingOff=true")
        if gone.status == 401:  # done by the first of two tries, whose answer was lost: she is signed out
            gone = await insist(self.story.admin, "GET", f"/v1/{person.user}")
            assert gone.status == 404 or gone.body["state"] in ("DELETING", "DELETED"), gone.body
        self.erasures.append(done(gone)["erasure"] if gone.status == 200 else "")

    # Reading ------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Everything acknowledged is there, and once."""
        assert all((self.tickets, self.orders, self.subscribers, self.erasures)), f"nothing was written: {self}"
        await eventually(self.are_points_there, "the points of every paid order", patience=PATIENCE)
        await eventually(self.are_erasures_settled, "the end of every erasure", patience=PATIENCE)
        await advance(self.story.plan, timedelta(seconds=1))  # comes back when nothing is under way any more
        await self.check_tickets()
        await self.check_points()

    async def check_tickets(self) -> None:
        found = [one async for one in pages(self.story.customer, f"/v1/{self.story.customer.user}/tickets", "tickets")]
        titles = [one["title"] for one in found]
        assert set(self.tickets) <= {one["name"] for one in found}, "an acknowledged ticket is lost"
        assert len(titles) == len(set(titles)), "a ticket was made twice"

    async def check_points(self) -> None:
        assert await available(self.story.customer) == self.due(), "points of an order were lost or doubled"
        for person in self.subscribers:
            assert await available(person) == BONUS, f"{person.user} has not the bonus once"
        told = await self.story.admin.get("/v1/ledger:verify")
        assert (told["balanced"], told["sumOfLegs"]) == (True, "0"), told

    def due(self) -> int:
        return BONUS + PAID * (1 + self.orders)

    async def are_points_there(self) -> bool:
        return await available(self.story.customer) >= self.due()

    async def are_erasures_settled(self) -> bool:
        found = {one["name"]: one["state"] async for one in pages(self.story.admin, "/v1/erasures", "erasures")}
        assert set(filter(None, self.erasures)) <= set(found), "an acknowledged erasure is lost"
        assert len(found) >= len(self.erasures), "an erasure was never opened"
        return set(found.values()) <= {"COMPLETED", "OVERDUE"}

    def __str__(self) -> str:
        return (
            f"{len(self.tickets)} tickets, {self.orders} paid orders, {len(self.subscribers)} bonuses, "
            f"{len(self.erasures)} erasures"
        )


@asynccontextmanager
async def kept(story: Story) -> AsyncIterator[Diary]:
    """A diary that is written until the block is left; whatever is begun then is brought to its end."""
    await prepare(story)
    diary = Diary(story)
    async with asyncio.TaskGroup() as group:
        for write in (diary.write_tickets, diary.write_orders, diary.welcome):
            group.create_task(write())
        yield diary
        diary.over = True


async def prepare(story: Story) -> None:
    """As far as the first ticket."""
    for title, act in STEPS[:6]:
        try:
            await act(story)
        except Exception as error:
            raise AssertionError(f"{title}: {error}") from error


# Never giving up -----------------------------------------------------------------------------------------------------


async def insist(person: Browser, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Ask until there is an answer that is not "try again"."""
    while True:
        try:
            answer = await person.call(method, path, body, **headers)
            if answer.status < 400 or not answer.body["retryable"]:
                return answer
        except httpx.TransportError:
            pass  # the gateway is away: what it had begun is asked for once more
        await asyncio.sleep(PAUSE)


async def again(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until it is answered, by whatever else may be away."""
    while True:
        try:
            return await ask()
        except (httpx.TransportError, Missing, NatsError, OSError):
            pass
        except grpc.aio.AioRpcError as error:
            if error.code() not in PASSING:
                raise
        await asyncio.sleep(PAUSE)


async def available(person: Browser) -> int:
    return int((await person.get(f"/v1/{person.user}/pointsAccount"))["available"])


async def pages(person: Browser, path: str, field: str) -> AsyncIterator[Any]:
    """Everything of a list."""
    token = ""
    while True:
        page = await person.get(f"{path}?pageSize=200&pageToken={token}")
        for one in page[field]:
            yield one
        if not (token := page["nextPageToken"]):
            return
