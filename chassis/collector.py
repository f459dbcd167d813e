"""Python's garbage collector in a process that loads much, keeps it, and then serves."""

import gc


def rest() -> None:
    """Look for no garbage while all is loaded: that was a quarter of a start, and nothing of it goes."""
    gc.disable()


def work() -> None:
    """Pass over what lives as long as the process, and come more rarely to the rest, which in a busy service is a whole
    batch at a time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()
