"""A task that was told to end ends, though a library kept that to itself.

    while True:
        heed()
        ...

asyncio.wait_for of Python 3.11 forgets that it was cancelled when what it waits for is done at that moment; nats-py,
aiosmtplib and others stand on it.
"""

import asyncio


def heed() -> None:
    """End this task if it was told to."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
