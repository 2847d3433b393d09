"""What a screen of `jailctl top` has: lines for a width and a height, made of a snapshot. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from jaild.cli.client.references import short
from jaild.cli.output import human, render
from jaild.cli.top.snapshot import Snapshot, about
from jaild.model.quantity import count, size
from jaild.v1 import jails_pb2, rollouts_pb2

_GAP = "  "
_CHANGES = 6  # of changes and rollouts under way, so that jails have room
_TALL = 24  # lines
_ELLIPSIS = "…"


class Order(StrEnum):
    """What jails are ordered by; the value is the key that chooses it."""

    CPU = "c"
    MEMORY = "m"
    NAME = "n"
    STATE = "s"
    UP = "u"
    REPLICA = "r"


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a screen looks. `width` and `height` in cells; `height` None: as many lines as there are."""

    width: int = 80
    height: int | None = None
    order: Order = Order.CPU
    first: int = 0  # jail that the table begins with
    trouble: str = ""  # why what is shown is not of now
    help: bool = False


@dataclass(frozen=True)
class Line:
    """A line of a screen. `style`: as click has it."""

    text: str
    style: str = ""


def frame(snapshot: Snapshot, look: Look) -> list[Line]:
    """Return the screen's lines, none wider than it is, and no more than it has."""
    lines = [*_head(snapshot, look), *_under_way(snapshot, look)]
    if look.help:
        lines += [Line(text) for text in HELP]
    else:
        room = None if look.height is None else max(look.height - len(lines) - 1, 1)
        lines += _table(snapshot, look, room)
    shown = lines if look.height is None else lines[: look.height]
    return [Line(cut(line.text, look.width), line.style) for line in shown]


HELP = (
    "",
    "q      quit              c  by CPU        s  by state: what needs a look first",
    "space  look now          m  by memory     u  by the time since the start",
    "j k    a line down, up   n  by name       r  by the age of replicas",
    "h ?    this, and back",
)


def cut(text: str, width: int) -> str:
    """Return a line in at most `width` cells, without control characters."""
    text = human.printable(text).replace("\t", " ").replace("\n", " ")
    return text if len(text) <= width else text[: max(width - 1, 0)] + _ELLIPSIS


def _head(snapshot: Snapshot, look: Look) -> list[Line]:
    host = snapshot.host
    states = [jail.state for jail in snapshot.jails]
    running = states.count(jails_pb2.Jail.STATE_RUNNING)
    clock = time.strftime("%H:%M:%S", time.localtime(snapshot.taken))
    told = f"{host.name}  jaild {host.version}, up {_since(host.start_time, snapshot)}  "
    told += f"{count(len(states), 'jail')}, {running} running  {size(host.available_bytes)} free"
    if look.height is not None:  # on a terminal at its right edge
        room = max(look.width - len(clock) - len(_GAP), 0)
        told = cut(told, room).ljust(room)
    lines = [Line(told + _GAP + clock, "bold")]
    lines += [Line(f"not of now: {look.trouble}", "red")] if look.trouble else []
    drained = [f"takes no jails: {host.drain.reason or 'drained'}"] if host.HasField("drain") else []
    shut = ["its jails were stopped for its shutdown"] if host.shut_down else []
    failing = [f"{task.name} fails: {task.error}" for task in host.failing_tasks]
    lines += [Line(text, "yellow") for text in (*drained, *shut)]
    return lines + [Line(f"to fix: {text}", "red") for text in (*host.warnings, *failing)][:3]


def _since(stamp: Timestamp, snapshot: Snapshot) -> str:
    return human.age(snapshot.taken - stamp.seconds) if stamp.ByteSize() else ""


# -- what is under way


def _under_way(snapshot: Snapshot, look: Look) -> list[Line]:
    rows = [_rollout(rollout) for rollout in snapshot.rollouts]
    rows += [_change(operation, snapshot) for operation in snapshot.changes]
    most = max(_CHANGES, (look.height or 0) // 4) if look.height is None or look.height >= _TALL else 2
    shown = rows if len(rows) <= most else [*rows[: most - 1], f"and {len(rows) - most + 1} more under way"]
    return [Line(text, "cyan") for text in shown]


def _change(operation: Any, snapshot: Snapshot) -> str:
    known = about(operation)
    to = snapshot.targets.get(known.facts.get("migration", ""), "")
    done, total = known.bytes_done, known.bytes_total
    part = f"{100 * done // total}% of {size(total)}" if total else size(done) if done else ""
    rate = f"{size(known.bytes_per_second)}/s" if known.bytes_per_second else ""
    named = f"{known.kind} {short(known.target)}" + (f" to {to}" if to else "")
    took = _since(known.create_time, snapshot)
    return _GAP.join(filter(None, (named, known.phase, part, rate, took, known.message)))


def _rollout(rollout: Any) -> str:
    states = [step.state for step in rollout.steps]
    done, failed = (states.count(getattr(rollouts_pb2.RolloutStep, f"STATE_{word}")) for word in ("DONE", "FAILED"))
    state = render.word_of(rollouts_pb2.Rollout.State, rollout.state)
    told = f"{done} of {count(len(states), 'jail')}" + (f", {failed} failed" if failed else "")
    target = rollout.target.removeprefix("bases/").removeprefix("apps/").replace("/releases/", "/")
    return _GAP.join(filter(None, (f"rollout {short(rollout.name)[:8]} to {target}", state, told, rollout.message)))


# -- the table

_Cells = tuple[str, ...]
_STYLES: Mapping[str, str] = {
    "failed": "red",
    "crash-loop": "red",
    "damaged": "red",
    "starting": "yellow",
    "unhealthy": "red",
}
_HEADS = ("NAME", "STATE", "HEALTH", "GEN", "CPU", "MEM", "PROC", "READ", "WRITE", "REPL", "UP", "NOTE")
_RIGHT = frozenset({"GEN", "CPU", "MEM", "PROC", "READ", "WRITE", "REPL", "UP"})
_LEAST = {"NAME": 12, "STATE": 7}  # what a name or a state is cut to where not everything fits
# Where a narrow terminal has no room for all, these go, the first first. NOTE has what is left.
_GOING_FIRST = ("PROC", "WRITE", "READ", "GEN", "UP", "HEALTH", "REPL", "MEM")
_NOTE = 12  # cells that a note needs to say something


def _table(snapshot: Snapshot, look: Look, room: int | None) -> list[Line]:
    jails = sorted(snapshot.jails, key=_key(snapshot, look.order))
    first = max(0, min(look.first, len(jails) - 1)) if room is not None else 0
    shown = jails[first:] if room is None else jails[first : first + room]
    rows = [_cells(jail, snapshot) for jail in shown]
    widths = _widths(rows, look.width)
    lines = [Line(_row(_HEADS, widths), "bold")]
    return lines + [Line(_row(row, widths), _STYLES.get(row[2]) or _STYLES.get(row[1], "")) for row in rows]


def _cells(jail: Any, snapshot: Snapshot) -> _Cells:
    used = snapshot.stats.get(jail.name)
    runs = used is not None and used.HasField("cpu_seconds")
    load = snapshot.loads.get(jail.name) if runs else None
    ages = [snapshot.taken - standby.recovery_point_time.seconds for standby in _replicas(jail)]
    behind = any(standby.behind for standby in jail.standbys)
    return (
        short(jail.name),
        render.word_of(jails_pb2.Jail.State, jail.state),
        render.word_of(jails_pb2.HealthStatus.State, jail.health.state) if jail.HasField("health") else "",
        str(jail.generation or ""),
        f"{load * 100:.0f}%" if load is not None else "",
        size(used.memory_bytes) if used is not None and runs else "",
        str(used.processes) if used is not None and runs else "",
        _rate(used, "read_bytes_per_second"),
        _rate(used, "write_bytes_per_second"),
        (human.age(max(ages)) if ages else "none" if jail.standbys else "") + ("!" if behind else ""),
        _since(jail.start_time, snapshot),
        _note(jail),
    )


def _rate(used: Any, name: str) -> str:
    return f"{size(getattr(used, name))}/s" if used is not None and used.HasField(name) else ""


def _replicas(jail: Any) -> list[Any]:
    return [standby for standby in jail.standbys if standby.HasField("recovery_point_time")]


def _note(jail: Any) -> str:
    staged = f"{jail.staged.generation} is staged" if jail.HasField("staged") else ""
    revert = f"goes back to {jail.revert_generation} unless confirmed" if jail.revert_generation else ""
    ends = f"{jail.restarts.ends} ends of late" if jail.HasField("restarts") else ""
    behind = f"behind {jail.spec.channel}" if jail.behind else ""
    return jail.message or revert or ends or staged or behind or (f"peer {jail.peer}" if jail.peer else "")


def _widths(rows: Sequence[_Cells], width: int) -> dict[str, int]:
    """Return how wide each column is that fits; those that say nothing, or do not fit, are left out."""
    columns = list(zip(*rows, strict=True)) or [()] * len(_HEADS)
    full = {
        head: max(len(head), *map(len, cells)) if any(cells) else 0 for head, cells in zip(_HEADS, columns, strict=True)
    }
    wanted = {head: cells for head, cells in full.items() if cells or head in {"NAME", "STATE", "CPU", "MEM"}}
    widths = {head: max(cells, len(head)) for head, cells in wanted.items() if head != "NOTE"}
    note = min(wanted.get("NOTE", 0), _NOTE)
    for narrower in (*_LEAST, *_GOING_FIRST):
        over = _taken(widths) + (note + len(_GAP) if note else 0) - width
        if over <= 0:
            break
        if narrower in _LEAST:
            widths[narrower] = max(min(widths[narrower], _LEAST[narrower]), widths[narrower] - over)
        elif narrower in widths:
            del widths[narrower]
    if "NOTE" in wanted:
        widths["NOTE"] = max(width - _taken(widths) - len(_GAP), 0)
    return widths


def _taken(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def _row(cells: Sequence[str], widths: Mapping[str, int]) -> str:
    shown = [(head, cut(cell, widths[head])) for head, cell in zip(_HEADS, cells, strict=True) if head in widths]
    padded = [cell.rjust(widths[head]) if head in _RIGHT else cell.ljust(widths[head]) for head, cell in shown]
    return _GAP.join(padded).rstrip()


def _key(snapshot: Snapshot, order: Order) -> Callable[[Any], tuple[Any, ...]]:
    """Return what jails are sorted by: the largest first, what is not known last; then by name."""

    def by(jail: Any) -> tuple[Any, ...]:
        used = snapshot.stats.get(jail.name)
        match order:
            case Order.CPU:
                found: tuple[Any, ...] = (-snapshot.loads.get(jail.name, -1.0),)
            case Order.MEMORY:
                found = (-used.memory_bytes if used is not None and used.HasField("memory_bytes") else 1,)
            case Order.UP:
                found = (-jail.start_time.seconds if jail.start_time.ByteSize() else 1,)
            case Order.REPLICA:
                oldest = min((standby.recovery_point_time.seconds for standby in _replicas(jail)), default=None)
                found = (not any(standby.behind for standby in jail.standbys), oldest is None, oldest or 0)
            case Order.STATE:
                found = (_URGENCY.get(render.word_of(jails_pb2.Jail.State, jail.state), 5), not _is_unhealthy(jail))
            case Order.NAME:
                found = ()
        return (*found, jail.name)

    return by


_URGENCY = {
    **dict.fromkeys(("damaged", "crash-loop", "failed"), 0),
    **dict.fromkeys(("fenced", "superseded", "waiting"), 1),
    **dict.fromkeys(("starting", "frozen", "claimed"), 2),
    "running": 3,
    "stopped": 4,
}


def _is_unhealthy(jail: Any) -> bool:
    return bool(jail.health.state == jails_pb2.HealthStatus.STATE_UNHEALTHY)
