"""Problems and plans as messages."""

from __future__ import annotations

from collections.abc import Iterable

from jaild.model.errors import told
from jaild.model.problems import Accepted, Plan, Problem, Severity, require_acceptable
from jaild.rpc import names
from jaild.v1 import common_pb2

_SEVERITIES = {
    Severity.ERROR: common_pb2.SEVERITY_ERROR,
    Severity.WARNING: common_pb2.SEVERITY_WARNING,
    Severity.NOTE: common_pb2.SEVERITY_NOTE,
}
_BACK = {number: severity for severity, number in _SEVERITIES.items()}


def problem_message(problem: Problem) -> common_pb2.Problem:
    """Return a problem as a message."""
    return common_pb2.Problem(
        severity=_SEVERITIES[problem.severity],
        code=problem.code,
        message=problem.message,
        subject=problem.subject,
        hint=problem.hint,
        evidence=problem.evidence,
    )


def problem_of(message: common_pb2.Problem) -> Problem:
    """Return a message as a problem. A severity that we do not know is taken for an error, the safe side."""
    return Problem(
        severity=_BACK.get(message.severity, Severity.ERROR),
        code=message.code,
        message=message.message,
        subject=message.subject,
        hint=message.hint,
        evidence=tuple(message.evidence),
    )


def accepted_message(accepted: Accepted) -> common_pb2.AcceptedProblem:
    """Return what was accepted as a message."""
    return common_pb2.AcceptedProblem(
        code=accepted.code, subject=accepted.subject, reason=accepted.reason, accepted_by=accepted.by
    )


def accepted_of(messages: Iterable[common_pb2.AcceptedProblem], by: str) -> tuple[Accepted, ...]:
    """Return what a request of `by` accepts. `InvalidArgumentError` (NOT_ACCEPTABLE)."""
    accepted = tuple(
        Accepted(code=told(m.code), subject=told(m.subject), reason=told(m.reason), by=by) for m in messages
    )
    require_acceptable(accepted)
    return accepted


def plan_message(plan: Plan) -> common_pb2.Plan:
    """Return a plan as a message."""
    return common_pb2.Plan(
        kind=plan.kind,
        target=plan.target,
        steps=plan.steps,
        problems=[problem_message(problem) for problem in plan.problems],
        from_generation=plan.from_generation,
        to_generation=plan.to_generation,
        base=names.base_name(plan.base),
        release=names.release_name(plan.release),
        frees_bytes=plan.frees,
        unchanged=plan.unchanged,
        from_base=names.base_name(plan.from_base),
        from_release=names.release_name(plan.from_release),
        changes=[
            common_pb2.FieldChange(field=change.field, before=change.before, after=change.after)
            for change in plan.changes
        ],
    )
