"""The stub of a daemon's service of event sinks."""

from __future__ import annotations

from typing import Any

from jaild.v1 import event_sinks_pb2, event_sinks_pb2_grpc, events_pb2

PAGER = event_sinks_pb2.EventSink(
    name="eventSinks/pager",
    state=event_sinks_pb2.EventSink.STATE_FAILING,
    kind="webhook",
    destination="https://pager.example",
    error="no answer within 10 s",
    delivered_count=7,
    given_up_count=2,
    dead_letter_count=1,
    lost_count=3,
)
LETTER = event_sinks_pb2.DeadLetter(
    event=events_pb2.Event(sequence=812, kind="jail.exited", target="jails/web"), error="no answer within 10 s"
)


class EventSinks(event_sinks_pb2_grpc.EventSinksServicer):  # type: ignore[misc]
    """`daemon` is the stub's."""

    def __init__(self, daemon: Any) -> None:
        self.daemon = daemon

    def ListEventSinks(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Answer with the one."""
        return event_sinks_pb2.ListEventSinksResponse(event_sinks=[PAGER])

    def GetEventSink(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Answer with it."""
        return PAGER

    def ListDeadLetters(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Answer with its one."""
        return event_sinks_pb2.ListDeadLettersResponse(dead_letters=[LETTER])

    def ReplayDeadLetters(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Take it down."""
        self.daemon.requests.append(request)
        return event_sinks_pb2.ReplayDeadLettersResponse(count=1)

    def DiscardDeadLetters(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Take it down."""
        self.daemon.requests.append(request)
        return event_sinks_pb2.DiscardDeadLettersResponse()
