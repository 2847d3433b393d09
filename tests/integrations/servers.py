"""Servers of others, as plain processes in a folder of the test's own: started, waited for, ended."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tests.patience import patient

_T = TypeVar("_T")
_COMES = patient(60.0)  # seconds in which a server has answered, or has what it is to have; busy machines included
_ENDS = 20.0


@contextlib.contextmanager
def server(
    argv: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    how: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a session of its own; at the end it gets the signal `how`, and what goes on is killed."""
    with (
        log.open("wb") as out,
        subprocess.Popen(
            list(map(str, argv)),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=env,
            cwd="/",
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        except BaseException as error:
            error.add_note(f"{log.name}: …{log.read_text(errors='replace')[-2000:]}")
            raise
        finally:
            process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_ENDS)
            with contextlib.suppress(ProcessLookupError):  # PHP's server leaves its workers behind
                os.killpg(process.pid, signal.SIGKILL)


def eventually(look: Callable[[], _T | None], what: str, within: float = _COMES) -> _T:
    """Return what a look finds as soon as it finds anything: the servers tell nobody what they have got."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.25)
    raise AssertionError(f"not within {within:g} s: {what}")


def free_port() -> int:
    """A port of the loopback address that nobody listens on, below 32768: Zabbix takes none above."""
    while True:
        with socket.socket() as taken, contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", 20000 + secrets.randbelow(12000)))
            return int(taken.getsockname()[1])


def listens(port: int) -> bool:
    """Say whether somebody listens there."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
