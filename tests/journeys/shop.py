"""The shop's own systems, which tell what they know of orders by message or by call."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import nats
from google.protobuf.message import Message
from google.type.money_pb2 import Money
from rapport.commerce.v1 import commerce_pb2 as calls
from rapport.commerce.v1 import events_pb2 as facts
from rapport.commerce.v1.commerce_pb2_grpc import CommerceServiceStub

from chassis.client import channel
from chassis.subjects import filter_of
from chassis.time import timestamp
from deploy.local.credentials import for_nats, target
from deploy.local.plan import Plan
from tests.journeys.people import Answer, done, gateway_client, new_key


class Shop:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    async def states(self, event: Message) -> None:
        """State a fact on ingress.commerce, and return when NATS has it."""
        told = for_nats(self.plan, "shop")
        password = await asyncio.to_thread(Path(told["RAPPORT_NATS_PASSWORD_FILE"]).read_text)
        user = told["RAPPORT_NATS_USER"]
        client = await nats.connect(
            told["RAPPORT_NATS_URL"], user=user, password=password, inbox_prefix=f"_INBOX_{user}".encode()
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

    async def calls(self, **event: Any) -> None:
        """State a fact by RPC."""
        token = self.plan.state.secret("token-shop").read_text()
        async with channel(target(self.plan, "support"), service_token=token, name="shop") as to_support:
            request = calls.StateOrderEventRequest(request_id=str(uuid4()), **event)
            await CommerceServiceStub(to_support).StateOrderEvent(request, timeout=10)

    async def call(self, path: str, body: Any, *, key: str = "") -> Answer:
        """Call the public API as the shop's checkout does, with its own proof and no person's."""
        token = self.plan.state.secret("token-shop").read_text()
        headers = {"x-rapport-service": token, "idempotency-key": key or new_key()}
        async with gateway_client(self.plan) as store:
            response = await store.post(path, json=body, headers=headers)
        return Answer(response.status_code, response.json(), response.headers)

    async def post(self, path: str, body: Any, *, key: str = "") -> Any:
        return done(await self.call(path, body, key=key))


def placed(user: str, number: str, units: int, now: datetime) -> facts.OrderPlaced:
    return facts.OrderPlaced(
        user=user,
        order=f"{user}/orders/{number}",
        lines=[facts.OrderLine(sku="LAMP-7", title="Desk lamp", quantity=1)],
        total=Money(currency_code="USD", units=units),
        event_time=timestamp(now),
    )


def paid(user: str, number: str, units: int, now: datetime) -> facts.OrderPaid:
    return facts.OrderPaid(
        user=user,
        order=f"{user}/orders/{number}",
        amount=Money(currency_code="USD", units=units),
        event_time=timestamp(now),
    )
