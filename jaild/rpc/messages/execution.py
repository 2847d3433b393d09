"""What a command in a jail is given, and what of a log is wanted, as it comes in messages."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.logtimes import LogQuery
from jaild.ports.process import TerminalSize
from jaild.ports.runtime import END_OF_STDIN, Input
from jaild.rpc.moments import since_epoch
from jaild.v1 import jails_pb2

# By name: their numbers are not the same on all systems.
SIGNALS = {name: signal.Signals[f"SIG{name}"] for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "KILL")}
_LARGEST = 0xFFFF  # what the kernel has room for (struct winsize)


def terminal_of(start: jails_pb2.ExecStart) -> TerminalSize | None:
    """Return the terminal that a command is to run on; None for pipes. TERMINAL_SIZE_INVALID."""
    return _size(start.terminal) if start.HasField("terminal") else None


async def inputs_of(requests: AsyncIterator[jails_pb2.ExecInJailRequest], *, terminal: bool) -> AsyncIterator[Input]:
    """Iterate over what comes after the start. CHUNK_EXPECTED, SIGNAL_UNKNOWN, TERMINAL_MISSING, as `terminal_of`."""
    async for request in requests:
        part = request.WhichOneof("part")
        if part == "stdin":
            if request.stdin:
                yield request.stdin
        elif part == "end_of_stdin":
            yield END_OF_STDIN
        elif part == "signal":
            yield _signal(request.signal)
        elif part == "resize":
            if not terminal:
                raise InvalidArgumentError(
                    "TERMINAL_MISSING", "the command has no terminal to be resized", hint="start it with one"
                )
            yield _size(request.resize)
        else:
            raise InvalidArgumentError(
                "CHUNK_EXPECTED",
                "a later message has nothing that a command could be given",
                hint="send stdin, end_of_stdin, resize or signal after the first message",
            )


def _signal(name: str) -> signal.Signals:
    if name not in SIGNALS:
        known = ", ".join(SIGNALS)
        raise InvalidArgumentError(
            "SIGNAL_UNKNOWN", f"{name!r} is no signal that can be sent", hint=f"give one of {known}"
        )
    return SIGNALS[name]


def _size(size: jails_pb2.TerminalSize) -> TerminalSize:
    if max(size.rows, size.columns) > _LARGEST:
        raise InvalidArgumentError(
            "TERMINAL_SIZE_INVALID",
            f"a terminal of {size.rows} rows and {size.columns} columns cannot be",
            hint=f"give 0 to {_LARGEST}; 0 for unknown",
        )
    return TerminalSize(rows=size.rows, columns=size.columns)


def log_of(request: jails_pb2.TailLogsRequest) -> LogQuery:
    """Return what of a log is wanted. INVALID_LINES, INVALID_TIME, INVALID_TIMES."""
    since, until = (
        since_epoch(stamp, field) if request.HasField(field) else 0.0
        for field, stamp in (("since", request.since), ("until", request.until))
    )
    if request.lines < 0:
        raise InvalidArgumentError("INVALID_LINES", f"lines is {request.lines}", hint="give 0 or more")
    if until and since > until:
        raise InvalidArgumentError("INVALID_TIMES", "since is after until", hint="turn them round")
    lines = request.lines if request.HasField("lines") else None
    return LogQuery(lines=lines, since=since, until=until, times=request.timestamps, follow=request.follow)
