"""The project's own modules as trees: each is parsed once for all the rules that read it."""

from __future__ import annotations

import ast
import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@functools.cache
def parsed(path: Path) -> ast.Module:
    with _without_collector():
        return ast.parse(path.read_text())


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the collector from what other tests left while a module is parsed.

    What asyncio tells of a task that is collected is a traceback, for which Python 3.11 parses the line. Within another
    parse that ends in "SystemError: AST constructor recursion depth mismatch" (python/cpython issue 106905).
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
