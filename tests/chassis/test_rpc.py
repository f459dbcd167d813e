import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from chassis import deadline, rpc, telemetry
from chassis.database import connect
from chassis.refusal import InvalidField, Refused, Violation, refused
from tests.chassis.oracle import PATH, Answer, Question, Stub, arity_of, consulted, echo

CANARY = "ada@" + "example.org"


async def whole(stub: Stub, name: str, *questions: Any, **options: Any) -> list[str]:
    """All that a method of any arity answers."""
    call = getattr(stub, name)
    is_streamed = name in ("Tell", "Converse", "TellMine")
    answer = call(iter(questions), **options) if is_streamed else call(questions[0], **options)
    if hasattr(answer, "__aiter__"):
        return [one.text async for one in answer]
    return [(await answer).text]


async def refusal_of(answer: Any) -> Refused:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await answer
    assert CANARY not in repr(caught.value)
    return refused(caught.value)


def ask(text: str = "when") -> Any:
    return Question(text=text)


ARITIES = pytest.mark.parametrize("name", ["Ask", "Watch", "Tell", "Converse"])


@pytest.mark.parametrize(
    ("name", "answers"),
    [("Ask", ["a"]), ("Watch", ["a", "a"]), ("Tell", ["a b"]), ("Converse", ["a", "b"])],
)
async def test_a_call_of_any_arity_arrives_and_returns(name: str, answers: list[str]) -> None:
    async with consulted() as stub:
        assert await whole(stub, name, ask("a"), ask("b")) == answers


@ARITIES
async def test_a_refusal_arrives_whatever_the_arity(name: str) -> None:
    async def refuse(question: Any, context: rpc.Context) -> str:
        raise InvalidField("No.", violations=[Violation("text", "DULL", "Ask better.")])

    async with consulted(refuse) as stub:
        said = await refusal_of(whole(stub, name, ask()))
    assert (said.code, said.reason, said.message) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "No.")
    assert said.violations == [Violation("text", "DULL", "Ask better.")]


@ARITIES
async def test_a_fault_tells_nothing_whatever_the_arity(name: str) -> None:
    async def fail(question: Any, context: rpc.Context) -> str:
        raise ValueError(CANARY)

    with capture_logs() as logs:
        async with consulted(fail) as stub:
            said = await refusal_of(whole(stub, name, ask()))
    assert (said.code, said.reason, said.message) == (grpc.StatusCode.INTERNAL, "INTERNAL", "Internal error.")
    [line] = logs
    assert (line["event"], line["log_level"], type(line["exc_info"])) == ("rpc_failed", "error", ValueError)


@ARITIES
async def test_an_answer_that_is_none_of_the_contracts_tells_nothing(name: str) -> None:
    async def wrong(question: Any, context: rpc.Context) -> str:
        return {CANARY: 1}  # type: ignore[return-value]

    async with consulted(wrong) as stub:
        assert (await refusal_of(whole(stub, name, ask()))).reason == "INTERNAL"


async def test_an_answer_of_another_type_tells_nothing() -> None:
    async def wrong(request: Any, context: rpc.Context) -> Any:
        return {CANARY: 1}

    serve = grpc.unary_unary_rpc_method_handler(
        wrong, request_deserializer=Question.FromString, response_serializer=Answer.SerializeToString
    )
    async with consulted(more={"Ask": serve}) as stub:
        assert (await refusal_of(whole(stub, "Ask", ask()))).reason == "INTERNAL"


@ARITIES
async def test_bytes_that_are_no_message_are_refused(name: str) -> None:
    async with consulted() as stub:
        arity = arity_of(name)
        call = getattr(stub.channel, arity)(PATH + name)
        answer = call(iter([b"\xff"]) if arity.startswith("stream") else b"\xff")

        async def read() -> None:
            if hasattr(answer, "__aiter__"):
                async for _ in answer:
                    pass
            else:
                await answer

        assert (await refusal_of(read())).reason == "INVALID_FIELD"


@ARITIES
async def test_every_message_is_checked_whatever_the_arity(name: str) -> None:
    async with consulted() as stub:
        # No other comes after it: grpc.aio may lose why a call was refused where it is still writing then.
        said = await refusal_of(whole(stub, name, ask("x" * 21)))
    assert [(one.field, one.reason) for one in said.violations] == [("text", "TOO_LONG")]


async def test_a_later_message_of_a_stream_is_checked() -> None:
    async with consulted() as stub:
        assert (await refusal_of(whole(stub, "Tell", ask(), ask("x" * 21)))).reason == "INVALID_FIELD"


async def test_a_servicer_may_abort_a_call_itself() -> None:
    async def abort(question: Any, context: rpc.Context) -> str:
        await context.abort(grpc.StatusCode.NOT_FOUND, "Nowhere.")

    with capture_logs() as logs:
        async with consulted(abort) as stub:
            said = await refusal_of(whole(stub, "Ask", ask()))
    assert (said.code, said.message) == (grpc.StatusCode.NOT_FOUND, "Nowhere.")
    assert [(line["event"], line["code"]) for line in logs] == [("rpc_refused", "NOT_FOUND")]


async def test_a_servicer_may_write_instead_of_yielding() -> None:
    async def write(request: Any, context: rpc.Context) -> None:
        await context.write(Answer(text="written"))

    serve = grpc.unary_stream_rpc_method_handler(
        write, request_deserializer=Question.FromString, response_serializer=Answer.SerializeToString
    )
    async with consulted(more={"Watch": serve}) as stub:
        assert await whole(stub, "Watch", ask()) == ["written"]


async def test_a_method_that_is_not_there_is_unimplemented() -> None:
    async with consulted() as stub:
        sing: Any = stub.channel.unary_unary(PATH + "Sing")
        assert (await refusal_of(sing(b""))).code is grpc.StatusCode.UNIMPLEMENTED


# Deadlines -----------------------------------------------------------------------------------------------------------


async def seconds_left(question: Any, context: rpc.Context) -> str:
    return str(deadline.left())


@ARITIES
async def test_a_call_with_no_time_left_is_refused(name: str) -> None:
    async with consulted() as stub:
        assert (await refusal_of(whole(stub, name, ask(), timeout=0.09))).reason == "DEADLINE_TOO_SHORT"


async def test_a_servicer_knows_how_long_its_caller_waits() -> None:
    async with consulted(seconds_left) as stub:
        assert 60 < float((await whole(stub, "Watch", ask(), timeout=90))[0]) < 91  # gRPC rounds a deadline up


async def test_a_call_without_a_deadline_is_given_one() -> None:
    async with consulted(seconds_left) as stub:
        assert 15 < float((await whole(stub, "Ask", ask()))[0]) <= 30


async def test_a_stream_without_a_deadline_is_given_none() -> None:
    async with consulted(seconds_left) as stub:
        assert await whole(stub, "Watch", ask()) == ["None", "None"]


async def test_a_call_without_a_deadline_does_not_take_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "LONGEST", 0.02)

    async def wait(question: Any, context: rpc.Context) -> str:
        await asyncio.Event().wait()
        return "never"

    async with consulted(wait) as stub:
        said = await refusal_of(whole(stub, "Ask", ask()))
    assert (said.code, said.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT")


async def test_a_timeout_of_the_servicers_own_is_a_fault_of_ours() -> None:
    async def wait(question: Any, context: rpc.Context) -> str:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
        return "never"

    async with consulted(wait) as stub:
        assert (await refusal_of(whole(stub, "Ask", ask()))).reason == "INTERNAL"


# Those who leave -----------------------------------------------------------------------------------------------------


async def test_a_stream_is_closed_when_its_reader_leaves() -> None:
    left = asyncio.Event()

    async def endless(request: Any, context: rpc.Context) -> AsyncIterator[Any]:
        try:
            while True:
                yield Answer(text="still here")
        finally:
            left.set()

    serve = grpc.unary_stream_rpc_method_handler(
        endless,
        request_deserializer=Question.FromString,
        response_serializer=Answer.SerializeToString,
    )
    with capture_logs() as logs:
        async with consulted(more={"Watch": serve}) as stub:
            call = stub.Watch(ask())
            await call.read()
            call.cancel()
            await asyncio.wait_for(left.wait(), 5)
    assert [(line["event"], line["code"]) for line in logs] == [("rpc_abandoned", "CANCELLED")]


async def test_a_servicer_stops_when_its_caller_leaves() -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def wait(question: Any, context: rpc.Context) -> str:
        begun.set()
        with suppress(ZeroDivisionError):
            try:
                await asyncio.Event().wait()
            finally:
                left.set()
        return "never"

    async with consulted(wait) as stub:
        call = stub.Ask(ask())
        await begun.wait()
        call.cancel()
        await asyncio.wait_for(left.wait(), 5)


# What the log and the numbers say ------------------------------------------------------------------------------------


async def test_a_call_is_one_line_in_the_log() -> None:
    with capture_logs() as logs:
        async with consulted() as stub:
            await whole(stub, "Ask", ask(CANARY))
    [line] = logs
    assert line.pop("ms") >= 0
    assert line == {
        "event": "rpc_served",
        "log_level": "info",
        "method": "rapport.oracle.v1.OracleService/Ask",
        "code": "OK",
        "caller": "",
    }


async def test_a_call_is_counted_by_its_code() -> None:
    def count(code: str) -> float:
        labels = {"grpc_service": "rapport.oracle.v1.OracleService", "grpc_method": "Ask", "grpc_code": code}
        return telemetry.REGISTRY.get_sample_value("grpc_server_handled_total", labels) or 0

    served, refused_ = count("OK"), count("INVALID_ARGUMENT")
    async with consulted() as stub:
        await whole(stub, "Ask", ask())
        await refusal_of(whole(stub, "Ask", ask("x" * 21)))
    assert (count("OK"), count("INVALID_ARGUMENT")) == (served + 1, refused_ + 1)


async def span(question: Any, context: rpc.Context) -> str:
    now = telemetry.span.get()
    return f"{now.request_id} {now.trace_id}" if now else ""


async def test_a_call_goes_on_under_the_ids_it_came_with() -> None:
    request_id, trace = str(uuid4()), "ab" * 16
    metadata = (("x-request-id", request_id), ("traceparent", f"00-{trace}-{'cd' * 8}-01"))
    async with consulted(span) as stub:
        assert await whole(stub, "Ask", ask(), metadata=metadata) == [f"{request_id} {trace}"]


async def test_ids_that_are_no_ids_are_replaced() -> None:
    async with consulted(span) as stub:
        [said] = await whole(stub, "Ask", ask(), metadata=(("x-request-id", "a b c"), ("traceparent", "no trace")))
        [other] = await whole(stub, "Ask", ask())
    assert "no trace" not in said
    assert set(said.split()).isdisjoint(other.split())


# What the database says ----------------------------------------------------------------------------------------------


def saying(database: str, sqlstate: str) -> Callable[[Any, rpc.Context], Any]:
    async def fail(question: Any, context: rpc.Context) -> str:
        engine, sessions = connect(database, name="tests")
        try:
            async with sessions.begin() as session:
                await session.execute(
                    text(f"DO $$ BEGIN RAISE EXCEPTION '{CANARY}' USING ERRCODE = '{sqlstate}'; END $$")
                )
        finally:
            await engine.dispose()
        return "never"

    return fail


async def test_a_row_about_the_erased_is_refused_by_name(database: str) -> None:
    async with consulted(saying(database, "P0E01")) as stub:
        said = await refusal_of(whole(stub, "Ask", ask()))
    assert (said.code, said.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PERSON_ERASED")


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "57P01"])
async def test_what_passes_may_be_tried_again(database: str, sqlstate: str) -> None:
    async with consulted(saying(database, sqlstate)) as stub:
        said = await refusal_of(whole(stub, "Ask", ask()))
    assert (said.code, said.reason) == (grpc.StatusCode.UNAVAILABLE, "TRY_AGAIN")
    assert said.retry_after == timedelta(seconds=1)


async def test_what_the_database_minds_otherwise_is_a_fault_of_ours(database: str) -> None:
    async with consulted(saying(database, "23505")) as stub:
        assert (await refusal_of(whole(stub, "Ask", ask()))).reason == "INTERNAL"


async def test_a_database_that_is_away_may_be_tried_again() -> None:
    async with consulted(saying("postgresql://ada@127.0.0.1:9/none", "P0001")) as stub:
        assert (await refusal_of(whole(stub, "Ask", ask()))).reason == "TRY_AGAIN"


async def test_a_peer_that_is_away_may_be_tried_again() -> None:
    async def forward(question: Any, context: rpc.Context) -> str:
        async with grpc.aio.insecure_channel("127.0.0.1:9") as channel:
            return await echo(await Stub(channel).Ask(question), context)

    async with consulted(forward) as stub:
        assert (await refusal_of(whole(stub, "Ask", ask()))).reason == "TRY_AGAIN"


async def test_a_call_of_ours_that_cannot_be_made_is_a_fault_of_ours() -> None:
    async def forward(question: Any, context: rpc.Context) -> str:
        async with grpc.aio.insecure_channel("127.0.0.1:9") as channel:
            return await echo(await Stub(channel).Ask(question, metadata=(("x-request-id", "\x01"),)), context)

    async with consulted(forward) as stub:
        assert (await refusal_of(whole(stub, "Ask", ask(), timeout=10))).reason == "INTERNAL"
