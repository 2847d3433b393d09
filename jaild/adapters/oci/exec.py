"""A command in a running run: `runc exec` with its streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from jaild.adapters.oci.tool import Tool
from jaild.adapters.runtime import first_process
from jaild.adapters.runtime.feeding import feed
from jaild.adapters.runtime.records import write_secret
from jaild.ports.process import Child, Completed, Processes
from jaild.ports.runtime import Output

_AHEAD = 16  # pieces of output that are read before the caller takes them: a slow caller slows the command
_GRACE = 5.0  # seconds for a killed command's end to be noticed


async def stream(
    processes: Processes,
    tool: Tool,
    name: str,
    bundle: Path,
    process: dict[str, Any],
    stdin: AsyncIterator[bytes] | None,
) -> AsyncGenerator[Output, None]:
    """Run `process` (OCI's object) in the run and yield both its streams as they come. Closing kills the command."""
    token = secrets.token_hex(8)
    config, pid_file = bundle / f"exec-{token}.json", bundle / f"exec-{token}.pid"
    write_secret(config, msgspec.json.encode(process))
    argv = await tool.argv("exec", "--process", str(config), "--pid-file", str(pid_file), name)
    completed: Completed | None = None
    pieces: asyncio.Queue[Output | None] = asyncio.Queue(_AHEAD)

    async def errors(piece: bytes) -> None:
        await pieces.put(Output(stderr=piece))

    try:
        async with processes.start(argv, on_stderr=errors) as child:
            feeder = asyncio.create_task(feed(child, stdin))
            reader = asyncio.create_task(_read(child, pieces))
            try:
                while (output := await pieces.get()) is not None:
                    yield output
                completed = await reader
                if feeder.done():
                    feeder.result()  # a client whose stream broke must not be told that all went well
                yield Output(exit_status=completed.status)
            finally:
                feeder.cancel()
                reader.cancel()
                await asyncio.wait({feeder, reader})
                if completed is None:
                    await _kill(child, name, pid_file)
        if completed is not None and completed.status < 0:
            await _bury(name, pid_file)  # somebody killed the tool; its command lived on
    finally:
        config.unlink()
        pid_file.unlink(missing_ok=True)


async def _read(child: Child, pieces: asyncio.Queue[Output | None]) -> Completed:
    """Queue stdout, wait for the end, and say that nothing more comes (stderr is queued beside this)."""
    try:
        async for piece in child.read():
            await pieces.put(Output(stdout=piece))
        completed = await child.wait()
    except Exception:
        await pieces.put(None)
        raise
    await pieces.put(None)
    return completed


async def _kill(child: Child, name: str, pid_file: Path) -> None:
    """Kill the command itself: killing the tool alone would leave it running in the jail."""
    command = _command(name, pid_file)
    if command is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)  # it leads a session of its own
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await child.wait()
    child.kill()
    await _bury(name, pid_file)


async def _bury(name: str, pid_file: Path) -> None:
    """End and reap a command whose tool is gone: it is ours then, and as a zombie would keep the jail from ending.

    The kernel lets a namespace's first process end only after all the others were reaped (pid_namespaces(7)).
    """
    command = _command(name, pid_file)
    if command is None:
        return
    first_process.send(command, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE):
            await first_process.ended(command)
    first_process.reap(command)


def _command(name: str, pid_file: Path) -> first_process.FirstProcess | None:
    """Return the exec's command if it is there: its pid, and in the run's control group, so that it is no other's."""
    try:
        process = first_process.identify(int(pid_file.read_text("ascii")))
        groups = Path(f"/proc/{process.pid}/cgroup").read_text("utf-8", "replace") if process else ""
    except (FileNotFoundError, ProcessLookupError, ValueError):  # not begun, or over
        return None
    return process if any(line.endswith(f"/{name}") for line in groups.splitlines()) else None
