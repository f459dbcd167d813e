"""Photos, written anew: what is kept of a picture is its pixels, a bounded number of them.

A photo from a camera says where and when it was taken and by whom; what only calls itself one may be a program, or
unpack to gigabytes. So nothing of a file is kept but what it shows, and what is shown is no larger than a page needs.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO

from PIL import Image, ImageOps

from chassis.refusal import QuotaExceeded, Violation
from services.identity.models import Photo
from services.identity.refusals import PhotoUnreadable

FORMATS = ("JPEG", "PNG", "WEBP")  # told by the first bytes: what a file is called proves nothing
MOST_PIXELS = 24_000_000  # of what is given: as decoded, a hundred megabytes
EDGE = 512  # pixels of the longer side of what is kept
QUALITY = 85
WAITING = 16  # how many may wait for their turn: one picture is in memory at a time
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,  # Pillow's word for a broken PNG
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


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
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as given:
            if given.width * given.height > MOST_PIXELS:
                raise unreadable()
            given.draft("RGB", (EDGE, EDGE))  # a JPEG need not be decoded larger than it is shown
            upright = ImageOps.exif_transpose(given)
            upright.thumbnail((EDGE, EDGE))
            return written(upright)
    except UNREADABLE:
        raise unreadable() from None


def written(picture: Image.Image) -> Photo:
    """A file with the pixels alone: pasted on an empty picture, no comment or profile comes along."""
    is_clear = picture.has_transparency_data
    mode = "RGBA" if is_clear else "RGB"
    bare = Image.new(mode, picture.size)
    bare.paste(picture.convert(mode))
    file = BytesIO()
    if is_clear:
        bare.save(file, "WEBP", quality=QUALITY)
    else:
        bare.save(file, "JPEG", quality=QUALITY)
    return Photo(content=file.getvalue(), content_type="image/webp" if is_clear else "image/jpeg")


def unreadable() -> PhotoUnreadable:
    violation = Violation("photo", "PHOTO_UNREADABLE", "This takes a JPEG, PNG or WebP.")
    return PhotoUnreadable("That is no photo we can show.", violations=[violation])
