"""build/lab.json: what the lab found. A run of a part of it leaves the other parts' numbers as they were."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

COUNTS = ("cuts", "survived", "lost_writes", "orphans")


@dataclass(kw_only=True)
class Tally:
    """What came of the power cuts on one ZFS."""

    cuts: int = 0
    survived: int = 0
    lost_writes: int = 0
    orphans: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Found:
    """What one run found, by generation of ZFS."""

    versions: dict[str, str] = field(default_factory=dict)  # as the module in the kernel says it
    passed: Counter[str] = field(default_factory=Counter)  # cases of the contract
    tallies: dict[str, Tally] = field(default_factory=dict)
    downtimes: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # by version: seconds, of each act
    story: dict[str, Any] = field(default_factory=dict)  # as in build/demo.json; empty if it was not told
    rollout: list[dict[str, str]] = field(default_factory=list)  # as in build/demo.json; empty if there was none

    def tally(self, zfs: str) -> Tally:
        """The one of a generation, begun when it is first asked for."""
        return self.tallies.setdefault(zfs, Tally())


def merged(before: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """Return the document after this run; `before`: the one of earlier runs, or nothing."""
    contract = dict(before.get("contract", {})) | {found.versions[zfs]: n for zfs, n in found.passed.items()}
    by_zfs = dict(before.get("by_zfs", {}))
    by_zfs |= {found.versions[zfs]: asdict(tally) for zfs, tally in found.tallies.items() if tally.cuts}
    return {
        "zfs_versions": sorted({*contract, *by_zfs}),
        "contract": contract,
        **{name: sum(tally[name] for tally in by_zfs.values()) for name in COUNTS},
        "downtimes": dict(before.get("downtimes", {})) | found.downtimes,
        "story": found.story or before.get("story", {}),
        "rollout": found.rollout or before.get("rollout", []),
        "by_zfs": by_zfs,
    }


def write(path: Path, found: Found) -> None:
    """Bring the file up to date with what a run found."""
    before = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(merged(before, found), indent=1) + "\n")
