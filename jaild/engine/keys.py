"""Encrypted jails: their datasets made, their keys loaded. What a key is, is in memory for one command of ZFS.

    made ──► available ──(the host boots, unload)──► unavailable ──(its source, load)──► available

Encrypted are a jail's data and volumes, each an encryption root of its own: a raw stream that comes alone makes one
anyway. The jail's own dataset is not (docs/decisions/0425): record, specs and configuration are read without a key.
"""

from __future__ import annotations

from collections.abc import Mapping

from jaild.engine.inventory import Inventory, JailEntry
from jaild.model import layout
from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.model.jails.keys import as_told, damaging
from jaild.model.jails.spec import Encryption, JailSpec
from jaild.model.problems import Problem, Severity
from jaild.ports.keys import KeySources
from jaild.ports.zfs import Key, Zfs


class Keys:
    """Loads keys from this host's sources, or such as somebody types."""

    def __init__(self, inventory: Inventory, zfs: Zfs, sources: KeySources) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._sources = sources

    async def problems(self, spec: JailSpec, entry: JailEntry | None = None) -> list[Problem]:
        """Return what keeps a jail with this spec from being run on this host, as far as its key goes.

        `entry`: a jail that is here already. If its key is loaded, nobody needs to know where it is.
        """
        if spec.encryption is None:
            return []
        if entry is not None and entry.parts.keys() >= spec.volumes.keys():
            found = await self.states(entry)
            if found and all(key.available for key in found.values()):
                return []
        if refused := await self._unable():
            return [refused]
        try:
            await self._sources.read(spec.encryption.key)
        except JaildError as error:
            return [_problem(error.reason, error.message, error.hint)]
        return []

    async def _unable(self) -> Problem | None:
        can = await self._zfs.capabilities()
        if not can.encryption:
            return _problem(
                "ENCRYPTION_UNSUPPORTED",
                f"{can.implementation} {can.version} has no encryption",
                "use a host with OpenZFS",
            )
        if damaging(can.version):
            return _problem(
                "ENCRYPTION_UNSUPPORTED",
                f"{can.version} damages encrypted datasets that are received raw",
                "update it to 2.1.3 or later",
            )
        if "encryption" not in await self._zfs.pool_features(pool := self._inventory.where.pool):
            hint = f"zpool set feature@encryption=enabled {pool}, when no older system needs it"
            return _problem("ENCRYPTION_UNSUPPORTED", f"pool {pool} has no feature encryption", hint)
        return None

    async def create(self, dataset: str, spec: JailSpec, properties: Mapping[str, str]) -> None:
        """Make one of a jail's data and volumes, encrypted if its spec says so. Errors as of `KeySources.read`."""
        if spec.encryption is None:
            await self._zfs.create(dataset, properties)
            return
        key = await self.of(spec.encryption)
        await self._zfs.create_encrypted(dataset, key, spec.encryption.keyformat, properties)

    async def open(self, entry: JailEntry, spec: JailSpec) -> None:
        """Load the keys of a jail that are not, and mount what could not be mounted without. Errors as `load`.

        The jail shows the error until its next start.
        """
        if spec.encryption is None:
            return
        try:
            await self.load(entry.dataset, spec)
        except FailedPreconditionError as error:
            entry.message = f"{error.message}; {error.hint}"
            raise
        for path in (layout.DATA, *spec.volumes):
            if await self._zfs.mounted(entry.folder / path) is None and path in entry.parts:
                await self._zfs.mount(self._inventory.where.part(entry.name, path))

    async def load(self, root: str, spec: JailSpec) -> None:
        """Load the keys of `root` and what is below it, as far as they are not.

        `FailedPreconditionError` (KEY_UNAVAILABLE) says why one cannot be, and what to do.
        """
        if spec.encryption is None:
            return
        missing = sorted({key.root for key in (await self._zfs.keys(root)).values() if not key.available})
        try:
            key = await self.of(spec.encryption) if missing else b""
            for each in missing:
                await self._zfs.load_key(each, key)
        except JaildError as error:
            name = root.removeprefix(f"{self._inventory.where.jails}/").partition("/")[0]
            raise FailedPreconditionError(
                "KEY_UNAVAILABLE",
                f"the key of {missing[0]} is not loaded: {error.message} ({error.reason})",
                hint=f"{error.hint}; or type it: jailctl jail load-key {name}",
                resource=f"jails/{name}",
            ) from error

    async def require_encrypted(self, dataset: str, spec: JailSpec) -> None:
        """Open what came for a jail. `FailedPreconditionError` (NOT_ENCRYPTED) if it is not as the spec says."""
        if spec.encryption is None:
            return
        if dataset not in await self._zfs.keys(dataset):
            raise FailedPreconditionError(
                "NOT_ENCRYPTED",
                f"{dataset} came without encryption, and its jail's spec asks for it",
                hint="make the jail without `encryption`, or create an encrypted one and copy the data into it",
                resource=dataset,
            )
        await self.load(dataset, spec)

    async def type_in(self, entry: JailEntry, key: bytes, encryption: Encryption, *, check: bool) -> None:
        """Load a key that somebody typed into all of a jail's datasets; `check`: only see whether it fits.

        `InvalidArgumentError` (KEY_INCORRECT, KEY_INVALID).
        """
        told = as_told(key, encryption.keyformat)
        for root in sorted({found.root for found in (await self.states(entry)).values()}):
            await self._zfs.load_key(root, told, check=check)

    async def unload(self, entry: JailEntry) -> None:
        """Unmount a stopped jail's encrypted datasets and forget their keys; DATASET_BUSY if somebody uses one."""
        found = await self.states(entry)
        for dataset in sorted(found, reverse=True):
            await self._zfs.unmount(dataset)
        for root in sorted({key.root for name, key in found.items() if key.root == name and key.available}):
            await self._zfs.unload_key(root)

    async def states(self, entry: JailEntry) -> Mapping[str, Key]:
        """Return the keys of a jail's datasets, by dataset: ZFS is asked."""
        return await self._zfs.keys(entry.dataset)

    async def locked(self, root: str) -> frozenset[str]:
        """Return which of `root` and all below cannot be mounted, since their keys are not loaded."""
        return frozenset(name for name, key in (await self._zfs.keys(root)).items() if not key.available)

    async def of(self, encryption: Encryption) -> bytes:
        """Return a key as `zfs` reads it. Errors as of `KeySources.read`."""
        return as_told(await self._sources.read(encryption.key), encryption.keyformat)


def _problem(code: str, message: str, hint: str) -> Problem:
    return Problem(severity=Severity.ERROR, code=code, message=message, subject="$.encryption", hint=hint)
