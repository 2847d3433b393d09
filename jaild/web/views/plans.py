"""What an action would do, before it is done; and a plan with what its checks found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jaild.cli.client.waiting import metadata
from jaild.cli.output import problems
from jaild.v1 import common_pb2, rollouts_pb2
from jaild.web.views import work
from jaild.web.views.words import Tone, short, state

_SEVERITY = {
    common_pb2.SEVERITY_ERROR: ("error", Tone.BAD),
    common_pb2.SEVERITY_WARNING: ("warning", Tone.WARN),
    common_pb2.SEVERITY_NOTE: ("note", Tone.QUIET),
}


@dataclass(frozen=True)
class ProblemRow:
    """One problem, with what proves it and what to do about it."""

    severity: str
    tone: Tone
    code: str
    message: str
    evidence: str
    hint: str


@dataclass(frozen=True)
class Preview:
    """What would be done. `refused`: there is nothing to agree to."""

    steps: tuple[str, ...]
    problems: tuple[ProblemRow, ...] = ()
    refused: bool = False
    facts: tuple[tuple[str, str], ...] = ()


def problem_rows(found: Iterable[common_pb2.Problem]) -> tuple[ProblemRow, ...]:
    """Return problems, errors first."""
    rows = []
    for problem in sorted(found, key=lambda each: each.severity or common_pb2.SEVERITY_NOTE):
        word, tone = _SEVERITY.get(problem.severity, _SEVERITY[common_pb2.SEVERITY_NOTE])
        text = f"{problem.subject}: {problem.message}" if problem.subject else problem.message
        evidence = "\n".join(problem.evidence)
        rows.append(ProblemRow(word, tone, problem.code, text, evidence, problem.hint))
    return tuple(rows)


def of_plan(plan: common_pb2.Plan) -> Preview:
    """Return the preview of what the daemon planned."""
    facts = []
    if plan.to_generation != plan.from_generation:
        facts.append(("generation", f"{plan.from_generation or 'none'} → {plan.to_generation}"))
    facts += [("base", short(plan.base))] * bool(plan.base) + [("release", short(plan.release))] * bool(plan.release)
    steps = tuple(plan.steps) or (("nothing to change",) if plan.unchanged else ())
    return Preview(steps, problem_rows(plan.problems), problems.errors(plan) > 0, tuple(facts))


def of_rollout(before: rollouts_pb2.Rollout, after: rollouts_pb2.Rollout, step: str) -> Preview:
    """Return the preview of a rollout that would be steered."""
    facts = (("rollout", work.of_rollout(before).what), ("so far", work.of_rollout(before).progress))
    was, would = state(before), state(after)
    if was == would:
        return Preview((f"it is {was} already: nothing would change",), refused=True, facts=facts)
    return Preview((step,), facts=(*facts, ("state", f"{was} → {would}")))


def of_cancel(operation: Any) -> Preview:
    """Return the preview of an operation that would be cancelled, in general: the API has no plan for that."""
    about, now = metadata(operation), work.of_operation(operation)
    facts = [("operation", f"{about.kind} {short(about.target)}"), ("phase", now.state), ("so far", now.progress)]
    shown = tuple((key, value) for key, value in facts if value)
    if operation.done:
        return Preview(("it is over: nothing is left to cancel",), refused=True, facts=shown)
    if about.cancel_requested:
        return Preview(("it was asked to end already",), refused=True, facts=shown)
    steps = ("what has begun is undone in reverse", "past its commit point it is not cancelled, and ends as planned")
    return Preview(steps, facts=shown)
