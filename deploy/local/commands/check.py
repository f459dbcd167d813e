import filecmp
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

from deploy.local.ports import SERVICES
from deploy.local.settings import Outside
from deploy.local.state import CLONE
from deploy.local.terminal import LocalError, step

BIN = Path(sys.executable).parent
GENERATED = CLONE / "protos/gen"
DESCRIPTORS = "protos/gen/rapport.binpb"
TOP = ("chassis", "deploy", "gateway", "services", "tests")
AT_ONCE = 2

Found = str  # what is wrong; empty is nothing
Check = Callable[[], Found]


def command(asked: Namespace, outside: Outside) -> int:
    """Every check, or those that are named, a line each; all of them run even when one fails."""
    checks = every(dict(outside.inherited) | {"PYTHONPATH": f"{CLONE}:{GENERATED}"})
    for name in asked.names:
        if name not in checks:
            raise LocalError(f"there is no check called {name}. There are: {', '.join(checks)}")
    wanted = {name: checks[name] for name in asked.names} or checks
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda one: timed(*one), wanted.items()))
    failed = {name: found for name, found in results if found}
    for name, found in failed.items():
        print(f"\n{name}\n{found}")
    print(f"\n{len(wanted) - len(failed)} of {len(wanted)} checks hold.")
    return 1 if failed else 0


def every(environment: dict[str, str]) -> dict[str, Check]:
    def tool(*command: object) -> Check:
        return lambda: run(command, environment)

    return {
        "types": tool(BIN / "mypy", *TOP),
        "lint": tool(BIN / "ruff", "check", "."),
        "format": tool(BIN / "ruff", "format", "--check", "."),
        "imports": tool(BIN / "lint-imports"),
        "contracts": tool(BIN / "buf", "lint", DESCRIPTORS, "--path", "rapport", "--config", "protos/buf.yaml"),
        "breaking": lambda: breaking(environment),
        "generated": lambda: generated(environment),
        "access": access,
        "people": tool(sys.executable, "-m", "chassis.personal_data"),
        "migrations": lambda: migrations(environment),
        "promises": tool(sys.executable, "-m", "tests.promises"),
    }


def timed(name: str, check: Check) -> tuple[str, Found]:
    start = time.monotonic()
    found = check()
    says = found.strip().splitlines()[-1] if found else ""
    print(step(name, says, time.monotonic() - start, good=not found), flush=True)
    return name, found


def run(command: Sequence[object], environment: dict[str, str], *, given: bytes | None = None) -> Found:
    done = subprocess.run(
        [str(word) for word in command], cwd=CLONE, env=environment, input=given, capture_output=True, check=False
    )
    if done.returncode == 0:
        return ""
    return (done.stdout + done.stderr).decode(errors="replace").strip() or f"exit {done.returncode}"


def access() -> Found:
    """Whether every method says who may call it."""
    from chassis.access import NoPolicy, policies

    modules = sorted(path.relative_to(GENERATED) for path in GENERATED.glob("rapport/*/v1/*_pb2.py"))
    try:
        policies(*(import_module(".".join(path.with_suffix("").parts)).DESCRIPTOR for path in modules))
    except NoPolicy as missing:
        return str(missing)
    return ""


def generated(environment: dict[str, str]) -> Found:
    """Whether protos/gen is what protos/rapport makes."""
    with tempfile.TemporaryDirectory() as made:
        if found := run(["sh", "protos/build.sh", made], environment):
            return found
        files = sorted({*below(Path(made)), *below(GENERATED)})
        _, differ, missing = filecmp.cmpfiles(made, GENERATED, files, shallow=False)
    stale = sorted([*differ, *missing])
    return "".join(f"{name} is not what the contracts make. Type: sh protos/build.sh\n" for name in stale)


def below(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(folder))


def breaking(environment: dict[str, str]) -> Found:
    """Whether the contracts still keep what the last commit promised; on a fresh commit, what the one before it did."""
    now = (CLONE / DESCRIPTORS).read_bytes()
    for commit in ("HEAD", "HEAD~1"):
        shown = subprocess.run(["git", "show", f"{commit}:{DESCRIPTORS}"], cwd=CLONE, capture_output=True, check=False)
        if shown.returncode == 0 and shown.stdout != now:
            buf = [BIN / "buf", "breaking", DESCRIPTORS, "--against", "-#format=binpb", "--path", "rapport"]
            return run([*buf, "--config", "protos/buf.yaml"], environment, given=shown.stdout)
    return ""


def migrations(environment: dict[str, str]) -> Found:
    """Whether the steps of every service lead to its models."""
    from tests.engines import postgres

    with postgres() as server:  # one empty database is enough: it is left as it was found
        drift = [sys.executable, "-m", "chassis.migrations", "drift", "--url", f"{server}postgres"]
        found = [run([*drift, service], environment) for service in SERVICES]
    return "\n".join(filter(None, found))
