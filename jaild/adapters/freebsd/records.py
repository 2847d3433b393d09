"""What the FreeBSD runtime remembers of its runs: `RUNS/web.2/{run.json, jail.conf, pid}`.

    created ──start──> running ──end, stop──> ended ──start──> running

A jail of ours is known by its path, a tree of ours; that it is still the one that was started, and not one started
since by somebody else, by its jid.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain, count

import msgspec

from jaild.model.jails.spec import SYSTEM_BOOT
from jaild.ports.runtime import Run, RunSpec


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run."""

    spec: RunSpec
    name: str = ""  # jail(8)'s, of the last start; '' before the first
    jid: int = 0  # 0: no jail that we know of
    pid: int = 0  # of the first process; 0 for a jail that boots by /etc/rc: it has none that stands for it
    started: float = 0.0  # seconds since the epoch; 0.0: created
    ended: bool = False
    exit_status: int | None = None
    attached: bool = False  # network, limits; said before it is so, and until it is not

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
            pid=self.jid if self.running else 0,
            started=self.started,
            exit_status=self.exit_status,
        )


def jail_name(run: RunSpec, taken: Collection[str] = ()) -> str:
    """Return a jail(8) name for a run that is not in `taken`: `web_2`, else `web_2_2`, `web_2_3`.

    Two generations of a jail may be there at once, and a `.` means hierarchy to jail(8). No jail's name has a `_`, so
    that no two runs get the same, and none is all digits, which jail(8) would take for a jid. The run's last jail has
    the first name as long as it is dying (decision 210): a minute, after a stop with open connections.
    """
    first = f"{run.jail}_{run.generation}"
    return next(name for name in chain((first,), (f"{first}_{n}" for n in count(2))) if name not in taken)


def boots(run: RunSpec) -> bool:
    """Tell whether the run's command is FreeBSD's own boot, which ends while its services go on."""
    return run.command in SYSTEM_BOOT
