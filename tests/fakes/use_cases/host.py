"""Use cases of a host, its operations and its events that answer and remember what they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection

from jaild.model.operation import Operation
from jaild.model.sinks.records import DeadLetter, SinkRow, SinkState, SinkView
from jaild.model.views import AuditEntry, BackgroundTask, Caller, Drain, Event, HostView, PeerView, Reloaded
from tests.fakes.use_cases.made import not_found
from tests.fakes.use_cases.remembering import Fake


class FakeOperations(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.operations: dict[str, Operation] = {}
        self.steps: tuple[Operation, ...] = ()

    def get(self, operation: str, /) -> Operation:
        if operation not in self.operations:
            raise not_found(f"operations/{operation}")
        return self.operations[operation]

    def list(self) -> list[Operation]:
        return [*self.operations.values()]

    async def wait(self, operation: str, timeout: float | None, /) -> Operation:
        self.seen("wait", operation, timeout)
        return self.get(operation)

    async def watch(self, operation: str, /) -> AsyncIterator[Operation]:
        self.seen("watch", operation)
        for step in self.steps:
            yield step

    async def cancel(self, operation: str, caller: Caller, /) -> None:
        self.seen("cancel", operation, caller)

    async def delete(self, operation: str, /) -> None:
        self.seen("delete", operation)


class FakeEvents(Fake):
    async def watch(self, after: int, target: str, follow: bool, /) -> AsyncIterator[Event]:  # noqa: FBT001
        self.seen("watch", after, target, follow)
        yield Event(
            sequence=after + 1, time=4.0, kind="jail.started", target="jails/web", detail={"pid": "3"}, gap=True
        )
        if follow:
            await asyncio.Event().wait()


class FakeSinks(Fake):
    def get(self, name: str, /) -> SinkView:
        if name != "pager":
            raise not_found(f"eventSinks/{name}")
        row = SinkRow(name=name, cursor=9, delivered=7, delivered_time=3.0, given_up=2, lost=1, failing_since=5.0)
        return SinkView(
            row=row, state=SinkState.FAILING, kind="webhook", destination="https://pager", error="no answer", letters=1
        )

    def views(self) -> list[SinkView]:
        return [self.get("pager")]

    async def letters(self, name: str, /) -> list[DeadLetter]:
        self.seen("letters", name)
        event = Event(sequence=8, time=4.0, kind="jail.exited", target="jails/web", message="status 1")
        return [DeadLetter(number=1, sink=name, event=event, time=6.0, error="no answer", asked=7.0)]

    async def replay(self, name: str, sequences: Collection[int], /, *, validate_only: bool) -> int:
        self.seen("replay", name, sequences, validate_only=validate_only)
        return 1

    async def discard(self, name: str, sequences: Collection[int], /, *, validate_only: bool) -> int:
        self.seen("discard", name, sequences, validate_only=validate_only)
        return 1


class FakeAudit:
    def __init__(self) -> None:
        self.kept: list[AuditEntry] = []
        self.written = asyncio.Event()

    async def record(
        self, actor: str, method: str, target: str, request_id: str, outcome: str, operation: str, /
    ) -> None:
        self.kept.append(
            AuditEntry(
                sequence=len(self.kept) + 1,
                time=1.0,
                actor=actor,
                method=method,
                target=target,
                request_id=request_id,
                outcome=outcome,
                operation=operation,
            )
        )
        self.written.set()

    async def entries(self, limit: int, before: int, /) -> list[AuditEntry]:
        return [entry for entry in reversed(self.kept) if not before or entry.sequence < before][:limit]


class FakeHost(Fake):
    async def reload(self, *, validate_only: bool = False) -> Reloaded:
        self.seen("reload", validate_only)
        return Reloaded(applied=("grants.boss",), needs_restart=("name",))

    async def view(self) -> HostView:
        return HostView(
            id="h-1",
            name="alpha",
            version="0.1",
            peer_protocol=1,
            zfs="openzfs 2.3",
            zfs_capabilities={"resumable_receive": True},
            runtime="runc 1.1",
            kernel="6.12",
            osreldate=0,
            machine="amd64",
            dataset="tank/jaild",
            used=1,
            available=2,
            jails=3,
            running=2,
            peers=(PeerView(name="beta", address="beta.example:8443"),),
            started=1.0,
            ready_seconds=0.5,
            repairs=("removed a stale mount",),
            background_tasks=7,
            failing=(
                BackgroundTask(
                    name="abort of m1",
                    target="jails/web",
                    attempts=3,
                    failures=2,
                    error="beta is away",
                    failing_since=4.0,
                    at_work=0.5,
                ),
            ),
            drain=Drain(since=3.0, actor="ops", reason="disk"),
        )


class FakeBoot(Fake):
    async def start(self, *, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("start", validate_only=validate_only, caller=caller)

    async def stop(self, *, deadline: float, validate_only: bool, caller: Caller) -> Operation:
        return self.operate("stop", deadline=deadline, validate_only=validate_only, caller=caller)
