"""Iterators from the service layer, closed when the caller hangs up rather than when the garbage collector comes by."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

_T = TypeVar("_T")


async def closable(items: AsyncIterator[_T]) -> AsyncGenerator[_T, None]:
    """Pass items on; closing this closes `items`, if it can be closed."""
    try:
        async for item in items:
            yield item
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
