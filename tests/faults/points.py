"""Where a fault can strike: nobody lists the points, a migration without a fault tells them by its calls."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.fakes.faults import Effect
from tests.fakes.network import Fault, applies
from tests.faults.host import PROCESS

# Calls of a port that leave something behind: each is a step. What only looks is none: nothing differs after it.
_CHANGING = {
    "zfs": {
        *("create", "clone", "set", "inherit", "snapshot", "destroy", "rename", "rollback", "hold", "release", "mark"),
        *("mount", "unmount", "send", "receive", "abort_receive", "bookmark"),
    },
    "runtime": {"create", "start", "stop", "remove", "announce"},
    "store": {"put_journal"},
    "files": None,  # only those that change anything are counted
}
_PORT_FAULTS = (Effect.ERROR, Effect.ERROR_AFTER, Effect.CRASH)


@dataclass(frozen=True, order=True)
class Point:
    """One fault at one step: of `source`, `target` or the `link`. `nth` counts calls of the same name, from 0."""

    mode: str  # first (the target has nothing) or again (it has the copy that it kept)
    side: str
    call: str
    nth: int
    fault: Effect | Fault

    def __str__(self) -> str:
        number = f" ({self.nth + 1})" if self.nth else ""
        return f"{self.mode}: {self.side}: {self.call}{number}: {self.fault}"


def points_of(mode: str, calls: Mapping[str, Sequence[str]]) -> list[Point]:
    """Return all faults of a migration whose calls these are, by side."""
    return [
        Point(mode, side, call, nth, fault)
        for side, made in calls.items()
        for call, nth in _numbered(made)
        for fault in _faults(side, call)
    ]


def _numbered(calls: Iterable[str]) -> Iterator[tuple[str, int]]:
    seen: Counter[str] = Counter()
    for call in calls:
        yield call, seen[call]
        seen[call] += 1


def _faults(side: str, call: str) -> Sequence[Effect | Fault]:
    if side == "link":
        return [fault for fault in Fault if applies(fault, call)]
    port, _, method = call.partition(" ")[0].partition(".")
    if port == PROCESS:
        return [Effect.CRASH]
    changing = _CHANGING[port]
    if changing is not None and method not in changing:
        return ()
    return (*_PORT_FAULTS, Effect.HANG_UP) if side == "target" else _PORT_FAULTS


def spread(points: Sequence[Point], count: int, seed: int) -> list[Point]:
    """Return `count` of the points, spread over modes, sides and faults; all of them for 0. Same seed, same points.

    Those of a mode are together, in no order: a part of a run is spread too.
    """
    if not 0 < count < len(points):
        return list(points)
    chance = random.Random(seed)  # noqa: S311 -- no secret
    heaps: dict[tuple[str, str, str], list[Point]] = {}
    for point in chance.sample(points, len(points)):
        heaps.setdefault((point.mode, point.side, point.fault), []).append(point)
    order = list(heaps.values())
    chance.shuffle(order)
    chosen: list[Point] = []
    while len(chosen) < count:
        chosen += [heap.pop() for heap in order if heap]
    modes = [point.mode for point in points]
    return sorted(chosen[:count], key=lambda point: modes.index(point.mode))
