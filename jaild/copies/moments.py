"""A jail as it was at one of its snapshots: which that is, and whether all of the jail is in it."""

from __future__ import annotations

from jaild.engine.build import Engine
from jaild.engine.inventory import OwnedJail
from jaild.jails.past import Past, PastReader
from jaild.model import layout
from jaild.model.backups.points import Point, point_of, points
from jaild.model.errors import FailedPreconditionError

When = str | float | None  # a snapshot's name; seconds since the epoch; None: now


class Moments:
    """Finds them."""

    def __init__(self, engine: Engine, past: PastReader) -> None:
        self._zfs = engine.ports.zfs
        self._past = past

    async def of(self, owned: OwnedJail, at: str | float) -> tuple[Point, Past]:
        """Return the snapshots that are meant, and what was in force then.

        `NotFoundError` (SNAPSHOT_NOT_FOUND), `FailedPreconditionError` (SNAPSHOT_NOT_WHOLE, GENERATION_MISSING).
        """
        jail, dataset = owned.entry.name, owned.entry.dataset
        point = point_of(points(dataset, await self._zfs.snapshots(dataset, recursive=True)), at)
        _require(jail, point, {""})
        past = await self._past.at(owned, point.tag)
        _require(jail, point, {layout.DATA, *past.generation.spec.volumes})
        return point, past


def _require(jail: str, point: Point, wanted: set[str]) -> None:
    missing = wanted - point.parts.keys()
    if missing:
        named = ", ".join(path or "the jail's own dataset" for path in sorted(missing))
        raise FailedPreconditionError(
            "SNAPSHOT_NOT_WHOLE",
            f"snapshot {point.tag} of jail {jail} has nothing of {named}",
            hint="name one that was taken of all at once: zfs snapshot -r, or a schedule of the jail's",
            resource=f"jails/{jail}",
        )
