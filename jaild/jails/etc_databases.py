"""The databases of a new generation's /etc, made by its base's own tools: in a sandbox, before anything is cut over.

Nothing of a base is run on the host itself. The jail's data is not mounted: what serves is not touched.
"""

from __future__ import annotations

from pathlib import Path

from jaild.engine.inventory import Inventory, JailEntry
from jaild.jails.runs import Runs
from jaild.layers.sandbox import BuildSandbox
from jaild.model import layout
from jaild.model.errors import InternalError
from jaild.model.etc import regenerate as etctools
from jaild.model.etc.regenerate import Argv
from jaild.model.jails.mounts import Mount
from jaild.model.jails.spec import Network
from jaild.model.layers.records import BaseRecord, Generation
from jaild.ports.files import Files
from jaild.ports.runtime import Output

_TOLD = 2000  # bytes of its output that an error carries


class EtcDatabases:
    """Makes what FreeBSD's /etc holds besides texts."""

    def __init__(self, inventory: Inventory, runs: Runs, sandbox: BuildSandbox, files: Files) -> None:
        self._inventory = inventory
        self._runs = runs
        self._sandbox = sandbox
        self._files = files

    async def make(
        self, operation_id: str, entry: JailEntry, generation: Generation, commands: tuple[Argv, ...]
    ) -> None:
        """Run `etctools.commands` on a generation's written /etc. `InternalError` (ETC_TOOL_FAILED)."""
        base = self._inventory.base(generation.base)
        if not commands or not isinstance(base.record, BaseRecord):
            return
        log, network = Path("/dev/null"), Network(mode="none")
        opening = self._sandbox.open(
            operation_id, base.record, self._mounts(entry, generation), network=network, log=log
        )
        async with opening as opened, opened.started() as execute:
            for command in commands:
                if command != etctools.PASSWORDS and not await self._files.size(base.tree / command[0][1:]):
                    continue  # a base put together without it (pkgbase) has nothing to be made by it
                said: list[bytes] = []

                async def keep(piece: Output, said: list[bytes] = said) -> None:
                    said.append(piece.stdout + piece.stderr)

                if status := await execute(command, keep):
                    raise _failed(entry.name, generation, command, status, b"".join(said)[-_TOLD:])

    def _mounts(self, entry: JailEntry, generation: Generation) -> tuple[Mount, ...]:
        """Return the generation's own mounts without its data; below that is the base's own, read-only."""
        mount_point = self._runs.manifest(generation.release).mount_point
        wanted = {"/", "/etc", "/tmp"}  # noqa: S108 -- in the jail
        if not mount_point.startswith(tuple(f"/{name}/" for name in layout.DATA_FOLDERS)):
            wanted |= {mount_point, f"{mount_point}/etc"}  # certificates may come from there
        return tuple(mount for mount in self._runs.spec_of(entry, generation).mounts if mount.target in wanted)


def _failed(jail: str, generation: Generation, command: Argv, status: int, output: bytes) -> InternalError:
    said = output.decode("utf-8", "replace").strip()
    return InternalError(
        "ETC_TOOL_FAILED",
        f"{' '.join(command)}, of base {generation.base}, failed on the new /etc of jail {jail} with status {status}: "
        + (said or "it said nothing"),
        remedy="make the jail's file fit (vipw, or the file that is named), then try again; nothing was cut over",
        resource=f"jails/{jail}",
        detail={"command": " ".join(command), "status": str(status), "stderr": said},
    )
