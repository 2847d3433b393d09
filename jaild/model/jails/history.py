"""A jail's history: what operations, the audit log, migrations and generations tell of it, joined; newest first."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from jaild.model.layers.records import Generation, JailRecord
from jaild.model.operation import Operation
from jaild.model.views import AuditEntry, MigrationView

DONE, WORKING, ACCEPTED, ABORTED = "done", "working", "accepted", "aborted"
_HUMP = re.compile(r"(?<!^)(?=[A-Z])")
_ENDED = {"activated": DONE, "finalized": DONE, "tested": DONE, "aborted": ABORTED}  # a migration's phase
# What an operation is called that a method led to, where its own words are others.
_KINDS = {
    "create-jail": "create",
    "delete-jail": "delete",
    "start-jail": "start",
    "stop-jail": "stop",
    "restart-jail": "restart",
    "deploy-release": "deploy",
    "upgrade-base": "upgrade",
    "configure-jail": "configure",
    "rollback-jail": "rollback",
    "migrate-jail": "migrate",
    "cut-over": "cutover",
    "clone-jail": "clone",
    "import-jail": "import",
    "export-jail": "export",
    "rename-jail": "rename",
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done with a jail, or asked for. Times: seconds since the epoch, 0 for not known."""

    key: str  # tells it from others of the same moment
    time: float
    end: float = 0.0
    kind: str = ""
    actor: str = ""
    request_id: str = ""
    outcome: str = DONE
    message: str = ""
    operation: str = ""  # operations/<id>
    predicted: float | None = None  # seconds of downtime
    predicted_at_least: bool = False
    downtime: float | None = None  # seconds
    from_generation: int = 0
    to_generation: int = 0
    base: str = ""  # its name
    release: str = ""  # app/version
    migration: str = ""  # its id
    source: str = ""
    target: str = ""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one jail."""

    operations: Sequence[Operation] = ()
    audit: Sequence[AuditEntry] = ()
    migrations: Sequence[MigrationView] = ()
    generations: Sequence[Generation] = ()


def history(known: Sources) -> list[Entry]:
    """Return a jail's history, newest first: each thing once, whatever tells of it."""
    moves = {f"migrations/{view.id}": view for view in known.migrations}
    found = [_of_operation(operation, moves.pop(_move_of(operation), None)) for operation in known.operations]
    operations = {operation.name for operation in known.operations}
    asked = [_of_call(entry) for entry in known.audit if entry.operation not in operations]
    found += [_of_move(view) for view in moves.values()]
    untold = [each for each in known.generations if not _told_of(each, known.operations)]
    found += _with_generations(asked, untold)
    return sorted(found, key=lambda entry: (-entry.time, entry.key))


def is_about(target: str, jail: str) -> bool:
    """Say whether a resource is a jail, or part of one (a volume of it)."""
    return target == f"jails/{jail}" or target.startswith(f"jails/{jail}/")


def former_names(record: JailRecord) -> dict[str, float]:
    """Return the names that a jail had, and until when (seconds since the epoch)."""
    return {former.name: former.until for former in record.formerly if former.until}


def was_about(target: str, at: float, names: Mapping[str, float]) -> bool:
    """Say whether a resource was a jail with one of these names, each until so long, at a time."""
    return any(at <= until and is_about(target, name) for name, until in names.items())


def _move_of(operation: Operation) -> str:
    """Return the name of the migration that an operation is; one that is under way, or failed, has no result."""
    return operation.result or f"migrations/{operation.facts.get('migration', '')}"


def _of_operation(operation: Operation, move: MigrationView | None) -> Entry:
    plan, failure = operation.plan, operation.failure
    led = plan is not None and plan.to_generation and operation.done and failure is None
    return Entry(
        key=operation.id,
        time=operation.created,
        end=operation.updated if operation.done else 0.0,
        kind=operation.kind,
        actor=operation.actor,
        request_id=operation.request_id,
        outcome=failure.reason if failure is not None else DONE if operation.done else WORKING,
        message=failure.message if failure is not None else operation.message,
        operation=operation.name,
        predicted=operation.predicted_downtime,
        predicted_at_least=operation.predicted_at_least,
        downtime=operation.downtime,
        from_generation=plan.from_generation if plan is not None else 0,
        to_generation=plan.to_generation if plan is not None and led else 0,
        base=plan.base.removeprefix("bases/") if plan is not None else "",
        release=_reference(plan.release) if plan is not None else "",
        migration=move.id if move is not None else "",
        source=move.source if move is not None else "",
        target=move.target if move is not None else "",
    )


def _reference(release: str) -> str:
    return release.removeprefix("apps/").replace("/releases/", "/")


def _of_call(entry: AuditEntry) -> Entry:
    word, _, rest = entry.outcome.partition(" ")
    outcome = {"OK": ACCEPTED if entry.operation else DONE, "EXIT": f"exit-{rest}"}.get(word, rest or word)
    method = _HUMP.sub("-", entry.method.rpartition("/")[2]).lower()
    return Entry(
        key=f"audit-{entry.sequence}",
        time=entry.time,
        kind=_KINDS.get(method, method),
        actor=entry.actor,
        request_id=entry.request_id,
        outcome=outcome,
        operation=entry.operation if outcome == ACCEPTED else "",
    )


def _of_move(view: MigrationView) -> Entry:
    outcome = _ENDED.get(view.phase, WORKING)
    return Entry(
        key=view.id,
        time=view.created,
        end=0.0 if outcome == WORKING else view.updated,
        kind="test-migration" if view.phase == "tested" else "migrate",
        outcome=outcome,
        message=view.message,
        predicted=view.predicted,
        predicted_at_least=view.predicted_at_least,
        downtime=view.downtime,
        migration=view.id,
        source=view.source,
        target=view.target,
    )


def _told_of(generation: Generation, operations: Iterable[Operation]) -> bool:
    """Say whether one of the operations made a generation: it was made while that went on."""
    return any(each.created <= generation.created <= each.updated for each in operations)


def _with_generations(asked: list[Entry], generations: Collection[Generation]) -> list[Entry]:
    """Join what is known of changes whose operation is forgotten, or was on another host."""
    found = {entry.key: entry for entry in asked}
    for generation in generations:
        calls = [e for e in found.values() if e.outcome == ACCEPTED and e.kind == generation.reason]
        call = max((e for e in calls if e.time <= generation.created), key=lambda e: e.time, default=None)
        entry = Entry(
            key=f"generation-{generation.number}",
            time=generation.created,
            kind=generation.reason,
            actor=generation.actor,
            to_generation=generation.number,
            from_generation=generation.parent,
            base=generation.base,
            release=generation.release,
        )
        if call is not None and call.actor == generation.actor:
            del found[call.key]
            entry = msgspec.structs.replace(
                entry, key=call.key, time=call.time, request_id=call.request_id, operation=call.operation
            )
        found[entry.key] = entry
    return list(found.values())
