"""Events as input of a program (implements `jaild.ports.sinks.Sink`)."""

from __future__ import annotations

from jaild.model.errors import DeadlineExceededError, command_failed
from jaild.model.sinks.records import Notice
from jaild.model.sinks.settings import Command
from jaild.ports.process import Processes


class CommandSink:
    """One program, started anew for each event."""

    def __init__(self, settings: Command, processes: Processes) -> None:
        self._settings = settings
        self._processes = processes

    async def deliver(self, notice: Notice) -> None:
        """Run it with the event on its stdin, one line of JSON. Raises as `Processes.run`, also for its status.

        The error has its name alone: viewers see it, and its arguments may be secrets.
        """
        argv, timeout = self._settings.argv, self._settings.timeout
        try:
            done = await self._processes.run(argv, stdin=notice.json() + b"\n", timeout=timeout, check=False)
        except DeadlineExceededError as error:
            raise DeadlineExceededError(
                error.reason, f"{argv[0]}: not done after {timeout:g} s, killed", hint=error.hint
            ) from None
        if done.status != 0:
            raise command_failed(argv[:1], done.status, done.error_text)
