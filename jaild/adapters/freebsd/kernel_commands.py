"""The kernel asked by jls(8), jail(8), ps(1), sysctl(8) and ifconfig(8), the texts of which are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from jaild.adapters.freebsd.errors import explain
from jaild.adapters.freebsd.kernel import Jail, System
from jaild.adapters.freebsd.mount_commands import MountCommands
from jaild.ports.process import Processes


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


def system(processes: Processes) -> System:
    """Return a host that is asked by its programs."""
    return System(MountCommands(processes), KernelCommands(processes))


class KernelCommands:
    """Implements `jaild.adapters.freebsd.kernel.Kernel`."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def jails(self) -> list[Jail]:
        """Run jls(8)."""
        shown = await self._processes.run(("jls", "-d", "--libxo", "json", "jid", "name", "path", "dying"))
        return parse_jls(shown.stdout)

    async def remove_jail(self, jid: int) -> None:
        """Run jail(8)."""
        completed = await self._processes.run(("jail", "-R", str(jid)), check=False)
        if completed.status != 0:
            raise explain(completed, str(jid))

    async def processes(self, jid: int) -> dict[int, str]:
        """Run ps(1), which exits with 1 when it has nothing to list."""
        shown = await self._processes.run(("ps", "-J", str(jid), "-o", "pid,comm"), check=False)
        return parse_ps(shown.text)

    async def all_processes(self) -> dict[int, dict[int, str]]:
        """Run ps(1)."""
        return parse_all((await self._processes.run(("ps", "-ax", "-o", "jid,pid,comm"))).text)

    async def values(self, *names: str) -> Mapping[str, str]:
        """Run sysctl(8): once, if the kernel knows all of them."""
        shown = await self._processes.run(("sysctl", "-n", *names), check=False)
        if shown.status == 0:
            return dict(zip(names, shown.text.splitlines(), strict=True))
        if len(names) == 1:
            return {}
        return {name: value for each in names for name, value in (await self.values(each)).items()}

    async def interfaces(self) -> frozenset[str]:
        """Run ifconfig(8)."""
        completed = await self._processes.run(("ifconfig", "-l"), check=False)
        if completed.status != 0:
            raise explain(completed, "ifconfig")
        return frozenset(completed.text.split())
