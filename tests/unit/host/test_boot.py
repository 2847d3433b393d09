"""What a daemon makes of what it finds when it starts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError, InternalError
from jaild.model.jails.spec import Boot
from jaild.model.views import JailState
from jaild.ports.runtime import Run
from tests.fakes.host import ROOT, FakeHost, caller
from tests.hosts import invariants
from tests.hosts.asking import SPEC, create, deploy, ended, reason_of, serves, touched


async def test_a_restarted_daemon_adopts_what_runs_and_does_not_touch_it(host: FakeHost) -> None:
    await create(host)
    pid = host.runtime.by_name["web.1"].pid
    touched(host)
    await host.restart()
    await host.quiet()
    assert serves(host, 1)
    assert host.runtime.by_name["web.1"].pid == pid
    assert [call for call in touched(host) if call[1] == "web.1"] == []


async def test_an_adopted_jail_is_watched_again(host: FakeHost) -> None:
    await create(host)
    await host.restart()
    await host.quiet()
    host.runtime.end("web", 1, status=7)
    watching = host.core.use_cases.events.watch(0, "jails/web", True)
    async for event in watching:
        if event.kind == "jail.exited":
            break
    assert host.core.use_cases.jails.get("web").state is JailState.FAILED
    assert host.core.use_cases.jails.get("web").exit_status == 7


async def test_a_jail_that_was_stopped_stays_stopped_after_a_reboot(host: FakeHost) -> None:
    await create(host)
    assert reason_of(await ended(host, host.core.use_cases.jails.stop("web", caller=caller()))) == ""
    await host.restart(reboot=True)
    await host.quiet()
    assert host.core.use_cases.jails.get("web").state is JailState.STOPPED
    assert invariants.running([host], "web") == []


async def test_after_a_reboot_jails_start_in_their_order(host: FakeHost) -> None:
    for name, order in (("late", 200), ("early", 1), ("middle", 100)):
        await create(host, msgspec.structs.replace(SPEC, boot=Boot(order=order)), name=name)
    await create(host, msgspec.structs.replace(SPEC, boot=Boot(autostart=False)), name="never")
    host.runtime.calls.clear()
    await host.restart(reboot=True)
    await host.quiet()
    assert [name for call, name in host.runtime.calls if call == "start"] == ["early.1", "middle.1", "late.1"]


async def test_a_jail_that_ended_while_the_daemon_was_away_is_started_again(host: FakeHost) -> None:
    await create(host)
    await host.stop()
    host.runtime.end("web", 1)
    await host.restart()
    await host.quiet()
    assert serves(host, 1)


async def test_a_run_of_another_generation_than_the_active_one_is_stopped(host: FakeHost) -> None:
    await create(host)
    await deploy(host, "web/2")
    old = host.runtime.by_name["web.2"]
    await host.stop()
    await host.runtime.stop("web", 2)
    await host.runtime.create(replace(old.spec, generation=1))
    await host.runtime.start("web", 1)
    await host.restart()
    await host.quiet()
    assert serves(host, 2)
    assert list(host.runtime.by_name) == ["web.2"]


async def test_a_damaged_record_is_shown_and_left_alone_and_stops_nothing_else(host: FakeHost) -> None:
    await create(host)
    await create(host, name="other")
    await host.zfs.set("tank/jaild/jails/web", {"jaild:jail": "{half a rec"})
    touched(host)
    await host.restart()
    await host.quiet()
    assert host.core.use_cases.jails.get("web").state is JailState.DAMAGED
    assert "cannot be read" in host.core.use_cases.jails.get("web").message
    assert [call for call in touched(host) if "web" in call[1]] == []
    assert invariants.running([host], "web") == ["alpha:web.1"]
    assert serves(host, 1, "other")
    with pytest.raises(FailedPreconditionError) as refused:
        await host.core.use_cases.jails.delete("web", force=True, etag="", validate_only=False, caller=caller())
    assert refused.value.reason == "JAIL_DAMAGED"


async def test_a_damaged_layer_is_told_and_left_alone_and_stops_nothing_else(host: FakeHost) -> None:
    await create(host)
    await host.zfs.set("tank/jaild/bases/deb-2", {"jaild:base": "{half a rec"})
    await host.restart()
    await host.quiet()
    assert serves(host, 1)
    assert [base.record.name for base in host.core.use_cases.bases.list()] == ["deb-1"]
    assert "tank/jaild/bases/deb-2" in [dataset.name for dataset in await host.zfs.datasets("tank/jaild")]
    assert any("tank/jaild/bases/deb-2" in repair for repair in host.core.recovery.repairs)


async def test_a_jail_that_cannot_be_mounted_is_told_and_stops_nothing_else(host: FakeHost) -> None:
    await create(host)
    await create(host, name="other")
    host.zfs.refuse["mount tank/jaild/jails/web"] = FailedPreconditionError("DATASET_BUSY", "something is in the way")
    await host.stop()
    host.runtime.by_name.clear()
    await host.zfs.unmount("tank/jaild/jails/web")
    await host.restart()
    await host.quiet()
    assert serves(host, 1, "other")
    assert host.core.use_cases.jails.get("web").state is JailState.FAILED
    assert "not mounted" in host.core.use_cases.jails.get("web").message
    assert any("something is in the way" in repair for repair in host.core.recovery.repairs)


async def test_a_dataset_without_a_record_is_told_and_left_alone(host: FakeHost) -> None:
    await host.zfs.create("tank/jaild/jails/strange")
    await host.restart()
    await host.quiet()
    assert "tank/jaild/jails/strange" in [dataset.name for dataset in await host.zfs.datasets("tank/jaild")]
    assert any("tank/jaild/jails/strange" in repair for repair in host.core.recovery.repairs)


async def test_a_layer_whose_import_was_cut_short_is_destroyed(host: FakeHost) -> None:
    await host.zfs.create("tank/jaild/bases/half")
    await host.restart()
    await host.quiet()
    assert "tank/jaild/bases/half" not in [dataset.name for dataset in await host.zfs.datasets("tank/jaild")]


async def test_what_was_under_way_when_the_daemon_died_is_told_as_ended(host: FakeHost) -> None:
    await create(host)
    asked = await host.core.use_cases.jails.deploy("web", "web/2", etag="", validate_only=False, caller=caller())
    await host.restart()
    await host.quiet()
    told = host.core.use_cases.operations.get(asked.id)
    assert told.done
    assert reason_of(told) == "DAEMON_STOPPED"
    assert await invariants.unsettled(host) == []


async def test_of_an_interrupted_change_no_safety_snapshot_stays_beyond_those_that_are_kept(host: FakeHost) -> None:
    await create(host)
    for release in ("web/2", "web/1", "web/2"):
        await deploy(host, release)
    await host.zfs.snapshot(f"{ROOT}/jails/web", "before-5", recursive=True, purpose="safety")  # as before it cuts over
    await host.core.use_cases.jails.deploy("web", "web/1", etag="", validate_only=False, caller=caller())
    await host.restart()
    await host.quiet()
    found = {snapshot.tag for snapshot in await host.zfs.snapshots(f"{ROOT}/jails/web", recursive=True)}
    assert found == {"before-3", "before-4", "before-5"}


async def test_a_program_that_does_not_end_is_shown_for_as_long_as_that_is_so(host: FakeHost) -> None:
    assert (await host.core.host.view()).warnings == ()
    host.unended = ("zfs receive does not end",)
    assert (await host.core.host.view()).warnings == ("zfs receive does not end",)


async def test_a_jail_has_not_failed_while_its_start_is_under_way_or_its_turn_is_still_to_come(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, order in (("early", 1), ("late", 2), ("broken", 3)):
        await create(host, msgspec.structs.replace(SPEC, boot=Boot(order=order)), name=name)
    begun, may_go_on, start = asyncio.Event(), asyncio.Event(), host.runtime.start

    async def slow(jail: str, generation: int) -> Run:
        begun.set()
        await may_go_on.wait()
        return await start(jail, generation)

    monkeypatch.setattr(host.runtime, "start", slow)
    await host.restart(reboot=True)
    get = host.core.use_cases.jails.get
    names = ("early", "late", "broken")
    assert [get(name).state for name in names] == [JailState.STARTING] * 3  # as soon as somebody is answered
    await begun.wait()
    assert [get(name).state for name in names] == [JailState.STARTING] * 3
    host.runtime.refuse["start:broken.1"] = InternalError("COMMAND_FAILED", "no")
    may_go_on.set()
    await host.quiet()
    assert [get(name).state for name in names] == [JailState.RUNNING, JailState.RUNNING, JailState.FAILED]


async def test_a_jail_has_not_failed_while_a_change_switches_it_over(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host)
    start, seen = host.runtime.start, []

    async def looked_at(jail: str, generation: int) -> Run:
        seen.append(host.core.use_cases.jails.get("web").state)
        return await start(jail, generation)

    monkeypatch.setattr(host.runtime, "start", looked_at)
    await deploy(host, "web/2")
    assert seen == [JailState.STARTING]
