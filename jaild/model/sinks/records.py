"""What is kept of a sink: how far it has come, and the events that it was not given."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum

import msgspec

from jaild.model.views import Event


class SinkRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a sink has come. Counts are since it was configured."""

    name: str
    cursor: int  # sequence of the last event that is settled: delivered, given up, or filtered out
    delivered: int = 0
    delivered_time: float = 0.0  # when the last one was
    given_up: int = 0
    lost: int = 0  # events that went before they were tried, and dead letters for which there was no room
    missed: int = 0  # of both, since the last that was delivered
    failing_since: float = 0.0  # 0: the last attempt did not fail
    told: bool = False  # an event has told that this one loses some, since it fails


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event that was given up."""

    number: int  # of the store; 0 before it is kept
    sink: str
    event: Event
    time: float  # when it was given up
    error: str  # of the last attempt
    asked: float = 0.0  # when somebody asked for it to be delivered again; 0: it lies


class SinkState(Enum):
    """How a sink is."""

    DELIVERING = "delivering"
    FAILING = "failing"  # the last attempt failed: it is made again
    REMOVED = "removed"  # the configuration has it no more; dead letters are left of it


class SinkView(msgspec.Struct, frozen=True, kw_only=True):
    """A sink, as it is shown."""

    row: SinkRow
    state: SinkState
    kind: str = ""  # webhook, command, syslog; '' of a removed one
    destination: str = ""
    filter: str = ""
    error: str = ""  # of the last attempt, if it failed
    failures: int = 0  # attempts that failed, since the daemon's start
    letters: int = 0  # that are kept
    waiting_since: float = 0.0  # when the oldest event that waits happened; 0: none does


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver is told. Its JSON is an interface: docs/operators.md has each field."""

    host: str
    host_id: str
    sequence: int
    time: str  # RFC 3339, UTC
    kind: str
    target: str
    message: str
    detail: dict[str, str]
    missed: int = 0  # events before this one that the sink was not given

    @property
    def id(self) -> str:
        """The same for each delivery of the same event, and of no other."""
        return f"{self.host_id}-{self.sequence}"

    def json(self) -> bytes:
        """Encode it, on one line."""
        return msgspec.json.encode(self)


def notice(host: str, host_id: str, event: Event, missed: int) -> Notice:
    """Return what is told of an event."""
    return Notice(
        host=host,
        host_id=host_id,
        sequence=event.sequence,
        time=rfc3339(event.time),
        kind=event.kind,
        target=event.target,
        message=event.message,
        detail=event.detail,
        missed=missed,
    )


def rfc3339(time: float) -> str:
    """Return a time as it is told outside: UTC, with microseconds."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
