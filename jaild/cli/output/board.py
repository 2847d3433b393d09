"""The table that an evacuation shows while it runs: on a terminal each jail has a live line; plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from jaild.cli.client.references import short
from jaild.cli.output.human import duration, printable
from jaild.cli.output.progress import Lines, View, redraws
from jaild.cli.output.render import seconds, styled, word_of
from jaild.model.quantity import size
from jaild.v1 import evacuations_pb2

_PER_SECOND = 2  # how often the daemon is asked

Ask = Callable[[], evacuations_pb2.Evacuation]


class Board:
    """Asks the daemon for the evacuation each time the screen is drawn; what it said last stays while it is away."""

    def __init__(self, ask: Ask, console: Console) -> None:
        self._ask = ask
        self._console = console
        self._head = ""
        self._last = evacuations_pb2.Evacuation()

    def step(self, phase: str, message: str = "", done: int = 0, total: int = 0) -> None:
        """Show where the whole is."""
        sent = f", {size(done)} of {size(total)}" if total else ""
        self._head = printable(f"{phase}: {message}{sent}" if message else phase)

    def note(self, text: str) -> None:
        """Print a line above."""
        self._console.print(Text(printable(text)))

    def draw(self) -> RenderableType:
        """Return the table as of now."""
        try:
            self._last = self._ask()
        except grpc.RpcError:  # a restart: whoever waits for the operation says so
            return self._drawn()
        return self._drawn()

    def _drawn(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for column in ("JAIL", "TO", "STATE", "SENT", "OF", "TIME", "NOTE"):
            table.add_column(column, no_wrap=column != "NOTE")
        for move in self._last.moves:
            moving = move.state == evacuations_pb2.JailMove.STATE_MOVING
            table.add_row(
                Text(printable(short(move.jail))),
                Text(printable(move.target)),
                styled(state(move)),
                Text(size(move.sent_bytes) if move.sent_bytes else ""),
                Text(size(move.expected_bytes) if move.expected_bytes > move.sent_bytes else ""),
                Text(duration(seconds(move.duration)) if moving or move.attempts else ""),
                Text(printable(move.message or move.reason)),
            )
        return Group(Text(self._head, style="bold"), table)


def state(move: evacuations_pb2.JailMove) -> str:
    """Return a move's state as a word."""
    return word_of(evacuations_pb2.JailMove.State, move.state)


@contextmanager
def shown(ask: Ask) -> Iterator[View]:
    """Yield the view that suits stderr."""
    if not redraws(sys.stderr):
        yield Lines()
        return
    console = Console(stderr=True)
    board = Board(ask, console)
    with Live(get_renderable=board.draw, console=console, refresh_per_second=_PER_SECOND, transient=True):
        yield board
