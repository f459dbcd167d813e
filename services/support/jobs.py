"""What support does by the clock."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from chassis.database import Sessions
from chassis.jobs import Job, job
from services.support import messages, tickets
from services.support.people import People


@job(every=timedelta(minutes=1))
async def close_solved_tickets(sessions: Sessions, now: datetime) -> int:
    """A solved ticket that nobody writes on is closed after four days."""
    async with sessions.begin() as session:
        return await tickets.close_rested(session, now)


def jobs_of(people: People) -> Sequence[Job]:
    """All of support's periodic work."""

    @job(every=timedelta(seconds=30))
    async def name_authors(sessions: Sessions, _: datetime) -> int:
        """Words that were kept while identity was away get the name of who said them."""
        async with sessions() as session:
            unnamed = await messages.unnamed_authors(session)
        named = 0
        for author in unnamed:
            name = await people.name_if_known(author)
            if name is None:
                break
            async with sessions.begin() as session:
                named += await messages.rename_author(session, author, name)
        return named

    return [close_solved_tickets, name_authors]
