"""What is under way: operations, migrations, evacuations, rollouts, with how far they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from jaild.cli.client.waiting import metadata
from jaild.cli.output import render
from jaild.cli.output.failures import reason
from jaild.model.quantity import count, size
from jaild.v1 import common_pb2, evacuations_pb2, histories_pb2, migrations_pb2, rollouts_pb2
from jaild.web.views.words import Tone, short, state, tone

_STEP = rollouts_pb2.RolloutStep
_MOVE = evacuations_pb2.JailMove
_UNDER_WAY = frozenset({"sending", "receiving", "frozen", "prepared", "committed"})
_OVER = frozenset({"done", "failed", "undone", "stuck", "refused", "skipped"})


@dataclass(frozen=True)
class Work:
    """Something that goes on, or is over. `done` and `total` are bytes or jails; `total` 0: not known.

    `actions` are names of `actions.ACTIONS`. `started` is when it was accepted.
    """

    name: str  # operations/1, rollouts/2
    what: str  # migrate, rollout
    about: str  # jails/web, or '' for the host
    state: str
    tone: Tone
    done: int = 0
    total: int = 0
    progress: str = ""
    note: str = ""
    actor: str = ""
    started: Timestamp = field(default_factory=Timestamp)
    downtime: str = ""
    actions: tuple[str, ...] = ()
    failed: int = 0  # jails
    over: bool = False


def of_operation(operation: Any) -> Work:
    """Return an operation."""
    about = metadata(operation)
    error = operation.HasField("error")
    over = "done" if not error else reason(operation.error) or str(code_pb2.Code.Name(operation.error.code))
    sent = ""
    if about.bytes_done or about.bytes_total:
        sent = f"{size(about.bytes_done)} of {size(about.bytes_total)}" if about.bytes_total else size(about.bytes_done)
        sent += f", {size(about.bytes_per_second)}/s" if about.bytes_per_second and not operation.done else ""
    return Work(
        name=operation.name,
        what=about.kind,
        about=about.target,
        state=over if operation.done else about.phase or "working",
        tone=(Tone.BAD if error else Tone.OK) if operation.done else Tone.BUSY,
        done=about.bytes_done,
        total=about.bytes_total,
        progress=sent,
        note=operation.error.message if error else "" if operation.done else about.message,
        actor=about.actor,
        started=about.create_time,
        downtime=downtime(about),
        actions=() if operation.done or about.cancel_requested else ("cancel-operation",),
        over=operation.done,
    )


def downtime(message: Any) -> str:
    """Return the measured downtime of an operation or a migration with the predicted one beside it; '' for neither."""
    expected = render.predicted(message)
    if not message.HasField("downtime"):
        return f"{expected} predicted" if expected else ""
    return render.span(message.downtime) + (f" ({expected} predicted)" if expected else "")


def of_rollout(rollout: rollouts_pb2.Rollout) -> Work:
    """Return a rollout."""
    word = state(rollout)
    over = rollout.HasField("end_time")
    ended = sum(state(step) in _OVER for step in rollout.steps)
    failed = sum(step.state in {_STEP.STATE_FAILED, _STEP.STATE_STUCK} for step in rollout.steps)
    told = f"{ended} of {count(len(rollout.steps), 'jail')}" + (f", {failed} failed" if failed else "")
    return Work(
        name=rollout.name,
        what=f"rollout to {short(rollout.target)}" if rollout.target else f"undo of {short(rollout.spec.undoes)}",
        about="",
        state=word,
        tone=Tone.BUSY if word == "running" else tone(word),
        done=ended,
        total=len(rollout.steps),
        progress=told if rollout.steps else "",
        note=rollout.message,
        actor=rollout.actor,
        started=rollout.create_time,
        failed=failed,
        actions={"running": ("pause", "cancel"), "paused": ("resume", "cancel")}.get(word, ()),
        over=over,
    )


def of_evacuation(evacuation: evacuations_pb2.Evacuation) -> Work:
    """Return an evacuation; its operation, which has the same id, is what is cancelled."""
    gone = {_MOVE.STATE_MOVED, _MOVE.STATE_UNHEALTHY}
    moved = sum(move.state in gone for move in evacuation.moves)
    failed = sum(move.state == _MOVE.STATE_FAILED for move in evacuation.moves)
    over = evacuation.HasField("end_time")
    told = f"{moved} of {count(len(evacuation.moves), 'jail')} moved" + (f", {failed} failed" if failed else "")
    return Work(
        name=evacuation.name,
        what=f"evacuation to {', '.join(evacuation.targets)}",
        about="",
        state="ended" if over else "running",
        tone=Tone.BUSY if not over else Tone.BAD if failed else Tone.OK,
        done=moved,
        total=len(evacuation.moves),
        progress=told if evacuation.moves else "",
        actor=evacuation.actor,
        started=evacuation.create_time,
        failed=failed,
        actions=() if over else ("cancel-evacuation",),
        over=over,
    )


def of_migration(migration: migrations_pb2.Migration) -> Work:
    """Return a migration, as this host's journal has it."""
    return Work(
        name=migration.name,
        what=f"{migration.source} → {migration.target}",
        about=migration.jail,
        state=migration.phase,
        tone=tone(migration.phase),
        progress=size(migration.bytes) if migration.bytes else "",
        note=migration.message,
        started=migration.create_time,
        downtime=downtime(migration),
        over=migration.phase not in _UNDER_WAY,
    )


def of_entry(entry: histories_pb2.HistoryEntry) -> Work:
    """Return what was done with a jail, also what its daemon has no operation of any more."""
    moved = f"{entry.source} → {entry.target}" if entry.source else ""
    layers = " ".join(filter(None, (short(entry.base), short(entry.release))))
    well = entry.outcome in {"done", "accepted", "exit-0"}
    return Work(
        name=entry.operation or entry.migration,
        what=entry.kind,
        about="",
        state=entry.outcome,
        tone=Tone.OK if well else Tone.BUSY if entry.outcome == "working" else Tone.BAD,
        note=entry.message or ", ".join(filter(None, (moved, layers))),
        actor=entry.actor,
        started=entry.time,
        downtime=downtime(entry),
        over=True,
    )


def under_way(
    operations: Iterable[Any],
    rollouts: Iterable[rollouts_pb2.Rollout],
    evacuations: Iterable[evacuations_pb2.Evacuation],
    migrations: Iterable[migrations_pb2.Migration],
) -> list[Work]:
    """Return what goes on on a host, each once: an operation that is a rollout's or an evacuation's is told as that.

    A migration to this host has no operation here, and stands for itself.
    """
    large = [work for work in (*map(of_rollout, rollouts), *map(of_evacuation, evacuations)) if not work.over]
    told = {short(work.name) for work in large}
    small = [of_operation(each) for each in operations if not each.done and short(each.name) not in told]
    busy = {work.about for work in small}
    coming = [of_migration(each) for each in migrations if not each.outgoing and each.jail not in busy]
    return [*large, *small, *(work for work in coming if not work.over)]


@dataclass(frozen=True)
class PhaseRow:
    """A phase of an operation: how long it took, and how it came out."""

    name: str
    took: str
    outcome: str
    tone: Tone


def phases(about: common_pb2.OperationMetadata) -> list[PhaseRow]:
    """Return what an operation has gone through."""
    rows = []
    for phase in about.phases:
        word = render.word_of(common_pb2.PhaseOutcome, phase.outcome) or "under way"
        tones = {"done": Tone.OK, "under way": Tone.BUSY, "failed": Tone.BAD}
        took = render.span(phase.duration) if phase.HasField("duration") else ""
        rows.append(PhaseRow(phase.name, took, word.replace("-", " "), tones.get(word, Tone.WARN)))
    return rows


def parts(migration: migrations_pb2.Migration) -> list[tuple[str, str]]:
    """Return what a migration's downtime was made of."""
    found = migration.downtime_parts
    fields: Any = found.DESCRIPTOR.fields
    return [
        (field.name.replace("_", " "), render.span(getattr(found, field.name)))
        for field in fields
        if found.HasField(field.name)
    ]
