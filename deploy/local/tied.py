"""Runs a command that does not outlive whoever started it: `python tied.py SIGNAL PARENT USER COMMAND...`.

The kernel sends SIGNAL the moment the parent ends, however it ends; the parent is the thread that started us. USER is
the number to become first, as PostgreSQL will not run as root, or "-": becoming somebody else clears what was asked of
the kernel.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def tied(death: signal.Signals, *, parent: int | None = None, user: int | None = None) -> list[str]:
    """What to put before a command so that it ends with `parent`, which is the calling process unless named."""
    whom = "-" if user is None else str(user)
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), death.name, str(parent or os.getpid()), whom]


def become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def main(death: str, parent: str, user: str, *command: str) -> None:
    if user != "-":
        become(int(user))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.Signals[death].value) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(parent):  # it went before the kernel was asked
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - that there is no shell is the point


if __name__ == "__main__":
    main(*sys.argv[1:])
