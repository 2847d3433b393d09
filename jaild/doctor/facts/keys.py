"""Whether this host has the keys that its configuration names. Each is read, and thrown away."""

from __future__ import annotations

from collections.abc import Sequence

from jaild.doctor.checks.report import Check, error
from jaild.model.errors import JaildError
from jaild.model.problems import Problem
from jaild.model.quantity import count
from jaild.ports.keys import KeySources


async def keys(names: Sequence[str], sources: KeySources) -> list[Check]:
    """Try to read each; nothing if the configuration names none."""
    problems: list[Problem] = []
    for name in names:
        try:
            await sources.read(name)
        except JaildError as failed:
            problems.append(error(failed.reason, failed.message, failed.hint, subject=f"keys.{name}"))
    return [Check(topic="keys", summary=count(len(names), "key"), problems=tuple(problems))] if names else []
