"""Messages of the right shape with values that nobody thought of: whatever becomes of them, it is no fault of ours."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor import FieldDescriptor as F

from deploy.local.apply import apply
from deploy.local.furnish import STORE
from gateway.binding import body_of
from gateway.routes import Rule
from gateway.schemas import WELL_KNOWN
from tests.contract.calls import AT_ONCE, JSON, LEAK, RULES, Callers, path_of, valid
from tests.store import Store, user

pytestmark = [pytest.mark.xdist_group("store"), pytest.mark.long]

# Anything at all -----------------------------------------------------------------------------------------------------


async def test_nothing_that_can_be_written_is_a_fault_of_ours(
    store: Store, callers: Callers, capsys: pytest.CaptureFixture[str]
) -> None:
    """Messages of the right shape with values that nobody thought of, as whoever is admitted."""
    tries = [
        (rule.verb, path_of(rule, callers.ada.user), callers.admitted(rule) | JSON, written)
        for rule in RULES
        if rule.body
        for written in strange(rule)
    ]
    answers: Counter[int] = Counter()
    problems = []
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(http: httpx.AsyncClient, verb: str, path: str, headers: dict[str, str], written: bytes) -> None:
        async with turn:
            answer = await http.request(verb, path, headers=headers, content=written)
        answers[answer.status_code] += 1
        if answer.status_code >= 500 or LEAK.search(answer.text):
            problems.append(f"{verb} {path} {written[:300]!r}: {answer.status_code} {answer.text[:200]}")

    try:
        async with store.http() as http:
            await asyncio.gather(*(one(http, *bad) for bad in tries))
    finally:
        await asyncio.to_thread(apply, store.plan, STORE)  # some of it was let in
    with capsys.disabled():
        print(f"\n  strange: {len(tries)} requests, {dict(answers.most_common())}", end="")
    assert not problems, "\n".join(problems)


STRANGE: dict[int, list[Any]] = {
    F.CPPTYPE_STRING: [
        "",
        "\0",
        "\u202e\ufeff\U0001f9e6",
        "a" * 5_000,
        "users/-",
        "../..",
        "' OR 1=1 --",
        "2026-02-30",
    ],
    F.CPPTYPE_INT32: [-(1 << 31), -1, 0, (1 << 31) - 1],
    F.CPPTYPE_INT64: [str(-(1 << 63)), "-1", "0", str((1 << 63) - 1)],
    F.CPPTYPE_ENUM: [0, -1, 77, (1 << 31) - 1],
    F.CPPTYPE_BOOL: [True, False],
}
MOMENTS = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1970-01-01T00:00:00Z"]


def strange(rule: Rule) -> Iterator[bytes]:
    """The body as it should be, with one value after another made strange."""
    message = body_of(rule)
    right = orjson.loads(valid(rule, user()) or b"{}")
    for one in message.fields if message is not None else ():
        for value in strange_values(one, 0):
            yield orjson.dumps(right | {one.json_name: value})


def strange_values(one: FieldDescriptor, depth: int) -> Iterator[Any]:
    if one.is_repeated:
        for value in strange_single(one, depth):
            yield [value]
        yield [next(iter(strange_single(one, depth)))] * 300
        yield []
    else:
        yield from strange_single(one, depth)


def strange_single(one: FieldDescriptor, depth: int) -> Iterator[Any]:
    message = one.message_type
    if message is None:
        yield from ["", "AA=="] if one.type == F.TYPE_BYTES else STRANGE[one.cpp_type]
    elif message.full_name in WELL_KNOWN:
        yield from MOMENTS if message.name == "Timestamp" else [""]
    else:
        yield {}
        for inner in message.fields if depth < 2 else ():
            for value in strange_values(inner, depth + 1):
                yield {inner.json_name: value}
