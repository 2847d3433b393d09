"""Keys out of files and commands, as the configuration says (implements `jaild.ports.keys.KeySources`)."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from jaild.model.errors import FailedPreconditionError, JaildError, NotFoundError
from jaild.ports.process import Processes

_MOST = 4096  # bytes: more than any key has
_OTHERS = 0o077


class KeySource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one key is: a file that only its owner can read, or what a command prints."""

    file: Path | None = None  # only its owner may read it
    command: tuple[str, ...] = ()  # argv; what it prints is the key
    timeout: float = 30.0  # seconds for the command

    def __post_init__(self) -> None:
        """Refuse none of the two, and both: msgspec tells a ValueError with the field's path."""
        if bool(self.command) == (self.file is not None):
            raise ValueError("say either file or command")
        if self.file is not None and not self.file.is_absolute():
            raise ValueError(f"{self.file} is no absolute path")


class ConfiguredKeys:
    """The sources of a configuration."""

    def __init__(self, processes: Processes, sources: Mapping[str, KeySource]) -> None:
        self._processes = processes
        self._sources = sources

    async def read(self, name: str) -> bytes:
        """Return a key; see the port."""
        source = self._sources.get(name)
        if source is None:
            raise NotFoundError(
                "KEY_SOURCE_MISSING",
                f"this host has no key source {name}",
                hint="name it under `keys` in its configuration, or load the key by hand: jailctl jail load-key",
                resource=f"keys/{name}",
            )
        if source.file is not None:
            return await asyncio.to_thread(_content, name, source.file)
        return await self._printed(name, source)

    async def _printed(self, name: str, source: KeySource) -> bytes:
        try:
            done = await self._processes.run(source.command, timeout=source.timeout, check=False)
        except JaildError as error:
            why = f"{source.command[0]} cannot be run, or is not done after {source.timeout:g} s ({error.reason})"
            raise _unreadable(name, why) from error
        if done.status != 0:  # nothing of what it printed: that may be the key
            raise _unreadable(name, f"{source.command[0]} ended with status {done.status}")
        return done.stdout


def _content(name: str, path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) or mode & _OTHERS:
            raise _unreadable(name, f"{path} can be read by others than its owner: chmod 600 it")
        with path.open("rb") as file:
            return file.read(_MOST)
    except OSError as error:
        raise _unreadable(name, f"{path}: {error.strerror}") from error


def _unreadable(name: str, why: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "KEY_UNREADABLE",
        f"the key {name} cannot be had: {why}",
        hint="fix that, or load the key by hand: jailctl jail load-key",
        resource=f"keys/{name}",
    )
