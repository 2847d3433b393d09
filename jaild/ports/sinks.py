"""Port: where events, and what jails write, go outside of jaild."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from jaild.model.sinks.records import Notice
from jaild.model.sinks.settings import SinkSettings
from jaild.model.syslog import Line


class Sink(Protocol):
    """One receiver."""

    async def deliver(self, notice: Notice) -> None:
        """Return when the receiver has taken it; raise a `JaildError` if it has not, or that is not known.

        It is asked for one at a time, in order, and again for the same notice after an error.
        """


class Sinks(Protocol):
    """Makes them."""

    def make(self, settings: SinkSettings) -> Sink:
        """Return one; nothing is sent. `UnavailableError` (SINK_UNUSABLE): a file of it cannot be read."""

    def line_bytes(self, address: str) -> int:
        """Return how many bytes a line may have that is sent to a receiver of syslog."""

    async def send_lines(self, address: str, lines: Sequence[Line]) -> None:
        """Send lines to a receiver of syslog, in order; return when it has taken them, as far as its way can tell.

        `UnavailableError` (SINK_UNREACHABLE): it is not known which of them it has.
        """
