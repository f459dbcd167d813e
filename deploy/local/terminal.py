"""What a person sees: lines that fit 80 columns, in plain letters where the terminal has no others."""

import shutil
import sys
from collections.abc import Iterable, Sequence

NAME, TIME = 12, 9


class LocalError(Exception):
    """Something only the person can put right. The text says what is wrong and what to type."""


def unicode_out() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def width() -> int:
    return min(shutil.get_terminal_size((80, 24)).columns, 100) - 1


def mark(good: bool) -> str:
    signs = ("✔", "✘") if unicode_out() else ("+", "x")
    return signs[0] if good else signs[1]


def step(name: str, detail: str, seconds: float | None = None, *, good: bool = True) -> str:
    """One aligned line: whether it went well, what, how, and how long it took."""
    room = width() - NAME - TIME - 4
    took = "" if seconds is None else f"{seconds:.1f} s"
    return f" {mark(good)} {name:<{NAME}} {clipped(detail, room):<{room}}{took:>{TIME}}".rstrip()


def clipped(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    return text[: room - 1] + ("…" if unicode_out() else "~")


def columns(rows: Iterable[Sequence[str]], *, indent: int = 1) -> str:
    """Rows as aligned columns, the last one as long as it likes."""
    table = [list(row) for row in rows]
    if not table:
        return ""
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]) - 1)]
    lines = [
        "  ".join([*(f"{cell:<{wide}}" for cell, wide in zip(row, widths, strict=False)), row[-1]]) for row in table
    ]
    return "\n".join(f"{' ' * indent}{line.rstrip()}" for line in lines)


def dot() -> str:
    return " · " if unicode_out() else ", "
