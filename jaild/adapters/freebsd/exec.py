"""A command in a running jail: jexec(8) with its streams."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from jaild.adapters.freebsd.command import Program
from jaild.adapters.runtime.streaming import Streams, hang_up
from jaild.ports.process import Processes, TerminalSize
from jaild.ports.runtime import Input, Output


async def stream(
    processes: Processes, program: Program, inputs: AsyncIterator[Input] | None, terminal: TerminalSize | None
) -> AsyncGenerator[Output, None]:
    """Run `program` and yield its output and its status.

    jexec(8) becomes the command, so killing the process that was started, at closing, kills the command itself. env(1)
    says it if there is no such program (127), or if it cannot be executed (126).
    """
    streams = Streams()
    ended = False
    async with processes.start(
        program.argv, env=program.environment, on_stderr=streams.errors, terminal=terminal
    ) as child:
        try:
            async with contextlib.aclosing(streams.outputs(child, inputs, child.send)) as outputs:
                async for output in outputs:
                    ended = output.exit_status is not None
                    yield output
        finally:
            if terminal is not None and not ended:
                await hang_up(child)
