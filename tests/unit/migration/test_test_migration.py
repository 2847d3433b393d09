"""Trying a migration: what it tells, that the jail stays as it is, and that nothing of it is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError, InternalError
from jaild.model.jails.spec import ExecCheck, HttpCheck, Mode, Network, Readiness
from jaild.model.operation import Operation
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network as Wire
from tests.hosts import invariants
from tests.hosts.asking import SPEC, create, reason_of, serves
from tests.hosts.fixtures import furnished
from tests.hosts.migrating import migrate

Pair = tuple[FakeHost, FakeHost]
CHECKED = msgspec.structs.replace(
    SPEC,
    network=Network(mode=Mode.VNET, addresses=("10.0.0.5/24",), gateway="10.0.0.1"),
    health=(HttpCheck(port=80), ExecCheck(command=("check",))),
    readiness=Readiness(deadline=1.0, successes=1),
)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """A host with a jail that has checks, and one that knows nothing of it."""
    network = Wire()
    first, second = FakeHost(tmp_path / "alpha", "alpha", network), FakeHost(tmp_path / "beta", "beta", network)
    await furnished(first)
    await second.start()
    await create(first, CHECKED)
    yield first, second
    await first.stop()
    await second.stop()


async def begin(source: FakeHost, target: FakeHost, *, keep_copy: bool = False, downtime: float = 5.0) -> Operation:
    return await source.core.use_cases.migrations.test(
        "web", target.name, max_downtime=downtime, keep_copy=keep_copy, etag="", caller=caller()
    )


async def tried(source: FakeHost, target: FakeHost, **how: Any) -> Operation:
    return await source.end_of(await begin(source, target, **how))


async def traces(host: FakeHost) -> list[str]:
    """What is on a host of jails and clones, and what runs on it."""
    names = [dataset.name for dataset in await host.zfs.datasets("tank/jaild")]
    found = [name for name in names if "/jails/" in name or "/rehearsals/" in name]
    return found + list(host.runtime.by_name) + [path.name for path in (host.folder / "logs").iterdir()]


async def nothing_is_left(pair: Pair) -> None:
    source, target = pair
    await source.quiet()
    await target.quiet()
    assert serves(source, 1)
    assert await traces(target) == []
    for host in pair:
        assert await invariants.unsettled(host) == []
    snapshots = await source.zfs.snapshots("tank/jaild/jails/web", recursive=True)
    assert [snapshot.tag for snapshot in snapshots if snapshot.tag.startswith("mig-")] == []


async def test_it_tells_what_would_happen_and_leaves_nothing(pair: Pair) -> None:
    source, target = pair
    starts = [call for call in source.runtime.calls if call[0] in {"start", "stop"}]
    done = await tried(source, target)
    assert reason_of(done) == ""
    assert done.facts["healthy"] == "true"
    assert done.facts["copy"] == "thrown away"
    assert int(done.facts["sent_bytes"]) > 0
    assert done.predicted_downtime is not None
    assert done.downtime is None
    assert [call for call in source.runtime.calls if call[0] in {"start", "stop"}] == starts
    await nothing_is_left(pair)
    (migration,) = source.core.use_cases.migrations.list()
    assert migration.phase == "tested"
    assert (migration.downtime, migration.rounds) == (None, done.rounds)
    for host in pair:  # nothing was aborted: it went well
        watched = host.core.use_cases.events.watch(0, "jails/web", False)
        kinds = [event.kind async for event in watched if event.kind.startswith("migration.")]
        assert kinds == ["migration.tested"]


async def test_the_clone_runs_under_another_name_without_a_network_and_is_checked_from_inside(pair: Pair) -> None:
    source, target = pair
    target.probe.problem = "the jail's address is not reached from outside"
    seen = []
    original = target.runtime.create

    async def create_seen(run: Any) -> None:
        seen.append(run)
        await original(run)

    target.runtime.create = create_seen  # type: ignore[method-assign]
    assert reason_of(await tried(source, target)) == ""
    (run,) = seen
    assert run.jail.startswith("migration-test-")
    assert run.network == Network(mode=Mode.NONE, addresses=("10.0.0.5/24",))
    assert run.hostname == "web"
    assert run.uid != source.core.inventory.jails["web"].record.uid  # type: ignore[union-attr]
    assert all("/jails/web" not in mount.source for mount in run.mounts)
    assert ("probe", run.name) in target.runtime.calls
    assert ("announce", run.name) not in target.runtime.calls


async def test_a_jail_that_would_not_be_healthy_is_told_with_what_the_checks_said(pair: Pair) -> None:
    source, target = pair
    original = target.runtime.probe

    async def refused(*args: Any) -> str:
        await original(*args)
        return "http://10.0.0.5:80/: connection refused"

    target.runtime.probe = refused  # type: ignore[method-assign, assignment]
    done = await tried(source, target)
    assert reason_of(done) == "TEST_MIGRATION_FAILED"
    assert done.failure is not None
    assert "connection refused" in done.failure.detail["checks"]
    assert "migration-test-" not in done.failure.message
    assert done.facts["healthy"] == "false"
    await nothing_is_left(pair)


async def test_a_clone_that_cannot_start_is_a_failed_test_migration_and_not_an_error(pair: Pair) -> None:
    source, target = pair
    target.runtime.refuse["start"] = InternalError("COMMAND_FAILED", "no such library", hint="r")
    done = await tried(source, target)
    assert reason_of(done) == "TEST_MIGRATION_FAILED"
    assert done.failure is not None
    assert "no such library (COMMAND_FAILED)" in done.failure.message
    target.runtime.refuse.clear()
    await nothing_is_left(pair)


async def test_what_the_target_refuses_is_refused_before_anything_is_sent(pair: Pair) -> None:
    source, target = pair
    await target.add_base("deb-9")
    other = msgspec.structs.replace(
        SPEC,
        base="deb-9",
        app=None,
        command=("sh",),
        network=Network(mode=Mode.VNET, addresses=("10.0.0.5/24",)),
    )
    await create(target, other, name="other")
    done = await tried(source, target)
    assert done.failure is not None
    assert [problem.code for problem in done.failure.problems] == ["ADDRESS_IN_USE"]
    assert source.core.use_cases.migrations.list() == []


async def test_a_downtime_above_what_is_allowed_is_warned_of(pair: Pair) -> None:
    source, target = pair
    done = await tried(source, target, downtime=0.001)
    assert reason_of(done) == ""
    assert done.plan is not None
    assert [problem.code for problem in done.plan.problems] == ["DOWNTIME_OVER_BUDGET"]


async def test_a_kept_copy_makes_the_move_an_increment(pair: Pair) -> None:
    source, target = pair
    (source.core.inventory.jails["web"].folder / "data" / "var" / "ballast").write_bytes(bytes(1 << 20))
    done = await tried(source, target, keep_copy=True)
    assert done.facts["copy"] == "kept on beta"
    assert target.core.use_cases.jails.get("web").state is JailState.MOVED
    assert await invariants.owners(pair, "web") == ["alpha"]
    await target.restart(reboot=True)
    await target.quiet()
    assert invariants.running([target], "web") == []
    moved = await source.end_of(await migrate(source, target))
    assert reason_of(moved) == ""
    assert moved.bytes_done < 1 << 20
    assert serves(target, 1)
    for host in pair:
        assert await invariants.unsettled(host) == []


async def test_an_older_copy_on_the_target_is_continued_and_stays(pair: Pair) -> None:
    source, target = pair
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert reason_of(await target.end_of(await migrate(target, source))) == ""
    done = await tried(source, target)
    assert reason_of(done) == ""
    assert target.core.use_cases.jails.get("web").state is JailState.MOVED
    for host in pair:
        assert await invariants.unsettled(host) == []
    assert reason_of(await source.end_of(await migrate(source, target))) == ""


class Held:
    """Stops a test migration while its clone runs: in the check that is made from inside."""

    def __init__(self, target: FakeHost) -> None:
        self.reached = asyncio.Event()
        self._never = asyncio.Event()
        target.runtime.probe = self._probe  # type: ignore[method-assign, assignment]

    async def _probe(self, *_: Any) -> str:
        self.reached.set()
        await self._never.wait()
        return ""


async def test_it_can_be_cancelled_at_any_time_and_leaves_nothing(pair: Pair) -> None:
    source, target = pair
    held = Held(target)
    operation = await begin(source, target)
    await held.reached.wait()
    assert any(name.startswith("migration-test-") for name in target.runtime.by_name)
    await source.core.use_cases.operations.cancel(operation.id, caller())
    assert reason_of(await source.end_of(operation)) == "OPERATION_CANCELLED"
    await nothing_is_left(pair)


@pytest.mark.parametrize("reboot", [False, True])
async def test_a_crash_of_the_source_while_the_clone_runs_leaves_nothing(pair: Pair, *, reboot: bool) -> None:
    source, target = pair
    held = Held(target)
    await begin(source, target)
    await held.reached.wait()
    await source.restart(reboot=reboot)
    await nothing_is_left(pair)


@pytest.mark.parametrize("reboot", [False, True])
async def test_a_crash_of_the_target_while_the_clone_runs_leaves_nothing(pair: Pair, *, reboot: bool) -> None:
    source, target = pair
    held = Held(target)
    operation = await begin(source, target)
    await held.reached.wait()
    await target.restart(reboot=reboot)
    assert reason_of(await source.end_of(operation)) != ""
    await nothing_is_left(pair)


async def test_a_test_migration_is_never_handed_over(pair: Pair) -> None:
    source, target = pair
    held = Held(target)
    operation = await begin(source, target)
    await held.reached.wait()
    (journal,) = target.core.journals.incoming()
    with pytest.raises(FailedPreconditionError) as refused:
        await target.core.use_cases.incoming.prepare(journal.id, journal.epoch, {})
    assert refused.value.reason == "MIGRATION_PHASE"
    with pytest.raises(FailedPreconditionError) as refused:
        await target.core.use_cases.incoming.boot_clone(journal.id, keep_copy=False)
    assert refused.value.reason == "TEST_MIGRATION_UNDER_WAY"
    await source.core.use_cases.operations.cancel(operation.id, caller())
    await source.end_of(operation)
    with pytest.raises(FailedPreconditionError) as refused:
        await target.core.use_cases.incoming.boot_clone(journal.id, keep_copy=False)
    assert refused.value.reason == "NOT_A_TEST_MIGRATION"
