import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor

from chassis.access import NoPolicy, Peers, caller, policies
from chassis.rpc import Context
from chassis.settings import SettingsError
from chassis.time import system_clock
from tests.chassis.oracle import PRIVACY, SUPPORT, Omen, Question, UpdateOmenRequest, consulted, contract
from tests.chassis.test_rpc import refusal_of, whole
from tests.tokens import as_program, as_user

ADA, EVE = UUID("8a3c9a5e-0c5f-4a56-9f0e-3f4d7c5b2a10"), UUID("0b7e6d1c-52a1-4d1f-8a59-6f1f6f0c9d21")
OMEN = f"users/{ADA}/omens/{uuid4()}"
NOBODY: tuple[tuple[str, str], ...] = ()


def person(user: UUID, *roles: str, **how: Any) -> tuple[tuple[str, str], ...]:
    return as_user(user, *roles, now=system_clock(), **how)


ada, eve = person(ADA), person(EVE)
agent, admin = person(EVE, "agent"), person(EVE, "admin")
reader = person(ADA, client="reader", scope="omens profile")
writer = person(ADA, client="writer", scope="omens.write")
robot = as_program("robot", now=system_clock(), scope="omens.write")
reading_robot = as_program("robot", now=system_clock(), scope="omens")
stale = person(ADA, signed_in=system_clock() - timedelta(seconds=301))


@pytest.mark.parametrize(
    ("method", "who", "reason"),
    [
        ("Ask", NOBODY, ""),
        ("Ask", ada, ""),
        ("Ask", (("authorization", "Bearer x"),), "TOKEN_INVALID"),
        ("Ask", (("authorization", "Basic x"),), "TOKEN_INVALID"),
        ("Ask", (("x-rapport-service", "x"),), "TOKEN_INVALID"),
        ("GetOmen", NOBODY, "SIGN_IN_NEEDED"),
        ("GetOmen", ada, ""),
        ("GetOmen", eve, "FORBIDDEN"),
        ("GetOmen", agent, ""),
        ("GetOmen", admin, "FORBIDDEN"),
        ("GetOmen", reader, ""),
        ("GetOmen", writer, "SCOPE_MISSING"),
        ("GetOmen", PRIVACY, ""),
        ("GetOmen", (*PRIVACY, *eve), ""),
        ("GetOmen", SUPPORT, "SIGN_IN_NEEDED"),
        ("GetOmen", (*SUPPORT, *ada), ""),
        ("GetOmen", (*SUPPORT, *eve), "FORBIDDEN"),
        ("GetOmen", (*PRIVACY, ("authorization", "Bearer x")), "TOKEN_INVALID"),
        ("WatchOmen", NOBODY, "SIGN_IN_NEEDED"),
        ("WatchOmen", ada, ""),
        ("WatchOmen", agent, "FORBIDDEN"),
        ("WatchOmen", reader, "SCOPE_MISSING"),  # no scope reaches what states none
        ("ForgetOmen", ada, ""),
        ("ForgetOmen", stale, "SIGN_IN_TOO_OLD"),
        ("ForgetOmen", (*PRIVACY, *stale), ""),
        ("TellMine", NOBODY, "SIGN_IN_NEEDED"),
        ("TellMine", eve, ""),
        ("SayOmen", robot, ""),
        ("SayOmen", reading_robot, "SCOPE_MISSING"),
        ("SayOmen", writer, "FORBIDDEN"),  # it has the scope, and a person in it
        ("SayOmen", ada, "FORBIDDEN"),
        ("SayOmen", NOBODY, "SIGN_IN_NEEDED"),
        ("SayOmen", PRIVACY, ""),
        ("SayOmen", (*SUPPORT, *robot), ""),
        ("Ask", robot, ""),
        ("GetOmen", reading_robot, "FORBIDDEN"),
        ("TellMine", robot, "FORBIDDEN"),
        ("ReadAll", robot, "FORBIDDEN"),
        ("ReadAll", NOBODY, "SIGN_IN_NEEDED"),
        ("ReadAll", admin, "FORBIDDEN"),
        ("ReadAll", SUPPORT, "FORBIDDEN"),
        ("ReadAll", PRIVACY, ""),
    ],
)
async def test_the_contract_says_who_is_let_in(method: str, who: Any, reason: str) -> None:
    async with consulted() as stub:
        answer = whole(stub, method, Question(name=OMEN, text="a"), metadata=who)
        if reason:
            assert (await refusal_of(answer)).reason == reason
        else:
            assert await answer


@pytest.mark.parametrize(
    "name",
    [
        "",
        "users",
        "users/-/omens/-",
        f"users/{ADA}x/omens/1",
        f"users/{str(ADA)[:-1]}/omens/1",
        f"omens/1/users/{ADA}",
        f" users/{ADA}/omens/1",
        f"users/{str(ADA).upper()}/omens/1",
    ],
)
async def test_what_does_not_begin_with_ones_name_is_not_ones_own(name: str) -> None:
    async with consulted() as stub:
        assert (await refusal_of(stub.GetOmen(Question(name=name), metadata=ada))).reason == "FORBIDDEN"


async def test_the_owner_may_be_named_inside_a_message() -> None:
    mine, hers = Omen(name=OMEN, title="a"), Omen(name=f"users/{EVE}/omens/{uuid4()}", title="a")
    async with consulted() as stub:
        await stub.UpdateOmen(UpdateOmenRequest(omen=mine), metadata=ada)
        assert (await refusal_of(stub.UpdateOmen(UpdateOmenRequest(omen=hers), metadata=ada))).reason == "FORBIDDEN"
        assert (await refusal_of(stub.UpdateOmen(UpdateOmenRequest(), metadata=ada))).reason == "FORBIDDEN"


async def test_who_may_not_ask_learns_nothing_of_the_request() -> None:
    async with consulted() as stub:
        wrong = Question(name="x", text="x" * 21)
        assert (await refusal_of(stub.GetOmen(wrong, metadata=eve))).reason == "FORBIDDEN"
        assert (await refusal_of(stub.GetOmen(wrong, metadata=agent))).reason == "INVALID_FIELD"


async def test_a_refusal_says_what_is_missing() -> None:
    async with consulted() as stub:
        scope = await refusal_of(stub.GetOmen(Question(name=OMEN), metadata=writer))
        fresh = await refusal_of(stub.ForgetOmen(Question(name=OMEN), metadata=stale))
    assert (scope.code, scope.metadata) == (grpc.StatusCode.PERMISSION_DENIED, {"scope": "omens"})
    assert (fresh.code, fresh.metadata) == (grpc.StatusCode.PERMISSION_DENIED, {"seconds": "300"})


async def who(question: Any, context: Context) -> str:
    return f"{caller().kind} {caller().name} {caller().user}"


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (NOBODY, "anonymous  None"),
        (ada, f"person users/{ADA} {ADA}"),
        (PRIVACY, "service services/privacy None"),
        ((*PRIVACY, *ada), f"person users/{ADA} {ADA}"),
        (robot, "program clients/robot None"),
    ],
)
async def test_a_servicer_knows_its_caller(metadata: Any, said: str) -> None:
    async with consulted(who) as stub:
        assert await whole(stub, "Ask", Question(), metadata=metadata) == [said]
        assert await whole(stub, "Watch", Question(), metadata=metadata) == [said, said]


async def test_one_call_does_not_see_the_caller_of_another() -> None:
    async with consulted(who) as stub:
        await stub.Ask(Question(), metadata=ada)
        assert (await stub.Ask(Question())).text == "anonymous  None"


async def test_a_servicer_knows_what_the_token_says() -> None:
    session, signed_in = uuid4(), datetime(2026, 1, 2, 3, tzinfo=UTC)

    async def claims(question: Any, context: Context) -> str:
        she = caller()
        assert she.roles == {"agent", "admin"}
        assert she.session == f"users/{ADA}/sessions/{session}"
        assert she.scopes == {"omens", "profile"}
        assert (she.client, she.auth_time) == ("reader", signed_in)
        return "all"

    she = person(ADA, "agent", "admin", session=session, client="reader", scope="omens profile", signed_in=signed_in)
    async with consulted(claims) as stub:
        assert (await stub.Ask(Question(), metadata=she)).text == "all"


async def test_a_service_that_no_contract_lists_admits_nobody() -> None:
    async with consulted(contracts=[]) as stub:
        for metadata in (NOBODY, ada, admin, PRIVACY):
            assert (await refusal_of(stub.Ask(Question(), metadata=metadata))).reason == "FORBIDDEN"


# Before the start ----------------------------------------------------------------------------------------------------


def oracle(option: str, request: str = "string name = 1;", stream: str = "") -> FileDescriptor:
    return contract(f"""
        syntax = "proto3";
        package x{abs(hash((option, request, stream)))};
        import "google/api/resource.proto";
        import "rapport/annotations/v1/access.proto";
        service Oracle {{ rpc Consult({stream} Ask) returns (Ask) {{ {option} }} }}
        message Ask {{ {request} }}
    """)


def access(says: str) -> str:
    return f"option (rapport.annotations.v1.access) = {{{says}}};"


NAME = 'string name = 1 [(google.api.resource_reference).type = "x/Y"];'
NAMES = 'repeated string name = 1 [(google.api.resource_reference).type = "x/Y"];'


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (lambda: oracle(""), "Oracle.Consult says nobody may call it"),
        (lambda: oracle(access('scope: "a"')), "says nobody may call it"),
        (lambda: oracle(access("public: true signed_in: true")), "is public, so what else it says is idle"),
        (lambda: oracle(access('public: true scope: "a"')), "narrows a way in for people, and has none"),
        (lambda: oracle(access('services: "privacy" fresh: {seconds: 1}')), "narrows a way in for people"),
        (lambda: oracle(access('signed_in: true roles: "agent"')), "its roles and owner are idle"),
        (lambda: oracle(access("programs: true")), "lets programs in, and names no scope that they need"),
        (lambda: oracle(access("public: true programs: true")), "is public, so what else it says is idle"),
        (lambda: oracle(access('programs: true scope: "a" fresh: {seconds: 1}')), "narrows a way in for people"),
        (lambda: oracle(access('roles: "agnet"')), "speaks of agnet, which is no role"),
        (lambda: oracle(access('owner: "name" member: "boss"'), NAME), "speaks of boss, which is no role of a member"),
        (lambda: oracle(access('roles: "agent" member: "viewer"')), "lets in members, and does not say whose it is"),
        (lambda: oracle(access('services: "privaty"')), "speaks of privaty"),
        (lambda: oracle(access('owner: "name"')), "takes name for the owner, which is no resource name in Ask"),
        (lambda: oracle(access('owner: "nmae"'), NAME), "takes nmae for the owner"),
        (lambda: oracle(access('owner: "name.of"'), NAME), "takes name.of for the owner"),
        (lambda: oracle(access('owner: "name"'), NAMES), "takes name for the owner"),
        (lambda: oracle(access('owner: "name"'), NAME, "stream"), "no one field is the owner's"),
    ],
)
def test_a_method_that_says_wrongly_who_may_call_it_does_not_start(
    file: Callable[[], FileDescriptor], problem: str
) -> None:
    with pytest.raises(NoPolicy, match=problem):
        policies(file())


def test_every_method_that_says_it_wrongly_is_named() -> None:
    with pytest.raises(NoPolicy) as caught:
        policies(oracle(""), oracle(access('roles: "agnet"')))
    assert len(str(caught.value).splitlines()) == 2


def test_peers_are_read_from_their_file(tmp_path: Path) -> None:
    file = tmp_path / "peers.json"
    file.write_text(json.dumps({"privacy": "ab" * 32}))
    assert [one.name for one in Peers.read(file).callers.values()] == ["services/privacy"]


@pytest.mark.parametrize("table", [{"privaty": "ab" * 32}, {"privacy": "secret"}, ["privacy"]])
def test_a_table_of_peers_that_reads_otherwise_does_not_start(tmp_path: Path, table: object) -> None:
    file = tmp_path / "peers.json"
    file.write_text(json.dumps(table))
    with pytest.raises(SettingsError, match="RAPPORT_PEERS"):
        Peers.read(file)
