"""Every reason that a contract lists is one that our code gives and that a test has seen given."""

import ast
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest
from grpc import StatusCode

from chassis.refusal import PLATFORM_DOMAIN, Refusal
from deploy.local.ports import SERVICES
from gateway.contracts import PLATFORM, reasons

TESTS = Path(__file__).parents[1]
HOMES = (*(f"services.{service}.refusals" for service in SERVICES), "gateway.refusals", "chassis.refusal")
# Reasons that nobody is refused for: what they stand on instead.
NO_REFUSAL = {(PLATFORM, "EVENT_UNDECODABLE"): "a dead letter"}
SAYING = ("refused", "problem", "Try", "parametrize")  # calls whose arguments are what a test expects
Reason = tuple[str, str]


def classes() -> Iterator[tuple[Reason, type[Refusal]]]:
    """Each refusal in our code, by the package and the reason it speaks of."""
    for home in HOMES:
        module = import_module(home)
        for one in vars(module).values():
            is_its_own = isinstance(one, type) and issubclass(one, Refusal) and one.__module__ == module.__name__
            if is_its_own and hasattr(one, "reason"):
                yield (package_of(one, home), one.reason), one


def package_of(refusal: type[Refusal], home: str) -> str:
    if not refusal.domain:
        return home.split(".")[1]
    return PLATFORM if refusal.domain == PLATFORM_DOMAIN else refusal.domain.removesuffix(f".{PLATFORM_DOMAIN}")


def expected(source: str) -> Iterator[str]:
    """The texts and classes that a test expects: in an assertion, or handed to what makes one. Comments and
    documentation are not read."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assert(test=inner):
                yield from (text for text in texts(inner) if text not in StatusCode.__members__)  # which may be meant
            case ast.Call(func=ast.Attribute(attr="raises"), args=[ast.Name(id=name), *_]):
                yield name
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in SAYING:
                for inner in (*node.args, *(keyword.value for keyword in node.keywords)):
                    yield from texts(inner)


def texts(node: ast.AST) -> Iterator[str]:
    return (one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str))


def seen(given: Mapping[Reason, type[Refusal]]) -> set[Reason]:
    """What the tests expect. A reason that two packages have counts where the test is of that package's service."""
    words: dict[str, list[Reason]] = {}
    for one in reasons():
        for word in {one[1], given[one].__name__} if one in given else {one[1]}:
            words.setdefault(word, []).append(one)
    found: set[Reason] = set()
    for path in TESTS.rglob("*.py"):
        folder = path.relative_to(TESTS).parts[0]
        for word in expected(path.read_text(encoding="utf-8")):
            meant = words.get(word, [])
            found.update(one for one in meant if len(meant) == 1 or one[0] == folder)
    return found


def test_every_reason_is_given_by_our_code_and_seen_by_a_test(capsys: pytest.CaptureFixture[str]) -> None:
    known, given = set(reasons()), dict(classes())
    tested = seen(given)
    with capsys.disabled():
        print(f"\n  reasons: {len(known)} in contracts, {len(given)} refusals, {len(tested)} seen by tests", end="")
    assert sorted(given.keys() - known) == [], "refused for, and in no contract"
    assert sorted(known - given.keys() - NO_REFUSAL.keys()) == [], "in a contract, and no refusal"
    assert sorted(known - tested) == [], "in a contract, and seen by no test"


def test_a_comment_is_no_test() -> None:
    source = '"""It says EMAIL_TAKEN."""\n# refused("EMAIL_TAKEN")\nx = "EMAIL_TAKEN"\nassert x, None\n'
    assert list(expected(source)) == []
    assert list(expected('with refused("EMAIL_TAKEN"): ...\n')) == ["EMAIL_TAKEN"]
