import sys
from argparse import Namespace

from chassis import log
from deploy.local.settings import Outside
from deploy.local.terminal import LocalError
from tests.bench import chassis, identity, loyalty
from tests.bench.figures import printed


def command(asked: Namespace, _: Outside) -> int:
    """Measure the chassis, a part of it, sign-in or the ledger, and print. Exits with 0 when every bound holds."""
    known = {"chassis": chassis, "identity": identity, "loyalty": loyalty, **chassis.PARTS}
    if asked.name not in known:
        raise LocalError(f"there is no measurement called {asked.name}. There are: {', '.join(known)}")
    log.configure("bench", "bench", stream=sys.stderr.buffer)  # what is printed is the figures, and nothing else
    return printed(known[asked.name].measured(), as_json=asked.json)
