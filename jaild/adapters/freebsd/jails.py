"""The jails that the kernel has, by jls(8), ps(1) and jail(8)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from jaild.adapters.freebsd.errors import explain
from jaild.adapters.runtime import refusals
from jaild.model.errors import DeadlineExceededError
from jaild.ports.process import Processes

_START_PATIENCE = 600.0  # seconds: /etc/rc runs within it


class Jail(msgspec.Struct, frozen=True, kw_only=True):
    """One jail, also one that is dying: removed, and kept by the kernel while something (a socket) refers to it."""

    jid: int
    name: str
    path: str
    dying: bool


def parse_jls(text: bytes) -> list[Jail]:
    """Return what `jls -d --libxo json jid name path dying` says.

    Values are strings where columns are named and numbers elsewhere: both are taken.
    """
    answer: dict[str, Any] = msgspec.json.decode(text)
    return [
        Jail(jid=int(row["jid"]), name=row["name"], path=row["path"], dying=str(row["dying"]).lower() == "true")
        for row in answer["jail-information"]["jail"]
    ]


def parse_ps(text: str) -> dict[int, str]:
    """Return pid and name of the processes that `ps -J NAME -o pid,comm` lists."""
    rows: Iterator[list[str]] = (line.split(maxsplit=1) for line in text.splitlines()[1:])
    return {int(row[0]): row[1] if len(row) > 1 else "" for row in rows if row}


def parse_all(text: str) -> dict[int, dict[int, str]]:
    """Return pid and name of the processes of each jail, by its jid, that `ps -ax -o jid,pid,comm` lists."""
    found: dict[int, dict[int, str]] = {}
    for row in (line.split(maxsplit=2) for line in text.splitlines()[1:]):
        found.setdefault(int(row[0]), {})[int(row[1])] = row[2] if len(row) > 2 else ""  # noqa: PLR2004 -- its columns
    return found


class Jails:
    """Asks for jails, makes them and removes them."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def all(self) -> list[Jail]:
        """Return every jail, dying ones too."""
        shown = await self._processes.run(("jls", "-d", "--libxo", "json", "jid", "name", "path", "dying"))
        return parse_jls(shown.stdout)

    async def require_none_in(self, folder: Path, seen: Sequence[Jail]) -> None:
        """Raise `FailedPreconditionError` (RUN_RUNNING) if a jail that is not dying has its root below `folder`.

        Those that were `seen` just now may have been removed since: if there was one, they are asked for again.
        """

        def found(jails: Sequence[Jail]) -> Jail | None:
            return next((each for each in jails if not each.dying and Path(each.path).is_relative_to(folder)), None)

        if found(seen) is not None and (left := found(await self.all())) is not None:
            raise refusals.running(left.name)

    async def create(self, name: str, conf: Path, run: str) -> None:
        """Make a jail and wait for its exec.start. What jail(8) says is kept in the error."""
        completed = await self._processes.run(
            ("jail", "-f", str(conf), "-c", name), timeout=_START_PATIENCE, check=False
        )
        if completed.status != 0:
            raise explain(completed, run)

    async def shut_down(self, jail: Jail, conf: Path, timeout: float) -> None:
        """Run exec.stop and remove a jail, asking nobody if that does not go well within `timeout` seconds.

        If exec.stop fails or hangs, jail(8) does not remove the jail.
        """
        with contextlib.suppress(DeadlineExceededError):
            argv = ("jail", "-f", str(conf), "-r", jail.name)
            if (await self._processes.run(argv, timeout=max(timeout, 0.1), check=False)).status == 0:
                return
        if any(left.jid == jail.jid and not left.dying for left in await self.all()):  # what the kernel has counts
            await self.kill(jail.jid)

    async def kill(self, jid: int) -> None:
        """Remove a jail with all that runs in it, asking nobody. No error if it is gone."""
        completed = await self._processes.run(("jail", "-R", str(jid)), check=False)
        if completed.status != 0 and any(jail.jid == jid and not jail.dying for jail in await self.all()):
            raise explain(completed, str(jid))

    async def all_processes(self) -> dict[int, dict[int, str]]:
        """Return pid and name of the processes of all jails, by jid; the host's own have 0."""
        return parse_all((await self._processes.run(("ps", "-ax", "-o", "jid,pid,comm"))).text)

    async def processes(self, jid: int) -> dict[int, str]:
        """Return pid and name of a jail's processes; none if there is no such jail."""
        # ps(1) exits with 1 when it has nothing to list (inferred from its manual page).
        shown = await self._processes.run(("ps", "-J", str(jid), "-o", "pid,comm"), check=False)
        return parse_ps(shown.text)
