"""One daemon to a state folder, and none before the last one's commands have ended: two would both be the only writer.

A command that the daemon started goes on when the daemon is killed, and what it does after the next one has looked is
in no journal. So the commands that change state inherit the descriptor of a lock: flock(2) binds a lock to the open
file, which fork(2) and execve(2) share, and the kernel drops it when the last of them has ended.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

import structlog

from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import FailedPreconditionError, JaildError, UnavailableError
from jaild.ports.clock import Clock

_PATIENCE = 120.0  # seconds that the commands of the daemon before this one are given to end
_UNREMARKED = 1.0  # seconds of these that no log needs to tell of
_PAUSE = 0.05  # seconds between tries: a thread in flock(2) could not be called off
_ASKING = 10.0  # seconds that fuser(1) and ps(1) are given
_log = structlog.get_logger("jaild.lock")


@contextmanager
def only_daemon(path: Path) -> Iterator[None]:
    """Hold a lock file for as long as the context lasts; the kernel drops it when the process ends, however it ends.

    `FailedPreconditionError` (ALREADY_RUNNING) with the holder's process id if another daemon has it.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise FailedPreconditionError(
                "ALREADY_RUNNING",
                f"another jaild (process {holder}) works on {path.parent}",
                hint="use that one, or stop it first",
                detail={"pid": holder},
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@asynccontextmanager
async def after_last_commands(path: Path, processes: ProcessRunner, clock: Clock) -> AsyncIterator[None]:
    """Wait until no command of an earlier daemon holds the lock file `path`; let the commands of this one hold it.

    `UnavailableError` (COMMANDS_UNENDED), naming them, if they do not end within two minutes.
    """
    with path.open("a") as file:
        began, told = clock.monotonic(), False
        while not _taken(file):
            waited = clock.monotonic() - began
            if waited >= _PATIENCE:
                raise _unended(path, await _holders(path, processes))
            if waited >= _UNREMARKED and not told:
                told = True
                _log.warning(
                    "waits for commands of the daemon before this one",
                    commands=await _holders(path, processes),
                    lock=str(path),
                    patience=_PATIENCE,
                )
            await clock.sleep(_PAUSE)
        with processes.handing_down(file.fileno()):
            yield


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _holders(path: Path, processes: ProcessRunner) -> str:
    """Return pid and command of those who have the file open, us left out; say so if the host cannot tell."""
    try:
        # POSIX: the pids go to stdout, all else to stderr; the status differs between systems.
        pids = re.findall(r"\d+", (await processes.run(["fuser", str(path)], timeout=_ASKING, check=False)).text)
        others = ",".join(pid for pid in pids if int(pid) != os.getpid())
        listed = await processes.run(
            ["ps", "-o", "pid=", "-o", "args=", "-p", others or "0"], timeout=_ASKING, check=False
        )
    except JaildError as error:
        return f"not known: {error.message}"
    return "; ".join(line.strip() for line in listed.text.splitlines()) or "not known: fuser tells of none"


def _unended(path: Path, commands: str) -> UnavailableError:
    return UnavailableError(
        "COMMANDS_UNENDED",
        f"commands of the daemon before this one have not ended after {_PATIENCE:g} s: {commands}",
        hint=f"see what they wait for (zpool status, fuser {path}), end them, start again; jails run on meanwhile",
        detail={"lock": str(path), "commands": commands},
    )
