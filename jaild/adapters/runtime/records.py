"""What a runtime remembers of its runs: a folder each, with a record in JSON.

`RUNS/web.2/run.json`, beside whatever else the runtime keeps of a run. A record is written before anything is made and
goes last, so what a crash leaves is always found again.
"""

from __future__ import annotations

import ipaddress
import os
import stat
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from jaild.ports.runtime import RunSpec

_RECORD = "run.json"


class Described(Protocol):
    """A record (a msgspec struct) that says which run it is of."""

    @property
    def spec(self) -> RunSpec:
        """The run."""

    @property
    def attached(self) -> bool:
        """Whether it has been made reachable."""


R = TypeVar("R", bound=Described)


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that holds an environment: nobody but root may read it, also where one of other modes was there."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def split(name: str) -> tuple[str, int] | None:
    """Return jail and generation of `web.2`; None if it is no run's name."""
    jail, _, generation = name.rpartition(".")
    return (jail, int(generation)) if jail and generation.isdecimal() else None


class Records(Generic[R]):
    """The records of type `kind` in one folder."""

    def __init__(self, folder: Path, kind: type[R]) -> None:
        self._folder = folder
        self._kind = kind

    def folder(self, name: str) -> Path:
        """Return the run's folder."""
        return self._folder / name

    def names(self, jail: str = "") -> list[str]:
        """Return the names of the runs that have a folder: of one jail, or of all."""
        try:
            with os.scandir(self._folder) as entries:
                found = [entry.name for entry in entries]  # names alone: all are looked through at each start
        except FileNotFoundError:
            return []
        wanted = [name for name in found if name.startswith(f"{jail}.")] if jail else found
        return sorted(name for name in wanted if (which := split(name)) and jail in {"", which[0]})

    def read(self, name: str) -> R | None:
        """Return a run's record; None if it has none."""
        try:
            text = (self.folder(name) / _RECORD).read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(text, type=self._kind, dec_hook=_decode)

    def held(self, jail: str) -> frozenset[str]:
        """Return the addresses, without prefix length, that a jail's generations have on the host's interfaces now."""
        records = map(self.read, self.names(jail))
        attached = (record.spec.network for record in records if record is not None and record.attached)
        return frozenset(str(ipaddress.ip_interface(a).ip) for network in attached for a in network.addresses)

    def write(self, record: R) -> R:
        """Keep a record: whole or not at all, however the daemon ends."""
        folder = self.folder(record.spec.name)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        new = folder / f"{_RECORD}.new"
        write_secret(new, msgspec.json.encode(record, enc_hook=_encode))
        new.replace(folder / _RECORD)
        return record

    def forget(self, name: str) -> None:
        """Take a run's folder away: its plain files, the record last, and nothing below it."""
        folder = self.folder(name)
        if not folder.is_dir():
            return
        for path in sorted(folder.iterdir(), key=lambda p: p.name == _RECORD):
            if stat.S_ISREG(path.lstat().st_mode):
                path.unlink()
        folder.rmdir()  # refuses when there is something else in it


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
