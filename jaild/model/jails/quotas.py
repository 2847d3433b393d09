"""What the quota of a spec means on the pool.

A jail is promised its quota for what it has: ZFS's refquota, which snapshots do not count to. What it may take of the
pool together with its snapshots is bounded above that: ZFS's quota. The snapshots that jaild keeps by itself fit in
between, however much of the data changed from one to the next; those that a spec's schedule or somebody asks for, and
those that others keep, may not: the pool is bounded, not what is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from jaild.model import bounds, quantity
from jaild.model.jails.spec import JailSpec
from jaild.model.layout import DATA
from jaild.model.problems import Problem, Severity

# The data; three safety snapshots and the one that a change takes; three rounds of replicas and the one that is being
# sent, which in a migration is that; and an older round that a host which does not answer has.
TIMES = 10
_MOST = (1 << 63) - 1  # ZFS keeps sizes in signed 64 bits


class Bounds(NamedTuple):
    """ZFS's two quotas of a dataset, in bytes; 0: none."""

    refquota: int = 0
    quota: int = 0

    @property
    def properties(self) -> dict[str, str]:
        """As `zfs set` takes them."""
        return {name: str(size) if size else "none" for name, size in self._asdict().items()}


@dataclass(frozen=True, kw_only=True)
class Space:
    """What a dataset takes, in bytes."""

    referenced: int  # the data
    used: int  # with its snapshots


@dataclass(frozen=True, kw_only=True)
class Room:
    """What there is for a jail."""

    free: int  # bytes for its own dataset: of the pool, or up to a quota of what it is in
    taken: Mapping[str, Space] = field(default_factory=dict)  # by its datasets' paths below it


_NOTHING = Space(referenced=0, used=0)


def bounds_of(quota: str | None, now: Space = _NOTHING) -> Bounds:
    """Return what ZFS is told for a spec's quota, of a dataset that takes `now` that much.

    They are never below that, which ZFS refuses: a copy may take more on another pool, and a jail may grow by some
    seconds' writes beyond its refquota before ZFS counts them.
    """
    if quota is None:
        return Bounds()
    promised = max(quantity.parse(quota), now.referenced)
    return Bounds(promised, max(min(promised * TIMES, _MOST), now.used))


def of_spec(spec: JailSpec) -> dict[str, str | None]:
    """Return the quotas of a spec, by the datasets' paths below the jail."""
    return {DATA: spec.quota} | {name: volume.quota for name, volume in spec.volumes.items()}


def are_kept(spec: JailSpec, known: Mapping[str, Bounds]) -> bool:
    """Say whether all datasets of a spec are there, with its quotas, by what is `known` of them."""
    return all(known.get(path) == bounds_of(quota) for path, quota in of_spec(spec).items())


def too_little(room: Room, size: int) -> Iterator[Problem]:
    """Find that a generation whose files have `size` bytes cannot be written and gone over to."""
    needed = size + bounds.STAGING
    if room.free < needed:
        yield Problem(
            severity=Severity.ERROR,
            code="NO_SPACE",
            message=f"{quantity.size(room.free)} are free for the jail, about {quantity.size(needed)} are needed",
            hint="delete releases, bases or jails that nobody uses, destroy snapshots, or move jails away; what was "
            "deleted counts as free some seconds later",
            evidence=(f"{room.free} bytes free", f"{needed} bytes needed"),
        )


def below_used(
    spec: JailSpec, before: JailSpec, there: Mapping[str, Space], *, going_back: bool = False
) -> Iterator[Problem]:
    """Find quotas that a change makes smaller than what is used; `there`: what a jail's datasets take, by path.

    Nobody is kept from `going_back` to an older spec: what is used is then the quota, until it is less.
    """
    had = of_spec(before)
    for path, quota in of_spec(spec).items():
        now = there.get(path)
        if quota is None or now is None or quota == had.get(path):
            continue
        promised, subject = quantity.parse(quota), "$.quota" if path == DATA else f"$.volumes.{path}.quota"
        if now.referenced > promised:
            what = f"{quantity.size(now.referenced)} are used"
            hint = "give it more, or delete some of its files first"
        elif now.used > promised * TIMES:
            what = f"{quantity.size(now.used)} are used with its snapshots, and {TIMES} times the quota is the most"
            hint = "give it more, or destroy snapshots that jaild did not make (zfs list -t snapshot)"
        else:
            continue
        yield Problem(
            severity=Severity.WARNING if going_back else Severity.ERROR,
            code="QUOTA_BELOW_USED",
            message=f"the quota of {path} is {quota}, but {what}",
            subject=subject,
            hint=hint,
            evidence=(f"{now.referenced} bytes of data", f"{now.used} bytes with snapshots"),
        )
