"""Passwords: which are good enough, and how they are kept.

Hashing is meant to be slow and to fill memory, so it is done by a few threads (argon2 lets go of the interpreter), and
only so many may wait for one: a flood of guesses is turned away, and does not stop the process.
"""

import asyncio
import os
import secrets
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from chassis.refusal import QuotaExceeded, Violation
from services.identity import foreign_hashes
from services.identity.blocklists import Blocklist, Mounted
from services.identity.foreign_hashes import Foreign
from services.identity.refusals import PasswordWeak

# What guessing begins with, in lower case: see blocklists.
COMMON = Blocklist(Path(__file__).with_name("common_passwords.filter"))
LAST = 10  # nice: a tenth of what others get where all want the processor, not nothing
SHORTEST_PART = 4  # characters of what a password may be made of
Answer = TypeVar("Answer")


def is_common(low: str) -> bool:
    """Whether it is a common password, two of them after one another, or a few characters again and again."""
    if low in COMMON or any(is_again(low, length) for length in range(1, SHORTEST_PART)):
        return True
    cuts = range(SHORTEST_PART, len(low) - SHORTEST_PART + 1)
    return any(low[:cut] in COMMON and (low[cut:] in COMMON or is_again(low, cut)) for cut in cuts)


def is_again(low: str, length: int) -> bool:
    return len(low) % length == 0 and low == low[:length] * (len(low) // length)


def is_run(text: str) -> bool:
    """Whether each character follows the one before: 12345678, hgfedcba."""
    steps = {ord(following) - ord(one) for one, following in pairwise(text)}
    return steps in ({1}, {-1})


def canonical(password: str) -> str:
    """The same text for the same keys, whatever they were typed on."""
    return unicodedata.normalize("NFKC", password)


def yield_to_others() -> None:
    """Have this thread run when nothing else wants to: a storm of sign-ins must not keep tokens waiting."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LAST)  # Linux: of one thread


class Passwords:
    """Hashes passwords and compares them."""

    def __init__(
        self, *, memory_kib: int, passes: int, lanes: int, at_once: int, waiting: int, shortest: int, breached: Mounted
    ) -> None:
        self.shortest, self.breached = shortest, breached
        self.hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self.threads = ThreadPoolExecutor(at_once, thread_name_prefix="argon2", initializer=yield_to_others)
        self.room = at_once + waiting
        # What is compared with where there is nothing to compare with at all, so that this takes as long.
        self.nobody = self.hasher.hash(secrets.token_urlsafe())

    def check(self, password: str, *, email: str, display_name: str = "") -> None:
        """Refuse a password that is guessed first: short, common, known from a breach, one character over and over, or
        the owner's own name."""
        said = canonical(password)
        low = said.casefold()
        own = {email, email.partition("@")[0], display_name.casefold()}
        if len(said) < self.shortest:
            why = f"This needs {self.shortest} characters or more."
        elif len(set(low)) < 3 or is_run(low) or is_common(low):
            why = "This is one of the first that are guessed."
        elif low in own:
            why = "This is your own address or name."
        elif said in self.breached or low in self.breached:
            why = "This is known to others: it was in a breach somewhere."
        else:
            return
        violation = Violation("password", "PASSWORD_WEAK", why)
        raise PasswordWeak("Choose another password.", violations=[violation])

    async def hash(self, password: str) -> str:
        """The hash to keep."""
        return await self.in_turn(lambda: self.hasher.hash(canonical(password)))

    async def keep(self, one: Foreign) -> str:
        """The hash to keep of one that another system made."""
        if one.is_cheap:
            return await self.in_turn(lambda: foreign_hashes.kept(one, self.hasher.hash))
        return foreign_hashes.kept(one, self.hasher.hash)

    async def proves(self, known: str | None, password: str, *, instead: str | None = None) -> bool:
        """Whether the password is the one `known` was made of. Where that is None it is no less work: as much as
        comparing it with `instead`, somebody else's."""
        proven = await self.in_turn(lambda: self.is_of(known or instead or self.nobody, password))
        return proven and known is not None

    async def renewed(self, known: str, password: str) -> str:
        """The hash to keep from now on: another one when `known` was made elsewhere, or at another price than is asked
        now."""
        is_old = foreign_hashes.is_foreign(known) or self.hasher.check_needs_rehash(known)
        return await self.hash(password) if is_old else known

    def is_of(self, known: str, password: str) -> bool:
        if foreign_hashes.is_foreign(known):
            return foreign_hashes.proves(known, password, self.hasher)
        try:
            return self.hasher.verify(known, canonical(password))
        except VerifyMismatchError:
            return False

    async def in_turn(self, work: Callable[[], Answer]) -> Answer:
        if self.room == 0:
            raise QuotaExceeded("Too many ask at once.", retry_after=timedelta(seconds=2), quota="passwords at once")
        self.room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, work)
        finally:
            self.room += 1
