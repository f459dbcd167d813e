"""What customers and the store write to each other keeps no card number, and every number of theirs."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from rapport.support.v1 import support_pb2 as pb
from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from chassis.masking import MASKED
from tests.support.conftest import ADA, EVE, RAVI, As, Shop, question
from tests.world import refused

NUMBER, HIDDEN = "4111 1111 1111 1111", "XXXX XXXX XXXX 1111"
ORDER, PARCEL = "5555555555554444", "378282246310005"  # which read like card numbers, and are none here


async def said_to(call: Any) -> str:
    return str(dict(await call.trailing_metadata()).get(MASKED, ""))


class Talk:
    """A ticket of Ada's on her order, and who writes on it."""

    def __init__(self, support: SupportServiceStub, as_: As, ticket: pb.Ticket) -> None:
        self.support, self.as_, self.ticket = support, as_, ticket

    async def says(self, body: str, *, who: Any = ADA, roles: Sequence[str] = (), key: str = "") -> tuple[str, str]:
        """What is kept of it, and what the writer is told."""
        request = pb.CreateMessageRequest(parent=self.ticket.name, message=pb.Message(body=body), request_id=key)
        call = self.support.CreateMessage(request, metadata=self.as_(who, *roles))
        return (await call).body, await said_to(call)


@pytest.fixture
async def talk(support: SupportServiceStub, shop: Shop, as_: As) -> Talk:
    order = await shop.place(ADA, ORDER)
    shipped = shop.shipped(ADA, ORDER)
    shipped.tracking_numbers.append(PARCEL)
    await shop.tell(shipped=shipped)
    return Talk(support, as_, await support.CreateTicket(question(ADA, order), metadata=as_(ADA)))


async def test_a_ticket_is_kept_without_the_card_number_in_it(support: SupportServiceStub, shop: Shop, as_: As) -> None:
    asked = question(ADA, await shop.place(ADA), title=f"Charged {NUMBER} twice", body=f"My card is {NUMBER}.")
    call = support.CreateTicket(asked, metadata=as_(ADA))
    ticket = await call
    assert (ticket.title, ticket.body) == (f"Charged {HIDDEN} twice", f"My card is {HIDDEN}.")
    assert await said_to(call) == "ticket.title, ticket.body"
    kept = await support.GetTicket(pb.GetTicketRequest(name=ticket.name), metadata=as_(ADA))
    assert kept == ticket


async def test_a_customers_own_order_and_parcel_are_no_cards(talk: Talk) -> None:
    body = f"Where is {PARCEL} of order {ORDER[:4]} {ORDER[4:]}? I paid by {NUMBER}."
    hidden = body.replace(NUMBER, HIDDEN)
    assert await talk.says(body) == (hidden, "message.body")
    assert await talk.says(hidden) == (hidden, "")


async def test_who_answers_may_name_the_customers_order(talk: Talk) -> None:
    assert await talk.says(f"Order {ORDER} is on its way.", who=RAVI, roles=["agent"]) == (
        f"Order {ORDER} is on its way.",
        "",
    )


async def test_the_order_of_another_is_not_known(talk: Talk, support: SupportServiceStub, shop: Shop, as_: As) -> None:
    asked = question(EVE, await shop.place(EVE), body=f"It is {ORDER}.")
    assert (await support.CreateTicket(asked, metadata=as_(EVE))).body == "It is XXXXXXXXXXXX4444."


async def test_a_reply_that_is_sent_again_is_the_same_whatever_digits_were_hidden(talk: Talk) -> None:
    key = str(uuid4())
    assert await talk.says(f"By {NUMBER}", key=key) == (f"By {HIDDEN}", "message.body")
    assert await talk.says(f"By {NUMBER}", key=key) == (f"By {HIDDEN}", "message.body")
    # Nothing is kept by which the hidden digits could be guessed: another card that ends alike is the same request.
    assert await talk.says("By 4000 0000 0006 1111", key=key) == (f"By {HIDDEN}", "message.body")
    with refused("REQUEST_ID_REUSED"):
        await talk.says("By 5555 5555 5555 4444", key=key)


async def test_a_search_is_for_what_is_left(support: SupportServiceStub) -> None:
    call = support.SearchArticles(pb.SearchArticlesRequest(query=f"refund to {NUMBER}"))
    await call
    assert await said_to(call) == "query"


async def test_parcels_are_added_to_an_order_as_they_are_told(
    talk: Talk, support: SupportServiceStub, shop: Shop, as_: As
) -> None:
    later = shop.shipped(ADA, ORDER)
    later.tracking_numbers.extend([PARCEL, "1Z999AA10123456784"])
    await shop.tell(shipped=later)
    order = await support.GetOrder(pb.GetOrderRequest(name=talk.ticket.order), metadata=as_(ADA))
    assert list(order.tracking_numbers) == [PARCEL, "1Z999AA10123456784"]
