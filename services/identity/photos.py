"""Photos, told by their first bytes: what a file is called proves nothing."""

from chassis.refusal import Violation
from services.identity.models import Photo
from services.identity.refusals import PhotoUnreadable


def read(content: bytes) -> Photo:
    """The photo, with the media type it really has, or refuse."""
    return Photo(content=content, content_type=type_of(content))


def type_of(content: bytes) -> str:
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image/webp"
    violation = Violation("photo", "PHOTO_UNREADABLE", "This takes a JPEG, PNG or WebP.")
    raise PhotoUnreadable("That is no photo we can show.", violations=[violation])
