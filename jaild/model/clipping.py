"""Operations cut to what is kept of them: texts to their beginning and end, findings to as many as fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from jaild.model import bounds
from jaild.model.findings import Finding, Plan, Severity
from jaild.model.operation import Failure, Operation

_STEPS = 200  # of a plan
_FACTS = 64  # of an operation, and details of a failure
_EVIDENCE = 20  # lines of a finding, where all together are too large


def size(operation: Operation) -> int:
    """Return how many bytes an operation takes, stored."""
    return len(msgspec.json.encode(operation))


def changes(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes of an operation's fields with each cut to its bound."""
    return {field: _CUTS[field](value) if field in _CUTS and value else value for field, value in asked.items()}


def plan(whole: Plan) -> Plan:
    """Return a plan with no more steps and findings than are kept."""
    if len(whole.steps) <= _STEPS and not whole.findings:
        return whole
    steps = whole.steps[:_STEPS]
    if left_out := len(whole.steps) - len(steps):
        steps = (*steps, f"and {left_out} more steps")
    return msgspec.structs.replace(whole, steps=tuple(map(_text, steps)), findings=_findings(whole.findings))


def _failure(failure: Failure) -> Failure:
    return msgspec.structs.replace(
        failure,
        message=_text(failure.message),
        remedy=_text(failure.remedy),
        resource=_text(failure.resource),
        detail=_facts(failure.detail),
        findings=_findings(failure.findings),
    )


def _findings(all_: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return those that fit; what stops the change comes before what does not, and the last says how many are left."""
    room, kept = bounds.OPERATION_FINDINGS, 0
    ordered = all_
    if len(msgspec.json.encode(all_)) > room:
        ordered = tuple(map(_shortened, sorted(all_, key=lambda finding: finding.severity is not Severity.ERROR)))
        for finding in ordered:
            room -= len(msgspec.json.encode(finding))
            if room < 0:
                break
            kept += 1
        if kept == len(all_):
            return ordered
        rest = Finding(
            severity=Severity.NOTE,
            code="MORE_FINDINGS",
            message=f"{len(all_) - kept} more findings are not shown",
            remedy="mend these first, then plan again",
        )
        return (*ordered[:kept], rest)
    return ordered


def _shortened(finding: Finding) -> Finding:
    """Return a finding that fits whatever it says: one that stops a change is never left out for its evidence."""
    lines = [bounds.clipped(line, bounds.AUDIT_FIELD) for line in finding.evidence[:_EVIDENCE]]
    if left_out := len(finding.evidence) - len(lines):
        lines.append(f"and {left_out} more")
    return msgspec.structs.replace(
        finding,
        message=_text(finding.message),
        subject=_text(finding.subject),
        remedy=_text(finding.remedy),
        evidence=tuple(lines),
    )


def _facts(facts: Mapping[str, str]) -> dict[str, str]:
    return {bounds.clipped(key, bounds.AUDIT_FIELD): _text(value) for key, value in list(facts.items())[:_FACTS]}


def _text(text: str) -> str:
    return bounds.clipped(text, bounds.OPERATION_TEXT)


_CUTS: dict[str, Callable[[Any], Any]] = {
    "message": _text,
    "result": _text,
    "plan": plan,
    "failure": _failure,
    "facts": _facts,
}
