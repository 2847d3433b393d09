"""`python -m tests.transcripts [STORY...]`: plays the stories and writes what was said into the pages."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import defaultdict
from pathlib import Path

import structlog

from tests.transcripts.pages import blocks, pages, written
from tests.transcripts.stories import STORIES, play


def main(names: list[str]) -> None:
    """Write the blocks of these stories, or of all."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for page in pages():
        found = defaultdict(list)
        for block in blocks(page):
            if block.name and (block.name in names or not names):
                found[block.name].append(block)
        for name, story in found.items():
            print(f"{page.name}: {name}", file=sys.stderr)  # noqa: T201
            bodies = asyncio.run(play(STORIES[name], story))
            _write(page, name, bodies)


def _write(page: Path, name: str, bodies: list[str]) -> None:
    there = [block for block in blocks(page) if block.name == name]  # where they are by now
    page.write_text(written(page, {block.span: body for block, body in zip(there, bodies, strict=True)}))


main(sys.argv[1:])
