"""Running `zfs` and `zpool`: what they can do is asked once, and what is busy for a moment is asked again."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence

from jaild.adapters.zfs import parse
from jaild.adapters.zfs.capabilities import Detected, detect
from jaild.adapters.zfs.ended import to_its_end
from jaild.adapters.zfs.errors import failure
from jaild.adapters.zfs.names import checked_snapshot
from jaild.adapters.zfs.private_namespace import kernel_has_zfs
from jaild.model.errors import NotFoundError
from jaild.ports.process import Completed, Processes

_PATIENCE = 600.0  # seconds: a recursive destroy on slow disks takes minutes
# zfs-fuse lets go of a dataset some time after its unmount (measured: 20 to 600 ms), and tells nobody when. A held
# snapshot is busy too, but is named with its @.
_LETTING_GO = re.compile(r"'[^'@]*': dataset is busy")
_BUSY_TRIES = 200
_BUSY_PAUSE = 0.02  # seconds between them
# zfs-fuse's threads share what they tell its listener of mounts by (zfsfuse_newfs of zfs-fuse/fuse_listener.c). It was
# seen to stop for ever, and all of its mounts with it: 0.7.0-25, forty jails created four at a time.
_MOUNTING = frozenset({"create", "clone", "mount", "rename", "rollback"})


class Commands:
    """One ZFS's programs; `environment` is added to theirs."""

    def __init__(
        self,
        processes: Processes,
        *,
        zfs: str = "zfs",
        zpool: str = "zpool",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._processes = processes
        self._zfs = zfs
        self._zpool = zpool
        self._environment = environment
        self._detected: Detected | None = None
        self._mounting = asyncio.Lock()
        self._sent_raw: dict[str, bool] = {}  # snapshots, those of the last sends

    async def _detect(self) -> Detected:
        if self._detected is None:
            version = await self._processes.run([self._zfs, "version"], env=self._environment, check=False)
            usage = await self._processes.run([self._zfs, "-?"], env=self._environment, check=False)
            properties = await self._processes.run([self._zfs, "get"], env=self._environment, check=False)
            if "create" not in usage.text + usage.error_text:
                raise failure(usage, self._zfs)
            self._detected = detect(
                usage.text + usage.error_text,
                properties.text + properties.error_text,
                version.text.split("\n")[0] if version.status == 0 else None,
            )
        return self._detected

    async def run(self, command: str, *options: str, subject: str, unless: str = "") -> Completed:
        """Run `zfs COMMAND OPTIONS SUBJECT`; a failure that says `unless` (alternatives between |) is none."""
        argv = [self._zfs, command, *options, subject]
        one_by_one = command in _MOUNTING and not kernel_has_zfs()
        for left in reversed(range(_BUSY_TRIES)):
            async with self._mounting if one_by_one else contextlib.nullcontext():
                completed = await self._ended(argv)
            said = completed.error_text
            if completed.status == 0 or not left or not await self._may_let_go(said):
                break
            await asyncio.sleep(_BUSY_PAUSE)
        if completed.status != 0 and not (unless and any(each in said for each in unless.split("|"))):
            raise failure(completed, subject)
        return completed

    async def _ended(self, argv: Sequence[str], stdin: bytes | None = None) -> Completed:
        # zfs-fuse carries out what was asked of it also when the asker was killed, some time later: nobody would know.
        return await to_its_end(
            self._processes.run(argv, stdin=stdin, env=self._environment, check=False, timeout=_PATIENCE)
        )

    async def _may_let_go(self, said: str) -> bool:
        """Tell whether a failure may be zfs-fuse still letting go of what was unmounted or received a moment ago."""
        return bool(_LETTING_GO.search(said)) and (await self._detect()).capabilities.implementation == "zfs-fuse"

    async def _each(self, command: str, tag: str, snapshots: Sequence[str], unless: str) -> None:
        """Hold or release many in one process, which goes on after each failure: look at each line that it said."""
        if not snapshots:
            return
        completed = await self._ended([self._zfs, command, tag, *map(checked_snapshot, snapshots)])
        lines = completed.error_text.splitlines()
        if completed.status != 0 and not (lines and all(any(u in s for u in unless.split("|")) for s in lines)):
            raise failure(completed, " ".join(snapshots))

    async def _told(self, name: str, properties: str, *options: str) -> str:
        return (await self.run("get", *options, "-Hp", "-o", parse.COLUMNS, properties, subject=name)).text

    async def _get(self, name: str, properties: str, *options: str) -> dict[str, parse.Values]:
        return parse.values(await self._told(name, properties, *options))

    async def _get_all(self, root: str, *options: str) -> dict[str, parse.Values]:
        """Return all properties. zfs-fuse's "all" is without guid: there a second process asks for that."""
        found = await self._get(root, "all", *options)
        if all("guid" in values for values in found.values()):
            return found
        guids = await self._get(root, "guid", *options)
        return {name: values | guids[name] for name, values in found.items() if name in guids}

    async def _value(self, prop: str, name: str) -> str:
        return (await self._get(name, prop))[name][prop][0]

    async def _guid(self, name: str) -> int:
        try:
            return int(await self._value("guid", name))
        except NotFoundError:
            return 0
