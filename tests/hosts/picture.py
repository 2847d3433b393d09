"""All that a host has of its jails, to compare before and after."""

from __future__ import annotations

from typing import Any

from tests.fakes.host import FakeHost
from tests.hosts import invariants


async def picture(host: FakeHost) -> dict[str, Any]:
    """Return every property, snapshot, hold, bookmark and file of the jails' datasets, and what runs."""
    pool = host.zfs.pool
    found: dict[str, Any] = {"runs": invariants.running([host], "web")}
    for fs in pool.tree("tank/jaild/jails"):
        found[fs.name] = {
            "properties": dict(fs.properties),
            "mounted": fs.mounted,
            "partial": fs.partial,
            "snapshots": [(snap.tag, snap.guid, sorted(snap.holds)) for snap in fs.snapshots],
            "bookmarks": {tag: snap.guid for tag, snap in fs.bookmarks.items()},
            "files": sorted(str(path.relative_to(fs.live)) for path in fs.live.rglob("*")),
        }
    return found


async def layer_holds(host: FakeHost) -> list[str]:
    """Return the holds on layers."""
    pool = host.zfs.pool
    return [hold for fs in pool.tree("tank/jaild") for s in fs.snapshots if s.tag == "sealed" for hold in s.holds]
