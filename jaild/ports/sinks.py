"""Port: where events go outside of jaild."""

from __future__ import annotations

from typing import Protocol

from jaild.model.sinks.records import Notice
from jaild.model.sinks.settings import SinkSettings


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
