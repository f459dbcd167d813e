import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from deploy.local.settings import Outside
from deploy.local.terminal import LocalError

LAST = 200
EACH = 20  # lines of each process when all are shown
PAUSE = 0.2
FOR_MACHINES = ("service", "replica", "trace_id", "span_id")


def command(asked: Namespace, outside: Outside) -> int:
    """The last lines of one process or of all; on a terminal as a person reads them, else as they are."""
    folder = asked.state.folder / "logs"
    paths = sorted(path for path in folder.glob("*.log") if wanted(path, asked.service))
    if not paths:
        names = sorted(path.stem for path in folder.glob("*.log"))
        raise LocalError(f"there is no such log. There are: {', '.join(names) or 'none'}")
    files = {path.stem: path.open("rb") for path in paths}
    wide = max(map(len, files))
    show = Show(wide if len(files) > 1 else 0, readable=sys.stdout.isatty(), colour=outside.colour)
    for name, file in files.items():
        show.lines(name, last(file, LAST if len(files) == 1 else EACH))
    while asked.follow:
        for name, file in files.items():
            show.lines(name, news(file))
        sys.stdout.flush()
        time.sleep(PAUSE)
    return 0


def wanted(path: Path, service: str | None) -> bool:
    """`identity` is all replicas of it."""
    if path.stem.endswith(".1"):
        return False
    return service is None or path.stem == service or path.stem.rpartition("-")[0] == service


def last(file: IO[bytes], lines: int) -> list[str]:
    return file.read().decode(errors="replace").splitlines()[-lines:]


def news(file: IO[bytes]) -> Iterator[str]:
    """Whole lines written since, from the beginning when the file was cut meanwhile."""
    if os.fstat(file.fileno()).st_size < file.tell():
        file.seek(0)
    while (line := file.readline()).endswith(b"\n"):
        yield line.decode(errors="replace").rstrip("\n")
    file.seek(-len(line), os.SEEK_CUR)


class Show:
    def __init__(self, wide: int, *, readable: bool, colour: bool) -> None:
        self.wide, self.readable, self.colour = wide, readable, colour

    def lines(self, name: str, lines: Iterable[str]) -> None:
        for line in lines:
            before = f"{name:<{self.wide}}  " if self.wide else ""
            print(f"{before}{self.line(line)}")

    def line(self, line: str) -> str:
        """A JSON line as time, event and the rest."""
        if not self.readable or not line.startswith("{"):
            return line
        try:
            said = json.loads(line)
        except ValueError:
            return line
        moment = str(said.pop("timestamp", ""))[11:19]
        level, event = said.pop("level", "info"), said.pop("event", "")
        trace = said.pop("exception", "")
        rest = " ".join(f"{name}={value}" for name, value in said.items() if name not in FOR_MACHINES)
        if self.colour and level in ("warning", "error", "critical"):
            event = f"\x1b[31m{event}\x1b[0m"
        before = "" if level == "info" else f"{level} "
        return f"{moment} {before}{event} {rest}".rstrip() + ("\n" + trace if trace else "")
