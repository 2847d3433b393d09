"""A command in a running run: `runc exec` with its streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from jaild.adapters.oci.tool import Tool
from jaild.adapters.runtime import first_process
from jaild.adapters.runtime.records import write_secret
from jaild.adapters.runtime.streaming import Streams, hang_up
from jaild.model.errors import command_failed
from jaild.ports.process import Child, Processes, TerminalSize
from jaild.ports.runtime import Input, Output

_GRACE = 5.0  # seconds for a killed command's end to be noticed
_LOOK = 0.01  # seconds between two looks for its pid, in a file that the tool writes
# What the tool says of a program that it could not execute, in Go's words (runc) and in C's (crun), and what is said of
# it: the statuses and words of env(1).
_NOT_STARTED = {
    "executable file not found": (127, "No such file or directory"),
    "no such file or directory": (127, "No such file or directory"),
    "permission denied": (126, "Permission denied"),
    "is a directory": (126, "Is a directory"),
    "not a directory": (126, "Not a directory"),
    "exec format error": (126, "Exec format error"),
}


@dataclass(frozen=True)
class _Files:
    """What the tool is given, and what it writes."""

    config: Path
    pid: Path  # written when the command runs
    log: Path  # what the tool says of itself

    def remove(self) -> None:
        for path in (self.config, self.pid, self.log):
            path.unlink(missing_ok=True)


async def stream(
    processes: Processes,
    tool: Tool,
    name: str,
    bundle: Path,
    process: dict[str, Any],
    inputs: AsyncIterator[Input] | None,
    terminal: TerminalSize | None,
) -> AsyncGenerator[Output, None]:
    """Run `process` (OCI's object) in the run and yield its output and its status. Closing ends the command.

    The tool brings the run a terminal of its own, in the run's /dev/pts, and passes on what goes over the daemon's:
    bytes, and SIGWINCH with the new size.
    """
    token = secrets.token_hex(8)
    files = _Files(*(bundle / f"exec-{token}.{kind}" for kind in ("json", "pid", "log")))
    write_secret(files.config, msgspec.json.encode({**process, **_terminal(terminal)}))
    says = ("--log", str(files.log), "--log-format", "json")
    argv = await tool.argv(*says, "exec", "--process", str(files.config), "--pid-file", str(files.pid), name)
    streams = Streams()
    status: int | None = None
    try:
        async with processes.start(argv, on_stderr=streams.errors, terminal=terminal, raw=True) as child:
            try:
                send = partial(_send, child, name, files.pid)
                async with contextlib.aclosing(streams.outputs(child, inputs, send)) as outputs:
                    async for output in outputs:
                        status = output.exit_status
                        if status is None and not _is_its_own(output, files):
                            yield output
            finally:
                if status is None:
                    if terminal is not None:
                        await hang_up(child)
                    await _kill(child, name, files.pid)
            killed = (await child.wait()).status < 0
        if killed:
            await _bury(name, files.pid)  # somebody killed the tool; its command lived on
        if status and not files.pid.exists() and (error := _error(files.log)):
            status, text = _not_started(argv, process["args"][0], status, error)
            yield Output(stderr=text) if terminal is None else Output(stdout=text.replace(b"\n", b"\r\n"))
        yield Output(exit_status=status)
    finally:
        files.remove()


def _terminal(size: TerminalSize | None) -> dict[str, Any]:
    """Return what of OCI's object is about the terminal; the tool takes over the size of ours only after the start."""
    if size is None:
        return {"terminal": False}
    return {"terminal": True, "consoleSize": {"height": size.rows, "width": size.columns}}


def _send(child: Child, name: str, pid_file: Path, number: signal.Signals) -> None:
    """Send a signal to the command; to the tool, which forwards it, while the command is not known yet."""
    if (command := _command(name, pid_file)) is None:
        child.send(number)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(command.pid, number)  # it leads a session of its own


def _error(log: Path) -> str:
    """Return the last error that the tool logged; '' for none."""
    found = ""
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):  # none yet, or half a line
        for line in log.read_bytes().splitlines():
            entry: dict[str, Any] = msgspec.json.decode(line)
            if entry.get("level") == "error":
                found = str(entry.get("msg", ""))
    return found


def _is_its_own(output: Output, files: _Files) -> bool:
    """Return whether the tool, not the command, said this: what it logs first, and then says."""
    said = (output.stderr or output.stdout).strip()
    return 0 < len(said) < 1 << 14 and not files.pid.exists() and said.decode("utf-8", "replace") == _error(files.log)


def _not_started(argv: tuple[str, ...], program: str, status: int, error: str) -> tuple[int, bytes]:
    """Return status and text for a program that could not be executed; raise for anything else (COMMAND_FAILED)."""
    for phrase, (answer, text) in _NOT_STARTED.items():
        if program in error and phrase in error.lower():
            return answer, f"exec: {program}: {text}\n".encode()
    raise command_failed(argv, status, error)


async def _kill(child: Child, name: str, pid_file: Path) -> None:
    """Kill the command itself: killing the tool alone would leave it running in the jail."""
    ended = asyncio.ensure_future(child.wait())
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE):
            # The tool tells the pid only when the command runs already.
            while (command := _command(name, pid_file)) is None and not ended.done():
                await asyncio.wait({ended}, timeout=_LOOK)
            if command is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(command.pid, signal.SIGKILL)  # it leads a session of its own
            await ended
    ended.cancel()
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
