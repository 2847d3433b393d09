"""What the OCI runtime remembers of its runs: a folder each, which is the run's bundle too.

`RUNS/web.2/{run.json, config.json, pid, exec-*}`; how records are kept is said in `records`.

    preparing ──create──> created ──start──> running ──end, stop──> ended ──start──> running
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from jaild.adapters.runtime import records
from jaild.adapters.runtime.first_process import FirstProcess
from jaild.adapters.runtime.records import split
from jaild.ports.runtime import Run, RunSpec

__all__ = ["Record", "Records", "split"]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run."""

    spec: RunSpec
    process: FirstProcess | None = None  # None: preparing
    started: float = 0.0  # seconds since the epoch; 0.0: created
    ended: bool = False
    exit_status: int | None = None
    out_of_memory: bool = False
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
            out_of_memory=self.out_of_memory,
        )


class Records(records.Records[Record]):
    """The records in one folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Record)

    def bundle(self, name: str) -> Path:
        """Return the run's folder."""
        return self.folder(name)
