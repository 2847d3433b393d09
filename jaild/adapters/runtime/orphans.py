"""Processes of jails whose parent, a tool of the runtime, is gone: the daemon is their parent then, and buries them.

A zombie inside a jail keeps the jail from ending: the kernel lets a namespace's first process go only after all others
were reaped (pid_namespaces(7)). Killing `runc exec` leaves one, and before it wrote its pid file nobody knows which.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_others: set[int] = set()  # children that are not buried here


def adopt() -> None:
    """Make this process the parent of its descendants' orphans, and bury those of jails as soon as they end.

    Saying it again changes nothing. To be called in the main thread, with a running event loop.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, bury)
    bury()


def bury() -> None:
    """Reap our children that ended in a jail's PID namespace, but for first processes: who waits wants their status.

    Children that we started ourselves are never in such a namespace: they are reaped by those who started them. Each is
    looked at once, as a process stays in the namespace that it was made in: a thousand jails are as many children, and
    this is done at each end of a program.
    """
    depth, children = len(_words(os.getpid(), "NSpid")), _children()
    _others.intersection_update(children)
    for pid in children - _others:
        numbers = _words(pid, "NSpid")
        if len(numbers) > depth and numbers[depth] != "1":
            _reap(pid)
        elif numbers:
            _others.add(pid)


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended meanwhile
            found.update(map(int, (task / "children").read_text("ascii").split()))
    return found


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # somebody who knew it was quicker
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


def _words(pid: int, field: str) -> list[str]:
    """Return a field of a process's status (proc_pid_status(5)); nothing if it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines():
            name, _, rest = line.partition(":")
            if name == field:
                return rest.split()
    return []
