"""Mounting by mount(8) and umount(8), the texts of which are read."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from jaild.adapters.freebsd.errors import explain
from jaild.adapters.freebsd.mounts import Mounted, NewMount
from jaild.ports.process import Processes

# As mount(8) writes it with -v: nothing is escaped. What is mounted may have blanks in its name, the places that jaild
# mounts on have none.
_TABLE = ("mount", "-v")
_LINE = re.compile(r"(.*) on (/\S*) \((\w+)(?:, (.*))?\)")
_FSID = re.compile(r"fsid ([0-9a-f]{16})")


def parse(text: str) -> list[Mounted]:
    """Return what `mount -v` says, in its order: that of mounting."""
    found = []
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            fsid = next((m[1] for m in map(_FSID.fullmatch, (match[4] or "").split(", ")) if m), "")
            found.append(Mounted(source=match[1], target=Path(match[2]), kind=match[3], fsid=fsid))
    return found


def argv(new: NewMount) -> tuple[str, ...]:
    """Return the command that mounts."""
    options = ",".join(f"{name}={value}" if value else name for name, value in new.options.items())
    return ("mount", "-t", new.kind, *(("-o", options) if options else ()), new.source, str(new.target))


class MountCommands:
    """Implements `jaild.adapters.freebsd.mounts.Mounting`."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def table(self) -> list[Mounted]:
        """Return what `mount -v` shows."""
        return await asyncio.to_thread(parse, (await self._processes.run(_TABLE)).text)  # ten thousand lines, maybe

    async def mount(self, new: NewMount) -> None:
        """Start the command that mounts; for a layer it starts another."""
        await self._run(argv(new))

    async def unmount(self, mount: Mounted, *, force: bool = False) -> None:
        """Run umount(8)."""
        await self._run(("umount", *(("-f",) if force else ()), mount.fsid or str(mount.target)))

    async def _run(self, command: tuple[str, ...]) -> None:
        completed = await self._processes.run(command, check=False)
        if completed.status != 0:
            raise explain(completed, command[-1])
