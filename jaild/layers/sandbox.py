"""A jail made for an operation's own commands and thrown away with it: what a tree brings runs there, never outside.

Its run has a name that no jail has (`jaild.model.names.sandbox`), by which recovery knows what a crash left of it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Protocol

from jaild.model import names
from jaild.model.jails.mounts import Mount
from jaild.model.jails.spec import Limits, Network
from jaild.model.layers.records import BaseRecord, Family
from jaild.ports.runtime import Output, RunSpec, Runtime

Sink = Callable[[Output], Awaitable[None]]  # takes a piece of a command's output
_GENERATION = 1
# The run's first process, while commands are executed beside it. Both systems' sleep(1) takes that many seconds.
_IDLE = ("/bin/sleep", "100000000")


class Execute(Protocol):
    """Runs a command as root in a started sandbox."""

    async def __call__(self, command: tuple[str, ...], sink: Sink, environment: Mapping[str, str] | None = None) -> int:
        """Return its exit status when it has ended."""


class OpenSandbox:
    """An open sandbox: a tree that is mounted."""

    def __init__(self, runtime: Runtime, run: RunSpec) -> None:
        self._runtime = runtime
        self._run = run

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Execute]:
        """Give what executes commands; whatever they left running ends with the block."""
        try:
            await self._runtime.start(self._run.jail, _GENERATION)
            yield self._execute
        finally:
            await asyncio.shield(self._runtime.stop(self._run.jail, _GENERATION))

    async def _execute(self, command: tuple[str, ...], sink: Sink, environment: Mapping[str, str] | None = None) -> int:
        outputs = self._runtime.exec(self._run.jail, _GENERATION, command, environment=environment, user="root")
        status: int | None = None
        async with aclosing(outputs):
            async for output in outputs:
                status = output.exit_status
                await sink(output)
        if status is None:
            raise TypeError(command)  # the port: the last piece has the status
        return status


class BuildSandbox:
    """Opens sandboxes on this host's runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @asynccontextmanager
    async def open(
        self,
        operation_id: str,
        base: BaseRecord,
        mounts: tuple[Mount, ...],
        *,
        network: Network,
        log: Path,
        limits: Limits | None = None,
    ) -> AsyncIterator[OpenSandbox]:
        """Mount a tree for an operation; when the block ends nothing of it is mounted or running any more."""
        run = RunSpec(
            jail=names.sandbox(operation_id),
            generation=_GENERATION,
            uid=uuid.uuid4().hex,
            mounts=mounts,
            command=_IDLE,
            environment={},
            user="root",
            hostname="sandbox",
            network=network,
            limits=limits or Limits(),
            osrelease=base.version if base.family is Family.FREEBSD else "",
            osreldate=base.osreldate,
            log=log,
            stop_signal="KILL",
            stop_timeout=1.0,
        )
        await self._runtime.create(run)
        try:
            yield OpenSandbox(self._runtime, run)
        finally:
            await asyncio.shield(end(self._runtime, run.jail, _GENERATION))


async def end(runtime: Runtime, jail: str, generation: int) -> None:
    """Stop and remove a run, whatever is left of it."""
    await runtime.stop(jail, generation)
    await runtime.remove(jail, generation)
