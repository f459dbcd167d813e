"""Whether every sentence of the store's page is kept: python -m tests.promises

Fails on a sentence that no promise lists, an RPC that no contract has, a test that does not exist, and a promise with
neither test nor status.
"""

import ast
import importlib
import pkgutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PROMISES = ROOT / "docs" / "promises"


def problems(page: str, promises: list[dict[str, Any]]) -> Iterator[str]:
    left = page
    for promise in promises:
        sentence = promise["sentence"]
        if sentence not in page:
            yield f"not on the page: {sentence}"
        left = left.replace(sentence, "", 1)
        if not promise.get("tests") and not promise.get("status"):
            yield f"neither test nor status: {sentence}"
        yield from (f"no such test: {test}" for test in promise.get("tests", []) if not exists(test))
        yield from (f"no such RPC: {rpc}" for rpc in promise["rpcs"] if not has_rpc(rpc))
    yield from (f"no promise lists: {line.strip()}" for line in left.splitlines() if line.strip())


def exists(test: str) -> bool:
    """Whether `tests/x/test_y.py::test_z` is a function there."""
    path, _, name = test.partition("::")
    file = ROOT / path
    if not file.is_file():
        return False
    tree = ast.parse(file.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(node, functions) and node.name == name for node in ast.walk(tree))


def has_rpc(rpc: str) -> bool:
    package, _, method = rpc.partition(".")
    folder = importlib.import_module(f"rapport.{package}.v1").__path__
    modules = [one.name for one in pkgutil.iter_modules(folder) if one.name.endswith("_pb2")]
    contracts = [importlib.import_module(f"rapport.{package}.v1.{one}").DESCRIPTOR for one in modules]
    return any(method in service.methods_by_name for file in contracts for service in file.services_by_name.values())


def main() -> int:
    page = (PROMISES / "page.txt").read_text()
    promises = tomllib.loads((PROMISES / "promises.toml").read_text())["promise"]
    found = list(problems(page, promises))
    sys.stdout.write("".join(f"{problem}\n" for problem in found))
    kept = sum(bool(promise.get("tests")) for promise in promises)
    stated = len(promises) - kept
    sys.stdout.write(
        f"{len(promises)} promises: {kept} shown by tests, {stated} with a status, {len(found)} problems\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
