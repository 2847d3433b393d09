"""`jailctl top` on a terminal: draws, hears keys, and asks the daemon in a thread of its own, so that no key waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import grpc

from jaild.cli.client.connection import Api
from jaild.cli.client.settings import Settings
from jaild.cli.output.failures import from_rpc
from jaild.cli.top import screen
from jaild.cli.top.frame import Look, Order, frame
from jaild.cli.top.snapshot import Snapshot, take

FIRST = 1.0  # seconds until the second look, from which on loads are known
_ORDERS = {order.value: order for order in Order}
_STEPS = {"j": 1, "\x1b[B": 1, "k": -1, "\x1b[A": -1, "\x1b[6~": 20, "\x1b[5~": -20}  # arrows, and pages


class Looking:
    """Asks the daemon again and again; what it said last stays while it is away."""

    def __init__(self, settings: Settings, api: Api, pool: ThreadPoolExecutor, last: Snapshot) -> None:
        self._settings = settings
        self._api = api
        self._pool = pool
        self._asked: Future[Snapshot] | None = None
        self.last = last
        self.trouble = ""

    def ask(self, wake: Callable[[], None]) -> None:
        """Begin to ask, unless that is under way; `wake` is called when there is an answer."""
        if self._asked is None:
            self._asked = self._pool.submit(take, self._api, self.last)
            self._asked.add_done_callback(lambda _: wake())

    def hear(self) -> None:
        """Take the answer, if there is one."""
        if self._asked is None or not self._asked.done():
            return
        asked, self._asked = self._asked, None
        try:
            self.last, self.trouble = asked.result(), ""
        except grpc.RpcError as error:
            self.trouble = from_rpc(error, self._settings.endpoint).message
            self._api.reconnect()


def run(settings: Settings, api: Api, interval: float, look: Look, *, colour: bool) -> None:
    """Show it until q, Ctrl-C, or the terminal's end. Raises `grpc.RpcError` if there is no first answer."""
    first = take(api, None)
    with screen.shown(colour=colour) as (terminal, wake), ThreadPoolExecutor(1) as pool:
        try:
            _draw_until_quit(Looking(settings, api, pool, first), terminal, wake, interval, look)
        except KeyboardInterrupt:
            return
        finally:
            api.close()  # a question under way ends with it, and is waited for


def _draw_until_quit(
    looking: Looking, terminal: screen.Screen, wake: Callable[[], None], interval: float, look: Look
) -> None:
    due = time.monotonic() + min(FIRST, interval)
    while True:
        columns, lines = screen.size()
        look = replace(look, width=columns, height=lines, trouble=looking.trouble)
        terminal.draw(frame(looking.last, look))
        key = terminal.key(due - time.monotonic())
        if key in {"q", "Q"}:
            return
        look = pressed(look, key, len(looking.last.jails))
        looking.hear()
        if key == " " or time.monotonic() >= due:
            looking.ask(wake)
            due = time.monotonic() + interval


def pressed(look: Look, key: str, jails: int) -> Look:
    """Return how the screen looks after a key, with so many jails."""
    if key in {"h", "?"}:
        return replace(look, help=not look.help)
    if key in _ORDERS:
        return replace(look, order=_ORDERS[key], first=0, help=False)
    first = max(0, min(look.first + _STEPS.get(key, 0), jails - 1))
    return replace(look, first=first)
