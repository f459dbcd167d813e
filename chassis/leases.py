"""What only one of all replicas does at a time, held by a lease that ends by itself.

The database's clock tells when a lease has ended, the holder's monotonic clock when it must stop: earlier, since it
counts from before it asked. The fence grows with each new holder, so that a late word of an old one can be refused.
"""

import asyncio
import time
from uuid import uuid4

import structlog
from sqlalchemy import BigInteger, Column, DateTime, Table, Text, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from chassis.database import Sessions, chassis_metadata
from chassis.personal_data import impersonal

SECONDS = 3.0  # after a holder is gone, nobody does its work for so long
RENEWAL = 0.8

log = structlog.get_logger()

lease = Table(
    "lease",
    chassis_metadata,
    impersonal("what is leased: a name in the code", "name", Text, primary_key=True).column,
    impersonal("a process", "holder", Text, nullable=False).column,
    Column("fence", BigInteger, nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
)

TAKE = text("""
INSERT INTO lease (name, holder, fence, ends_at)
VALUES (:name, :holder, 1, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder,
    fence = lease.fence + CASE WHEN lease.holder = excluded.holder THEN 0 ELSE 1 END,
    ends_at = excluded.ends_at
WHERE lease.holder = excluded.holder OR lease.ends_at < clock_timestamp()
RETURNING fence
""")
GIVE_BACK = text("UPDATE lease SET ends_at = '-infinity' WHERE name = :name AND holder = :holder")


class Lease:
    """This process's hope for one lease, or its hold on it; `taken` is set each time it gets it."""

    def __init__(self, name: str, replica: str, sessions: Sessions, *, taken: asyncio.Event) -> None:
        self.name, self.sessions, self.taken = name, sessions, taken
        self.holder = f"{replica} {uuid4()}"  # a restarted process is another holder
        self.fence = 0
        self.until = 0.0

    @property
    def held(self) -> bool:
        return time.monotonic() < self.until

    async def keep(self) -> None:
        """Take the lease whenever it is free and keep it, until cancelled; then it is free for others at once."""
        try:
            while True:
                try:
                    await self.take()
                except (SQLAlchemyError, OSError, TimeoutError) as error:
                    log.warning("lease_not_renewed", lease=self.name, kind=type(error).__name__)
                await asyncio.sleep(RENEWAL)
        finally:
            await self.give_back()

    async def take(self) -> None:
        asked, was_held = time.monotonic(), self.held
        async with asyncio.timeout(SECONDS), self.sessions.begin() as session:
            fence = await session.scalar(TAKE, {"name": self.name, "holder": self.holder, "seconds": SECONDS})
        if fence is None:
            self.until = 0.0
        else:
            self.fence, self.until = fence, asked + SECONDS
        if self.held != was_held:
            log.info("lease_taken" if self.held else "lease_lost", lease=self.name, fence=self.fence)
        if self.held and not was_held:
            self.taken.set()

    async def give_back(self) -> None:
        held, self.until = self.held, 0.0
        if held:
            try:
                async with asyncio.timeout(SECONDS), self.sessions.begin() as session:
                    await session.execute(GIVE_BACK, {"name": self.name, "holder": self.holder})
            except (DBAPIError, OSError, TimeoutError) as error:
                log.info("lease_left_to_end", lease=self.name, kind=type(error).__name__)
