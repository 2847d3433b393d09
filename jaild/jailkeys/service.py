"""Keys of encrypted jails, loaded and forgotten by hand: what a start of the jail does by itself where it can."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.authority import Intent
from jaild.model.jails.spec import Encryption
from jaild.ports.zfs import Key


@dataclass(frozen=True)
class JailKeysView:
    """How the keys of a jail are; `encryption` is None for a jail that is not encrypted."""

    encryption: Encryption | None
    datasets: Mapping[str, Key] = field(default_factory=dict)  # by path in the jail


class JailKeys:
    """The use cases. The jail's queue is kept out meanwhile: nothing starts, stops or moves it."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._dispatcher = engine.dispatcher
        self._keys = engine.keys

    async def get(self, name: str) -> JailKeysView:
        """Return how they are. `NotFoundError` (JAIL_NOT_FOUND)."""
        entry, _ = self._inventory.permitted(name, Intent.READ)
        return await self._view(entry)

    async def load(self, name: str, key: bytes, *, validate_only: bool) -> JailKeysView:
        """Load a key that was typed in, or if that is empty the one that this host has itself.

        `InvalidArgumentError` (KEY_INCORRECT, KEY_INVALID), `FailedPreconditionError` (NOT_ENCRYPTED, KEY_UNAVAILABLE).
        """
        async with self._dispatcher.exclusive(f"jails/{name}"):
            entry, encryption = self._encrypted(name)
            told = key or await self._keys.of(encryption)
            await self._keys.type_in(entry, told, encryption, check=validate_only)
            return await self._view(entry)

    async def unload(self, name: str, *, validate_only: bool) -> JailKeysView:
        """Forget a stopped jail's key. `FailedPreconditionError` (NOT_ENCRYPTED, JAIL_RUNNING, DATASET_BUSY)."""
        async with self._dispatcher.exclusive(f"jails/{name}"):
            entry, _ = self._encrypted(name)
            if entry.run is not None and entry.run.running:
                raise FailedPreconditionError(
                    "JAIL_RUNNING",
                    f"jail {name} runs on what its key opens",
                    hint=f"stop it first: jailctl jail stop {name}",
                    resource=f"jails/{name}",
                )
            if not validate_only:
                await self._keys.unload(entry)
            return await self._view(entry)

    def _encrypted(self, name: str) -> tuple[JailEntry, Encryption]:
        entry, _ = self._inventory.permitted(name, Intent.READ)
        encryption = entry.generation.spec.encryption if entry.generation is not None else None
        if encryption is None:
            raise FailedPreconditionError(
                "NOT_ENCRYPTED",
                f"jail {name} is not encrypted: its spec has no `encryption`",
                hint="see jailctl jail show",
                resource=f"jails/{name}",
            )
        return entry, encryption

    async def _view(self, entry: JailEntry) -> JailKeysView:
        encryption = entry.generation.spec.encryption if entry.generation is not None else None
        if encryption is None:
            return JailKeysView(None)
        found = await self._keys.states(entry)
        return JailKeysView(encryption, {name.removeprefix(f"{entry.dataset}/"): key for name, key in found.items()})
