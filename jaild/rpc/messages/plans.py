"""Findings and plans as messages."""

from __future__ import annotations

from collections.abc import Iterable

from jaild.model.errors import told
from jaild.model.findings import Accepted, Finding, Plan, Severity, require_acceptable
from jaild.rpc import names
from jaild.v1 import common_pb2

_SEVERITIES = {
    Severity.ERROR: common_pb2.SEVERITY_ERROR,
    Severity.WARNING: common_pb2.SEVERITY_WARNING,
    Severity.NOTE: common_pb2.SEVERITY_NOTE,
}
_BACK = {number: severity for severity, number in _SEVERITIES.items()}


def finding_message(finding: Finding) -> common_pb2.Finding:
    """Return a finding as a message."""
    return common_pb2.Finding(
        severity=_SEVERITIES[finding.severity],
        code=finding.code,
        message=finding.message,
        subject=finding.subject,
        remedy=finding.remedy,
        evidence=finding.evidence,
    )


def finding_of(message: common_pb2.Finding) -> Finding:
    """Return a message as a finding. A severity that we do not know is taken for an error, the safe side."""
    return Finding(
        severity=_BACK.get(message.severity, Severity.ERROR),
        code=message.code,
        message=message.message,
        subject=message.subject,
        remedy=message.remedy,
        evidence=tuple(message.evidence),
    )


def accepted_message(accepted: Accepted) -> common_pb2.AcceptedFinding:
    """Return what was accepted as a message."""
    return common_pb2.AcceptedFinding(
        code=accepted.code, subject=accepted.subject, reason=accepted.reason, accepted_by=accepted.by
    )


def accepted_of(messages: Iterable[common_pb2.AcceptedFinding], by: str) -> tuple[Accepted, ...]:
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
        findings=[finding_message(finding) for finding in plan.findings],
        from_generation=plan.from_generation,
        to_generation=plan.to_generation,
        base=names.base_name(plan.base),
        release=names.release_name(plan.release),
        frees_bytes=plan.frees,
        unchanged=plan.unchanged,
    )
