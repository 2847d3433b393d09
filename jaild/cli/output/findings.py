"""A plan and what it found, as text: errors first, each with its evidence and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from jaild.cli.client.references import short
from jaild.cli.output.human import printable, size
from jaild.v1 import common_pb2

_WORD = {
    common_pb2.SEVERITY_ERROR: click.style("error", fg="red", bold=True),
    common_pb2.SEVERITY_WARNING: click.style("warning", fg="yellow"),
    common_pb2.SEVERITY_NOTE: click.style("note", fg="cyan"),
}


def lines(found: Iterable[common_pb2.Finding]) -> list[str]:
    """Return the findings as lines for a terminal, errors first."""
    return [line for finding in sorted(found, key=_rank) for line in _one(finding)]


def errors(plan: common_pb2.Plan) -> int:
    """Return how many findings stop the plan."""
    return sum(finding.severity == common_pb2.SEVERITY_ERROR for finding in plan.findings)


def count(found: Sequence[common_pb2.Finding]) -> str:
    """Return `1 error, 2 warnings`; empty for no findings."""
    parts = []
    for severity, word in ((1, "error"), (2, "warning"), (3, "note")):
        number = sum(finding.severity == severity for finding in found)
        if number:
            parts.append(f"{number} {word}{'' if number == 1 else 's'}")
    return ", ".join(parts)


def plan_lines(plan: common_pb2.Plan) -> list[str]:
    """Return a whole plan as lines."""
    text = [click.style(f"plan: {printable(plan.kind)} {printable(plan.target)}", bold=True)]
    if plan.unchanged:
        text.append(f"  generation  {plan.to_generation}, which is active: nothing to change")
    elif plan.to_generation:
        before = str(plan.from_generation) if plan.from_generation else "none"
        text.append(f"  generation  {before} -> {plan.to_generation}")
    if plan.base:
        text.append(f"  base        {printable(short(plan.base))}")
    if plan.release:
        text.append(f"  release     {printable(short(plan.release))}")
    text += [f"  {number:>2}. {printable(step)}" for number, step in enumerate(plan.steps, 1)]
    if plan.kind == "prune":
        text.append(f"  frees       about {size(plan.frees_bytes)}")
    text += ["  " + line for line in lines(plan.findings)]
    text.append(f"  findings: {count(plan.findings) or 'none'}")
    return text


def _rank(finding: common_pb2.Finding) -> int:
    return finding.severity or common_pb2.SEVERITY_NOTE


def _one(finding: common_pb2.Finding) -> list[str]:
    word = _WORD.get(finding.severity, "finding")
    subject = f" {printable(finding.subject)}:" if finding.subject else ":"
    text = [f"{word} {printable(finding.code)}{subject} {printable(finding.message)}"]
    text += [f"    | {printable(line)}" for proof in finding.evidence for line in proof.splitlines()]
    if finding.remedy:
        text.append(f"    to do: {printable(finding.remedy)}")
    return text
