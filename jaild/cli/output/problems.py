"""A plan and what it found, as text: errors first, each with its evidence and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from jaild.cli.client.references import short
from jaild.cli.output.human import printable
from jaild.model import quantity
from jaild.v1 import common_pb2

_WORD = {
    common_pb2.SEVERITY_ERROR: click.style("error", fg="red", bold=True),
    common_pb2.SEVERITY_WARNING: click.style("warning", fg="yellow"),
    common_pb2.SEVERITY_NOTE: click.style("note", fg="cyan"),
}


def lines(found: Iterable[common_pb2.Problem]) -> list[str]:
    """Return the problems as lines for a terminal, errors first."""
    return [line for problem in sorted(found, key=_rank) for line in _one(problem)]


def errors(plan: common_pb2.Plan) -> int:
    """Return how many problems stop the plan."""
    return sum(problem.severity == common_pb2.SEVERITY_ERROR for problem in plan.problems)


def count(found: Sequence[common_pb2.Problem]) -> str:
    """Return `1 error, 2 warnings`; empty for no problems."""
    parts = []
    for severity, word in ((1, "error"), (2, "warning"), (3, "note")):
        number = sum(problem.severity == severity for problem in found)
        if number:
            parts.append(quantity.count(number, word))
    return ", ".join(parts)


def plan_lines(plan: common_pb2.Plan) -> list[str]:
    """Return a whole plan as lines."""
    text = [click.style(f"plan: {printable(plan.kind)} {printable(plan.target)}", bold=True)]
    if plan.unchanged:
        which = f"generation  {plan.to_generation}, which is active: " if plan.to_generation else ""
        text.append(f"  {which}nothing to change")
    elif plan.to_generation:
        before = str(plan.from_generation) if plan.from_generation else "none"
        text.append(f"  generation  {before} -> {plan.to_generation}")
    if plan.base:
        text.append(f"  base        {_changed(short(plan.from_base), short(plan.base))}")
    if plan.release or plan.from_release:
        before = short(plan.from_release) or ("none" if plan.from_base else "")
        text.append(f"  release     {_changed(before, short(plan.release) or 'none')}")
    for number, change in enumerate(plan.changes):
        became = _changed(_said(change, "before"), _said(change, "after"), differ=True)
        text.append(f"  {'' if number else 'spec':<10}  {printable(change.field)}: {became}")
    text += [f"  {number:>2}. {printable(step)}" for number, step in enumerate(plan.steps, 1)]
    if plan.kind == "prune":
        text.append(f"  frees       {f'about {quantity.size(plan.frees_bytes)}' if plan.frees_bytes else 'nothing'}")
    text += ["  " + line for line in lines(plan.problems)]
    text.append(f"  problems: {count(plan.problems) or 'none'}")
    return text


def _changed(before: str, after: str, *, differ: bool = False) -> str:
    """Return `old -> new`; the new alone where nothing is known of the old, or they are equal and need not `differ`."""
    if not before or (before == after and not differ):
        return printable(after)
    return f"{printable(before)} -> {printable(after)}"


def _said(change: common_pb2.FieldChange, side: str) -> str:
    return (getattr(change, side) or "''") if change.HasField(side) else "none"


def _rank(problem: common_pb2.Problem) -> int:
    return problem.severity or common_pb2.SEVERITY_NOTE


def _one(problem: common_pb2.Problem) -> list[str]:
    word = _WORD.get(problem.severity, "problem")
    subject = f" {printable(problem.subject)}:" if problem.subject else ":"
    text = [f"{word} {printable(problem.code)}{subject} {printable(problem.message)}"]
    text += [f"    | {printable(line)}" for proof in problem.evidence for line in proof.splitlines()]
    if problem.hint:
        text.append(f"    hint: {printable(problem.hint)}")
    return text
