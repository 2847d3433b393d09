"""What becomes of a jail that ended by itself, by its spec's `restart`: how often, when, and when no more.

    it ends, is unhealthy, or does not start
        │ policy never; on-failure, and its status was 0        ──► OVER
        │ more often than `max` times `within` so many seconds   ──► CRASH_LOOP
        └ else: after a pause that doubles each time             ──► AGAIN ──► it is started

A record is of one generation and one boot of the host; whoever starts the jail but this makes an end of it.
"""

from __future__ import annotations

import signal
from enum import StrEnum

import msgspec

from jaild.model.jails.spec import Restart


class Verdict(StrEnum):
    """What is done about a jail that ended."""

    AGAIN = "again"  # it is started at `RestartRecord.due`
    OVER = "over"  # its policy lets it be
    CRASH_LOOP = "crash-loop"  # it was started too often


class RestartRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often a jail ended of late, and what is done about it. Times are seconds since the epoch."""

    uid: str  # the jail's
    boot: str  # of the host
    generation: int
    ends: tuple[float, ...]  # those that count, oldest first: at most one more than `Restart.max`
    verdict: Verdict
    due: float = 0.0  # AGAIN: when it is started


def after_end(
    before: RestartRecord, policy: Restart, *, now: float, status: int | None, failed: bool = False
) -> RestartRecord:
    """Return what is done about a jail that ended once more, with `status`; None if that is not known.

    `failed`: it did not end, or not only: it is unhealthy, or could not be started.
    """
    recent = (*(end for end in before.ends if now - policy.within < end <= now), now)[-policy.max - 1 :]
    if policy.policy == "never" or (policy.policy == "on-failure" and status == 0 and not failed):
        return msgspec.structs.replace(before, ends=recent, verdict=Verdict.OVER, due=0.0)
    if len(recent) > policy.max:
        return msgspec.structs.replace(before, ends=recent, verdict=Verdict.CRASH_LOOP, due=0.0)
    pause = min(policy.backoff.first * 2 ** min(len(recent) - 1, 32), max(policy.backoff.first, policy.backoff.longest))
    return msgspec.structs.replace(before, ends=recent, verdict=Verdict.AGAIN, due=now + pause)


def told_end(status: int | None, *, out_of_memory: bool = False) -> str:
    """Return how a process ended, for people: `status 1`, `signal 9 (SIGKILL)`; -N is signal N."""
    if status is None:
        text = "unknown status"
    elif status >= 0:
        text = f"status {status}"
    else:
        known = -status in {member.value for member in signal.Signals}
        text = f"signal {-status}" + (f" ({signal.Signals(-status).name})" if known else "")
    return text + (", and a process of it was killed for lack of memory (limits.memory)" if out_of_memory else "")
