"""A page as it changes, and a log as it grows, as server-sent events (HTML Living Standard, 9.2)."""

from __future__ import annotations

import asyncio
import codecs
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import click
import grpc

from jaild.cli.output.human import printable
from jaild.v1 import jails_pb2
from jaild.web.pages import Shown
from jaild.web.site import Site, trouble, until

QUIET = 10.0  # seconds after which a page is made again though nothing is new: it tells how long ago things were
PACE = 0.5  # seconds between two makings at least
_LINES = 200  # of a log at first
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # ECMA-48, 5.4: what moves a terminal's cursor and colours


def event(kind: str, data: str) -> str:
    """Return one event; what it holds is text of any number of lines."""
    return f"event: {kind}\n" + "".join(f"data: {line}\n" for line in data.split("\n")) + "\n"


async def updates(look: Callable[[], Awaitable[Shown]], draw: Callable[[Shown], str]) -> AsyncIterator[str]:
    """Yield the page's content each time that it has changed; else a comment, by which a reader's end is noticed."""
    last, coming = "", None
    while True:
        shown = await look()
        coming = coming or shown.news.coming()
        content = draw(shown)
        yield event("content", content) if content != last else ":\n\n"
        last = content
        await asyncio.sleep(PACE)
        await until(coming, QUIET)
        coming = shown.news.coming()  # before it is looked at again: what is new meanwhile is looked at after that


async def log(site: Site, jail: str) -> AsyncIterator[str]:
    """Yield what a jail wrote last, and then what it writes, as events with a text in JSON."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    yield ":\n\n"
    try:
        async with site.connect() as api:
            asked = jails_pb2.TailLogsRequest(name=jail, lines=_LINES, follow=True)
            async for piece in api.jails.TailLogs(asked):
                text = printable(_COLOURS.sub("", decoder.decode(piece.data)).replace("\r\n", "\n"))
                yield event("log", json.dumps(text))
    except (grpc.RpcError, click.UsageError) as error:  # the browser asks again after some seconds
        yield event("log", json.dumps(f"(no log: {printable(trouble(error, site.name).message)})\n"))
