"""A long-running change as it is remembered: durable, watchable, cancellable while that is safe.

An operation is a value: each report of its work makes a new one of it. The time that it has been under way is counted
with each, by the monotonic clock alone, which nobody can set. Of what others can make as long as they like it keeps so
much and no more: of a text the beginning and the end, of problems as many as fit, of phases the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from jaild.model import bounds, quantity
from jaild.model.errors import JaildError
from jaild.model.problems import Plan, Problem, Severity

PHASES = 64  # that an operation remembers: its last ones
CREATING = frozenset({"create", "clone", "import"})  # kinds that make a jail
# Why a change is refused for as long as it is so, and why it may go better the next time:
IN_THE_WAY = frozenset({"JAIL_MIGRATING", "HOST_SHUT_DOWN", "STANDBYS_UNCONFIRMED", "CHANGE_UNCONFIRMED"})
LATER = IN_THE_WAY | {"JAIL_QUEUE_FULL", "DAEMON_STOPPED"}
_STEPS = 200  # of a plan
_FACTS = 64  # of an operation, and details of a failure
_EVIDENCE = 20  # lines of a problem, where all together are too large


class Stop(StrEnum):
    """What may end a phase before it is done."""

    NOW = "now"  # a cancel, and the daemon's stop
    CANCEL = "cancel"  # a cancel; the daemon's stop waits, since it is sooner done than undone
    NEVER = "never"  # nothing: ended halfway, it would only lengthen the downtime


class Outcome(StrEnum):
    """How a phase came out."""

    UNDER_WAY = ""
    DONE = "done"
    FAILED = "failed"  # or it was cancelled: the operation's failure says why
    UNDONE = "undone"  # it was done, and then a later one failed
    # Something of it is left: an event jail.cleanup-pending says what. Stored by the word of the first version.
    CLEANUP_PENDING = "untidy"


class PhaseReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One phase that an operation has begun."""

    name: str
    begun: float  # seconds that the operation had been under way
    seconds: float | None = None  # that it took; None while it goes on
    outcome: Outcome = Outcome.UNDER_WAY


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A `JaildError` that can be stored. `error` is its class's name."""

    error: str
    reason: str
    message: str
    hint: str = msgspec.field(name="remedy", default="")  # the names as in `Problem`
    resource: str = ""
    detail: dict[str, str] = {}
    problems: tuple[Problem, ...] = msgspec.field(name="findings", default=())


def failure_of(error: JaildError) -> Failure:
    """Return what is stored of an error."""
    return Failure(
        error=type(error).__name__,
        reason=error.reason,
        message=error.message,
        hint=error.hint,
        resource=error.resource,
        detail=error.detail,
        problems=error.problems,
    )


class Moment(NamedTuple):
    """What both clocks say."""

    now: float  # seconds since the epoch
    monotonic: float


def passed(since: float, now: float) -> float:
    """Return the seconds from one reading of the host's monotonic clock to a later one; never more than have passed.

    That clock is the same for all daemons of a boot (CLOCK_MONOTONIC) and begins anew with the next: a reading that is
    before the earlier one is of a later boot, which has lasted for `now`. What the host was off for is not counted.
    """
    return now - since if now >= since else now


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change, as of its last step. Replaced whole, never mutated; `created`, `updated`: seconds since the epoch."""

    id: str
    kind: str
    target: str
    actor: str = ""
    request_id: str = ""
    created: float = 0.0
    updated: float = 0.0
    seconds: float = 0.0  # that it had been under way when it was updated
    counted_at: float | None = None  # when that was, by the host's monotonic clock
    phase: str = "queued"
    stop: Stop = Stop.NOW  # what may end that phase
    phases: tuple[PhaseReport, ...] = ()  # what it has gone through
    message: str = ""
    bytes_done: int = 0
    bytes_total: int = 0  # never less than `bytes_done`: an estimate that was exceeded is none (0)
    predicted_downtime: float | None = None  # seconds
    predicted_at_least: bool = False  # it may be far more: something that it is made of is not known
    downtime: float | None = None  # seconds, measured
    plan: Plan | None = None
    rounds: int = 0
    rate: int = 0  # bytes per second of the last round
    facts: dict[str, str] = {}
    cancel_requested: bool = False
    away: bool = False  # it waits for another host that cannot be reached
    resumable: bool = False  # a daemon that ends leaves it as it is, and its successor goes on with it
    done: bool = False
    failure: Failure | None = None
    result: str = ""  # the resource that came of it; its message is looked up when asked

    @property
    def name(self) -> str:
        """Resource name."""
        return f"operations/{self.id}"

    @property
    def state(self) -> str:
        """Its phase, or how it ended: done, failed, cancelled."""
        if self.failure is None:
            return self.phase  # done, in the end
        return "cancelled" if self.failure.error == "CancelledError" else "failed"

    @property
    def size(self) -> int:
        """How many bytes it takes, stored."""
        return len(msgspec.json.encode(self))

    def seconds_at(self, monotonic: float) -> float:
        """Return the seconds that it has been under way by now; what the host was off for is not counted."""
        return self.seconds + (passed(self.counted_at, monotonic) if self.counted_at is not None else 0.0)

    def counted(self, monotonic: float) -> Operation:
        """Return it with the time counted that it has been under way."""
        return msgspec.structs.replace(self, seconds=self.seconds_at(monotonic), counted_at=monotonic)

    def changed(self, at: Moment, **fields: Any) -> Operation:
        """Return it with these fields, each cut to its bound, and the time counted."""
        kept = {name: _CUTS[name](value) if name in _CUTS and value else value for name, value in fields.items()}
        if kept.get("bytes_total", self.bytes_total) < kept.get("bytes_done", self.bytes_done):
            kept["bytes_total"] = 0
        return msgspec.structs.replace(self.counted(at.monotonic), updated=at.now, **kept)

    def in_phase(self, at: Moment, phase: str, message: str, stop: Stop) -> Operation:
        """Return it when a phase begins: the one before is done. One that is entered again at once goes on."""
        begun = self.changed(at, phase=phase, message=message, stop=stop)
        if self.phases and self.phases[-1].name == phase and self.phases[-1].seconds is None:
            return begun
        over = _ended(self.phases, begun.seconds, Outcome.DONE)
        return msgspec.structs.replace(begun, phases=(*over, PhaseReport(phase, begun.seconds))[-PHASES:])

    def phase_over(self, at: Moment, outcome: Outcome, **fields: Any) -> Operation:
        """Return it when the phase under way, if there is one, has come to its end."""
        changed = self.changed(at, **fields)
        return msgspec.structs.replace(changed, phases=_ended(self.phases, changed.seconds, outcome))

    def came_out(self, at: Moment, phase: str, outcome: Outcome) -> Operation:
        """Return it when the last phase of that name, which has ended, came out otherwise in the end.

        One that failed stays so when it is undone.
        """
        reports = list(self.phases)
        for place in reversed(range(len(reports))):
            if reports[place].name == phase:
                if outcome is not Outcome.UNDONE or reports[place].outcome is not Outcome.FAILED:
                    reports[place] = msgspec.structs.replace(reports[place], outcome=outcome)
                break
        return self.changed(at, phases=tuple(reports))


def _ended(reports: tuple[PhaseReport, ...], at: float, outcome: Outcome) -> tuple[PhaseReport, ...]:
    if not reports or reports[-1].seconds is not None:
        return reports
    last = msgspec.structs.replace(reports[-1], seconds=at - reports[-1].begun, outcome=outcome)
    return (*reports[:-1], last)


def clipped(text: str, limit: int) -> str:
    """Return a text's beginning and end in at most `limit` bytes of UTF-8 (32 or more), with how much is left out."""
    if len(text) <= limit and text.isascii():
        return text
    raw = text.encode("utf-8", "backslashreplace")  # what is no text can neither be stored nor sent
    if len(raw) <= limit:
        return raw.decode()
    mark = f"...({len(raw)} bytes)..."
    room = max(limit - len(mark), 2)
    return raw[: room // 2].decode("utf-8", "ignore") + mark + raw[-(room // 2) :].decode("utf-8", "ignore")


def all_clipped(texts: Mapping[str, str], limit: int) -> dict[str, str]:
    """Return these texts, each clipped to the same limit; their names are left as they are."""
    return {name: clipped(text, limit) for name, text in texts.items()}


def _text(text: str) -> str:
    return clipped(text, bounds.OPERATION_TEXT)


def _facts(facts: Mapping[str, str]) -> dict[str, str]:
    return {clipped(key, bounds.AUDIT_FIELD): _text(value) for key, value in list(facts.items())[:_FACTS]}


def _plan(whole: Plan) -> Plan:
    if len(whole.steps) <= _STEPS and not whole.problems:
        return whole
    steps = whole.steps[:_STEPS]
    if left_out := len(whole.steps) - len(steps):
        steps = (*steps, f"and {quantity.count(left_out, 'more step')}")
    return msgspec.structs.replace(whole, steps=tuple(map(_text, steps)), problems=_problems(whole.problems))


def _failure(failure: Failure) -> Failure:
    return msgspec.structs.replace(
        failure,
        message=_text(failure.message),
        hint=_text(failure.hint),
        resource=_text(failure.resource),
        detail=_facts(failure.detail),
        problems=_problems(failure.problems),
    )


def _problems(all_: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Return those that fit; what stops the change comes before what does not, and the last says how many are left."""
    room, kept = bounds.OPERATION_PROBLEMS, 0
    ordered = all_
    if len(msgspec.json.encode(all_)) > room:
        ordered = tuple(map(_shortened, sorted(all_, key=lambda problem: problem.severity is not Severity.ERROR)))
        for problem in ordered:
            room -= len(msgspec.json.encode(problem))
            if room < 0:
                break
            kept += 1
        if kept == len(all_):
            return ordered
        rest = Problem(
            severity=Severity.NOTE,
            code="MORE_PROBLEMS",
            message=f"{quantity.count(len(all_) - kept, 'more problem')} not shown",
            hint="fix these first, then plan again",
        )
        return (*ordered[:kept], rest)
    return ordered


def _shortened(problem: Problem) -> Problem:
    """Return a problem that fits whatever it says: one that stops a change is never left out for its evidence."""
    lines = [clipped(line, bounds.AUDIT_FIELD) for line in problem.evidence[:_EVIDENCE]]
    if left_out := len(problem.evidence) - len(lines):
        lines.append(f"and {left_out} more")
    return msgspec.structs.replace(
        problem,
        message=_text(problem.message),
        subject=_text(problem.subject),
        hint=_text(problem.hint),
        evidence=tuple(lines),
    )


_CUTS: dict[str, Callable[[Any], Any]] = {
    "message": _text,
    "result": _text,
    "plan": _plan,
    "failure": _failure,
    "facts": _facts,
}
