"""The OCI runtime's command line: runc, or crun where there is no runc.

runc goes first: crun refuses hosts with hybrid control groups, runc takes all three layouts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from jaild.model.errors import UnavailableError
from jaild.ports.process import Processes

_PROGRAMS = ("runc", "crun")


class Tool:
    """Commands on the containers whose state is in `state`."""

    def __init__(self, processes: Processes, state: Path) -> None:
        self._processes = processes
        self._state = state
        self._found: tuple[str, str] | None = None

    async def version(self) -> tuple[str, str]:
        """Return program and version of what answers here: `("runc", "1.1.5")`.

        Raises `UnavailableError` (PROGRAM_MISSING) if neither does.
        """
        if self._found is None:
            self._found = await self._ask()
        return self._found

    async def argv(self, *arguments: str) -> tuple[str, ...]:
        """Return the command line of `arguments`."""
        program, _ = await self.version()
        return (program, "--root", str(self._state), *arguments)

    async def create(self, name: str, bundle: Path, log: Path) -> int:
        """Make a container up to the point where its command would begin; return its first process's pid.

        The container keeps `log` open as stdout and stderr.
        """
        pid_file = bundle / "pid"
        argv = await self.argv("create", "--bundle", str(bundle), "--pid-file", str(pid_file), name)
        await self._processes.run(argv, output=log)
        return int(pid_file.read_text("ascii"))

    async def start(self, name: str) -> None:
        """Let its command begin."""
        await self._processes.run(await self.argv("start", name))

    async def delete(self, name: str) -> None:
        """Take a container away, killing what runs in it. No error if there is none."""
        if not (self._state / name).exists():  # runc and crun keep a folder for each
            return
        await self._processes.run(await self.argv("delete", "--force", name))

    async def names(self) -> list[str]:
        """Return the names of all containers."""
        if not self._state.is_dir():
            return []
        listed = await self._processes.run(await self.argv("list", "--format", "json"))
        rows: list[dict[str, Any]] = msgspec.json.decode(listed.stdout) or []
        return [row["id"] for row in rows]

    async def _ask(self) -> tuple[str, str]:
        for program in _PROGRAMS:
            try:
                answer = await self._processes.run((program, "--version"), check=False)
            except UnavailableError:
                continue
            if answer.status == 0:
                return program, answer.text.partition("\n")[0].rpartition(" ")[2]
        raise UnavailableError(
            "PROGRAM_MISSING", "neither runc nor crun works here", hint="install runc", resource=_PROGRAMS[0]
        )
