"""Makes .venv with what the locks name, then runs the command in it. Needs Python's own library and nothing else."""

import ast
import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
VENV = CLONE / ".venv"
PYTHON = VENV / "bin/python"
STAMP = VENV / "rapport.json"  # written last: an installation that was cut short has none
# uv does not read pip's settings: what the person told pip is handed on to it.
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}


class InstallError(Exception):
    """Its text says what is wrong and what to type."""


def main(arguments: list[str]) -> None:
    lock = "requirements-bench.lock" if arguments[:1] == ["bench"] else "requirements-dev.lock"
    try:
        if not installed(lock):
            check_python()
            with alone():
                if not installed(lock):
                    install(lock)
    except InstallError as problem:
        sys.exit(f"rapport: {problem}")
    except KeyboardInterrupt:
        sys.exit("rapport: stopped while installing; the next run goes on from there")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    os.execve(PYTHON, [str(PYTHON), "-P", "-m", "deploy.local", *arguments], environment)  # noqa: S606


def stamp() -> dict[str, str]:
    """What .venv was made for: another Python or another folder need another one."""
    return {"python": "{}.{}".format(*sys.version_info), "clone": str(CLONE)}


def fingerprint(lock: str) -> str:
    return hashlib.sha256((CLONE / lock).read_bytes()).hexdigest()


def read_stamp() -> dict[str, str] | None:
    try:
        found: dict[str, str] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return None
    return found


def installed(lock: str) -> bool:
    found = read_stamp() or {}
    return found == found | stamp() and found.get(lock) == fingerprint(lock) and os.access(PYTHON, os.X_OK)


def check_python() -> None:
    if sys.platform != "linux":
        raise InstallError("the local platform runs on Linux; on Windows, inside WSL 2.")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise InstallError(
            "Python is here without its venv module. On Debian and Ubuntu: apt install python3-venv"
        ) from None
    if not os.access(CLONE, os.W_OK):
        raise InstallError(f"{CLONE} cannot be written to, and .venv belongs there. Clone it to a folder of yours.")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two who install at once do it one after the other, and the second finds it done."""
    folder = CLONE / ".cache"
    folder.mkdir(exist_ok=True)
    with (folder / "bootstrap.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another ./rapport is installing; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install(lock: str) -> None:
    say("First run: installing into .venv, every package checked against its hash in the lock.")
    if not usable():
        if VENV.is_symlink():  # --clear would follow the link and empty the folder of whoever owns it
            raise InstallError(f"{VENV} is a link into another clone. Remove the link and run this again.")
        with step("venv", f"Python {'.'.join(map(str, sys.version_info[:3]))}"):
            run(sys.executable, "-m", "venv", "--clear", str(VENV))
    with step("uv", (CLONE / "requirements-bootstrap.lock").read_text().split()[0].partition("==")[2]):
        pip("install", "--require-hashes", "--only-binary", ":all:", "-r", "requirements-bootstrap.lock")
    count = sum("==" in line for line in (CLONE / lock).read_text().splitlines())
    with step("packages", f"{count} from {lock}"):
        try:
            run(str(VENV / "bin/uv"), "pip", "sync", "--quiet", "--require-hashes", "--no-build", lock, **uv_settings())
        except InstallError as problem:
            say(f"uv could not ({problem}); trying pip.")
            pip("install", "--require-hashes", "--only-binary", ":all:", "-r", lock)
    folder = next(VENV.glob("lib/python*/site-packages"))
    (folder / "rapport.pth").write_text(f"{CLONE}\n{CLONE / 'protos/gen'}\n")  # found from anywhere, with no build
    locks = {lock, "requirements-dev.lock"}  # the bench lock holds all of the other
    written = STAMP.with_suffix(".new")
    written.write_text(json.dumps(stamp() | {name: fingerprint(name) for name in sorted(locks)}))
    written.replace(STAMP)


def usable() -> bool:
    """Whether a .venv is there to go on with, whole enough to install into."""
    found = read_stamp()
    if found is not None and found != found | stamp():
        return False
    if not os.access(PYTHON, os.X_OK):
        return False
    return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def uv_settings() -> dict[str, str]:
    """What the person's pip settings, in files or variables, are called by uv."""
    listed = subprocess.run([PYTHON, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    told = {"VIRTUAL_ENV": str(VENV), "UV_PYTHON_DOWNLOADS": "never"}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        setting = UV_NAMES.get(name.rpartition(".")[2])
        if setting and setting not in os.environ:
            several = str(ast.literal_eval(value)).split()
            told[setting] = ("," if setting == "UV_FIND_LINKS" else " ").join(several)
    return told


def pip(*arguments: str) -> None:
    run(str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def run(*command: str, **environment: str) -> None:
    done = subprocess.run(command, cwd=CLONE, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}").splitlines()[-15:]
        raise InstallError(f"{Path(command[0]).name} failed:\n  " + "\n  ".join(last))


@contextlib.contextmanager
def step(name: str, detail: str) -> Iterator[None]:
    """A line when it is done, and on a terminal one while it runs."""
    start = time.monotonic()
    if sys.stderr.isatty():
        print(f"   {name:<12} {detail[:49]:<49}    ...", end="\r", file=sys.stderr, flush=True)
    yield
    mark = "✔" if sys.stderr.encoding.lower() == "utf-8" else "+"
    say(f" {mark} {name:<12} {detail[:49]:<49} {time.monotonic() - start:11.1f} s")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
