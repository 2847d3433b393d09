"""Jails that other tools made: their files, and whether they run (jls(8)); their tools start and stop them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaild.adapters.files import plain
from jaild.adapters.files.errors import explained
from jaild.model import bounds
from jaild.model.errors import NotFoundError, UnavailableError
from jaild.ports.process import Processes

_PATIENCE = 600.0  # seconds: a jail's own shutdown scripts run in it


class HostForeign:
    """`jaild.ports.foreign.ForeignHost`. `host`: what absolute paths of files begin at."""

    def __init__(self, processes: Processes, host: Path = Path("/")) -> None:
        self._processes = processes
        self._host = host

    async def texts(self, root: Path, paths: Mapping[str, str]) -> dict[str, str]:
        """See the port."""
        return await asyncio.to_thread(self._texts, root, paths)

    def _texts(self, root: Path, paths: Mapping[str, str]) -> dict[str, str]:
        found = {}
        for key, path in paths.items():
            top = self._host if path.startswith("/") else root.resolve()
            try:
                with explained(top / path.lstrip("/")):
                    content = plain.read_below(top, Path(path.lstrip("/")), bounds.FOREIGN_CONFIG)
            except NotFoundError:
                continue
            found[key] = content.decode("utf-8", "replace")
        return found

    async def place(self, folder: str) -> Path | None:
        """See the port."""
        path = await asyncio.to_thread(Path(folder).resolve)
        return path if path.is_dir() else None

    async def is_running(self, jail: str) -> bool:
        """See the port."""
        try:
            done = await self._processes.run(["jls", "-j", jail, "jid"], check=False)
        except UnavailableError:
            return False  # no jls(8): not FreeBSD, and no jails
        return not done.status

    async def run(self, command: Sequence[str]) -> None:
        """See the port."""
        await self._processes.run(list(command), timeout=_PATIENCE)
