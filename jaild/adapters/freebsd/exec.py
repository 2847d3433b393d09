"""A command in a running jail: jexec(8) with its streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from jaild.adapters.freebsd.command import Program
from jaild.adapters.runtime.feeding import feed
from jaild.ports.process import Processes
from jaild.ports.runtime import Output


async def stream(
    processes: Processes, program: Program, stdin: AsyncIterator[bytes] | None
) -> AsyncGenerator[Output, None]:
    """Run `program` and yield its output: stdout as it comes, then the last 64 KiB of stderr, then its status.

    jexec(8) becomes the command, so killing the process that was started, at closing, kills the command itself.
    """
    async with processes.start(program.argv, env=program.environment) as child:
        feeder = asyncio.create_task(feed(child, stdin))
        try:
            async for piece in child.read():
                yield Output(stdout=piece)
            completed = await child.wait()
            if feeder.done():
                feeder.result()  # a client whose stream broke must not be told that all went well
            if completed.stderr:
                yield Output(stderr=completed.stderr)
            yield Output(exit_status=completed.status)
        finally:
            feeder.cancel()
            await asyncio.wait({feeder})
