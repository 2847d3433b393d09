"""Health checks that are made inside a jail's network."""

from __future__ import annotations

import sys

from jaild.adapters.system import probe
from jaild.model.jails.spec import HttpCheck, TcpCheck
from jaild.ports.process import Processes

_GRACE = 10.0  # seconds beyond the check's own timeout, for the program to come up


def argv(check: HttpCheck | TcpCheck, address: str, *, jid: int = 0) -> tuple[str, ...]:
    """Return the program that makes a check; `jid`: the jail that it has to enter for that (FreeBSD)."""
    kind, path = ("http", check.path) if isinstance(check, HttpCheck) else ("tcp", "")
    # -I and -S: nothing of the daemon's environment or site-packages is needed, and starting takes half as long.
    program = (sys.executable, "-I", "-S", probe.__file__)
    return (*program, str(jid or ""), kind, address, str(check.port), path, str(check.timeout))


async def made(
    processes: Processes, check: HttpCheck | TcpCheck, address: str, *, enter: tuple[str, ...] = (), jid: int = 0
) -> str:
    """Make a check and return what is wrong; `enter`: the command that runs another one in that network."""
    completed = await processes.run((*enter, *argv(check, address, jid=jid)), timeout=check.timeout + _GRACE)
    return completed.text
