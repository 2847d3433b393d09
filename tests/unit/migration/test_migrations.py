"""Moving jails between two hosts, when nothing breaks, and when whole hosts are gone."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from unittest.mock import AsyncMock

import msgspec
import pytest

from jaild.adapters.files import flushing
from jaild.model import layout
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.logtimes import LogQuery
from jaild.model.jails.spec import ExecCheck, Readiness, Volume
from jaild.model.layers.records import JailRecord, Ownership, encode
from jaild.model.migration.protocol import Received, ReceiveHeader
from jaild.model.snapshots import SAFETY, by_hand
from jaild.model.views import JailState
from tests.fakes.host import ROOT, FakeHost, caller
from tests.fakes.network import Network
from tests.hosts import invariants
from tests.hosts.asking import (
    SPEC,
    active,
    configure,
    create,
    cut_over,
    deploy,
    ended,
    reason_of,
    roll_back,
    serves,
    touched,
)
from tests.hosts.fixtures import furnished
from tests.hosts.migrating import migrate, writes_at_its_end


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[FakeHost, FakeHost]]:
    """Return a host with bases, releases and a jail, and an empty one."""
    network = Network()
    first, second = FakeHost(tmp_path / "alpha", "alpha", network), FakeHost(tmp_path / "beta", "beta", network)
    await furnished(first)
    await second.start()
    yield first, second
    await first.stop()
    await second.stop()


async def move(source: FakeHost, target: FakeHost) -> str:
    """Migrate, and return why it failed; '' if it did not."""
    return reason_of(await source.end_of(await migrate(source, target)))


async def state(host: FakeHost) -> Ownership:
    """Return the jail's state as the dataset has it."""
    return (await invariants.records(host))["web"].state


async def test_a_moved_jail_has_its_data_its_layers_and_its_history(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    (source.core.inventory.jails["web"].folder / "data" / "var" / "mark").write_text("kept")
    await deploy(source, "web/2")
    assert await move(source, target) == ""
    assert serves(target, 2)
    assert invariants.running([source], "web") == []
    with pytest.raises(FailedPreconditionError) as refused:  # not that it should be started here
        source.core.use_cases.jails.exec("web", ("id",), environment={}, user=None, inputs=AsyncMock(), terminal=None)
    assert (refused.value.reason, refused.value.detail["owner"]) == ("JAIL_MOVED", "beta")
    await nothing_is_told_of_a_copy(source)
    assert (target.core.inventory.jails["web"].folder / "data" / "var" / "mark").read_text() == "kept"
    assert reason_of(await roll_back(target)) == ""
    assert serves(target, 1)


async def nothing_is_told_of_a_copy(source: FakeHost) -> None:
    """Rather than nothing, the owner is named, and where it is; what it wrote here can be asked for."""
    jails = source.core.use_cases.jails
    with pytest.raises(FailedPreconditionError) as generations:
        await jails.generations("web")
    with pytest.raises(FailedPreconditionError) as logs:
        jails.logs("web", LogQuery())
    for refused in (generations.value, logs.value):
        assert (refused.reason, refused.detail) == ("JAIL_MOVED", {"owner": "beta", "address": "beta.example:7070"})
    assert [piece.data async for piece in jails.logs("web", LogQuery(), here=True)] == []


async def test_both_hosts_tell_what_a_move_came_to(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    assert await move(source, target) == ""
    (left,), (came,) = (host.core.use_cases.migrations.list() for host in pair)
    assert left.downtime is not None
    assert came.downtime is not None
    assert came.downtime == pytest.approx(left.downtime, abs=0.1)
    assert left.predicted is not None
    for field in ("predicted", "predicted_at_least", "rounds", "bytes"):
        assert getattr(came, field) == getattr(left, field)


async def test_a_jail_is_as_old_wherever_it_is(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    created = (await invariants.records(source))["web"].created
    for there in (source, target):
        there.clock.time += 1000.0
    assert await move(source, target) == ""
    assert (await invariants.records(target))["web"].created == created > 0.0
    record = (await invariants.records(source))["web"]  # as a daemon left it that did not know better
    copy = source.core.inventory.jails["web"]
    await source.zfs.set(copy.dataset, {layout.JAIL_PROPERTY: encode(msgspec.structs.replace(record, created=5.0))})
    await source.restart()
    assert await move(target, source) == ""
    assert (await invariants.records(source))["web"].created == created


async def test_what_is_staged_goes_along_and_is_the_owners_alone(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    assert reason_of(await deploy(source, "web/2", stage=True)) == ""
    assert await move(source, target) == ""
    assert (await invariants.records(source))["web"].staged is None
    assert source.core.inventory.jails["web"].staged is None  # keeps no address while the jail comes back
    await target.restart()
    await target.quiet()
    assert serves(target, 1)
    assert await invariants.unsettled(target) == []
    kept = target.core.use_cases.jails.get("web").staged
    assert kept is not None
    assert (kept.number, kept.release) == (2, "web/2")
    assert reason_of(await cut_over(target)) == ""
    assert active(target).release == "web/2"
    assert await move(target, source) == ""
    assert ((await invariants.records(source))["web"].staged, active(source).release) == (None, "web/2")
    assert reason_of(await roll_back(source)) == ""


async def test_a_volume_that_is_only_staged_goes_along_as_its_spec_says(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    volumes = {"store": Volume(path="/var/store", recordsize="16K")}
    assert reason_of(await configure(source, msgspec.structs.replace(SPEC, volumes=volumes), stage=True)) == ""
    assert await move(source, target) == ""
    assert target.zfs.pool.filesystems[f"{ROOT}/jails/web/store"].properties["recordsize"] == "16K"
    assert reason_of(await cut_over(target)) == ""
    assert await invariants.unsettled(target) == []


async def test_mapped_files_are_flushed_between_the_stop_and_the_last_snapshot(
    pair: tuple[FakeHost, FakeHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = pair
    await create(source)
    seen = []

    def snapshots() -> int:
        return sum(operation == "snapshot" for operation, _ in source.zfs.calls)

    def note(folder: Path) -> None:
        seen.append((folder, invariants.running([source], "web"), snapshots()))

    monkeypatch.setattr(flushing, "flush", note)
    assert await move(source, target) == ""
    folder = source.core.inventory.jails["web"].folder
    flushed: list[object] = [(folder, [], snapshots() - 1), (folder / "data", [], snapshots() - 1)]
    assert sorted(each for each in seen if not each[1]) == flushed


@pytest.mark.usefixtures("threads")
async def test_a_flush_that_waits_is_helped_by_a_transaction(
    pair: tuple[FakeHost, FakeHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = pair
    await create(source)
    waiting, helped = threading.Event(), threading.Event()
    written = source.zfs.set

    async def noted(name: str, properties: Mapping[str, str]) -> None:
        await written(name, properties)
        if waiting.is_set():
            helped.set()

    def flush(_: Path) -> None:
        if invariants.running([source], "web"):
            return
        waiting.set()
        assert helped.wait(10)

    monkeypatch.setattr(flushing, "flush", flush)
    monkeypatch.setattr(source.zfs, "set", noted)
    assert await move(source, target) == ""
    assert helped.is_set()


async def test_the_last_increments_of_all_datasets_are_sent_at_once(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    writes_at_its_end(source)
    receive, all_of_them = target.core.use_cases.incoming.receive, asyncio.Barrier(2)

    async def received(header: ReceiveHeader, chunks: AsyncIterator[bytes], /) -> Received:
        if header.urgent:
            async with asyncio.timeout(30):
                await all_of_them.wait()
        return await receive(header, chunks)

    target.core.use_cases.incoming.receive = received  # type: ignore[method-assign, assignment]
    assert await move(source, target) == ""
    assert serves(target, 1)


async def test_a_jail_whose_flush_fails_serves_on(
    pair: tuple[FakeHost, FakeHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    def flush(folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(folder))

    source, target = pair
    await create(source)
    monkeypatch.setattr(flushing, "flush", flush)
    assert await move(source, target) == "FILE_FAILED"
    assert serves(source, 1)
    assert await invariants.records(target) == {}


async def test_a_stopped_jail_moves_and_stays_stopped(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source, stopped=True)
    assert await move(source, target) == ""
    assert target.core.use_cases.jails.get("web").state is JailState.STOPPED
    assert reason_of(await deploy(target, "web/2")) == "RELEASE_NOT_FOUND"


async def test_a_plan_of_a_migration_changes_nothing_on_either_host(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    touched(source)
    touched(target)
    planned = await source.core.use_cases.migrations.migrate(
        "web",
        "beta",
        max_downtime=5.0,
        proceed_over_budget=False,
        etag="",
        validate_only=True,
        caller=caller(),
    )
    assert planned.plan is not None
    assert any("bases/deb-1" in step for step in planned.plan.steps)
    assert touched(source) == []
    assert touched(target) == []


async def test_the_plan_says_which_snapshots_do_not_move(pair: tuple[FakeHost, FakeHost]) -> None:
    source, _ = pair
    await create(source)

    async def told() -> list[tuple[str, str]]:
        planned = await source.core.use_cases.migrations.migrate(
            "web", "beta", max_downtime=5.0, proceed_over_budget=False, etag="", validate_only=True, caller=caller()
        )
        assert planned.plan is not None
        return [(problem.code, problem.message) for problem in planned.plan.problems]

    await source.zfs.snapshot("tank/jaild/jails/web", "before-2", recursive=True, purpose=SAFETY)
    assert await told() == []
    await source.zfs.snapshot("tank/jaild/jails/web", "autosnap_1", recursive=True)
    await source.zfs.snapshot("tank/jaild/jails/web", "mine", recursive=True, purpose=by_hand("joe"))
    stay = "2 snapshots of web do not move with it (autosnap_1 ... mine): they stay with the copy here"
    assert await told() == [("SNAPSHOTS_STAY", stay)]


async def test_the_copy_that_stays_is_fenced_and_takes_no_change(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    await move(source, target)
    assert source.core.use_cases.jails.get("web").state is JailState.MOVED
    assert reason_of(await deploy(source, "web/2")) == "JAIL_MOVED"
    await source.restart(reboot=True)
    await source.quiet()
    assert invariants.running([source], "web") == []
    assert await invariants.unsettled(source) == []


@pytest.mark.parametrize("restarted", [False, True])
async def test_the_copy_that_stays_keeps_its_layers_until_it_is_freed(
    pair: tuple[FakeHost, FakeHost],
    restarted: bool,  # noqa: FBT001
) -> None:
    source, target = pair
    await create(source)
    migration = (await source.end_of(await migrate(source, target))).facts["migration"]
    if restarted:
        await source.restart(reboot=True)
        await source.quiet()
    with pytest.raises(FailedPreconditionError) as refused:
        await source.core.use_cases.bases.delete("deb-1", validate_only=False, caller=caller())
    assert refused.value.reason == "BASE_IN_USE"
    assert "jails/web" in refused.value.message
    freed = await ended(source, source.core.use_cases.migrations.finalize(migration, caller=caller()))
    assert reason_of(freed) == ""
    deleted = await source.core.use_cases.bases.delete("deb-1", validate_only=False, caller=caller())
    assert reason_of(await source.end_of(deleted)) == ""


async def test_finalize_frees_the_copy_and_a_move_back_sends_all_again(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    done = await source.end_of(await migrate(source, target))
    migrations = source.core.use_cases.migrations
    finalized = await ended(source, migrations.finalize(done.facts["migration"], caller=caller()))
    assert reason_of(finalized) == ""
    assert await invariants.records(source) == {}
    assert await move(target, source) == ""
    assert serves(source, 1)


async def test_finalize_frees_the_copy_also_after_a_move_back_that_was_aborted(
    pair: tuple[FakeHost, FakeHost],
) -> None:
    source, target = pair
    await create(source)
    first = await source.end_of(await migrate(source, target))
    source.zfs.space = 0
    assert await move(target, source) != ""
    source.zfs.space = None
    assert await state(source) is Ownership.MOVED
    finalized = await ended(
        source, source.core.use_cases.migrations.finalize(first.facts["migration"], caller=caller())
    )
    assert reason_of(finalized) == ""
    assert await invariants.records(source) == {}
    assert serves(target, 1)


async def test_a_jail_that_is_not_healthy_after_its_move_is_the_targets_and_that_is_told(
    pair: tuple[FakeHost, FakeHost],
) -> None:
    source, target = pair
    await create(
        source,
        msgspec.structs.replace(SPEC, health=(ExecCheck(command=("check",)),), readiness=Readiness(deadline=1.0)),
    )
    target.runtime.say("web", 1, status=1)
    assert await move(source, target) == "ACTIVATED_UNHEALTHY"
    assert await invariants.owners(pair, "web") == ["beta"]


async def test_another_jail_of_that_name_on_the_target_refuses(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    await target.add_base("deb-9")
    await create(target, msgspec.structs.replace(SPEC, base="deb-9", app=None, command=("sh",)))
    assert await move(source, target) == "PLAN_REFUSED"
    assert serves(source, 1)
    assert serves(target, 1)


async def test_a_dataset_of_that_name_that_is_nobodys_is_neither_taken_nor_destroyed(
    pair: tuple[FakeHost, FakeHost],
) -> None:
    source, target = pair
    await create(source)
    await target.zfs.create("tank/jaild/jails/web")
    precious = target.folder / "pool/tank/jaild/jails/web/precious"
    precious.write_text("not jaild's")
    await target.zfs.snapshot("tank/jaild/jails/web", "by-hand")
    assert await move(source, target) == "PLAN_REFUSED"
    assert precious.read_text() == "not jaild's"
    assert serves(source, 1)


async def test_a_layer_of_that_name_with_other_content_refuses(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    await target.add_base("deb-1")
    refused = await source.end_of(await migrate(source, target))
    assert refused.failure is not None
    assert [problem.code for problem in refused.failure.problems] == ["LAYER_DIFFERS"]


async def test_a_prepared_jail_never_starts_by_itself(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await create(source)
    await _die_before_commit(source, target)
    await target.restart(reboot=True)
    assert await state(target) is Ownership.PREPARED
    assert invariants.running([target], "web") == []
    with pytest.raises(FailedPreconditionError) as refused:
        await target.core.use_cases.jails.delete("web", force=True, etag="", validate_only=False, caller=caller())
    assert refused.value.reason == "JAIL_INCOMING"
    assert reason_of(await ended(target, target.core.use_cases.jails.start("web", caller=caller()))) == "JAIL_INCOMING"
    await source.restart()
    await source.quiet()
    await target.quiet()
    assert serves(source, 1)
    assert await invariants.records(target) == {}


async def test_a_prepared_jail_is_kept_when_its_source_has_lost_all_memory_of_it(
    pair: tuple[FakeHost, FakeHost],
) -> None:
    source, target = pair
    await create(source)
    await _die_before_commit(source, target)
    await source.stop()
    (source.folder / "jaild.db").unlink()
    await _forget(source)
    await source.start()
    await target.restart()
    asked = await source.core.use_cases.incoming.resolve((await invariants.records(target))["web"].migration)
    assert asked.outcome == "unknown"
    for _ in range(20):
        await target.clock.sleep(1.0)
    assert await state(target) is Ownership.PREPARED


async def _die_before_commit(source: FakeHost, target: FakeHost) -> None:
    original = source.zfs.set

    async def dying(name: str, properties: dict[str, str]) -> None:
        text = properties.get(layout.JAIL_PROPERTY, "")
        if text and msgspec.json.decode(text, type=JailRecord).state is Ownership.MOVED:
            source.life.die()
        await original(name, properties)

    source.zfs.set = dying  # type: ignore[method-assign, assignment]
    await source.end_of(await migrate(source, target))
    source.zfs.set = original  # type: ignore[method-assign]
    assert source.life.dead


async def _forget(host: FakeHost) -> None:
    for snapshot in await host.zfs.snapshots("tank/jaild/jails/web", recursive=True):
        await host.zfs.release("jaild-migration", snapshot.name)
    await host.zfs.destroy("tank/jaild/jails/web", recursive=True)


async def test_how_long_a_jail_was_down_and_how_well_that_was_predicted_is_counted_for_good(
    pair: tuple[FakeHost, FakeHost],
) -> None:
    source, target = pair
    await create(source)
    done = await source.end_of(await migrate(source, target))
    assert done.predicted_downtime is not None
    assert done.downtime is not None
    await source.restart()
    found = source.core.use_cases.migrations.stats()
    assert (found.moved, found.median) == (1, done.downtime)
    assert [sum(bucket.count for bucket in buckets) for buckets in (found.downtimes, found.errors)] == [1, 1]
    view = source.core.use_cases.migrations.get(done.facts["migration"])
    assert (view.predicted, view.downtime) == (done.predicted_downtime, done.downtime)


async def test_a_jail_that_follows_a_channel_moves_on_its_base_and_is_behind_or_not_by_the_targets_channel(
    pair: tuple[FakeHost, FakeHost],
) -> None:
    source, target = pair
    await source.core.use_cases.channels.set("stable", "deb-1", caller=caller())
    await create(source, msgspec.structs.replace(SPEC, base="", channel="stable"))
    planned = await source.core.use_cases.migrations.migrate(
        "web",
        target.name,
        max_downtime=10.0,
        proceed_over_budget=False,
        etag="",
        validate_only=True,
        caller=caller(),
    )
    assert planned.plan is not None
    assert [(found.code, found.severity) for found in planned.plan.problems] == [("CHANNEL_MISSING", "warning")]

    await target.add_base("deb-2")
    await target.core.use_cases.channels.set("stable", "deb-2", caller=caller())
    assert await move(source, target) == ""
    assert serves(target, 1)
    moved = target.core.use_cases.jails.get("web")
    assert moved.generation is not None
    assert (moved.generation.base, moved.behind) == ("deb-1", "deb-2")
