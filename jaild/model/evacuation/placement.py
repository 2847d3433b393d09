"""Which host each jail of an evacuation goes to, decided from what the hosts told. Pure.

Jails are placed in the order in which they leave: the higher priority first, then the larger one, then by name. A host
that told too little is not guessed at: what it did not tell refuses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from jaild.model.migration.streams import SLACK
from jaild.model.problems import Problem, Severity, errors
from jaild.model.quantity import render, size


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A jail that has to leave."""

    jail: str
    priority: int = 100
    memory_limit: int = 0  # bytes; 0 for none
    memory_used: int | None = None  # bytes, as measured; None where it does not run
    cpus: float | None = None  # its limit
    apart: str = ""  # the label, as key=value, that it is to be kept apart by


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one jail would bring to one host, and what that host says about it; an error among `problems` refuses."""

    data: int = 0  # bytes
    layers: Mapping[str, int] = field(default_factory=dict)  # path -> bytes of those that are missing there
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Room:
    """A host that jails may go to. `problem` says why it takes none at all."""

    host: str
    space: int = 0  # bytes
    memory_total: int = 0  # bytes; 0 if it did not tell
    memory_free: int | None = None  # bytes; None if it did not tell
    memory_promised: int = 0  # bytes
    cpus: int = 0  # 0 if it did not tell
    apart: Mapping[str, int] = field(default_factory=dict)  # key=value -> jails
    layers: frozenset[str] = frozenset()  # that earlier jails of this plan bring
    taken: int = 0  # jails of this plan
    problem: Problem | None = None


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A jail and where it goes; `notes` tell what is not as one would like it."""

    guest: Guest
    host: str
    bytes: int
    notes: tuple[Problem, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Unplaced:
    """A jail that no host takes: why not, by host."""

    guest: Guest
    reasons: Mapping[str, Problem]


@dataclass(frozen=True)
class Placements:
    """The plan, in the order in which jails leave."""

    placed: tuple[Placed, ...]
    unplaced: tuple[Unplaced, ...]


def place(guests: Sequence[Guest], rooms: Sequence[Room], needs: Mapping[tuple[str, str], Need]) -> Placements:
    """Give each jail a host; `needs` has what (jail, host) would mean for every host without a `problem`.

    Among the hosts that have room, the one with the fewest jails of the same label wins, then the one that is left with
    the larger share of its memory, then of its space, then the one that takes fewer, then the one that was named first.
    """
    hosts = {room.host: room for room in rooms}
    placed: list[Placed] = []
    unplaced: list[Unplaced] = []
    for guest in sorted(guests, key=lambda g: _leaving(g, needs)):
        refused = {host: _refusal(guest, room, needs.get((guest.jail, host), Need())) for host, room in hosts.items()}
        open_to_it = [host for host, problem in refused.items() if problem is None]
        if not open_to_it:
            unplaced.append(Unplaced(guest=guest, reasons={h: f for h, f in refused.items() if f is not None}))
            continue
        best = min(open_to_it, key=lambda host: _rank(guest, hosts[host], needs.get((guest.jail, host), Need())))
        need = needs.get((guest.jail, best), Need())
        placed.append(
            Placed(guest=guest, host=best, bytes=_bytes(need, hosts[best]), notes=_notes(guest, hosts[best], need))
        )
        hosts[best] = _taken(guest, hosts[best], need)
    return Placements(tuple(placed), tuple(unplaced))


def _leaving(guest: Guest, needs: Mapping[tuple[str, str], Need]) -> tuple[int, int, int, str]:
    data = max((need.data for (jail, _), need in needs.items() if jail == guest.jail), default=0)
    return -guest.priority, -_promise(guest), -data, guest.jail


def _promise(guest: Guest) -> int:
    return guest.memory_limit or guest.memory_used or 0


def _bytes(need: Need, room: Room) -> int:
    return need.data + sum(size for path, size in need.layers.items() if path not in room.layers)


def _refusal(guest: Guest, room: Room, need: Need) -> Problem | None:
    """Return why the host cannot take the jail; None if it can."""
    if room.problem is not None:
        return room.problem
    if found := errors(need.problems):
        return found[0]
    return _memory(guest, room) or _processors(guest, room) or _space(room, need)


def _memory(guest: Guest, room: Room) -> Problem | None:
    unpromised = room.memory_total - room.memory_promised
    if room.memory_total and guest.memory_limit > unpromised:
        return _no_memory(f"its limit is {render(guest.memory_limit)}", room, unpromised, "is promised to nobody")
    if room.memory_free is not None and (guest.memory_used or 0) > room.memory_free:
        return _no_memory(f"it uses {size(guest.memory_used or 0)}", room, room.memory_free, "is free")
    return None


def _processors(guest: Guest, room: Room) -> Problem | None:
    if room.cpus and guest.cpus is not None and guest.cpus > room.cpus:
        message = f"its limit is {guest.cpus:g} cores, {room.host} has {room.cpus}"
        return _error("NO_CPUS", message, "name a host with more cores, or lower its limit")
    return None


def _space(room: Room, need: Need) -> Problem | None:
    coming = _bytes(need, room)
    if coming * SLACK > room.space:
        message = f"{size(coming)} have to come, {size(max(room.space, 0))} are free on {room.host}"
        return _error("NO_SPACE", message, "free some space there, or name another host")
    return None


def _no_memory(wanted: str, room: Room, there: int, what: str) -> Problem:
    message = f"{wanted}, and {size(max(there, 0))} of {room.host}'s memory {what}"
    evidence = (f"total {room.memory_total}", f"promised {room.memory_promised}", f"free {room.memory_free}")
    return _error("NO_MEMORY", message, "name another host, or lower its limit", evidence)


def _rank(guest: Guest, room: Room, need: Need) -> tuple[int, float, float, int]:
    left = [room.memory_total - room.memory_promised - _promise(guest)]
    if room.memory_free is not None:
        left.append(room.memory_free - (guest.memory_used or 0))
    memory = min(left) / (room.memory_total or 1)
    space = (room.space - _bytes(need, room)) / max(room.space, 1)
    return room.apart.get(guest.apart, 0) if guest.apart else 0, -memory, -space, room.taken


def _notes(guest: Guest, room: Room, need: Need) -> tuple[Problem, ...]:
    others = room.apart.get(guest.apart, 0) if guest.apart else 0
    together = Problem(
        severity=Severity.WARNING,
        code="NOT_APART",
        message=f"no other host has room: {room.host} has {others} with the label {guest.apart} already",
        subject=f"jails/{guest.jail}",
        hint="name more hosts, if these jails are not to fail together",
    )
    return (*need.problems, together) if others else need.problems


def _taken(guest: Guest, room: Room, need: Need) -> Room:
    free = None if room.memory_free is None else room.memory_free - (guest.memory_used or 0)
    apart = dict(room.apart)
    if guest.apart:
        apart[guest.apart] = apart.get(guest.apart, 0) + 1
    return replace(
        room,
        space=room.space - _bytes(need, room),
        memory_free=free,
        memory_promised=room.memory_promised + guest.memory_limit,
        apart=apart,
        layers=room.layers | frozenset(need.layers),
        taken=room.taken + 1,
    )


def _error(code: str, message: str, hint: str, evidence: tuple[str, ...] = ()) -> Problem:
    return Problem(severity=Severity.ERROR, code=code, message=message, hint=hint, evidence=evidence)
