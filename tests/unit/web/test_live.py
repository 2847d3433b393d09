"""A page as it changes, and a log as it grows."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from jaild import client
from jaild.v1 import jails_pb2
from jaild.web import live
from jaild.web.pages import Shown
from jaild.web.site import News, Site
from tests.unit.cli.daemon import status
from tests.unit.web.daemon import Daemon


@pytest.mark.parametrize(
    ("data", "text"), [("a", "event: x\ndata: a\n\n"), ("a\nb\n", "event: x\ndata: a\ndata: b\ndata: \n\n")]
)
def test_an_event_has_each_line_on_its_own(data: str, text: str) -> None:
    assert live.event("x", data) == text


async def test_a_page_is_sent_again_only_if_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PACE", 0.0)
    news, contents = News(), ["one", "one", "two"]

    async def look() -> Shown:
        return Shown("", "", news, {})

    def draw(_shown: Shown) -> str:
        asyncio.get_running_loop().call_later(0.01, news.tell)
        return contents.pop(0)

    stream = live.updates(look, draw)
    told = [await anext(stream) for _ in range(3)]
    assert told == [live.event("content", "one"), ":\n\n", live.event("content", "two")]


async def test_what_is_new_while_a_page_is_looked_at_or_sent_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PACE", 0.0)
    monkeypatch.setattr(live, "QUIET", 1000.0)
    news, contents = News(), ["one", "two", "three"]

    async def look() -> Shown:
        if len(contents) < 3:
            news.tell()
        return Shown("", "", news, {})

    stream = live.updates(look, lambda _: contents.pop(0))
    async with asyncio.timeout(10.0):
        assert await anext(stream) == live.event("content", "one")
        news.tell()
        assert await anext(stream) == live.event("content", "two")
        assert await anext(stream) == live.event("content", "three")


async def test_a_log_comes_as_text_without_a_terminals_colours(daemon: Daemon) -> None:
    pieces = [b"\x1b[32mgr\xc3", b"\xbcn\x1b[0m\r\n<b>\x07\xff\n"]
    daemon.answers["TailLogs"] = lambda _: [jails_pb2.TailLogsResponse(data=piece) for piece in pieces]
    site = Site("alpha", "alpha", partial(client.connect_aio, daemon.address), News())
    told = [each async for each in live.log(site, "jails/web")]
    assert told == [
        ":\n\n",
        'event: log\ndata: "gr"\n\n',
        'event: log\ndata: "\\u00fcn\\n<b>\\\\x07\\ufffd\\n"\n\n',
    ]
    (asked,) = daemon.requests(jails_pb2.TailLogsRequest)
    assert (asked.name, asked.follow) == ("jails/web", True)


async def test_a_log_that_breaks_off_says_why(daemon: Daemon) -> None:
    daemon.answers["TailLogs"] = status("NOT_FOUND", "JAIL_NOT_FOUND", "there is no such jail")
    site = Site("alpha", "alpha", partial(client.connect_aio, daemon.address), News())
    told = [each async for each in live.log(site, "jails/gone")]
    assert told == [":\n\n", 'event: log\ndata: "(no log: there is no such jail)\\n"\n\n']
