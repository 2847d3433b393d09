"""What has happened since the daemon's start, counted: by operations' ends and events, each from its one place."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Collection
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from jaild.engine.events import Events
from jaild.engine.operations import Operations
from jaild.model.operation import Operation, Outcome
from jaild.transfer.receiver import Receiver
from jaild.transfer.sender import Transfer

_ENDED = "jail.exited"  # the event of a jail that ended by itself
_DOWNTIMES = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900)  # seconds
_LAGS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass(frozen=True)
class Preset:
    """What is told as 0 from the start: in a series that begins with 1, no alert sees an increase."""

    events: tuple[str, ...]
    kinds: tuple[str, ...]  # of operations


PRESET = Preset(
    events=(
        *("migration.two_owners", "migration.over_budget", "jail.cleanup-pending", "jail.crash_loop", "jail.exited"),
        *("jail.promoted", "hook.failed", "peer.refused", "task.failed", "sink.gave_up", "sink.events_lost"),
        "log.lines_lost",
    ),
    kinds=(
        *("create", "deploy", "upgrade", "configure", "rollback", "cutover", "start", "stop", "restart"),
        *("migrate", "evacuate", "salvage", "promote", "rollout"),
    ),
)


class Counts:
    """Counters of this daemon's life: they begin at zero with each start."""

    def __init__(self, operations: Operations, events: Events, sender: Transfer, receiver: Receiver) -> None:
        disable_created_metrics()  # `jaild_start_time_seconds` says the same of all of them
        self.registry = registry = CollectorRegistry(auto_describe=True)
        self._operations = Counter("jaild_operations", "Operations that ended.", ("kind", "outcome"), registry=registry)
        self._seconds = Counter(
            "jaild_operation_seconds",
            "Time that ended operations took, waiting included.",
            ("kind",),
            registry=registry,
        )
        self._phases = Counter(
            "jaild_operation_phases",
            "Phases of operations that ended.",
            ("kind", "phase", "outcome"),
            registry=registry,
        )
        self._phase_seconds = Counter(
            "jaild_operation_phase_seconds", "Time that these phases took.", ("kind", "phase"), registry=registry
        )
        self._bytes = Counter(
            "jaild_operation_bytes", "Bytes that ended operations moved or read.", ("kind",), registry=registry
        )
        self._downtime = Histogram(
            "jaild_downtime_seconds",
            "Time that a jail was down for an operation, as it was measured.",
            ("kind",),
            buckets=_DOWNTIMES,
            registry=registry,
        )
        self._predicted = Histogram(
            "jaild_downtime_predicted_seconds",
            "The same downtimes as they were predicted, of those that were.",
            ("kind",),
            buckets=_DOWNTIMES,
            registry=registry,
        )
        self._stream_bytes = Counter(
            "jaild_stream_bytes", "Bytes of ZFS streams to other hosts.", ("of",), registry=registry
        )
        self._stream_seconds = Counter(
            "jaild_stream_seconds", "Time that they took, waiting for disk, cap and link.", ("of",), registry=registry
        )
        self._received_bytes = Counter(
            "jaild_stream_received_bytes", "Bytes of ZFS streams from other hosts.", ("of",), registry=registry
        )
        self._events = Counter("jaild_events", "Events by kind.", ("kind",), registry=registry)
        self.lag = Histogram(
            "jaild_event_loop_lag_seconds",
            "How late the daemon's loop came to what was due, looked at each second.",
            buckets=_LAGS,
            registry=registry,
        )
        self._exits: Tally[str] = Tally()
        for kind in PRESET.kinds:
            for outcome in ("done", "failed", "cancelled"):
                self._operations.labels(kind, outcome)
        for of in ("layer", "round", "final"):
            self._sent(of, 0, 0.0)
            self._received(of, 0)
        for kind in PRESET.events:
            self._events.labels(kind)
        operations.on_end.append(self._ended)
        events.on_event.append(self._happened)
        sender.on_sent.append(self._sent)
        receiver.on_received.append(self._received)

    def exits(self, jails: Collection[str]) -> dict[str, int]:
        """Return how often each of these jails ended by itself; what is known of others is forgotten."""
        for gone in self._exits.keys() - set(jails):
            del self._exits[gone]
        return dict(self._exits)

    def _ended(self, operation: Operation) -> None:
        kind = operation.kind
        self._operations.labels(kind, outcome_of(operation)).inc()
        self._seconds.labels(kind).inc(operation.seconds)
        self._bytes.labels(kind).inc(operation.bytes_done)
        for phase in operation.phases:
            if phase.seconds is not None:
                self._phases.labels(kind, phase_of(phase.name), _OUTCOMES[phase.outcome]).inc()
                self._phase_seconds.labels(kind, phase_of(phase.name)).inc(max(phase.seconds, 0.0))
        if operation.downtime is not None:
            self._downtime.labels(kind).observe(operation.downtime)
            if operation.predicted_downtime is not None:
                self._predicted.labels(kind).observe(operation.predicted_downtime)

    def _sent(self, of: str, size: int, seconds: float) -> None:
        self._stream_bytes.labels(of).inc(size)
        self._stream_seconds.labels(of).inc(seconds)

    def _received(self, of: str, size: int) -> None:
        self._received_bytes.labels(of).inc(size)

    def _happened(self, kind: str, target: str) -> None:
        self._events.labels(kind).inc()
        if kind == _ENDED:
            self._exits[target.removeprefix("jails/")] += 1


_OUTCOMES = {
    Outcome.UNDER_WAY: "done",
    Outcome.DONE: "done",
    Outcome.FAILED: "failed",
    Outcome.UNDONE: "undone",
    Outcome.CLEANUP_PENDING: "cleanup-pending",
}


def outcome_of(operation: Operation) -> str:
    """Return how an operation that is done ended: done, cancelled or failed."""
    if operation.failure is None:
        return "done"
    return "cancelled" if operation.failure.error == "CancelledError" else "failed"


def phase_of(name: str) -> str:
    """Return a phase's name as a label, which has few values: without a number (a rollout's `wave 3`)."""
    return name.rstrip("0123456789 ")
