"""Who goes in which wave, and how long all of it takes."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

import msgspec

from jaild.model.rollouts.policy import RolloutPolicy

CANARIES = 0  # the wave of the canaries; the others begin with 1


@dataclass(frozen=True)
class Target:
    """What is to be moved: a jail, or all jails of a host."""

    name: str
    group: str = ""  # at most one of a group is moved at a time; empty: of none


@dataclass(frozen=True)
class Place:
    """A target's place in a rollout."""

    name: str
    group: str
    wave: int


def arrange(targets: Sequence[Target], policy: RolloutPolicy) -> tuple[Place, ...]:
    """Return the places of all targets, wave after wave, and in each in the order given.

    Canaries are taken of different groups as long as there are any: they can then go side by side.
    """
    canaries = frozenset(_spread(targets, policy.canaries))
    sizes = [max(1, wave.of(len(targets))) for wave in policy.waves]
    places = [Place(each.name, each.group, CANARIES) for each in targets if each.name in canaries]
    wave, room = CANARIES + 1, sizes[0] if sizes else len(targets)
    for each in targets:
        if each.name in canaries:
            continue
        if not room:
            wave += 1
            room = sizes[wave - 1] if wave <= len(sizes) else len(targets)
        places.append(Place(each.name, each.group, wave))
        room -= 1
    return tuple(places)


def arrange_sites(
    sites: Mapping[str, Sequence[Target]], policy: RolloutPolicy, canaries: Collection[str] = ()
) -> tuple[tuple[str, Place], ...]:
    """Return the places of hosts with their sites, site after site as given, each with waves of its own.

    Canaries are those named, else as many as the policy says, of all sites.
    """
    everyone = [target for targets in sites.values() for target in targets]
    site_of = {target.name: site for site, targets in sites.items() for target in targets}
    first = frozenset(canaries) or frozenset(_spread(everyone, policy.canaries))
    places = [(site_of[each.name], Place(each.name, each.group, CANARIES)) for each in everyone if each.name in first]
    last, others = CANARIES, msgspec.structs.replace(policy, canaries=0)
    for site, targets in sites.items():
        found = arrange([each for each in targets if each.name not in first], others)
        places += [(site, replace(place, wave=place.wave + last)) for place in found]
        last = max((place.wave for _, place in places), default=last)
    return tuple(places)


def _spread(targets: Sequence[Target], count: int) -> Iterator[str]:
    taken: set[str] = set()
    others: list[str] = []
    for each in targets:
        if count <= 0:
            return
        if each.group and each.group in taken:
            others.append(each.name)
            continue
        taken.add(each.group)
        count -= 1
        yield each.name
    yield from others[:count]


def duration(places: Sequence[Place], policy: RolloutPolicy, seconds: Mapping[str, float]) -> float:
    """Return the seconds that it takes if nothing fails; `seconds`: what each target's change takes."""
    now, began = 0.0, -policy.stagger
    for _, wave in groupby(places, key=attrgetter("wave")):
        ready, queues = _queues(wave)
        ends: list[tuple[float, str]] = []  # of those that are changed or watched, with their groups
        while ready or ends:
            while ready and len(ends) < policy.max_parallel:
                _, place = heapq.heappop(ready)
                began = max(now, began + policy.stagger)
                end = began + seconds.get(place.name, 0.0) + policy.min_healthy_time
                heapq.heappush(ends, (end, place.group))
            end, group = heapq.heappop(ends)
            now = max(now, end)
            if queues.get(group):
                heapq.heappush(ready, queues[group].popleft())
    return now


_Turn = tuple[int, Place]


def _queues(wave: Iterable[Place]) -> tuple[list[_Turn], dict[str, deque[_Turn]]]:
    """Return who may begin at once, in order, and for each group who may when the one before has ended."""
    ready: list[_Turn] = []
    queues: dict[str, deque[_Turn]] = {}
    for number, place in enumerate(wave):
        if place.group in queues:
            queues[place.group].append((number, place))
            continue
        ready.append((number, place))
        if place.group:
            queues[place.group] = deque()
    return ready, queues
