"""Waiting for what cannot be called back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def to_its_end(work: Coroutine[Any, Any, _T]) -> _T:
    """Return what `work` returns; cancelled, wait for its end all the same, and end it only when cancelled again."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.gather(asyncio.shield(task), return_exceptions=True)
        finally:
            task.cancel()
        raise
