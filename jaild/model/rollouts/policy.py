"""How a rollout goes about it.

The words are those of Nomad's update block (https://developer.hashicorp.com/nomad/docs/job-specification/update), with
waves, a budget and a deadline added.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from jaild.model import maintenance
from jaild.model.errors import InvalidArgumentError

LONGEST = 30 * 86_400.0  # seconds: of every time in a policy
MOST_AT_ONCE = 1000
_SHARE = re.compile(r"(?P<number>[0-9]{1,6})(?P<percent>%?)")
_WHOLE = 100  # percent


class Share(msgspec.Struct, frozen=True):
    """A number of targets, or a percentage of them all."""

    number: int = 0
    percent: bool = False

    def of(self, total: int) -> int:
        """Return how many targets that are of `total`; parts of one count as one."""
        return math.ceil(self.number * total / _WHOLE) if self.percent else self.number

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{self.number}{'%' if self.percent else ''}"


class OnBreach(StrEnum):
    """What is done when the budget, or the deadline, is exceeded."""

    PAUSE = "pause"  # nothing more is begun; what moved stays
    UNDO = "undo"  # everything that moved is taken back


class RolloutPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What may happen at once, what counts as healthy, and what is done if it does not go well. Times in seconds."""

    canaries: int = 0  # targets that go first, alone
    waves: tuple[Share, ...] = ()  # how many go in each wave after the canaries; who is left is a last one
    max_parallel: int = 1  # targets that are being changed or watched at once
    min_healthy_time: float = 10.0  # for so long a target must be healthy without a break
    healthy_deadline: float = 300.0  # and so long after its change it is failed if it was not
    stagger: float = 0.0  # at least, between the beginnings of two changes
    failure_budget: Share = Share()  # targets that may fail; a canary may not
    auto_revert: bool = True  # whether a target that moved and is not healthy is taken back at once
    on_breach: OnBreach = OnBreach.PAUSE
    deadline: float = 0.0  # for all of it; 0: none
    maintenance: tuple[str, ...] = ()  # a change is begun only in one of these windows; see `jaild.model.maintenance`


def share(text: str) -> Share:
    """Return the share written as `5` or `10%`. `InvalidArgumentError` (INVALID_ROLLOUT)."""
    match = _SHARE.fullmatch(text)
    if match is None or (match["percent"] and int(match["number"]) > _WHOLE):
        raise _invalid(f"{text!r} is neither a number nor a percentage", "write 5, or 10%")
    return Share(int(match["number"]), bool(match["percent"]))


def require(policy: RolloutPolicy) -> None:
    """Raise `InvalidArgumentError` (INVALID_ROLLOUT) with all that is wrong in a policy."""
    if found := tuple(_mistakes(policy)):
        raise _invalid("; ".join(found), "correct it and ask again")


def _mistakes(policy: RolloutPolicy) -> Iterator[str]:
    if policy.canaries < 0:
        yield f"there are no {policy.canaries} canaries"
    if not 1 <= policy.max_parallel <= MOST_AT_ONCE:
        yield f"max_parallel is {policy.max_parallel}, and must be 1 to {MOST_AT_ONCE}"
    if any(wave.number < 1 for wave in policy.waves):
        yield "a wave has nobody in it"
    if policy.failure_budget.number < 0:
        yield "a failure budget is 0 or more"
    for text in policy.maintenance:
        try:
            maintenance.parse(text)
        except ValueError as error:
            yield str(error)
    for name in ("min_healthy_time", "healthy_deadline", "stagger", "deadline"):
        value = getattr(policy, name)
        if not 0 <= value <= LONGEST:  # also what is no number
            yield f"{name} is {value:g}, and must be 0 to {LONGEST:.0f} seconds"
    if policy.healthy_deadline <= policy.min_healthy_time:
        yield "healthy_deadline must be longer than min_healthy_time"


def _invalid(message: str, hint: str) -> InvalidArgumentError:
    return InvalidArgumentError("INVALID_ROLLOUT", message, hint=hint)
