"""Doing several things at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable


async def gather_or_cancel(works: Iterable[Awaitable[None]]) -> None:
    """Do all; the first error ends the others, and is raised when they have ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
