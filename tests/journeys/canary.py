"""Whether something of a person is left anywhere: the proof that an erasure happened, and not only its receipt.

A canary is a value that was planted once and can be told from every other text. It is looked for as it is (in any
letter case), in base64 (at each of the three alignments it can stand at), in hex, and URL-quoted, in every file that
the platform writes and in a dump of every database. WAL archives and backups are the stated remainder: they hold the
person until they are rotated out, and so pg_wal is not read.
"""

import subprocess
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

BLOCK = 4 << 20
# The write-ahead log is the remainder; the postmaster's own bookkeeping holds no rows.
UNREAD = frozenset({"pg_wal"})


@dataclass(frozen=True)
class Finding:
    """A canary that is still there. Which one is told by its name: the value is not repeated."""

    sink: str
    place: str
    canary: str
    form: str

    def __str__(self) -> str:
        return f"{self.sink}: {self.canary} ({self.form}) in {self.place}"


def forms(value: str) -> Mapping[str, bytes]:
    """The ways in which `value` may have been written, as lower-case bytes where case does not matter."""
    raw = value.encode()
    found = {"plain": raw.lower(), "hex": raw.hex().encode()}
    if (quoted := quote(value, safe="").lower().encode()) != raw.lower():
        found["url-quoted"] = quoted
    for offset in range(3):
        # What surrounds the value moves its first and last characters: only those in between are its own.
        padded = b"\0" * offset + raw
        start, end = -(-offset * 4 // 3), len(padded) * 4 // 3
        found[f"base64+{offset}"] = b64encode(padded)[start:end]
        found[f"base64url+{offset}"] = urlsafe_b64encode(padded)[start:end]
    return found


class Search:
    """Looks for every form of every canary, in one pass over each sink."""

    def __init__(self, canaries: Mapping[str, str]) -> None:
        if short := [name for name, value in canaries.items() if len(value) < 8]:
            raise ValueError(f"Too short to be told from other text: {', '.join(short)}.")
        self.folded: list[tuple[str, str, bytes]] = []
        self.exact: list[tuple[str, str, bytes]] = []
        for name, value in canaries.items():
            for form, needle in forms(value).items():
                (self.exact if form.startswith("base64") else self.folded).append((name, form, needle))
        self.overlap = max(len(needle) for *_, needle in (*self.folded, *self.exact)) - 1

    def within(self, content: bytes) -> Iterator[tuple[str, str]]:
        lower = content.lower()
        yield from ((name, form) for name, form, needle in self.folded if needle in lower)
        yield from ((name, form) for name, form, needle in self.exact if needle in content)

    def files(self, sink: str, root: Path) -> Iterator[Finding]:
        """Every canary in a file below `root` (or in `root` itself), whatever kind of file it is."""
        for path in sorted(below(root)):
            seen: set[tuple[str, str]] = set()
            try:
                with path.open("rb") as file:
                    tail = b""
                    while block := file.read(BLOCK):
                        seen.update(self.within(tail + block))
                        tail = block[-self.overlap :]
            except FileNotFoundError:
                continue  # rotated away while we looked
            yield from (Finding(sink, str(path), name, form) for name, form in sorted(seen))

    def dump(self, pg_dump: Path, url: str, database: str) -> Iterator[Finding]:
        """Every canary in a logical dump of one database."""
        command = [str(pg_dump), "--dbname", url, "--inserts"]
        text = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
        yield from (Finding("dump", database, name, form) for name, form in self.within(text))


def below(root: Path) -> Iterable[Path]:
    if root.is_file():
        return [root]
    return (
        path
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink() and UNREAD.isdisjoint(path.relative_to(root).parts)
    )
