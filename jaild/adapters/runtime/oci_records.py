"""What the OCI runtime remembers of its runs: a folder each, which is the run's bundle too.

`RUNS/web.2/{run.json, config.json, pid, exec-*}`. A record is written before anything is made and goes last, so what
a crash leaves is always found again.

    preparing ──create──> created ──start──> running ──end, stop──> ended ──start──> running
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import msgspec

from jaild.adapters.runtime.first_process import FirstProcess
from jaild.ports.runtime import Run, RunSpec

_RECORD = "run.json"


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run."""

    spec: RunSpec
    process: FirstProcess | None = None  # None: preparing
    started: float = 0.0  # seconds since the epoch; 0.0: created
    ended: bool = False
    exit_status: int | None = None
    attached: bool = False  # to the network; said before it is so, and until it is not

    @property
    def running(self) -> bool:
        """Started, and not known to have ended."""
        return bool(self.started) and not self.ended

    @property
    def run(self) -> Run:
        """What the port tells of it."""
        return Run(
            jail=self.spec.jail,
            generation=self.spec.generation,
            uid=self.spec.uid,
            running=self.running,
            pid=self.process.pid if self.running and self.process else 0,
            started=self.started,
            exit_status=self.exit_status,
        )


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)


def split(name: str) -> tuple[str, int] | None:
    """Return jail and generation of `web.2`; None if it is no run's name."""
    jail, _, generation = name.rpartition(".")
    return (jail, int(generation)) if jail and generation.isdecimal() else None


class Records:
    """The records in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def bundle(self, name: str) -> Path:
        """Return the run's folder."""
        return self._folder / name

    def names(self) -> list[str]:
        """Return the names of the runs that have a folder."""
        return sorted(p.name for p in self._folder.iterdir() if split(p.name)) if self._folder.is_dir() else []

    def read(self, name: str) -> Record | None:
        """Return a run's record; None if it has none."""
        try:
            text = (self.bundle(name) / _RECORD).read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(text, type=Record, dec_hook=_decode)

    def write(self, record: Record) -> Record:
        """Keep a record: whole or not at all, however the daemon ends."""
        folder = self.bundle(record.spec.name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = folder / f"{_RECORD}.new"
        new.write_bytes(msgspec.json.encode(record, enc_hook=_encode))
        new.replace(folder / _RECORD)
        return record

    def forget(self, name: str) -> None:
        """Take a run's folder away: its plain files, the record last, and nothing below it."""
        folder = self.bundle(name)
        if not folder.is_dir():
            return
        for path in sorted(folder.iterdir(), key=lambda p: p.name == _RECORD):
            if stat.S_ISREG(path.lstat().st_mode):
                path.unlink()
        folder.rmdir()  # refuses when there is something else in it
