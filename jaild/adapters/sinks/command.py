"""Events as input of a program (implements `jaild.ports.sinks.Sink`)."""

from __future__ import annotations

from jaild.model.sinks.records import Notice
from jaild.model.sinks.settings import Command
from jaild.ports.process import Processes


class CommandSink:
    """One program, started anew for each event."""

    def __init__(self, settings: Command, processes: Processes) -> None:
        self._settings = settings
        self._processes = processes

    async def deliver(self, notice: Notice) -> None:
        """Run it with the event on its stdin, one line of JSON. Raises as `Processes.run`, also for its status."""
        await self._processes.run(
            self._settings.argv, stdin=notice.json() + b"\n", timeout=self._settings.timeout, check=True
        )
