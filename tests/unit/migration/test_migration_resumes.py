"""A migration whose link is cut, or one of whose daemons is started again, goes on from where it was."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError, UnavailableError
from jaild.model.jails.spec import Restart
from jaild.model.migration.protocol import Acceptance, Offer, Received, ReceiveHeader
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Fault
from tests.hosts import invariants
from tests.hosts.asking import configure, ended, reason_of, serves
from tests.hosts.cutting import cut_after, healed, seen_held, serves_now, tokens_used
from tests.hosts.migrating import SPEC, migrate, two_hosts
from tests.hosts.picture import layer_holds
from tests.unit.migration.test_migration_undone import can_little

BIG = 2 << 20
A_DAY = 86_400.0
DATA = "tank/jaild/jails/web/data"


@pytest.fixture
async def hosts(quick_path: Path) -> AsyncIterator[tuple[FakeHost, FakeHost]]:
    """A host with a jail of some size, and an empty one."""
    source, target = await two_hosts(quick_path, back=False)
    (source.core.inventory.jails["web"].folder / "data/var/big").write_bytes(os.urandom(BIG))
    yield source, target
    await source.stop()
    await target.stop()


async def test_a_stream_that_was_cut_is_gone_on_with_from_its_token(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    tokens = tokens_used(source)
    cut_after(source, target, BIG // 2)
    end = await healed(source, await migrate(source, target))
    assert reason_of(end) == ""
    assert len(tokens) == 1
    assert BIG < end.bytes_done < BIG * 3 // 2
    assert serves(target, 1)
    assert (target.core.inventory.jails["web"].folder / "data/var/big").stat().st_size == BIG
    properties = target.zfs.pool.fs(DATA).properties
    assert properties["canmount"] == "noauto"


async def test_without_tokens_a_stream_that_was_cut_begins_from_the_last_common_snapshot(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    can_little(source, target)
    source.network.at = ("alpha>beta receive data", 1)  # the seed has arrived by then
    source.network.counting, source.network.fault = True, Fault.CUT_WITHIN
    end = await healed(source, await migrate(source, target))
    assert reason_of(end) == ""
    assert BIG < end.bytes_done < BIG * 3 // 2
    assert serves(target, 1)


async def test_a_layer_that_was_cut_is_gone_on_with_from_its_token(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    tokens = tokens_used(source)
    cut_after(source, target, 1, "bases/deb-1")
    held = asyncio.create_task(seen_held(source))
    end = await healed(source, await migrate(source, target))
    assert reason_of(end) == ""
    assert len(tokens) == 1
    assert await held
    assert await layer_holds(source) == []
    assert serves(target, 1)


async def test_a_token_that_brings_nothing_is_given_up_and_the_stream_sent_anew(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    cut_after(source, target, BIG // 2)
    original = target.zfs.receive
    resumed = 0

    async def stuck(name: str, chunks: AsyncIterator[bytes], **named: object) -> None:
        nonlocal resumed
        if await target.zfs.resume_token(name) is not None:
            resumed += 1
            raise UnavailableError("PEER_TIMEOUT", "no byte of it comes through", hint="none")
        await original(name, chunks, **named)  # type: ignore[arg-type]

    target.zfs.receive = stuck  # type: ignore[method-assign, assignment]
    end = await healed(source, await migrate(source, target))
    assert reason_of(end) == ""
    assert resumed == 3
    assert serves(target, 1)


async def test_a_token_of_a_snapshot_that_is_gone_is_thrown_away_and_the_stream_sent_anew(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    cut_after(source, target, BIG // 2)
    operation = await migrate(source, target)
    end = asyncio.create_task(source.end_of(operation))
    await source.network.cut.wait()
    for snapshot in await source.zfs.snapshots("tank/jaild/jails/web", recursive=True):
        if snapshot.tag.startswith("mig-"):
            await source.zfs.release("jaild-migration", snapshot.name)
            await source.zfs.destroy(snapshot.name)
    source.network.heal()
    assert (await end).done
    await source.quiet()
    assert await invariants.unserved(hosts, "web") == []
    assert len(await invariants.owners(hosts, "web")) == 1


@pytest.mark.parametrize("orderly", [True, False], ids=["stopped", "killed"])
@pytest.mark.parametrize("phase", ["seed", "precopy"])
async def test_a_source_that_is_started_again_goes_on_with_the_same_operation(
    hosts: tuple[FakeHost, FakeHost], phase: str, *, orderly: bool
) -> None:
    source, target = hosts
    operation = await migrate(source, target)
    source.runtime.calls.clear()
    async for seen in source.core.use_cases.operations.watch(operation.id):
        if seen.phase == phase:
            break
    if orderly:
        await source.stop()
        await source.start()
    else:
        await source.restart()
    found = source.core.use_cases.operations.get(operation.id)
    assert not found.done
    end = await source.end_of(found)
    assert reason_of(end) == ""
    assert [call[0] for call in source.runtime.calls if call[0] in {"start", "stop"}] == ["stop"]  # the freeze alone
    await target.quiet()
    assert serves(target, 1)
    assert await invariants.unsettled(source) == []
    assert await invariants.unsettled(target) == []


async def test_a_source_whose_host_was_rebooted_starts_the_jail_before_it_goes_on(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    operation = await migrate(source, target)
    async for seen in source.core.use_cases.operations.watch(operation.id):
        if seen.phase == "seed":
            break
    source.runtime.calls.clear()
    await source.restart(reboot=True)
    assert reason_of(await source.end_of(source.core.use_cases.operations.get(operation.id))) == ""
    assert [call[0] for call in source.runtime.calls if call[0] in {"start", "stop"}][-2:] == ["start", "stop"]
    assert serves(target, 1)


async def test_a_jail_is_not_stopped_for_a_target_that_is_being_shut_down_but_when_it_has_booted(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    operation = await migrate(source, target)
    shut_down = False
    async for seen in source.core.use_cases.operations.watch(operation.id):
        if seen.phase == "seed" and not shut_down:
            stop = target.core.use_cases.boot.stop(deadline=60.0, validate_only=False, caller=caller())
            shut_down = reason_of(await ended(target, stop)) == ""
        elif "HOST_SHUT_DOWN" in seen.message:
            assert "the jail serves" in seen.message
            break
    assert serves(source, 1)
    await target.restart(reboot=True)
    assert reason_of(await source.end_of(source.core.use_cases.operations.get(operation.id))) == ""
    assert serves(target, 1)


async def test_a_source_whose_wait_for_its_jail_has_failed_waits_again_and_goes_on(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    operation = await migrate(source, target, deadline=A_DAY)
    async for seen in source.core.use_cases.operations.watch(operation.id):
        if seen.phase == "seed":
            break
    sleep, waits = source.clock.sleep, 0

    async def fails_once(seconds: float) -> None:
        nonlocal waits
        if seconds < A_DAY / 2:
            await sleep(seconds)
            return
        waits += 1
        if waits == 1:
            raise UnavailableError("CLOCK_STOPPED", "it does not tell the time")
        await asyncio.Event().wait()

    source.clock.sleep = fails_once  # type: ignore[method-assign]
    await source.restart(reboot=True)
    await source.quiet()
    assert reason_of(await source.end_of(source.core.use_cases.operations.get(operation.id))) == ""
    assert waits == 2
    assert serves(target, 1)


async def test_a_jail_that_was_stopped_for_its_move_is_started_again_whatever_its_restart_policy_says(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    assert reason_of(await configure(source, msgspec.structs.replace(SPEC, restart=Restart(policy="on-failure")))) == ""
    source.network.at, source.network.fault = ("alpha>beta prepare", 0), Fault.CALLER_DIES
    source.network.counting = True
    await source.end_of(await migrate(source, target))
    assert source.life.dead
    await source.restart()
    await source.quiet()
    assert serves(source, 2)


async def test_a_source_that_is_started_again_after_the_commit_point_ends_the_same_operation(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    source.network.at, source.network.fault = ("alpha>beta activate", 0), Fault.CALLER_DIES
    source.network.counting = True
    operation = await migrate(source, target)
    await source.end_of(operation)
    assert source.life.dead
    await source.restart()
    end = await source.end_of(source.core.use_cases.operations.get(operation.id))
    assert reason_of(end) == ""
    assert end.facts["migration"] in end.result
    assert serves(target, 1)
    assert await invariants.unsettled(source) == []


async def test_a_cancel_that_a_source_was_asked_for_before_it_died_is_carried_out_by_its_successor(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    operation = await migrate(source, target)
    async for seen in source.core.use_cases.operations.watch(operation.id):
        if seen.phase == "seed":
            break
    asked = msgspec.structs.replace(source.core.use_cases.operations.get(operation.id), cancel_requested=True)
    assert source.store is not None
    await source.store.put_operation(asked)
    await source.restart()
    end = await source.end_of(source.core.use_cases.operations.get(operation.id))
    assert reason_of(end) == "OPERATION_CANCELLED"
    await source.quiet()
    assert serves(source, 1)
    assert await invariants.records(target) == {}


async def test_a_target_that_is_started_again_in_mid_stream_goes_on_receiving(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    tokens = tokens_used(source)
    cut_after(source, target, BIG // 2)
    operation = await migrate(source, target)
    end = asyncio.create_task(source.end_of(operation))
    await source.network.cut.wait()
    await target.restart()
    source.network.heal()
    assert reason_of(await end) == ""
    assert len(tokens) == 1
    assert serves(target, 1)


# -- while the jail is down


async def test_a_link_that_dies_after_the_freeze_has_the_jail_started_again_and_the_migration_go_on(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    operation = await migrate(source, target)
    async for seen in source.core.use_cases.operations.watch(operation.id):
        if seen.phase == "final" and not source.network.down:
            source.network.sever()
        if source.network.down and seen.phase != "final" and serves_now(source):
            break
        if source.network.down and "the jail serves" in seen.message:
            break
    assert serves_now(source)
    (source.core.inventory.jails["web"].folder / "data/var/after").write_text("written after the thaw")
    source.network.heal()
    end = await source.end_of(operation)
    assert reason_of(end) == ""
    assert end.facts["thaws"] == "1"
    assert serves(target, 1)
    assert (target.core.inventory.jails["web"].folder / "data/var/after").read_text() == "written after the thaw"


async def test_a_jail_is_not_down_for_longer_than_its_budget_bears(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    operation = await migrate(source, target)  # 10 s are allowed
    frozen = thawed = 0.0
    async for seen in source.core.use_cases.operations.watch(operation.id):
        if seen.phase == "final" and not source.network.down:
            source.network.sever()
            frozen = source.clock.now()
        if source.network.down and "the jail serves" in seen.message:
            thawed = source.clock.now()
            break
    assert 10.0 < thawed - frozen < 40.0
    await source.core.use_cases.operations.cancel(operation.id, caller())
    assert reason_of(await source.end_of(operation)) == "OPERATION_CANCELLED"
    source.network.heal()
    await source.quiet()
    assert serves(source, 1)
    assert await invariants.records(target) == {}


async def test_a_last_part_that_never_gets_through_ends_the_migration_with_the_jail_serving(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    operation = await migrate(source, target)
    async for seen in source.core.use_cases.operations.watch(operation.id):
        if seen.phase in {"final", "handover"}:
            source.network.sever()
        elif source.network.down:
            source.network.heal()
    end = await source.end_of(operation)
    assert reason_of(end) == "HANDOVER_TIMED_OUT"
    source.network.heal()
    await source.quiet()
    assert serves(source, 1)
    assert await invariants.records(target) == {}


# -- the order of messages


async def test_a_begin_that_comes_again_when_the_target_is_prepared_does_not_take_that_back(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    incoming = target.core.use_cases.incoming
    begin, prepare = incoming.begin, incoming.prepare
    offers: list[Offer] = []
    refused: list[str] = []

    async def remembered(offer: Offer, /) -> Acceptance:
        offers.append(offer)
        return await begin(offer)

    async def prepared(migration: str, epoch: int, guids: dict[str, int], /) -> None:
        await prepare(migration, epoch, guids)
        for late in offers:
            with pytest.raises(FailedPreconditionError) as caught:
                await begin(late)
            refused.append(caught.value.reason)

    incoming.begin, incoming.prepare = remembered, prepared  # type: ignore[method-assign, assignment]
    cut_after(source, target, BIG // 2)
    assert reason_of(await healed(source, await migrate(source, target))) == ""
    assert [offer.attempt for offer in offers] == [1, 2]
    assert refused == ["MIGRATION_ATTEMPT", "MIGRATION_ATTEMPT"]
    assert serves(target, 1)


async def test_a_stream_of_an_earlier_attempt_is_not_received(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    incoming = target.core.use_cases.incoming
    receive = incoming.receive
    refused: list[str] = []

    async def nobody() -> AsyncIterator[bytes]:
        refused.append("it was read")
        yield b""

    async def received(header: ReceiveHeader, chunks: AsyncIterator[bytes], /) -> Received:
        if header.attempt > 1 and not refused:
            late = msgspec.structs.replace(header, attempt=header.attempt - 1)
            with pytest.raises(FailedPreconditionError) as caught:
                await receive(late, nobody())
            refused.append(caught.value.reason)
        return await receive(header, chunks)

    incoming.receive = received  # type: ignore[method-assign, assignment]
    cut_after(source, target, BIG // 2)
    assert reason_of(await healed(source, await migrate(source, target))) == ""
    assert refused == ["MIGRATION_ATTEMPT"]


# -- what stays


async def test_the_jail_keeps_a_bookmark_for_the_way_back_and_no_snapshot(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert [s.tag for s in await target.zfs.snapshots(DATA)] == []
    [mark] = await target.zfs.bookmarks(DATA)
    kept, last = await source.zfs.snapshots(DATA)  # nothing was written between them: the last one was not sent
    assert (mark.guid, await source.zfs.holds(kept.name)) == (kept.guid, frozenset({"jaild-migration"}))
    assert [mark.tag for mark in await target.zfs.bookmarks("tank/jaild/jails/web")] == [last.tag]
    assert await source.zfs.bookmarks(DATA) == []
    back = await target.end_of(await migrate(target, source))
    assert reason_of(back) == ""
    assert back.bytes_done < BIG // 2
    assert serves(source, 1)


async def test_a_layer_of_a_jail_that_is_coming_cannot_be_deleted(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    operation = await migrate(source, target)
    async for seen in source.core.use_cases.operations.watch(operation.id):
        if seen.phase == "precopy":
            break
    with pytest.raises(FailedPreconditionError) as refused:
        await target.core.use_cases.bases.delete("deb-1", validate_only=False, caller=caller())
    assert refused.value.reason == "BASE_IN_USE"
    assert reason_of(await source.end_of(operation)) == ""


@pytest.mark.parametrize("what", ["bases/deb-1", ""])
async def test_a_target_whose_host_is_rebooted_in_mid_stream_keeps_what_came_and_mounts_none_of_it(
    hosts: tuple[FakeHost, FakeHost], what: str
) -> None:
    source, target = hosts
    tokens = tokens_used(source)
    cut_after(source, target, 1, what)
    operation = await migrate(source, target)
    end = asyncio.create_task(source.end_of(operation))
    await source.network.cut.wait()
    await target.restart(reboot=True)
    partial = f"tank/jaild/{what or 'jails/web'}"
    assert await target.zfs.resume_token(partial) is not None
    assert not (await target.zfs.dataset(partial)).mounted
    assert target.core.recovery.repairs == []
    source.network.heal()
    assert reason_of(await end) == ""
    assert len(tokens) == 1
    assert serves(target, 1)
