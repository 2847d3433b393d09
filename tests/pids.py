"""Processes that are not our children, as ps(1) tells them: alike on FreeBSD and Linux, which share no /proc."""

from __future__ import annotations

import asyncio
import subprocess


def command_of(pid: int) -> str:
    """Return the command line of a process; nothing if it has ended, whether it was waited for or not."""
    # Each by an option of its own: FreeBSD takes what comes after `stat=` for the column's title, a comma too.
    argv = ["ps", "-ww", "-o", "stat=", "-o", "command=", "-p", str(pid)]
    told = subprocess.run(argv, capture_output=True, check=False)
    state, _, command = told.stdout.decode().strip().partition(" ")
    return "" if state.startswith("Z") else command.strip()


async def gone(pid: int, seconds: float = 5) -> None:
    """Return when a process has ended; `TimeoutError` if it does not."""
    async with asyncio.timeout(seconds):
        while command_of(pid):  # noqa: ASYNC110 -- a stranger's end is not told to us
            await asyncio.sleep(0.005)
