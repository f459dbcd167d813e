"""What a person sees: lines that fit 80 columns, in plain letters where the terminal has no others."""

import codecs
import shutil
import sys
from collections.abc import Iterable, Sequence

NAME, TIME = 12, 9
PLAIN = {"✔": "+", "✘": "x", "·": "-", "…": "~", "—": "-", "’": "'", "×": "x"}


class LocalError(Exception):
    """Something only the person can put right. The text says what is wrong and what to type."""


def speak_plainly() -> None:
    """Let no letter that the terminal does not have end a command."""
    codecs.register_error("plain", plain)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="plain")  # type: ignore[union-attr]


def plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


def width() -> int:
    return min(shutil.get_terminal_size((80, 24)).columns, 100) - 1


def mark(good: bool) -> str:
    return "✔" if good else "✘"


def step(name: str, detail: str, seconds: float | None = None, *, good: bool = True) -> str:
    """One aligned line: whether it went well, what, how, and how long it took."""
    room = width() - NAME - TIME - 4
    took = "" if seconds is None else f"{seconds:.1f} s"
    return f" {mark(good)} {name:<{NAME}} {clipped(detail, room):<{room}}{took:>{TIME}}".rstrip()


def clipped(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def columns(rows: Iterable[Sequence[str]], *, indent: int = 1) -> str:
    """Rows as aligned columns, the last one as long as it likes."""
    table = [list(row) for row in rows]
    if not table:
        return ""
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]) - 1)]
    widths.append(0)
    lines = ("  ".join(f"{cell:<{wide}}" for cell, wide in zip(row, widths, strict=True)) for row in table)
    return "\n".join(f"{' ' * indent}{line.rstrip()}" for line in lines)
