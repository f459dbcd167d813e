"""The shop's own systems, as far as they matter here: they say what became of an order, on a subject of theirs."""

from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import nats
from google.protobuf.message import Message
from google.type.money_pb2 import Money
from rapport.commerce.v1 import events_pb2 as facts

from chassis.subjects import filter_of
from chassis.time import timestamp
from deploy.local.credentials import for_nats
from deploy.local.plan import Plan

CURRENCY = "USD"
Sample = Callable[[str, str, int, datetime], Message]


def placed(user: str, order: str, amount: int, now: datetime) -> Message:
    line = facts.OrderLine(sku="LAMP-7", title="Desk lamp", quantity=1)
    total = Money(currency_code=CURRENCY, units=amount)
    return facts.OrderPlaced(user=user, order=order, lines=[line], total=total, event_time=timestamp(now))


def paid(user: str, order: str, amount: int, now: datetime) -> Message:
    money = Money(currency_code=CURRENCY, units=amount)
    return facts.OrderPaid(user=user, order=order, amount=money, event_time=timestamp(now))


def shipped(user: str, order: str, _: int, now: datetime) -> Message:
    return facts.OrderShipped(user=user, order=order, event_time=timestamp(now))


def refunded(user: str, order: str, amount: int, now: datetime) -> Message:
    money = Money(currency_code=CURRENCY, units=amount)
    return facts.OrderRefunded(user=user, order=order, refunded=money, event_time=timestamp(now))


SAMPLES: dict[str, Sample] = {
    "order.placed": placed,
    "order.paid": paid,
    "order.shipped": shipped,
    "order.refunded": refunded,
}


async def state(plan: Plan, event: Message) -> None:
    """State a fact on ingress.commerce, and return when the stream has it."""
    told = for_nats(plan, "shop")
    name, password = told["RAPPORT_NATS_USER"], plan.folder / told["RAPPORT_NATS_PASSWORD_FILE"]
    client = await nats.connect(
        told["RAPPORT_NATS_URL"],
        user=name or None,
        password=password.read_text() or None,
        inbox_prefix=f"_INBOX_{name or 'shop'}".encode(),
    )
    subject = filter_of(type(event)).removesuffix(".>").replace("rapport.commerce.v1", "ingress.commerce")
    headers = {
        "ce-specversion": "1.0",
        "ce-id": str(uuid4()),
        "ce-type": event.DESCRIPTOR.full_name,
        "ce-source": "/shop",
        "ce-datacontenttype": "application/protobuf",
    }
    try:
        await client.jetstream().publish(subject, event.SerializeToString(), headers=headers)
    finally:
        await client.close()
