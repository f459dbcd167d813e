"""`./rapport bench chassis`: what everything that stands on the chassis costs. It takes some minutes; each
part is a measurement by itself, too: `./rapport bench events`."""

import sys

from tests.bench import calls, edge, events, start, token_check
from tests.bench.figures import Figure

PARTS = {"calls": calls, "token_check": token_check, "edge": edge, "events": events, "start": start}


def measured() -> list[Figure]:
    figures = []
    for name, part in PARTS.items():
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures += part.measured()
    return figures
