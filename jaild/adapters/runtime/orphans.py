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
_adopted_in: list[asyncio.AbstractEventLoop] = []  # the loop that is told of ends; one at most


def adopt() -> None:
    """Make this process the parent of its descendants' orphans, and bury those of jails as soon as they end.

    Saying it again changes nothing. To be called in the main thread, with a running event loop.
    """
    loop = asyncio.get_running_loop()
    if loop in _adopted_in:
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    loop.add_signal_handler(signal.SIGCHLD, bury)
    _adopted_in[:] = [loop]
    bury()


def bury() -> None:
    """Reap our children that ended in a jail's PID namespace, but for first processes: who waits wants their status.

    Children that we started ourselves are never in such a namespace: they are reaped by those who started them. Each is
    looked at once, as a process stays in the namespace that it was made in: a thousand jails are as many children, and
    this is done at each end of a program. Mostly somebody has reaped it by then: nothing more is looked at.
    """
    if not _has_ended_ones():
        return
    children = _children()
    _others.intersection_update(children)
    new = children - _others
    depth = len(_words(os.getpid(), "NSpid")) if new else 0
    for pid in new:
        numbers = _words(pid, "NSpid")
        if len(numbers) > depth and numbers[depth] != "1":
            _reap(pid)
        elif numbers:
            _others.add(pid)


def _has_ended_ones() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # it has no children at all
        return False


def _children() -> set[int]:
    """Return the main thread's children: those that it started, and all orphans.

    The kernel gives an orphan to the first living thread of its new parent (find_alive_thread in kernel/exit.c), which
    is the main one; and no other starts programs.
    """
    pid = os.getpid()
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()))


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
