"""How people pay: kept as a provider's token that nobody but the shop reads, and shown by what tells cards apart."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from rapport.holder.v1 import holder_pb2 as holder
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.identity.v1 import identity_pb2
from rapport.identity.v1 import payment_methods_pb2 as pb
from rapport.identity.v1.events_pb2 import PaymentMethodAdded, PaymentMethodRemoved
from rapport.identity.v1.payment_methods_pb2_grpc import PaymentMethodsServiceStub
from sqlalchemy import select

from chassis.database import Sessions
from chassis.settings import Secret
from services.identity.models import AuditEntry, PaymentMethod
from services.identity.payment_methods import MOST
from services.identity.settings import Settings
from tests.identity.conftest import served
from tests.identity.people import ADA, EVE, PRIVACY, Identity
from tests.identity.test_deletion import Order, order  # noqa: F401 - a fixture
from tests.world import Hands, as_service, refused

SHOP = as_service("shop")
TOKEN = "pm_1N4xKxCanaryOfStripe"
VISA: dict[str, Any] = {
    "provider": "stripe",
    "kind": pb.PaymentMethod.CARD,
    "brand": pb.PaymentMethod.VISA,
    "last_four": "4242",
    "expire_month": 12,
    "expire_year": 2027,
}
PAYPAL: dict[str, Any] = {"provider": "paypal", "kind": pb.PaymentMethod.PAYPAL}


@dataclass
class Purse:
    """Somebody who pays."""

    identity: Identity
    user: identity_pb2.User
    stub: PaymentMethodsServiceStub = field(init=False)

    def __post_init__(self) -> None:
        self.stub = PaymentMethodsServiceStub(self.identity.channel)

    async def add(self, token: str = TOKEN, key: str = "", **said: Any) -> pb.PaymentMethod:
        method = pb.PaymentMethod(**(said or VISA))
        asked = pb.CreatePaymentMethodRequest(
            parent=self.user.name, payment_method=method, provider_token=token, request_id=key
        )
        return await self.stub.CreatePaymentMethod(asked, metadata=self.identity.as_(self.user))

    async def all(self, **paging: Any) -> list[pb.PaymentMethod]:
        asked = pb.ListPaymentMethodsRequest(parent=self.user.name, **paging)
        told = await self.stub.ListPaymentMethods(asked, metadata=self.identity.as_(self.user))
        return list(told.payment_methods)

    async def remove(self, name: str) -> None:
        asked = pb.DeletePaymentMethodRequest(name=name)
        await self.stub.DeletePaymentMethod(asked, metadata=self.identity.as_(self.user))

    async def token(self, name: str) -> pb.PaymentToken:
        return await self.stub.GetPaymentToken(pb.GetPaymentTokenRequest(name=name), metadata=SHOP)


@pytest.fixture
async def ada(identity: Identity) -> Purse:
    return Purse(identity, await identity.create(ADA))


async def test_what_a_checkout_brings_is_listed_and_the_shop_charges_by_its_token(ada: Purse) -> None:
    card = await ada.add()
    ada.identity.clock.advance(timedelta(seconds=1))
    paypal = await ada.add("B-9MN64552", **PAYPAL)
    assert [(one.brand, one.last_four, one.state) for one in (card, paypal)] == [
        (pb.PaymentMethod.VISA, "4242", pb.PaymentMethod.ACTIVE),
        (pb.PaymentMethod.BRAND_UNSPECIFIED, "", pb.PaymentMethod.ACTIVE),
    ]
    assert await ada.all() == [card, paypal]
    assert await ada.token(card.name) == pb.PaymentToken(provider="stripe", provider_token=TOKEN)
    assert await ada.token(paypal.name) == pb.PaymentToken(provider="paypal", provider_token="B-9MN64552")


async def test_its_owner_is_told_and_it_is_in_the_audit_log(ada: Purse) -> None:
    card = await ada.add()
    await ada.remove(card.name)
    assert await ada.all() == []
    with refused("PAYMENT_METHOD_NOT_FOUND"):
        await ada.token(card.name)
    with refused("PAYMENT_METHOD_NOT_FOUND"):
        await ada.remove(card.name)
    [added], [removed] = await ada.identity.stated(PaymentMethodAdded), await ada.identity.stated(PaymentMethodRemoved)
    assert {(one.user, one.payment_method) for one in (added, removed)} == {(ada.user.name, card.name)}
    assert [one.template for one in await ada.identity.mails()][-2:] == [
        "payment_method_added",
        "payment_method_removed",
    ]
    async with ada.identity.sessions() as session:
        facts = (await session.scalars(select(AuditEntry.fact).order_by(AuditEntry.id))).all()
    assert facts[-2:] == ["PaymentMethodAdded", "PaymentMethodRemoved"]


async def test_a_card_is_good_until_its_last_month_is_over(ada: Purse) -> None:
    await ada.add(**VISA | {"expire_month": 7, "expire_year": 2026})
    ada.identity.clock.advance(datetime(2026, 7, 31, 23, 59, 59, tzinfo=UTC) - ada.identity.clock())
    assert [one.state for one in await ada.all()] == [pb.PaymentMethod.ACTIVE]
    ada.identity.clock.advance(timedelta(seconds=1))
    assert [one.state for one in await ada.all()] == [pb.PaymentMethod.EXPIRED]
    for over in ({"expire_month": 7, "expire_year": 2026}, {"expire_month": 12, "expire_year": 2025}):
        with refused("INVALID_FIELD") as said:
            await ada.add(**VISA | over)
        assert [one.field for one in said[0].violations] == ["payment_method.expire_year"]
    await ada.add(**VISA | {"expire_month": 12, "expire_year": 2026})


@pytest.mark.parametrize("token", ["4111111111111111", "4111 1111 1111 1111"])
async def test_the_number_of_a_card_is_no_token(ada: Purse, token: str) -> None:
    with refused("CARD_NUMBER") as said:
        await ada.add(token)
    assert [one.field for one in said[0].violations] == ["provider_token"]
    assert await ada.all() == []


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        (VISA | {"last_four": ""}, ["last_four"]),
        (VISA | {"brand": 0, "expire_month": 0, "expire_year": 0}, ["brand", "expire_month", "expire_year"]),
        (VISA | {"last_four": "11111"}, ["last_four"]),
        (VISA | {"last_four": "4111111111111111"}, ["last_four"]),
        (VISA | {"expire_month": 13}, ["expire_month"]),
        (PAYPAL | {"last_four": "4242"}, ["last_four"]),
        (PAYPAL | {"provider": "Pay Pal"}, ["provider"]),
    ],
)
async def test_a_card_is_told_whole_and_by_no_more_than_it_takes(
    ada: Purse, said: dict[str, Any], fields: list[str]
) -> None:
    with refused("INVALID_FIELD") as problems:
        await ada.add(**said)
    assert sorted({one.field for one in problems[0].violations}) == [f"payment_method.{one}" for one in fields]


async def test_the_token_of_a_stranger_is_refused(ada: Purse) -> None:
    with refused("PAYMENT_PROVIDER_UNKNOWN") as said:
        await ada.add(**PAYPAL | {"provider": "klarna"})
    assert said[0].metadata["providers"] == "paypal, stripe"


async def test_of_fifty_at_once_as_many_are_kept_as_there_can_be(ada: Purse) -> None:
    told = await asyncio.gather(*(ada.add(f"pm_{turn}") for turn in range(50)), return_exceptions=True)
    assert sum(not isinstance(one, grpc.aio.AioRpcError) for one in told) == MOST
    assert len(await ada.all()) == MOST
    with refused("PAYMENT_METHODS_FULL") as said:
        await ada.add()
    assert said[0].metadata["most"] == str(MOST)


async def test_a_request_that_comes_twice_adds_one(ada: Purse) -> None:
    key = str(uuid4())
    assert await ada.add(key=key) == await ada.add(key=key)
    assert len(await ada.all()) == 1
    with refused("REQUEST_ID_REUSED"):
        await ada.add("pm_another", key=key)


async def test_nobody_but_the_shop_is_told_the_token_and_it_tells_it_of_nobody_else(ada: Purse) -> None:
    card, eve = await ada.add(), await ada.identity.create(EVE)
    asked = pb.GetPaymentTokenRequest(name=card.name)
    for who, reason in ((ada.identity.as_(ada.user), "FORBIDDEN"), (as_service("support"), "FORBIDDEN")):
        with refused(reason):
            await ada.stub.GetPaymentToken(asked, metadata=who)
    _, _, _, number = card.name.split("/")
    with refused("PAYMENT_METHOD_NOT_FOUND"):
        await ada.token(f"{eve.name}/paymentMethods/{number}")
    with refused("PAYMENT_METHOD_NOT_FOUND"):
        await Purse(ada.identity, eve).remove(f"{eve.name}/paymentMethods/{number}")


async def test_pages_go_on_where_the_one_before_ended(ada: Purse) -> None:
    for turn in range(3):
        await ada.add(f"pm_{turn}")
    asked = pb.ListPaymentMethodsRequest(parent=ada.user.name, page_size=2)
    first = await ada.stub.ListPaymentMethods(asked, metadata=ada.identity.as_(ada.user))
    rest = await ada.all(page_size=2, page_token=first.next_page_token)
    assert [*first.payment_methods, *rest] == await ada.all()
    assert len(rest) == 1


# What is kept of it ---------------------------------------------------------------------------------------------------


async def test_a_copy_of_ones_data_shows_the_card_and_never_the_token(ada: Purse) -> None:
    await ada.add()
    asked = holder.ExportSubjectRequest(subject=ada.user.name)
    found = [row async for row in HolderServiceStub(ada.identity.channel).ExportSubject(asked, metadata=PRIVACY)]
    [card] = [json.loads(row.row_json) for row in found if row.table == "payment_method"]
    shown = {name: card[name]["value"] for name in ("brand", "last_four", "expire_month", "expire_year")}
    assert shown == {"brand": "VISA", "last_four": "4242", "expire_month": 12, "expire_year": 2027}
    assert card["sealed"]["value"] == "[user.payment]"
    assert TOKEN not in str(found)


async def test_an_erased_user_leaves_no_way_to_pay(ada: Purse, order: Order) -> None:  # noqa: F811 - the fixture
    card = await ada.add()
    gone = await ada.identity.delete(ada.user)
    with refused("USER_DELETING"):
        await ada.token(card.name)
    with refused("USER_DELETING"):
        await ada.add()
    await order(gone)
    async with ada.identity.sessions() as session:
        assert (await session.scalars(select(PaymentMethod))).all() == []


async def test_the_shop_charges_nobody_whose_data_is_not_to_be_worked_with(ada: Purse) -> None:
    card = await ada.add()
    asked = holder.RestrictSubjectRequest(subject=ada.user.name, restricted=True)
    await HolderServiceStub(ada.identity.channel).RestrictSubject(asked, metadata=PRIVACY)
    with refused("PERSON_RESTRICTED"):
        await ada.token(card.name)
    assert [one.name for one in await ada.all()] == [card.name]


async def test_a_dump_and_a_log_show_no_token(ada: Purse, capfd: pytest.CaptureFixture[str]) -> None:
    card = await ada.add()
    await ada.token(card.name)
    async with ada.identity.sessions() as session:
        [kept] = await session.scalars(select(PaymentMethod))
    assert TOKEN.encode() not in kept.sealed
    said = "".join(capfd.readouterr())
    assert "PaymentMethodsService/GetPaymentToken" in said
    assert TOKEN not in said


async def test_the_key_is_rotated_as_the_shop_asks(settings: Settings, sessions: Sessions, clock: Hands) -> None:
    new = "ab" * 32
    async with served(settings, sessions, clock) as identity:
        ada = Purse(identity, await identity.create(ADA))
        card = await ada.add()
    both = replace(settings, factor_key=Secret(f"{new}\n{settings.factor_key.value}"))
    async with served(both, sessions, clock) as identity:
        assert (await Purse(identity, ada.user).token(card.name)).provider_token == TOKEN
    async with served(replace(settings, factor_key=Secret(new)), sessions, clock) as identity:
        assert (await Purse(identity, ada.user).token(card.name)).provider_token == TOKEN  # it was sealed anew
    async with served(settings, sessions, clock) as identity:
        with refused("PAYMENT_METHOD_NOT_FOUND"):
            await Purse(identity, ada.user).token(card.name)
