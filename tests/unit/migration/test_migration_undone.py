"""A migration that is given up before its commit point leaves both hosts exactly as they were."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.model.migration.protocol import Acceptance, Offer
from jaild.model.snapshots import Snapshot
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Fault
from tests.hosts.asking import reason_of, serves
from tests.hosts.migrating import migrate, two_hosts
from tests.hosts.picture import layer_holds, picture

PHASES = ["connect", "seed", "precopy", "freeze", "final", "handover"]
BACK = pytest.mark.parametrize("back", [False, True], ids=["first move", "move back"])


async def cancelled_in(source: FakeHost, target: FakeHost, phase: str) -> str:
    """Migrate, cancel as soon as that phase is reached, and return how it ended."""
    operation = await migrate(source, target)
    operations = source.core.use_cases.operations
    async for seen in operations.watch(operation.id):
        if seen.phase == phase and not seen.cancel_requested:
            await operations.cancel(operation.id, caller())
    ended = await source.end_of(operation)
    await source.quiet()
    return reason_of(ended)


@BACK
@pytest.mark.parametrize("plain", [False, True], ids=["tokens and bookmarks", "neither"])
async def test_cancelled_in_any_phase_before_the_commit_point_all_is_as_before(
    quick_path: Path, *, back: bool, plain: bool
) -> None:
    source, target = await two_hosts(quick_path, back=back)
    if plain:
        can_little(source, target)
    (source.core.inventory.jails["web"].folder / "data/var/new").write_text("since the last move")
    before = [await picture(source), await picture(target)]
    for phase in PHASES:
        assert (phase, await cancelled_in(source, target, phase)) == (phase, "OPERATION_CANCELLED")
        assert (phase, [await picture(source), await picture(target)]) == (phase, before)
        assert await layer_holds(source) == []
        assert serves(source, 1)
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert serves(target, 1)
    await source.stop()
    await target.stop()


async def test_a_begin_that_its_own_abort_has_overtaken_begins_nothing(quick_path: Path) -> None:
    source, target = await two_hosts(quick_path, back=False)
    before = await picture(target)
    incoming = target.core.use_cases.incoming
    begin = incoming.begin
    overtaken: list[str] = []

    async def late(offer: Offer, /) -> Acceptance:
        await incoming.abort(offer.migration, source="gamma")  # another one's: bars nothing
        await incoming.abort(offer.migration, source=offer.source_name)
        with pytest.raises(FailedPreconditionError) as caught:
            await begin(offer)
        overtaken.append(caught.value.reason)
        raise caught.value

    incoming.begin = late  # type: ignore[method-assign, assignment]
    assert reason_of(await source.end_of(await migrate(source, target))) == "MIGRATION_PHASE"
    assert overtaken == ["MIGRATION_PHASE"]
    assert await picture(target) == before
    incoming.begin = begin  # type: ignore[method-assign]
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert serves(target, 1)
    await source.stop()
    await target.stop()


async def test_after_the_commit_point_a_cancel_is_refused_and_it_goes_on(quick_path: Path) -> None:
    source, target = await two_hosts(quick_path, back=False)
    operation = await migrate(source, target)
    operations = source.core.use_cases.operations
    refused: list[str] = []
    async for seen in operations.watch(operation.id):
        if seen.phase in {"commit", "activate"}:
            with pytest.raises(FailedPreconditionError) as caught:
                await operations.cancel(operation.id, caller())
            refused.append(caught.value.reason)
    assert set(refused) == {"NOT_CANCELLABLE"}
    assert reason_of(await source.end_of(operation)) == ""
    assert serves(target, 1)
    await source.stop()
    await target.stop()


@BACK
async def test_past_its_deadline_all_is_as_before_and_the_jail_has_served_all_the_time(
    quick_path: Path, *, back: bool
) -> None:
    source, target = await two_hosts(quick_path, back=back)
    before = [await picture(source), await picture(target)]
    source.runtime.calls.clear()
    source.network.at = (f"{source.name}>{target.name} receive data", 0)
    source.network.counting, source.network.fault = True, Fault.CUT_WITHIN
    operation = await migrate(source, target, deadline=600.0)
    began = source.clock.now()
    told = [seen.message async for seen in source.core.use_cases.operations.watch(operation.id)]
    assert reason_of(await source.end_of(operation)) == "MIGRATION_DEADLINE"
    assert source.clock.now() - began <= 600.0
    away = {message for message in told if "has been away since" in message and "the jail serves" in message}
    assert len(away) == 1  # who follows it prints a line when the target goes, not one for each try
    assert [call for call in source.runtime.calls if call[0] in {"stop", "start"}] == []
    source.network.heal()
    await source.quiet()
    assert [await picture(source), await picture(target)] == before
    await source.stop()
    await target.stop()


async def test_what_a_move_back_starts_from_is_kept_although_it_grows_between_two_looks(quick_path: Path) -> None:
    source, target = await two_hosts(quick_path, back=False)
    can_little(source, target)
    for host in (source, target):
        growing(host)
    for here, there in ((source, target), (target, source)):
        assert reason_of(await here.end_of(await migrate(here, there))) == ""
        left = [await host.zfs.snapshots("tank/jaild/jails/web", recursive=True) for host in (here, there)]
        kept = [[(snapshot.name, snapshot.guid) for snapshot in each] for each in left]
        assert set(kept[1]) < set(kept[0])  # the last two of each dataset, of which the last one came
        assert (len(kept[0]), len(kept[1])) == (4, 2)
    await source.stop()
    await target.stop()


async def test_a_part_that_somebody_wrote_to_since_it_came_is_not_started(quick_path: Path) -> None:
    source, target = await two_hosts(quick_path, back=False)
    prepare = target.core.use_cases.incoming.prepare

    async def written_before(migration: str, epoch: int, guids: dict[str, int]) -> None:
        (target.zfs.pool.fs("tank/jaild/jails/web/data").live / "theirs").write_text("not the jail's")
        await prepare(migration, epoch, guids)

    target.core.use_cases.incoming.prepare = written_before  # type: ignore[method-assign]
    assert reason_of(await source.end_of(await migrate(source, target))) == "DATASET_MODIFIED"
    assert serves(source, 1)
    await source.stop()
    await target.stop()


def growing(host: FakeHost) -> None:
    """Let each snapshot hold more alone whenever it is looked at, as it does while a jail overwrites what is in it."""
    look, looks = host.zfs.snapshots, itertools.count()

    async def snapshots(dataset: str, *, recursive: bool = False) -> list[Snapshot]:
        size = next(looks)
        return [dataclasses.replace(found, used=size) for found in await look(dataset, recursive=recursive)]

    host.zfs.snapshots = snapshots  # type: ignore[method-assign]


def can_little(*hosts: FakeHost) -> None:
    """Let hosts have a ZFS that can do what zfs-fuse can."""
    for host in hosts:
        host.zfs.can = dataclasses.replace(
            host.zfs.can, resumable_receive=False, bookmarks=False, written=False, set_many=False
        )


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_target_that_has_lost_its_memory_in_the_middle_is_told_again_and_can_undo_it(
    quick_path: Path, *, cancelled: bool
) -> None:
    source, target = await two_hosts(quick_path, back=False)
    before = await picture(target)
    operation = await migrate(source, target)
    operations = source.core.use_cases.operations
    async for seen in operations.watch(operation.id):
        if seen.phase == "precopy":
            break
    await target.kill()
    (target.folder / "jaild.db").unlink()
    await target.start()
    async for seen in operations.watch(operation.id):
        if cancelled and seen.phase == "freeze" and not seen.cancel_requested:
            await operations.cancel(operation.id, caller())
    assert reason_of(await source.end_of(operation)) == ("OPERATION_CANCELLED" if cancelled else "")
    await source.quiet()
    assert serves(source if cancelled else target, 1)
    if cancelled:
        assert await picture(target) == before
    await source.stop()
    await target.stop()
