"""Event sinks: each can be made by what the configuration says, and its secret is root's alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaild.doctor.checks.report import Check, error, warning
from jaild.model.problems import Problem
from jaild.model.quantity import count

_OTHERS = 0o077


@dataclass(frozen=True, kw_only=True)
class SinkFacts:
    """One sink."""

    name: str
    reason: str = ""  # why it cannot be made; '' if it can
    message: str = ""
    hint: str = ""
    secret: str = ""  # its file; '' if it has none, or it is not there
    uid: int = 0
    mode: int = 0o600


def check(found: Sequence[SinkFacts]) -> list[Check]:
    """Return what is wrong with them; nothing if there are none."""
    if not found:
        return []
    problems = tuple(problem for facts in found for problem in _of(facts))
    return [Check(topic="event sinks", summary=count(len(found), "sink"), problems=problems)]


def warned(warnings: Sequence[str]) -> tuple[Problem, ...]:
    """Return what the daemon itself says that the operator must fix."""
    return tuple(warning("DAEMON_WARNS", each, "jailctl host show") for each in warnings)


def _of(facts: SinkFacts) -> list[Problem]:
    if facts.reason:
        return [error(facts.reason, f"event sink {facts.name}: {facts.message}", facts.hint, subject=facts.name)]
    if facts.secret and (facts.mode & _OTHERS or facts.uid != 0):
        what = f"{facts.secret} can be read by others than root (uid {facts.uid}, mode {facts.mode:04o})"
        hint = f"chown root {facts.secret}; chmod 600 {facts.secret}; if others use this host, make a new secret"
        return [warning("KEY_EXPOSED", what, hint, subject=facts.secret)]
    return []
