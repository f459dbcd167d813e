"""The access-token check as a call pays for it: one real verification, then a lookup until the token ends.

At one call a second a token of five minutes is checked 300 times."""

import time
from uuid import UUID

import uvloop

from chassis.time import system_clock
from chassis.tokens import Tokens
from tests import tokens
from tests.bench.figures import ROUNDS, Figure

ADA = UUID(int=0xADA, version=4)
USES = 300


def measured() -> list[Figure]:
    metadata = [tokens.as_user(ADA, now=system_clock())[0][1] for _ in range(20)]

    async def run() -> float:
        checker = Tokens(tokens.keys, system_clock, frozenset(), issuer=tokens.ISSUER)
        await checker.check(metadata[0])  # the keys are fetched once for all
        started = time.process_time()
        for shown in metadata[1:]:
            for _ in range(USES):
                if checker.known(shown) is None:
                    await checker.check(shown)
        return (time.process_time() - started) / USES / (len(metadata) - 1) * 1e6

    samples = [uvloop.run(run()) for _ in range(ROUNDS)]
    return [Figure(f"access-token check, amortised over {USES} calls", "us", samples, bound=15)]
