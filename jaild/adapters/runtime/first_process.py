"""A run's first process: who it is, whether it lives, how it ended.

A pid is told from a later process of the same number by the time it started and the boot it belongs to. Its end is
awaited on a pidfd (pidfd_open(2)), which needs no parenthood; its status is the parent's alone, so the daemon adopts
the orphans that `runc create` leaves (`orphans`). A daemon that was restarted is no longer their parent:
their status is then unknown, their end is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import resource
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec

from jaild.model.errors import InvalidArgumentError

_OPEN_FILES = 65_536  # more than a host has jails
_START_TIME = 19  # in /proc/PID/stat after the command's name (proc_pid_stat(5): field 22)


class FirstProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process that no other can be taken for."""

    pid: int
    ticks: int  # when it started, in clock ticks since boot
    boot: str  # kernel.random.boot_id


def make_room() -> None:
    """Let this process have many files open: one for each first process whose end it awaits.

    Not as many as it may: programs get the limit too, and some close every descriptor up to it. It can be a thousand
    million, as in containers.
    """
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def identify(pid: int) -> FirstProcess | None:
    """Return the process that has `pid` now (a zombie too); None if there is none."""
    try:
        ticks = int(_stat(pid)[_START_TIME])
    except (FileNotFoundError, ProcessLookupError):
        return None
    return FirstProcess(pid=pid, ticks=ticks, boot=_boot())


def alive(process: FirstProcess) -> bool:
    """Tell whether it has not ended."""
    with _opened(process) as fd:
        return fd is not None and not _readable(fd)


async def ended(process: FirstProcess) -> None:
    """Return when it has ended, at once if it is gone."""
    with _opened(process) as fd:
        if fd is None:
            return
        loop = asyncio.get_running_loop()
        end = asyncio.Event()
        loop.add_reader(fd, end.set)
        try:
            await end.wait()
        finally:
            loop.remove_reader(fd)


def reap(process: FirstProcess) -> int | None:
    """Return an ended process's exit status (-N for signal N) and let it go; None if it was not ours to reap."""
    if identify(process.pid) != process:
        return None
    try:
        result = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None
    if result is None:
        return None
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


def send(process: FirstProcess, number: signal.Signals) -> None:
    """Send a signal. Harmless when it has ended."""
    with _opened(process) as fd, contextlib.suppress(ProcessLookupError):
        if fd is not None:
            signal.pidfd_send_signal(fd, number)


def heeds(process: FirstProcess, number: signal.Signals) -> bool:
    """Tell whether a signal may change anything.

    The kernel drops a signal of default action sent to a namespace's first process (pid_namespaces(7)): waiting for
    what `sleep` does on TERM there would always take the whole timeout. One it ignores on purpose, catches, or blocks
    to read it (signalfd) counts as heeded.
    """
    masks = 0
    try:
        # The first thread's: it is what the kernel looks at when it drops one.
        for line in Path(f"/proc/{process.pid}/status").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name in {"SigBlk", "SigIgn", "SigCgt"}:
                masks |= int(value, 16)
    except (FileNotFoundError, ProcessLookupError):
        return True
    return bool(masks >> (number - 1) & 1)


def is_setup(process: FirstProcess) -> bool:
    """Tell whether it is (or, as a zombie, was to its end) still the runtime's own setup, not the jail's command."""
    try:
        return Path(f"/proc/{process.pid}/comm").read_text("utf-8", "replace").startswith("runc:[")
    except (FileNotFoundError, ProcessLookupError):
        return False


def stop_signal(name: str) -> signal.Signals:
    """Return the signal called `TERM` or `SIGTERM`; raise `InvalidArgumentError` (INVALID_SIGNAL)."""
    try:
        return signal.Signals["SIG" + name.upper().removeprefix("SIG")]
    except KeyError:
        raise InvalidArgumentError(
            "INVALID_SIGNAL", f"{name!r} is no signal", hint="use one of kill(1), as in TERM"
        ) from None


def _stat(pid: int) -> list[str]:
    # The name is in parentheses and may hold any of them.
    return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()


@functools.cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


@contextlib.contextmanager
def _opened(process: FirstProcess) -> Iterator[int | None]:
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        # Asked after the descriptor was opened: what it refers to can no longer change.
        yield fd if identify(process.pid) == process else None
    finally:
        os.close(fd)


def _readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
