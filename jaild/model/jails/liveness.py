"""How a jail is after its liveness checks.

            passed               `failures` rounds in a row failed
unknown ─────────────► healthy ────────────────────────────────────► unhealthy
   │                      ▲                                           ▲    │
   │                      └──────────────── passed ───────────────────┼────┘
   └───────────────────── `failures` rounds in a row failed ──────────┘
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jaild.model.bounds import HEALTH_OUTPUT


class Health(StrEnum):
    """How a jail is, as one word."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class HealthStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a jail is, of one run of it, as this daemon saw it."""

    state: Health = Health.UNKNOWN
    since: float = 0.0  # seconds since the epoch
    failures: int = 0  # rounds in a row
    flaps: int = 0  # how often it has become unhealthy
    output: str = ""  # of the last round that failed


def after_round(status: HealthStatus, problem: str, now: float, needed: int) -> HealthStatus:
    """Return how a jail is after one more round; `problem` is what was wrong, '' for nothing.

    `needed`: rounds in a row that must fail. The same object if nothing is new: readers' views are kept by it.
    """
    if not problem:
        if status.state is Health.HEALTHY:
            return msgspec.structs.replace(status, failures=0) if status.failures else status
        return msgspec.structs.replace(status, state=Health.HEALTHY, since=now, failures=0)
    failed = msgspec.structs.replace(status, failures=status.failures + 1, output=problem[:HEALTH_OUTPUT])
    if failed.failures < needed or failed.state is Health.UNHEALTHY:
        return failed
    return msgspec.structs.replace(failed, state=Health.UNHEALTHY, since=now, flaps=failed.flaps + 1)
