"""What is looked at on any host: paths, the socket, the clock, programs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import jaild
from jaild.doctor.checks.host import Clock, Place
from jaild.ports.process import PATH

_KEEPERS = frozenset({"ntpd", "chronyd", "openntpd", "systemd-timesyn", "systemd-timesyncd", "ptp4l", "ptpd2", "timed"})
_PATIENCE = 5.0  # seconds for the socket to take a connection


def places(settings: Mapping[str, Path]) -> list[Place]:
    """Return each path of the configuration as it is."""
    return [_place(setting, path) for setting, path in settings.items()]


def _place(setting: str, path: Path) -> Place:
    free = shutil.disk_usage(next(p for p in (path, *path.parents) if p.exists())).free
    try:
        status = path.stat()
    except FileNotFoundError:
        return Place(setting=setting, path=str(path), kind="", free=free)
    kind = "folder" if stat.S_ISDIR(status.st_mode) else "socket" if stat.S_ISSOCK(status.st_mode) else "other"
    return Place(
        setting=setting,
        path=str(path),
        kind=kind,
        uid=status.st_uid,
        mode=stat.S_IMODE(status.st_mode),
        writable=os.access(path, os.W_OK),
        free=free,
    )


async def answers(socket: Path) -> bool:
    """Tell whether somebody takes connections on a unix socket."""
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_unix_connection(socket)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):  # it may have hung up first: it answered all the same
        await writer.wait_closed()
    return True


def clock(running: Iterable[str]) -> Clock:
    """Return the time, with the programs among `running` (names of processes) that keep it."""
    return Clock(
        now=time.time(),
        known=Path(jaild.__file__).stat().st_mtime,
        keepers=tuple(sorted(_KEEPERS & set(running))),
    )


def missing(programs: Iterable[str]) -> list[str]:
    """Return those that are not where jaild looks for programs."""
    return [name for name in programs if shutil.which(name, path=PATH) is None]
