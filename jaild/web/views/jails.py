"""A jail as a row, and what of it asks for somebody."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from jaild.cli.output.render import clock
from jaild.v1 import jails_pb2
from jaild.web.views.words import Tone, short, state, tone

# What is here of a jail is a copy: its owner's row tells of it.
COPIES = frozenset({"moved", "standby", "incoming", "prepared", "superseded"})
_NOT_WELL = frozenset({"failed", "crash-loop", "damaged", "waiting", "claimed", "fenced"})


@dataclass(frozen=True)
class Concern:
    """Something that somebody should look at. `action`: what may be done about it from here, of `actions.ACTIONS`."""

    tone: Tone
    text: str
    about: str = ""  # the resource's name: jails/web, rollouts/3f1c; '' for the host
    action: str = ""


@dataclass(frozen=True)
class Replica:
    """A copy that is kept on another host: its last whole round, and whether that is too old."""

    host: str
    point: Timestamp
    behind: bool
    message: str


@dataclass(frozen=True)
class JailRow:
    """A jail in a table. `found` is what a filter's words are looked for in."""

    name: str
    state: str
    tone: Tone
    health: str
    health_tone: Tone
    generation: int
    base: str
    behind: str
    release: str
    address: str
    labels: tuple[str, ...]
    started: Timestamp
    replicas: tuple[Replica, ...]
    copy: bool
    operation: str
    note: str
    concerns: tuple[Concern, ...]
    found: str


def row(jail: jails_pb2.Jail) -> JailRow:
    """Return a jail's row."""
    word, health = state(jail), state(jail.health) if jail.HasField("health") else ""
    labels = tuple(f"{key}={value}" for key, value in sorted(jail.spec.labels.items()))
    name, base, release = short(jail.name), short(jail.base), short(jail.release)
    return JailRow(
        name=name,
        state=word,
        tone=tone(word),
        health=health,
        health_tone=tone(health),
        generation=jail.generation,
        base=base,
        behind=short(jail.behind),
        release=release,
        address=" ".join(jail.spec.network.addresses),
        labels=labels,
        started=jail.start_time,
        replicas=tuple(map(_replica, () if word in COPIES else jail.standbys)),
        copy=word in COPIES,
        operation=jail.operation,
        note=_note(jail, word),
        concerns=tuple(_concerns(jail, word, health)),
        found="\0".join((name, word, health, base, release, *jail.spec.network.addresses, *labels)).lower(),
    )


def _replica(standby: jails_pb2.StandbyStatus) -> Replica:
    return Replica(standby.host, standby.recovery_point_time, standby.behind, standby.message)


def _note(jail: jails_pb2.Jail, word: str) -> str:
    if jail.peer and word in COPIES | {"fenced"}:
        return f"{'from' if word in {'incoming', 'prepared'} else 'now on'} {jail.peer}"
    if jail.message:
        return jail.message
    if jail.HasField("staged"):
        return f"generation {jail.staged.generation} is staged"
    return f"behind {jail.spec.channel}: it is {short(jail.behind)} now" if jail.behind else ""


def _concerns(jail: jails_pb2.Jail, word: str, health: str) -> list[Concern]:
    found = []
    if word in _NOT_WELL:
        found.append(Concern(tone(word), f"{word}: {jail.message}".rstrip(": "), jail.name))
    if health == "unhealthy":
        said = (jail.health.output.splitlines() or [""])[0]
        found.append(Concern(Tone.BAD, f"unhealthy: {said}".rstrip(": "), jail.name))
    if jail.revert_generation:
        back = f"generation {jail.revert_generation} comes back at {clock(jail.revert_time)} unless it is confirmed"
        found.append(Concern(Tone.WARN, f"the last change waits: {back}", jail.name, "confirm"))
    if jail.staged.failure:
        found.append(Concern(Tone.WARN, f"its staged cutover failed: {jail.staged.failure}", jail.name))
    if word not in COPIES:
        found += [
            Concern(Tone.WARN, f"its replica on {each.host} is too old: {each.message}".rstrip(": "), jail.name)
            for each in jail.standbys
            if each.behind
        ]
    return found
