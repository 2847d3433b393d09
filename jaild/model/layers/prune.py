"""Which layers of a host nothing needs: a pure decision about bases, or about releases. Plan and act are both this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaild.model.problems import Problem, Severity

MIN_AGE = 86400.0  # seconds; what was sealed later may be on its way to its first jail


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A layer, as it is looked at."""

    name: str  # resource name
    used: int  # bytes that ZFS accounts to it: also what its clones share with it
    sealed: float  # seconds since the epoch
    users: int = 0  # how many generations, replicas and migrations refer to it
    origin: str = ""  # resource name of the layer that it is a clone of
    claim: str = ""  # who keeps its dataset, in words; empty if nobody does


@dataclass(frozen=True)
class Prune:
    """What is removed, in this order (clones before what they share blocks with), and what is kept though unused."""

    removed: tuple[Candidate, ...]
    kept: tuple[Problem, ...]

    @property
    def frees(self) -> int:
        """Bytes: an estimate. ZFS frees them later, and deduplicated or cloned blocks may have other users."""
        return sum(candidate.used for candidate in self.removed)


def unused(candidates: Sequence[Candidate], *, now: float, min_age: float) -> Prune:
    """Decide. `now`: seconds since the epoch; what was sealed less than `min_age` seconds ago is kept."""
    by_name = {candidate.name: candidate for candidate in candidates}
    why = {each.name: reason for each in candidates if (reason := _reason(each, now, min_age))}
    for candidate in [by_name[name] for name in why]:
        clone = candidate
        while clone.origin in by_name and clone.origin not in why:  # what a kept one shares blocks with is kept
            why[clone.origin] = f"{clone.name} shares blocks with it"
            clone = by_name[clone.origin]
    depths: dict[str, int] = {}
    for candidate in candidates:
        _measure(candidate, by_name, depths)
    doomed = sorted((c for c in candidates if c.name not in why), key=lambda c: (-depths[c.name], c.name))
    kept = [kept_problem(c.name, why[c.name]) for c in candidates if c.name in why and not c.users]
    return Prune(tuple(doomed), tuple(kept))


def _reason(candidate: Candidate, now: float, min_age: float) -> str:
    """Return why it is kept for its own sake; empty if it is not."""
    if candidate.users:
        return f"{candidate.users} refer to it"
    if candidate.claim:
        return candidate.claim
    age = now - candidate.sealed
    return f"it was sealed {max(age, 0) / 3600:.1f} hours ago" if age < min_age else ""


def _measure(candidate: Candidate, by_name: dict[str, Candidate], depths: dict[str, int]) -> None:
    """Take into `depths` how many origins there are below it: each is walked once, however long the chain."""
    chain = [candidate]
    while chain[-1].name not in depths and chain[-1].origin in by_name:
        chain.append(by_name[chain[-1].origin])
    depth = depths.setdefault(chain[-1].name, 0)
    for number, each in enumerate(reversed(chain)):
        depths.setdefault(each.name, depth + number)


def kept_problem(name: str, why: str, severity: Severity = Severity.NOTE) -> Problem:
    """Return what is told of a layer that nothing uses and that stays."""
    return Problem(
        severity=severity,
        code="LAYER_KEPT",
        message=f"nothing uses it, and it stays: {why}",
        subject=name,
        hint="see what keeps it, then prune again",
    )
