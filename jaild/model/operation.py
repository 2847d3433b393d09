"""A long-running change as it is remembered: durable, watchable, cancellable while that is safe."""

from __future__ import annotations

import msgspec

from jaild.model.elapsed import passed
from jaild.model.errors import JaildError
from jaild.model.findings import Finding, Plan
from jaild.model.phases import Reports, Stop


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A `JaildError` that can be stored. `error` is its class's name."""

    error: str
    reason: str
    message: str
    remedy: str = ""
    resource: str = ""
    detail: dict[str, str] = {}
    findings: tuple[Finding, ...] = ()


def failure_of(error: JaildError) -> Failure:
    """Return what is stored of an error."""
    return Failure(
        error=type(error).__name__,
        reason=error.reason,
        message=error.message,
        remedy=error.remedy,
        resource=error.resource,
        detail=error.detail,
        findings=error.findings,
    )


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change, as of its last step. Replaced whole, never mutated; `created`, `updated`: seconds since the epoch."""

    id: str
    kind: str
    target: str
    actor: str = ""
    request_id: str = ""
    created: float = 0.0
    updated: float = 0.0
    seconds: float = 0.0  # that it had been under way when it was updated
    counted_at: float | None = None  # when that was, by the host's monotonic clock
    phase: str = "queued"
    stop: Stop = Stop.NOW  # what may end that phase
    phases: Reports = ()  # what it has gone through
    message: str = ""
    bytes_done: int = 0
    bytes_total: int = 0
    predicted_downtime: float | None = None  # seconds
    downtime: float | None = None  # seconds, measured
    plan: Plan | None = None
    rounds: int = 0
    rate: int = 0  # bytes per second of the last round
    facts: dict[str, str] = {}
    cancel_requested: bool = False
    away: bool = False  # it waits for another host that cannot be reached
    resumable: bool = False  # a daemon that ends leaves it as it is, and its successor goes on with it
    done: bool = False
    failure: Failure | None = None
    result: str = ""  # the resource that came of it; its message is looked up when asked

    def seconds_at(self, monotonic: float) -> float:
        """Return the seconds that it has been under way by now; what the host was off for is not counted."""
        return self.seconds + (passed(self.counted_at, monotonic) if self.counted_at is not None else 0.0)

    @property
    def name(self) -> str:
        """Resource name."""
        return f"operations/{self.id}"
