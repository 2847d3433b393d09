"""Use cases of moves, on both sides, that answer and remember what they were asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from jaild.model.errors import JaildError
from jaild.model.evacuation.record import Evacuation, JailMove, MoveState
from jaild.model.migration.budget import Parts
from jaild.model.migration.protocol import (
    Acceptance,
    Activated,
    End,
    HostHello,
    Offer,
    Received,
    ReceiveHeader,
    Resolution,
    SoFar,
    Tested,
)
from jaild.model.migration.stats import MigrationStats, stats
from jaild.model.operation import Operation
from jaild.model.rollouts.decision import MemberState
from jaild.model.rollouts.record import Rollout, RolloutSpec, Runs, Step
from jaild.model.views import Caller, MigrationView
from tests.fakes.use_cases.made import not_found
from tests.fakes.use_cases.remembering import Fake, asked


class FakeMigrations(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.migrations: tuple[MigrationView, ...] = ()

    async def migrate(
        self,
        jail: str,
        target: str,
        /,
        *,
        max_downtime: float,
        proceed_over_budget: bool,
        etag: str,
        validate_only: bool,
        caller: Caller,
        deadline: float | None = None,
        bandwidth: int = 0,
    ) -> Operation:
        return self.operate(
            "migrate",
            jail,
            target,
            max_downtime=max_downtime,
            proceed=proceed_over_budget,
            etag=etag,
            validate_only=validate_only,
            caller=caller,
            deadline=deadline,
            bandwidth=bandwidth,
        )

    async def cap(self, migration: str, bandwidth: int, *, validate_only: bool) -> MigrationView:
        self.seen("cap", migration, bandwidth, validate_only=validate_only)
        return self.get(migration)

    def get(self, migration: str, /) -> MigrationView:
        for view in self.migrations:
            if view.id == migration:
                return view
        raise not_found(f"migrations/{migration}")

    def stats(self) -> MigrationStats:
        return stats([])

    def list(self) -> tuple[MigrationView, ...]:
        return self.migrations

    async def test(
        self,
        jail: str,
        target: str,
        /,
        *,
        max_downtime: float,
        keep_copy: bool,
        etag: str,
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        return self.operate(
            "test",
            jail,
            target,
            max_downtime=max_downtime,
            keep_copy=keep_copy,
            etag=etag,
            caller=caller,
            **asked(validate_only=validate_only),
        )

    async def finalize(self, migration: str, /, *, validate_only: bool = False, caller: Caller) -> Operation:
        return self.operate("finalize", migration, caller=caller, **asked(validate_only=validate_only))


class FakeEvacuations(Fake):
    def __init__(self) -> None:
        super().__init__()
        moves = (
            JailMove(jail="web", target="beta", state=MoveState.MOVED, expected=10, bytes=12, attempts=1, downtime=0.5),
            JailMove(jail="db", state=MoveState.FAILED, reason="NO_HOST_TAKES_IT", message="beta: full", hint="more"),
        )
        evacuation = Evacuation(id="op-1", targets=("beta",), parallel=2, created=2.0, planned=True, moves=moves)
        self.evacuations = {"op-1": evacuation}

    async def evacuate(
        self,
        targets: Sequence[str],
        /,
        *,
        parallel: int,
        bandwidth: int,
        max_downtime: float,
        proceed_over_budget: bool,
        validate_only: bool,
        caller: Caller,
    ) -> Operation:
        return self.operate(
            "evacuate",
            targets,
            parallel=parallel,
            bandwidth=bandwidth,
            max_downtime=max_downtime,
            proceed_over_budget=proceed_over_budget,
            validate_only=validate_only,
            caller=caller,
        )

    def get(self, evacuation: str, /) -> Evacuation:
        if evacuation not in self.evacuations:
            raise not_found(f"evacuations/{evacuation}")
        return self.evacuations[evacuation]

    def list(self) -> tuple[Evacuation, ...]:
        return tuple(self.evacuations.values())

    async def drain(self, reason: str, /, *, validate_only: bool = False, caller: Caller) -> None:
        self.seen("drain", reason, caller=caller, **asked(validate_only=validate_only))

    async def undrain(self, *, validate_only: bool = False, caller: Caller) -> None:
        self.seen("undrain", caller=caller, **asked(validate_only=validate_only))


class FakeRollouts(Fake):
    def __init__(self) -> None:
        super().__init__()
        runs = Runs(generation=3, base="b", base_guid=7, base_sha256="ab", release="web/1", release_guid=8)
        steps = (
            Step(
                name="web", wave=0, before="a", target="b", state=MemberState.DONE, moved=2.0, downtime=0.5, runs=runs
            ),
            Step(
                name="db", wave=1, before="a", target="b", state=MemberState.FAILED, reason="NOT_HEALTHY", message="no"
            ),
        )
        rollout = Rollout(
            id="op-1",
            spec=RolloutSpec(base="b", labels={"tier": "edge"}),
            target="b",
            caller=Caller(actor="ada"),
            created=1.0,
            planned=True,
            steps=steps,
        )
        self.rollouts = {"op-1": rollout}

    async def plan(self, spec: RolloutSpec, /, *, caller: Caller) -> Rollout:
        self.seen("plan", spec, caller=caller)
        return self.rollouts["op-1"]

    async def start(self, spec: RolloutSpec, /, *, caller: Caller) -> Operation:
        return self.operate("start", spec, caller=caller)

    def get(self, rollout: str, /) -> Rollout:
        if rollout not in self.rollouts:
            raise not_found(f"rollouts/{rollout}")
        return self.rollouts[rollout]

    def list(self) -> tuple[Rollout, ...]:
        return tuple(self.rollouts.values())

    async def pause(self, rollout: str, /, *, validate_only: bool = False, caller: Caller) -> Rollout:
        self.seen("pause", rollout, caller=caller, **asked(validate_only=validate_only))
        return self.get(rollout)

    async def resume(self, rollout: str, /, *, validate_only: bool = False, caller: Caller) -> Rollout:
        self.seen("resume", rollout, caller=caller, **asked(validate_only=validate_only))
        return self.get(rollout)

    async def cancel(self, rollout: str, /, *, validate_only: bool = False, caller: Caller) -> Rollout:
        self.seen("cancel", rollout, caller=caller, **asked(validate_only=validate_only))
        return self.get(rollout)

    async def undo(self, rollout: str, /, *, caller: Caller) -> Operation:
        return self.operate("undo", rollout, caller=caller)


class FakeIncoming(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.answer = Acceptance()
        self.taken = 0
        self.got_some = asyncio.Event()
        self.ended = asyncio.Event()
        self.error: BaseException | None = None
        self.give_up: tuple[int, JaildError] | None = None
        self.has_it = False

    async def hello(self, host_id: str, host_name: str, protocol: int, /) -> HostHello:
        self.seen("hello", host_id, host_name, protocol)
        return HostHello(
            host_id="h-2",
            host_name="beta",
            protocol=1,
            zfs_implementation="openzfs",
            resumable_receive=True,
            pool_features=("lz4_compress",),
            family="linux",
            machine="amd64",
            available_bytes=1 << 40,
        )

    async def preflight(self, offer: Offer, /) -> Acceptance:
        self.seen("preflight", offer)
        return self.answer

    async def begin(self, offer: Offer, /) -> Acceptance:
        self.seen("begin", offer)
        return self.answer

    async def receive(self, header: ReceiveHeader, chunks: AsyncIterator[bytes], /) -> Received:
        self.seen("receive", header)
        if self.has_it:
            return Received(guid=header.guid)
        try:
            async for chunk in chunks:
                self.taken += len(chunk)
                self.got_some.set()
                if self.give_up is not None and self.taken >= self.give_up[0]:
                    raise self.give_up[1]  # noqa: TRY301
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended.set()
        return Received(guid=header.guid, bytes=self.taken)

    async def prepare(self, migration: str, epoch: int, guids: dict[str, int], /) -> None:
        self.seen("prepare", migration, epoch, guids)

    async def activate(self, migration: str, epoch: int, so_far: SoFar, /) -> Activated:
        self.seen("activate", migration, epoch, so_far)
        return Activated(healthy=True, parts=Parts(mounts=0.0, start=0.25, readiness=1.5))

    async def abort(self, migration: str, /, *, source: str) -> None:
        self.seen("abort", migration, source)

    async def boot_clone(self, migration: str, /, *, keep_copy: bool) -> Tested:
        self.seen("boot_clone", migration, keep_copy=keep_copy)
        return Tested(message="it fell over", parts=Parts(mounts=0.5), checks="tcp: refused", log="panic")

    async def resolve(self, migration: str, /) -> Resolution:
        self.seen("resolve", migration)
        return Resolution(outcome=End.COMMITTED, epoch=4)
