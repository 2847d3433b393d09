"""Giving a running command its input."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from jaild.ports.process import Child


async def feed(child: Child, stdin: AsyncIterator[bytes] | None) -> None:
    """Write all of `stdin`, then say end of file. If `stdin` itself fails, kill the command and raise."""
    try:
        if stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it ended without reading all: its status tells
                async for piece in stdin:
                    await child.write(piece)
    except Exception:
        child.kill()
        raise
    finally:
        await child.close_stdin()
