"""Photos, written anew: what is kept of a picture is its pixels, a bounded number of them.

A photo from a camera says where and when it was taken and by whom; what only calls itself one may be a program, or
unpack to gigabytes. So nothing of a file is kept but what it shows, and what is shown is no larger than a page needs.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from chassis.refusal import QuotaExceeded, Violation
from services.identity.models import Photo
from services.identity.refusals import PhotoUnreadable

WAITING = 16  # how many may wait for their turn: one picture is in memory at a time


class Darkroom:
    """Where pictures are decoded, one after the other: it takes memory, and a moment."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="photos")
        self.room = 1 + WAITING

    async def read(self, content: bytes) -> Photo:
        if self.room == 0:
            raise QuotaExceeded("Too many ask at once.", retry_after=timedelta(seconds=2), quota="photos at once")
        self.room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.thread, rewritten, content)
        finally:
            self.room += 1


DARKROOM = Darkroom()


async def read(content: bytes) -> Photo:
    """The photo as it is kept, or refuse what is none."""
    return await DARKROOM.read(content)


def rewritten(content: bytes) -> Photo:
    # Loaded with the first picture: what is loaded at the start keeps everybody waiting when a process comes back.
    from services.identity import pictures

    try:
        file, content_type = pictures.rewritten(content)
    except pictures.Unreadable:
        raise unreadable() from None
    return Photo(content=file, content_type=content_type)


def unreadable() -> PhotoUnreadable:
    violation = Violation("photo", "PHOTO_UNREADABLE", "This takes a JPEG, PNG or WebP.")
    return PhotoUnreadable("That is no photo we can show.", violations=[violation])
