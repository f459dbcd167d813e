"""What is left of the call we are answering: the calls made on its behalf may take no longer."""

import time
from contextvars import ContextVar

until: ContextVar[float | None] = ContextVar("deadline", default=None)  # on the monotonic clock


def set_left(seconds: float | None) -> None:
    until.set(None if seconds is None else time.monotonic() + seconds)


def left() -> float | None:
    """Seconds left of the call at hand, or None where nobody waits: in a consumer, say, or in a long stream."""
    end = until.get()
    return None if end is None else end - time.monotonic()
