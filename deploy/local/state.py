"""The folder that a platform keeps everything in: data, secrets, logs, and what is known of the running one."""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shutil
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from deploy.local.terminal import LocalError

FLOCK = "hhqqi"  # struct flock of fcntl(2)
CLONE = Path(__file__).resolve().parents[2]


def own_folder() -> Path:
    """Where this clone's platform is kept. PostgreSQL runs as nobody when root starts it, and nobody can see into
    root's home: then a short path that all can reach, and no permission of the clone or above it changes."""
    if os.getuid() != 0:
        return CLONE / ".rapport"
    return Path("/var/tmp") / f"rapport-{hashlib.sha256(str(CLONE).encode()).hexdigest()[:8]}"  # noqa: S108 - checked


def engine_user() -> int | None:
    """Whom the engines run as: whoever started us, and nobody when that is root. It has to be a user with a name,
    because initdb asks for it."""
    return pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else None


@dataclass(frozen=True)
class State:
    folder: Path

    @property
    def clock(self) -> Path:
        return self.folder / "clock"

    @property
    def plan(self) -> Path:
        """The plan that runs, among the secrets: the URL of a server has a password in it."""
        return self.folder / "secrets/plan.json"

    @property
    def rights(self) -> Path:
        """Who may say and hear what on NATS, as worked out from the contracts."""
        return self.folder / "secrets/nats.json"

    @property
    def mailbox(self) -> Path:
        return self.folder / "mail"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def log(self, process: str) -> Path:
        return self.folder / "logs" / f"{process}.log"

    def make(self) -> None:
        """Make the folder, or refuse one that is not ours alone to write in."""
        try:
            if not self.folder.exists():
                self.folder.mkdir(parents=True)
                self.folder.chmod(0o711)  # whatever the umask: the engines' user goes through it
            found = self.folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
                raise LocalError(f"{self.folder} belongs to somebody else. Move it away, or name another with --state.")
            for name in ("secrets", "logs", "tmp", "mail"):
                (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as problem:
            raise LocalError(f"{self.folder} cannot be used: {problem.strerror}. Name another with --state.") from None

    def forget(self) -> None:
        """Remove everything kept, but the lock that is held meanwhile."""
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()

    def locked(self) -> IO[str] | None:
        """The lock of the one supervisor, or nothing when another holds it. The kernel lets go of it when its holder
        ends, so that it is never stale."""
        file = (self.folder / "lock").open("a")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.close()
            return None
        return file

    def supervisor(self) -> int | None:
        """The process id of the supervisor that runs, if one does: the kernel knows who holds the lock."""
        try:
            with (self.folder / "lock").open() as file:
                asked = struct.pack(FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
                kind, *_, holder = struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
        except FileNotFoundError:
            return None
        return None if kind == fcntl.F_UNLCK else int(holder)

    def known(self) -> dict[str, Any]:
        """What the supervisor last wrote down."""
        try:
            found: dict[str, Any] = json.loads((self.folder / "platform.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def note(self, what: dict[str, Any]) -> None:
        write(self.folder / "platform.json", json.dumps(what, indent=1), mode=0o644)

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(24)) -> Path:
        """The file that holds a secret, made when first asked for."""
        path = self.folder / "secrets" / name
        if not path.exists():
            new = path.with_name(f".{name}.{os.getpid()}")
            write(new, make())
            with contextlib.suppress(FileExistsError):  # somebody else was faster, and theirs holds
                path.hardlink_to(new)
            new.unlink()
        return path

    def told(self, name: str, text: str) -> Path:
        """A file among the secrets whose content follows from others."""
        path = self.folder / "secrets" / name
        write(path, text)
        return path


def write(path: Path, text: str, *, mode: int = 0o600, owner: int | None = None) -> None:
    """Write a file whole: whoever reads it sees the old or the new text."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(text)
    if owner is not None:
        os.chown(new, owner, owner)
    new.replace(path)


def readable_password() -> str:
    """One that a person can type."""
    letters = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(letters[at : at + 4] for at in range(0, 16, 4))
