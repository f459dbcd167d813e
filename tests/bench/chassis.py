"""`./rapport bench chassis`: what everything that stands on the chassis costs. It takes some minutes."""

import sys

from tests.bench import calls, edge, events, start
from tests.bench.figures import printed

PARTS = {"calls": calls, "edge": edge, "events": events, "start": start}


def main(*, as_json: bool) -> int:
    """Measure, print, and return 0 when every bound holds."""
    figures = []
    for name, part in PARTS.items():
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures += part.measured()
    return printed(figures, as_json=as_json)
