"""An event that cannot be decoded, for every consumer of every service: each sets it aside with its reason."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID, uuid4

import nats
import pytest
from nats.js import JetStreamContext

from chassis import dead_letters
from chassis.database import Sessions, connect
from chassis.streams import HOLDER, Durable, Party
from deploy.local.credentials import database_url, for_nats
from deploy.local.parties import parties
from deploy.local.ports import SERVICES
from tests.journeys.people import eventually
from tests.store import Store

pytestmark = pytest.mark.xdist_group("store")
SHOP = "shop"
GARBAGE = {
    "no message": (b"\xff\xff canary", {"ce-datacontenttype": "application/protobuf"}),
    "no JSON": (b'{"user": canary', {"ce-datacontenttype": "application/json"}),
    "another type": (b"", {"ce-type": "rapport.nobody.v1.NothingHappened"}),
}


@asynccontextmanager
async def speaking(store: Store, name: str) -> AsyncIterator[JetStreamContext]:
    """JetStream as that user may use it."""
    told = for_nats(store.plan, name)
    client = await nats.connect(
        told["RAPPORT_NATS_URL"],
        user=name,
        password=(store.plan.folder / told["RAPPORT_NATS_PASSWORD_FILE"]).read_text(),
        inbox_prefix=f"_INBOX_{name}".encode(),
    )
    try:
        yield client.jetstream()
    finally:
        await client.close()


def subject_in(durable: Durable, owner: str) -> str:
    """A subject that the consumer hears, of somebody nobody knows."""
    stem = durable.filter.removesuffix(".>")
    return stem if stem == durable.filter else f"{stem}.p00.{owner}.{owner}"


def speaker(durable: Durable, known: list[Party]) -> str:
    """Who may state what the consumer hears."""
    if durable.filter.startswith("ingress."):
        return SHOP
    package = ".".join(durable.filter.split(".")[:3])
    return next(one.name for one in known if package in one.packages or (package == HOLDER and one.holder))


async def reason_at(sessions: Sessions, consumer: str, event: UUID) -> str | None:
    """Why the consumer set the event aside, once it has."""
    async with sessions() as session:
        letters = await dead_letters.letters(session)
    return next((str(one.reason) for one in letters if (one.consumer, one.event_id) == (consumer, event)), None)


async def state_garbage(store: Store, sessions: Sessions, durable: Durable, kind: str, who: str) -> str:
    """What the consumer says of an event of that kind."""
    event, (payload, headers) = uuid4(), GARBAGE[kind]
    # A holder answers under its own name only; the other subjects are of somebody nobody knows.
    subject = subject_in(durable, who if HOLDER in durable.filter else str(event))
    async with speaking(store, who) as js:
        await js.publish(subject, payload, headers={"ce-id": str(event), "ce-source": "/tests"} | headers)
    reason = await eventually(partial(reason_at, sessions, durable.name, event), f"{durable.name} to set {kind} aside")
    async with sessions.begin() as session:
        await dead_letters.discard(session, event)
    return reason


async def test_what_cannot_be_decoded_is_set_aside_by_every_consumer(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    known, reasons = parties(store.plan), Counter[str]()
    for party in (one for one in known if one.name in SERVICES):
        engine, sessions = connect(database_url(store.plan, party.name), name="tests", most=2)
        for durable in party.durables:
            for kind in GARBAGE:
                reasons[await state_garbage(store, sessions, durable, kind, speaker(durable, known))] += 1
        await engine.dispose()
        assert "canary" not in store.written(party.name)
    with capsys.disabled():
        print(f"\n  undecodable: {reasons.total()} events, {dict(reasons)}", end="")
    assert set(reasons) == {"EVENT_UNDECODABLE"}
    assert reasons.total() == len(GARBAGE) * sum(len(one.durables) for one in known if one.name in SERVICES)
