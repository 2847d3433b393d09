"""Encrypted datasets by `zfs`: a key goes to its stdin, and is in no argument, file, error or log."""

from __future__ import annotations

from collections.abc import Mapping

from jaild.adapters.zfs.commands import Commands
from jaild.adapters.zfs.errors import failure
from jaild.adapters.zfs.names import checked_dataset, checked_properties
from jaild.model.errors import NotFoundError
from jaild.ports.zfs import Key

# Named, as `on` means another one in each branch of OpenZFS.
_CIPHER = "aes-256-gcm"
_REMEMBERED = 4096  # snapshots that were sent


class EncryptionCommands(Commands):
    """The part of the port that is about keys."""

    async def keys(self, root: str) -> Mapping[str, Key]:
        """Return the keys of the encrypted ones of `root` and all filesystems below it."""
        if not (await self._detect()).capabilities.encryption:
            return {}
        found = await self._get(checked_dataset(root), "encryptionroot,keystatus", "-r", "-t", "filesystem")
        return {
            name: Key(root=values["encryptionroot"][0], available=values["keystatus"][0] == "available")
            for name, values in found.items()
            if values["encryptionroot"][0] not in {"-", ""}
        }

    async def create_encrypted(self, name: str, key: bytes, keyformat: str, properties: Mapping[str, str]) -> None:
        """Create an encryption root. Its keylocation is `prompt`: ZFS itself looks for the key nowhere."""
        encryption = {"encryption": _CIPHER, "keyformat": keyformat, "keylocation": "prompt"}
        wanted = checked_properties(checked_dataset(name), {**properties, **encryption})
        options = [word for prop, value in wanted.items() for word in ("-o", f"{prop}={value}")]
        completed = await self._ended([self._zfs, "create", *options, name], stdin=key)
        if completed.status != 0:
            raise failure(completed, name)

    async def load_key(self, root: str, key: bytes, *, check: bool = False) -> None:
        """Load a key, or only see whether it is the right one."""
        options = ["-n"] * check
        completed = await self._ended(
            [self._zfs, "load-key", *options, "-L", "prompt", checked_dataset(root)], stdin=key
        )
        if completed.status != 0 and "already loaded" not in completed.error_text:
            raise failure(completed, root)

    async def unload_key(self, root: str) -> None:
        """Forget a key."""
        await self.run("unload-key", subject=checked_dataset(root), unless="already unloaded")

    async def _is_sent_raw(self, snapshot: str, base: str | None) -> bool:
        """Tell whether the dataset of a snapshot has a key that goes with it, and not with its parents.

        What was told of the increment's base holds for what comes after it: the dataset that has it is the same one,
        and no dataset's encryption changes. So the last rounds of a migration ask nothing.
        """
        if not (await self._detect()).capabilities.encryption:
            return False
        raw = self._sent_raw.get(base or "")
        if raw is None:
            raw = await self._has_own_key(snapshot)
        self._sent_raw[snapshot] = raw
        if len(self._sent_raw) > _REMEMBERED:
            del self._sent_raw[next(iter(self._sent_raw))]
        return raw

    async def _has_own_key(self, source: str) -> bool:
        dataset = source.partition("@")[0]
        try:
            root = await self._value("encryptionroot", dataset)
        except NotFoundError:
            return False  # the send says so
        return root not in {"-", ""} and not dataset.startswith(f"{root}/")
