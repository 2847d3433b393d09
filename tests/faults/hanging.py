"""What everybody waits for when a trial does not end: into the worker's log, before the pair is taken down."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import structlog


def tell() -> None:
    """Log where each task stands, and each program of this namespace with the kernel function it waits in."""
    log = structlog.get_logger("faults")
    for task in asyncio.all_tasks():
        stack = [f"{frame.f_code.co_qualname}:{frame.f_lineno}" for frame in task.get_stack()]
        log.error("task", name=task.get_name(), at=stack or str(task.get_coro()))
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            words = place.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
            waits = {each.name: each.joinpath("wchan").read_text() for each in place.joinpath("task").iterdir()}
            if int(place.name) != os.getpid():
                log.error("program", pid=place.name, argv=" ".join(words)[:200], waits=waits)
