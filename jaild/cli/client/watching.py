"""A list that goes on: shown again when something happens on its hosts, until Ctrl-C.

On a terminal each look takes the place of the last. Anywhere else one follows the other, if it says something new; for
programs (-o json) a line for each thing that came, changed or went.
"""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import click
import grpc

from jaild.cli.client import everywhere as contexts
from jaild.cli.client.connection import connect
from jaild.cli.client.settings import Form, Settings
from jaild.cli.client.waiting import TRANSIENT
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure, from_rpc
from jaild.cli.output.progress import redraws
from jaild.v1 import events_pb2

PERIOD = 5.0  # seconds after which it is looked again, though nothing was heard: not all that a list has is an event
_AGAIN = 1.0  # seconds until a daemon that is away is listened to again
_HOME_AND_CLEAR = "\x1b[H\x1b[2J"


def repeat(settings: Settings, act: Callable[[], Any], *, everywhere: bool) -> None:
    """Call `act`, which prints a list, again and again until Ctrl-C. A daemon that is away is waited for."""
    live = settings.form is Form.TABLE and redraws(sys.stdout)
    shown = _Objects() if settings.form is Form.JSON else _Texts(live=live)
    names = contexts.named(settings, everywhere=everywhere)
    try:
        with Ears([contexts.within(settings, name) for name in names]) as ears:
            while True:
                text, trouble = _looked(settings, act, live=live)
                shown.show(text, trouble)
                ears.wait(PERIOD)
    except KeyboardInterrupt:
        return


def _looked(settings: Settings, act: Callable[[], Any], *, live: bool) -> tuple[str | None, str]:
    """Return what it prints, None if it does not come to that, and what is wrong just now."""
    try:
        with _captured(live=live) as frame:
            act()
        return frame(), ""
    except grpc.RpcError as error:
        if error.code() not in TRANSIENT:
            raise
        return None, from_rpc(error, settings.endpoint).message
    except Failure as failure:
        if failure.exit_code != Exit.UNAVAILABLE:
            raise
        return frame(), failure.message


class Ears:
    """Listens to what happens on hosts, each in a thread of its own."""

    def __init__(self, hosts: Sequence[Settings]) -> None:
        self._hosts = hosts
        self._news = threading.Event()
        self._over = threading.Event()
        self._calls: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number, host in enumerate(self._hosts):
            threading.Thread(target=self._listen, args=(number, host), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for call in [*self._calls.values()]:
            call.cancel()

    def wait(self, seconds: float) -> None:
        """Return when something has happened since the last time, or after so many seconds."""
        self._news.wait(seconds)
        self._news.clear()

    def _listen(self, number: int, host: Settings) -> None:
        while not self._over.is_set():
            try:
                with connect(host) as api:
                    call = api.events.WatchEvents(events_pb2.WatchEventsRequest(after_sequence=-1))
                    self._calls[number] = call
                    for _ in call:
                        self._news.set()
            except (grpc.RpcError, click.ClickException):  # told by who asks for the list
                self._over.wait(_AGAIN)


class _Texts:
    """Looks for people, and documents of YAML."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._last: tuple[str | None, str] = (None, "")

    def show(self, text: str | None, trouble: str) -> None:
        if text is None:
            text = self._last[0]
        if not self._live and (text, trouble) == self._last:
            return
        if self._live:
            sys.stdout.write(_HOME_AND_CLEAR)
        elif self._last[0] is not None:
            sys.stdout.write("\n")
        self._last = text, trouble
        sys.stdout.write(text or "")
        sys.stdout.flush()
        if trouble:
            click.echo(trouble, err=True)


class _Objects:
    """Lines of JSON: what came, changed or went since the look before."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Any] = {}
        self._trouble = ""

    def show(self, text: str | None, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            click.echo(trouble, err=True)
        self._trouble = trouble
        if text is None:
            return
        now = dict(_things(json.loads(text)))
        for key, thing in now.items():
            if key not in self._last or self._last[key] != thing:
                self._line("changed" if key in self._last else "added", key[0], thing)
        for key, thing in self._last.items():
            if key not in now and not trouble:  # of a host that is away nothing is known to have gone
                self._line("removed", key[0], thing)
        self._last = now

    @staticmethod
    def _line(change: str, kind: str, thing: Any) -> None:
        click.echo(json.dumps({"change": change, "list": kind, "object": thing}, ensure_ascii=False))


def _things(document: dict[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    """Yield what is in a document's lists, by the list and what tells it from others there."""
    for kind, things in document.items():
        for thing in things if isinstance(things, list) else ():
            named = isinstance(thing, dict) and thing.get("name", thing.get("number", thing.get("sequence")))
            identity = f"{thing.get('context', '')} {named}" if named else json.dumps(thing, sort_keys=True)
            yield (kind, identity), thing


class _Frame(io.TextIOWrapper):
    """What is printed meanwhile, as if it were printed to a terminal, if that is what it is for."""

    def __init__(self, *, live: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="surrogateescape", write_through=True)
        self._live = live

    def isatty(self) -> bool:
        return self._live


@contextmanager
def _captured(*, live: bool) -> Iterator[Callable[[], str]]:
    before, frame = sys.stdout, _Frame(live=live)

    def text() -> str:
        frame.seek(0)
        return frame.read()

    sys.stdout = frame
    try:
        yield text
    finally:
        sys.stdout = before
