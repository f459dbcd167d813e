"""Vouchers for points: bought once, used once, and given back to the lots they were paid from."""

import asyncio
import json
from uuid import uuid4

from rapport.holder.v1 import holder_pb2 as holder_pb
from rapport.holder.v1.holder_pb2_grpc import HolderServiceStub
from rapport.loyalty.v1 import loyalty_pb2
from rapport.loyalty.v1 import rewards_pb2 as pb

from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.ledger import Till
from tests.loyalty.shopper import Shopper, look_up, put_offer, rewards_of, use, void
from tests.loyalty.test_erasure import PRIVACY, erase
from tests.world import as_service, refused

V = pb.Voucher


async def rich(world: World, points: int = 250) -> Shopper:
    ada = Shopper.of(world)
    await world.earn(ada.user, points)
    return ada


async def test_a_voucher_is_bought_for_points_and_its_code_is_the_buyers_and_the_shops(world: World) -> None:
    await put_offer(world)
    ada = await rich(world)
    bought = await ada.buy()
    assert (bought.state, bought.points, bought.value.units, bought.title) == (V.ACTIVE, 100, 10, "10.00 off")
    assert await world.balance(ada.user) == (150, 0)
    [newest, _] = await world.movements(ada.user)
    assert (newest.kind, newest.points, newest.name) == (loyalty_pb2.Movement.VOUCHER, -100, bought.movement)
    assert list((await ada.vouchers()).vouchers) == [bought]
    assert await look_up(world, bought.code.lower().replace("-", " ")) == bought
    [seen] = (await ada.vouchers(world.as_(uuid4(), "agent"))).vouchers
    assert (seen.name, seen.code) == (bought.name, "")


async def test_codes_are_long_and_never_the_same(world: World) -> None:
    await put_offer(world, points=1)
    ada = await rich(world)
    codes = {(await ada.buy()).code for _ in range(20)}
    assert len(codes) == 20
    assert {len(code.replace("-", "")) for code in codes} == {20}
    with refused("VOUCHER_NOT_FOUND"):
        await look_up(world, "22222-22222-22222-22222")


async def test_the_same_request_buys_one_voucher_even_at_once_and_ever_after(world: World) -> None:
    await put_offer(world)
    ada, key = await rich(world), str(uuid4())
    told = await asyncio.gather(*(ada.buy(key=key) for _ in range(5)))
    assert len({one.name for one in told}) == 1
    world.advance(days=40)  # calls are forgotten by then, and movements are not
    await world.settle()
    again = await ada.buy(key=key)
    assert (again.name, again.state) == (told[0].name, V.EXPIRED)
    assert await world.balance(ada.user) == (150, 0)
    await put_offer(world, "other", points=100)
    fresh = str(uuid4())
    await ada.buy(key=fresh)
    with refused("REQUEST_ID_REUSED"):
        await ada.buy("other", key=fresh)


async def test_who_has_too_few_points_gets_no_voucher_and_takes_none_of_the_stock(world: World) -> None:
    await put_offer(world, stock=1)
    ada, bo = await rich(world, 99), await rich(world)
    with refused("INSUFFICIENT_POINTS"):
        await ada.buy()
    assert list((await ada.vouchers()).vouchers) == []
    await bo.buy()


async def test_no_more_are_sold_than_there_are_even_at_once(world: World) -> None:
    await put_offer(world, stock=3)
    people = [await rich(world) for _ in range(6)]
    told = await asyncio.gather(*(one.buy() for one in people), return_exceptions=True)
    assert sum(isinstance(one, pb.Voucher) for one in told) == 3
    with refused("OFFER_SOLD_OUT"):
        await people[0].buy()
    [offer] = (await rewards_of(world).ListVoucherOffers(pb.ListVoucherOffersRequest())).voucher_offers
    assert (offer.sold, offer.stock) == (3, 3)
    books = await world.books()
    assert (books.balanced, books.totals["redeemed"]) == (True, 300)


async def test_an_offer_that_is_gone_can_not_be_bought_and_what_was_bought_stays_good(world: World) -> None:
    await put_offer(world)
    ada = await rich(world)
    bought = await ada.buy()
    gone = pb.DeleteVoucherOfferRequest(name="voucherOffers/ten-off")
    await rewards_of(world).DeleteVoucherOffer(gone, metadata=OPERATOR)
    with refused("OFFER_NOT_FOUND"):
        await ada.buy()
    with refused("OFFER_NOT_FOUND"):
        await rewards_of(world).DeleteVoucherOffer(gone, metadata=OPERATOR)
    assert (await use(world, bought.code)).state == V.USED


async def test_a_voucher_is_used_once_even_by_two_tills_at_once(world: World) -> None:
    await put_offer(world)
    ada = await rich(world)
    code, key = (await ada.buy()).code, str(uuid4())
    told = await asyncio.gather(*(use(world, code) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, pb.Voucher) for one in told) == 1
    with refused("VOUCHER_ENDED"):
        await use(world, code)
    other = (await ada.buy()).code
    assert await use(world, other, key) == await use(world, other, key)
    with refused("VOUCHER_ENDED"):
        await void(world, (await look_up(world, other)).name)


async def test_a_voided_voucher_gives_its_points_back_to_their_lots(world: World) -> None:
    await put_offer(world, stock=1)
    till = Till.of(world)
    await till.earn(60, ends=10)
    await till.earn(90, ends=20)
    ada = Shopper(world, till.user)
    bought, key = await ada.buy(), str(uuid4())
    assert await till.lots() == {20: 50}
    voided = await void(world, bought.name, key)
    assert (voided.state, voided.code) == (V.VOIDED, "")
    assert await void(world, bought.name, key) == voided
    assert await till.lots() == {10: 60, 20: 90}
    with refused("VOUCHER_ENDED"):
        await void(world, bought.name)
    with refused("VOUCHER_ENDED"):
        await use(world, bought.code)
    assert (await ada.buy()).state == V.ACTIVE  # there is one again
    assert (await world.books()).balanced


async def test_a_voucher_whose_time_is_over_is_final(world: World) -> None:
    await put_offer(world, days=30)
    ada = await rich(world)
    bought = await ada.buy()
    world.advance(days=30)
    assert (await look_up(world, bought.code)).state == V.EXPIRED
    with refused("VOUCHER_ENDED"):
        await use(world, bought.code)
    with refused("VOUCHER_ENDED"):
        await void(world, bought.name)
    assert await world.balance(ada.user) == (150, 0)


async def test_a_voucher_goes_with_its_person(world: World) -> None:
    await put_offer(world)
    ada = await rich(world)
    bought = await ada.buy()
    request = holder_pb.ExportSubjectRequest(subject=ada.name)
    rows = [one async for one in HolderServiceStub(world.channel).ExportSubject(request, metadata=PRIVACY)]
    [exported] = [json.loads(one.row_json) for one in rows if one.table == "voucher"]
    assert (exported["title"]["value"], bought.code.replace("-", "") in str(exported)) == ("10.00 off", False)
    await erase(world, ada.user)
    with refused("VOUCHER_NOT_FOUND"):
        await use(world, bought.code)
    assert await world.ask_database("SELECT 1 FROM voucher") == []
    books = await world.books()
    assert (books.balanced, books.totals["redeemed"], books.totals["forfeited"]) == (True, 100, 150)


async def test_vouchers_come_by_the_page_newest_first(world: World) -> None:
    await put_offer(world)
    ada = await rich(world, 300)
    names = [(await ada.buy()).name for _ in range(3)]
    first = await ada.vouchers(page_size=2)
    rest = await ada.vouchers(page_size=2, page_token=first.next_page_token)
    assert sorted(names) == sorted(one.name for one in [*first.vouchers, *rest.vouchers])
    assert (len(first.vouchers), rest.next_page_token) == (2, "")


async def test_nobody_but_the_shop_may_ask_by_code(world: World) -> None:
    request = pb.LookUpVoucherRequest(code="22222")
    for metadata in (world.as_(uuid4(), "admin"), as_service("support")):
        with refused("FORBIDDEN"):
            await rewards_of(world).LookUpVoucher(request, metadata=metadata)
