"""What a guess at a password may cost: as much as the machine bears (NIST SP 800-63B-4, 3.1.1.2), found in the order of
RFC 9106, section 4: the memory first, then as many passes as there is time for. To be run where identity runs.

    python -m services.identity.calibration [--sign-ins 10]     a second, that each core has to bear
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count

from argon2 import PasswordHasher

LEAST = (19 * 1024, 2)  # KiB and passes: no less, whatever the machine bears (OWASP)
# From 32 MiB on the C library asks the system for the memory of each hash anew: time that costs us and no guesser.
MEMORY = 30 * 1024
BESIDE = 0.010  # seconds of a core that a sign-in takes beside its password (./rapport bench identity)
SECONDS = 1.0  # of measuring each


def price(memory: int, passes: int, cores: int) -> float:
    """Seconds of a core that a hash takes while all cores hash."""
    hasher = PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=1)
    end = time.perf_counter() + SECONDS

    def hashing(_: int) -> float:
        hasher.hash("the first one gets the memory")
        began, hashes = time.thread_time(), 0
        while hashes == 0 or time.perf_counter() < end:
            hasher.hash("correct horse battery staple")
            hashes += 1
        return (time.thread_time() - began) / hashes

    with ThreadPoolExecutor(cores) as threads:
        return sum(threads.map(hashing, range(cores))) / cores


def prices(cores: int) -> Iterator[tuple[int, int, float]]:
    """Memory, passes and seconds of ever dearer hashes, each worth OWASP's least at least."""
    yield *LEAST, price(*LEAST, cores)
    for passes in count(LEAST[1]):
        yield MEMORY, passes, price(MEMORY, passes, cores)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m services.identity.calibration")
    parser.add_argument("--sign-ins", type=rate, default=10, help="a second for each core (default: 10)")
    cores, most = len(os.sched_getaffinity(0)), 1 / parser.parse_args(words).sign_ins - BESIDE
    say(f"A password may take {max(most, 0) * 1e3:.0f} ms of each core; there are {cores}.")
    chosen = None
    for memory, passes, seconds in prices(cores):
        say(f"  {memory // 1024} MiB, {passes} passes: {seconds * 1e3:.0f} ms")
        if seconds > most:
            break
        chosen = memory, passes
    if chosen is None:
        say("This machine does not bear that many: here is OWASP's least, below which nobody should go.")
        chosen = LEAST
    say(
        f"RAPPORT_PASSWORD_MEMORY_KIB={chosen[0]}\nRAPPORT_PASSWORD_PASSES={chosen[1]}\nRAPPORT_HASHING_AT_ONCE={cores}"
    )


def rate(word: str) -> float:
    """How many a second: more than none."""
    with suppress(ValueError):
        if 0 < (value := float(word)) < 10_000:
            return value
    raise argparse.ArgumentTypeError(f"{word} is no number of sign-ins a second: say 10, or 0.5.")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
