"""Card numbers in requests: hidden in what people write, refused in what else is told of them, left alone elsewhere."""

from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor
from rapport.commerce.v1 import commerce_pb2

from chassis.access import methods
from chassis.masking import MASKED, hiding
from chassis.refusal import CardNumber, InvalidField
from chassis.rpc import Context
from chassis.validation import check
from tests.chassis.oracle import HERE, Question, consulted, contract

NUMBER, HIDDEN = "4111 1111 1111 1111", "XXXX XXXX XXXX 1111"


async def read(question: Any, _: Context) -> str:
    """What the servicer sees."""
    return "|".join([question.words, *question.letters, *[await read(one, _) for one in question.more]])


async def told(call: Any) -> str | None:
    found: dict[str, str] = dict(await call.trailing_metadata())
    return found.get(MASKED)


async def test_the_servicer_sees_the_last_four_and_the_writer_is_told() -> None:
    asked = Question(words=f"My {NUMBER}", letters=["no", NUMBER], more=[Question(words=NUMBER), Question(words="no")])
    async with consulted(read) as stub:
        call = stub.Ask(asked)
        assert (await call).text == f"My {HIDDEN}|no|{HIDDEN}|{HIDDEN}|no"
        assert await told(call) == "more[0].words, words, letters[1]"  # as the contract lists them
        call = stub.Ask(Question(words="no number"))
        await call
        assert await told(call) is None


@pytest.mark.parametrize("name", ["Watch", "Tell", "Converse"])
async def test_a_stream_is_looked_at_all_along(name: str) -> None:
    asked = [Question(words="no"), Question(words=NUMBER), Question(letters=[NUMBER])]
    async with consulted(read) as stub:
        call = getattr(stub, name)(asked[1] if name == "Watch" else iter(asked))
        said = [(await call).text] if name == "Tell" else [one.text async for one in call]
        assert NUMBER not in " ".join(said)
        assert HIDDEN in " ".join(said)
        assert await told(call) == ("words" if name == "Watch" else "words, letters[0]")


async def test_what_is_known_is_asked_for_once_and_only_where_a_number_seems_to_be() -> None:
    asked: list[Any] = []

    async def known(request: Any) -> Sequence[str]:
        asked.append(request)
        return ["4111-1111-1111-1111", "1001"]

    async with consulted(read, known=known) as stub:
        assert (await stub.Ask(Question(words="order 1001"))).text == "order 1001"
        assert asked == []
        call = stub.Ask(Question(words=f"order {NUMBER}", letters=["card 5555 5555 5555 4444"]))
        assert (await call).text == f"order {NUMBER}|card XXXX XXXX XXXX 4444"
        assert await told(call) == "letters[0]"
        assert len(asked) == 1


@pytest.mark.parametrize("said", [{"called": NUMBER}, {"called": f"Ada {NUMBER}"}, {"phone": "4111111111111111"}])
async def test_any_other_text_about_a_person_is_refused_with_one(said: dict[str, str]) -> None:
    async with consulted(read) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Ask(Question(**said))
    assert NUMBER not in repr(caught.value)
    with pytest.raises(CardNumber) as refused:
        check(Question.DESCRIPTOR)(Question(**said))
    assert [(one.field, one.reason) for one in refused.value.violations] == [(next(iter(said)), "CARD_NUMBER")]


def test_where_more_is_wrong_all_of_it_is_told() -> None:
    with pytest.raises(InvalidField) as refused:
        check(Question.DESCRIPTOR)(Question(called=NUMBER, stars=6))
    assert {(one.field, one.reason) for one in refused.value.violations} == {
        ("called", "CARD_NUMBER"),
        ("stars", "OUT_OF_RANGE"),
    }


@pytest.mark.parametrize(
    "said",
    [
        {"password": NUMBER},  # which somebody may have chosen, and nobody reads
        {"text": NUMBER},  # of which the contract says that it holds no person
        {"phone": "4222222222222"},  # as long as a telephone number
        {"called": "4111 1111"},
        {"called": "Ada 2nd, 12345 67890"},
    ],
)
def test_what_is_secret_or_nobodys_or_reads_otherwise_is_left_alone(said: dict[str, str]) -> None:
    question = Question(**said)
    check(Question.DESCRIPTOR)(question)
    assert question == Question(**said)


def test_what_the_shop_tells_of_orders_holds_nothing_that_anybody_writes() -> None:
    """So its events need no look when they come by message, where nobody could be told."""
    assert hiding(commerce_pb2.DESCRIPTOR) == {}
    taken: list[Descriptor] = [method.input_type for _, method in methods(commerce_pb2.DESCRIPTOR)]
    assert [one.name for one in taken] == ["StateOrderEventRequest"]


def test_where_nobody_could_look_nobody_writes() -> None:
    text = (HERE / "oracle.proto").read_text().replace("package rapport.oracle.v1", "package rapport.mapped.v1")
    held = "map<string, string> notes = 7 [(rapport.annotations.v1.limits) = {max_items: 1}"
    said = ", (rapport.annotations.v1.personal) = {category: USER_CONTENT_PRIVATE purpose: SUPPORT}"
    with pytest.raises(ValueError, match=r"Question\.notes: what people write stands in no map"):
        hiding(contract(text.replace(held, held + said)))
