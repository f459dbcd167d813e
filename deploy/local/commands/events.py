import asyncio
import importlib
from argparse import Namespace

import nats
from google.protobuf import symbol_database
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from chassis.time import TestClock, system_clock
from deploy.local import launch, shop
from deploy.local.commands.call import request
from deploy.local.credentials import for_nats
from deploy.local.plan import Plan
from deploy.local.settings import Outside
from deploy.local.terminal import LocalError

PACKAGES = ("identity", "support", "privacy", "loyalty", "commerce", "holder")


def command(asked: Namespace, _: Outside) -> int:
    plan = launch.running(asked.state)
    if asked.action == "send":
        print(send(plan, asked.event, asked.person, asked.order, asked.amount))
        return 0
    for package in PACKAGES:
        importlib.import_module(f"rapport.{package}.v1.events_pb2")
    asyncio.run(tail(plan, asked.subject))
    return 0


def send(plan: Plan, event: str, person: str, number: str, amount: int) -> str:
    """State as the shop what became of an order of one of the sample people."""
    user = request(plan, "GET", "/session", person=person).json()["user"]
    now = TestClock(plan.state.clock)() if plan.own_engines else system_clock()
    asyncio.run(shop.state(plan, shop.SAMPLES[event](user, f"{user}/orders/{number}", amount, now)))
    return f"{event}: order {number} of {person}"


async def tail(plan: Plan, subject: str) -> None:
    """Print every event as it is published, as a user that can only read."""
    told = for_nats(plan, "reader")
    password = plan.state.folder.joinpath(told["RAPPORT_NATS_PASSWORD_FILE"]).read_text()
    refused: asyncio.Queue[Exception] = asyncio.Queue(1)

    async def on_error(error: Exception) -> None:
        if not refused.full():
            refused.put_nowait(error)

    try:
        client = await nats.connect(
            told["RAPPORT_NATS_URL"],
            user=told["RAPPORT_NATS_USER"] or None,
            password=password or None,
            error_cb=on_error,
        )
    except NatsError:
        raise LocalError("NATS does not answer. Type: ./rapport status") from None
    await client.subscribe(subject, cb=show)
    await client.flush()
    error = await refused.get()
    raise LocalError(f"the reader may not listen to {subject}: {error}")


async def show(message: Msg) -> None:
    headers = message.headers or {}
    moment, kind = headers.get("ce-time", "")[11:19], headers.get("ce-type", "")
    print(f"{moment:8} {kind or message.subject} {content(kind, message.data)}", flush=True)


def content(kind: str, data: bytes) -> str:
    """What the event says: events carry ids, never a person."""
    try:
        event = symbol_database.Default().GetSymbol(kind).FromString(data)
    except (KeyError, DecodeError):
        return f"({len(data)} bytes)"
    return MessageToJson(event, indent=None, preserving_proto_field_name=True)
