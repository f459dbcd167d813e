from rapport.support.v1.support_pb2_grpc import SupportServiceStub

from tests.support.conftest import ADA, As, Shop, question


async def test_a_ticket(support: SupportServiceStub, shop: Shop, as_: As) -> None:
    order = await shop.place(ADA)
    ticket = await support.CreateTicket(question(ADA, order), metadata=as_(ADA))
    print(ticket)
