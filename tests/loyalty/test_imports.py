"""Opening balances from a file."""

import hashlib
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from rapport.loyalty.v1 import finance_pb2 as pb
from rapport.loyalty.v1.loyalty_pb2 import IMPORTED, PURCHASE

from chassis.client import Channel
from chassis.time import timestamp
from deploy.local import balances
from deploy.local.terminal import LocalError
from tests.loyalty.conftest import OPERATOR, World
from tests.loyalty.ledger import Till
from tests.world import refused, token_of

HASH = hashlib.sha256(b"a file").hexdigest()
END = "2027-01-01T00:00:00+01:00"


async def bring_in(
    world: World, *lines: str, first: int = 2, dry: bool = False, file: str = HASH
) -> pb.ImportBalancesResponse:
    request = pb.ImportBalancesRequest(file_hash=file, first_line=first, lines=lines, validate_only=dry)
    return await world.finance.ImportBalances(request, metadata=OPERATOR)


async def test_a_line_is_booked_once_for_its_file(world: World) -> None:
    till, other = Till.of(world), Till.of(world)
    lines = [f"{till.user},100,{END},", f"users/{other.user},50,,PURCHASE", f"{till.user},7"]
    told = await bring_in(world, *lines)
    assert (told.imported, told.points, told.replayed, list(told.problems)) == (3, 157, 0, [])
    told = await bring_in(world, *lines[1:], first=3)  # from where it might have stopped
    assert (told.imported, told.points, told.replayed) == (0, 0, 2)
    assert (await till.available(), await other.available()) == (107, 50)
    assert (await till.totals())["issued"] == 157
    told = await bring_in(world, lines[2], file=hashlib.sha256(b"another").hexdigest())
    assert told.imported == 1


async def test_what_is_brought_along_keeps_its_end_and_origin(world: World) -> None:
    till = Till.of(world)
    await bring_in(world, f"{till.user},100,{END},", f"{till.user},50,,PURCHASE")
    rows = await world.ask_database("SELECT origin, lot.amount, expire_time, kind FROM lot JOIN operation USING (id)")
    assert {(origin, amount, kind) for origin, amount, _, kind in rows} == {
        ("IMPORTED", 100, "IMPORT"), ("PURCHASE", 50, "IMPORT"),
    }  # fmt: skip
    assert {None if end is None else end.isoformat() for _, _, end, _ in rows} == {None, "2026-12-31T23:00:00+00:00"}
    request = pb.GetLiabilityReportRequest(start_time=timestamp(world.now()), end_time=timestamp(till.day(1)))
    told = await world.finance.GetLiabilityReport(request, metadata=OPERATOR)
    assert {one.origin: one.issued for one in told.rows if one.issued} == {IMPORTED: 100, PURCHASE: 50}


async def test_a_dry_run_tells_every_bad_line_and_books_nothing(world: World) -> None:
    till = Till.of(world)
    bad = [
        "nobody,5",
        f"{uuid4()},5",
        f"{till.user},0",
        f"{till.user},1.5",
        f"{till.user},-5",
        f"{till.user},1000000001",
        f"{till.user},5,tomorrow",
        f"{till.user},5,2027-01-01T00:00:00",
        f"{till.user},5,2026-01-01T00:00:00Z",
        f"{till.user},5,,PRESENT",
        f"{till.user}",
        f"{till.user},5,,,",
        f'{till.user},"5',
    ]
    lines = [f"{till.user},1", *bad, f"{till.user},2"]
    told = await bring_in(world, *lines, dry=True)
    assert (told.imported, told.points) == (2, 3)
    assert [one.line for one in told.problems] == list(range(3, 3 + len(bad)))
    assert not any(str(till.user) in one.description for one in told.problems)
    assert await world.movements(till.user) == []
    assert await world.ask_database("SELECT 1 FROM account") == []
    told = await bring_in(world, *lines)
    assert (told.imported, len(told.problems), await till.available()) == (2, len(bad), 3)
    told = await bring_in(world, *lines, dry=True)
    assert (told.imported, told.replayed) == (0, 2)


async def test_another_line_in_the_place_of_one_that_was_booked_is_told(world: World) -> None:
    till = Till.of(world)
    await bring_in(world, f"{till.user},5")
    told = await bring_in(world, f"{till.user},6")
    assert [(one.line, told.imported) for one in told.problems] == [(2, 0)]
    assert await till.available() == 5


async def test_a_file_is_named_by_its_hash(world: World) -> None:
    with refused("INVALID_FIELD"):
        await bring_in(world, "x,1", file="not a hash")


# The command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def operator(world: World) -> grpc.aio.Channel:
    """A channel that speaks as the operator, as the command has one."""
    return Channel(world.channel, token_of("operator"))


async def test_a_file_is_brought_in_with_its_totals_and_may_be_sent_again(
    world: World, operator: grpc.aio.Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balances, "PIECE", 2)
    till, file, said = Till.of(world), tmp_path / "balances.csv", list[str]()
    lines = [f"{till.user},{points},," for points in (1, 2, 4, 8)]
    file.write_text("\n".join(["\ufeffuser,points,expire_time,origin", *lines, "nobody,16,,", ""]))
    told = await balances.send(operator, file, dry=True, say=said.append)
    assert (told.imported, told.points, told.problems, told.before == told.after) == (4, 15, 1, True)
    assert said == [
        "before: issued 0, available 0, pending 0, held 0, arrears 0", "2 of 5 lines", "4 of 5 lines",
        "line 6: The first cell is the id of a user.", "5 of 5 lines",
        "after: issued 0, available 0, pending 0, held 0, arrears 0",
    ]  # fmt: skip
    told = await balances.send(operator, file, dry=False, say=said.append)
    assert (told.imported, told.before["issued"], told.after["issued"]) == (4, 0, 15)
    told = await balances.send(operator, file, dry=False, say=said.append)
    assert (told.imported, told.replayed, told.after["issued"]) == (0, 4, 15)


async def test_a_run_that_broke_off_goes_on(
    world: World, operator: grpc.aio.Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balances, "PIECE", 1)
    till, file = Till.of(world), tmp_path / "balances.csv"
    file.write_text("user,points,expire_time,origin\n" + f"{till.user},1,,\n" * 3)

    def breaks_off(word: str) -> None:
        if word.startswith("2 of"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await balances.send(operator, file, dry=False, say=breaks_off)
    assert await till.available() == 2
    told = await balances.send(operator, file, dry=False, say=lambda _: None)
    assert (told.imported, told.replayed, await till.available()) == (1, 2, 3)


@pytest.mark.parametrize("text", ["", "user,points\n", "a\xff"])
async def test_what_is_no_such_file_is_said(operator: grpc.aio.Channel, tmp_path: Path, text: str) -> None:
    file = tmp_path / "balances.csv"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(LocalError):
        await balances.send(operator, file, dry=True, say=lambda _: None)
    with pytest.raises(LocalError, match="cannot be read"):
        await balances.send(operator, tmp_path / "none", dry=True, say=lambda _: None)
