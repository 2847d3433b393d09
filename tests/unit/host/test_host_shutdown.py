"""The jails of a host are stopped for its shutdown and come back with its next boot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError, InternalError
from jaild.model.jails.spec import Boot, Stop
from jaild.model.layers.records import Desired
from jaild.model.operation import Operation
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network
from tests.hosts import invariants
from tests.hosts.asking import SPEC, create, deploy, ended, reason_of, serves
from tests.hosts.fixtures import furnished


async def shut_down(host: FakeHost, deadline: float = 60.0) -> Operation:
    return await ended(host, host.core.use_cases.boot.stop(deadline=deadline, validate_only=False, caller=caller()))


async def start_all(host: FakeHost) -> Operation:
    return await ended(host, host.core.use_cases.boot.start(validate_only=False, caller=caller()))


async def three(host: FakeHost) -> None:
    for name, order in (("late", 200), ("early", 1), ("middle", 100)):
        await create(host, msgspec.structs.replace(SPEC, boot=Boot(order=order)), name=name)
    host.runtime.calls.clear()


def calls(host: FakeHost, kind: str) -> list[str]:
    return [name for call, name in host.runtime.calls if call == kind]


async def test_jails_stop_in_reverse_boot_order_and_each_order_has_ended_before_the_next_is_asked(
    host: FakeHost,
) -> None:
    await three(host)
    assert reason_of(await shut_down(host)) == ""
    told = [(call, name) for call, name in host.runtime.calls if call in {"stop", "remove"}]
    assert told == [(call, f"{jail}.1") for jail in ("late", "middle", "early") for call in ("stop", "remove")]


async def test_what_a_jail_should_be_is_not_changed_by_the_hosts_shutdown(host: FakeHost) -> None:
    await create(host)
    await shut_down(host)
    view = host.core.use_cases.jails.get("web")
    assert view.record is not None
    assert (view.record.desired, view.state) == (Desired.RUNNING, JailState.STOPPED)
    assert view.message == "stopped for the host's shutdown"
    assert (await host.core.use_cases.host.view()).shut_down


async def test_the_next_boot_of_the_host_starts_them_again(host: FakeHost) -> None:
    await create(host)
    await create(host, name="idle", stopped=True)
    await shut_down(host)
    await host.restart(reboot=True)
    await host.quiet()
    assert serves(host, 1)
    assert invariants.running([host], "idle") == []


async def test_a_daemon_that_is_restarted_before_the_host_goes_down_leaves_them_stopped(host: FakeHost) -> None:
    await create(host)
    await shut_down(host)
    await host.restart()
    await host.quiet()
    assert invariants.running([host], "web") == []
    assert host.core.use_cases.jails.get("web").state is JailState.STOPPED
    assert reason_of(await start_all(host)) == ""
    assert serves(host, 1)


async def test_a_host_that_cannot_tell_its_boots_apart_starts_its_jails(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing() -> str:
        return ""

    monkeypatch.setattr(host, "read", nothing)
    await create(host)
    await shut_down(host)
    await host.restart()
    await host.quiet()
    assert serves(host, 1)


async def test_nothing_is_changed_on_a_host_that_goes_down_until_its_jails_are_started(host: FakeHost) -> None:
    await create(host)
    await shut_down(host)
    for refused in (
        host.core.use_cases.jails.start("web", caller=caller()),
        host.core.use_cases.jails.deploy("web", "web/2", etag="", validate_only=False, caller=caller()),
        host.core.use_cases.bases.delete("deb-2", validate_only=False, caller=caller()),
    ):
        with pytest.raises(FailedPreconditionError) as caught:
            await refused
        assert caught.value.reason == "HOST_SHUT_DOWN"
    assert reason_of(await start_all(host)) == ""
    assert reason_of(await deploy(host, "web/2")) == ""


async def test_a_host_that_goes_down_takes_no_jail_from_another(tmp_path: Path) -> None:
    network = Network()
    alpha, beta = (FakeHost(tmp_path / name, name, network) for name in ("alpha", "beta"))
    await furnished(alpha)
    await beta.start()
    await create(alpha)
    await shut_down(beta)
    moved = await ended(
        alpha,
        alpha.core.use_cases.migrations.migrate(
            "web",
            "beta",
            max_downtime=5.0,
            proceed_over_budget=True,
            etag="",
            validate_only=False,
            caller=caller(),
        ),
    )
    assert moved.failure is not None
    assert [problem.code for problem in moved.failure.problems] == ["HOST_SHUT_DOWN"]
    assert serves(alpha, 1)
    for each in (alpha, beta):
        await each.stop()


async def test_at_the_deadline_all_were_asked_and_who_runs_still_is_told(host: FakeHost) -> None:
    await three(host)
    going_on = asyncio.Event()
    stop = host.runtime.stop

    async def slow(jail: str, generation: int) -> float:
        if jail == "late":
            await going_on.wait()
        return await stop(jail, generation)

    host.runtime.stop = slow  # type: ignore[method-assign]
    told = await shut_down(host, deadline=0.2)
    assert reason_of(told) == "JAILS_STILL_RUNNING"
    assert told.failure is not None
    assert told.failure.detail == {"late": "not done yet"}
    assert calls(host, "stop") == ["middle.1", "early.1"]
    going_on.set()
    for pending in host.core.dispatcher.pending("jails/late"):
        await host.core.use_cases.operations.wait(pending.id, None)
    assert invariants.running([host], "late") == []


async def test_a_jail_that_cannot_be_stopped_keeps_no_other_from_it(host: FakeHost) -> None:
    await three(host)
    host.runtime.refuse["stop:late.1"] = InternalError("COMMAND_FAILED", "it will not")
    told = await shut_down(host)
    assert reason_of(told) == "JAILS_STILL_RUNNING"
    assert told.failure is not None
    assert list(told.failure.detail) == ["late"]
    assert "it will not" in told.failure.detail["late"]
    assert calls(host, "remove") == ["middle.1", "early.1"]


async def test_a_change_under_way_is_interrupted_and_what_waits_behind_it_is_not_begun(host: FakeHost) -> None:
    await create(host, msgspec.structs.replace(SPEC, stop=Stop(timeout=1.0)))
    staging = asyncio.Event()

    async def hangs(_run: object) -> None:
        staging.set()
        await asyncio.Event().wait()

    host.runtime.create = hangs  # type: ignore[assignment, method-assign]
    jails = host.core.use_cases.jails
    first = await jails.deploy("web", "web/2", etag="", validate_only=False, caller=caller())
    second = await jails.restart("web", caller=caller())
    await staging.wait()
    assert reason_of(await shut_down(host)) == ""
    for asked in (first, second):
        assert reason_of(host.core.use_cases.operations.get(asked.id)) == "HOST_SHUT_DOWN"
    assert invariants.running([host], "web") == []
    view = jails.get("web")
    assert view.record is not None
    assert view.record.generation == 1


async def test_starting_all_starts_only_what_should_run_and_tells_what_did_not(host: FakeHost) -> None:
    await three(host)
    await create(host, name="idle", stopped=True)
    await shut_down(host)
    host.runtime.calls.clear()
    host.runtime.refuse["start:middle.1"] = InternalError("COMMAND_FAILED", "no such program")
    told = await start_all(host)
    assert reason_of(told) == "JAILS_NOT_STARTED"
    assert told.failure is not None
    assert list(told.failure.detail) == ["middle"]
    assert calls(host, "start") == ["early.1", "middle.1", "late.1"]


async def test_a_plan_of_either_touches_nothing_and_tells_the_order(host: FakeHost) -> None:
    await three(host)
    boot = host.core.use_cases.boot
    planned = await boot.stop(deadline=60.0, validate_only=True, caller=caller())
    assert planned.plan is not None
    assert planned.plan.steps == ("stop late (order 200)", "stop middle (order 100)", "stop early (order 1)")
    assert host.runtime.calls == []
    await shut_down(host)
    planned = await boot.start(validate_only=True, caller=caller())
    assert planned.plan is not None
    assert planned.plan.steps == ("start early (order 1)", "start middle (order 100)", "start late (order 200)")
    with pytest.raises(FailedPreconditionError):
        await deploy(host, "web/2", name="late")


async def test_a_repeated_request_is_the_same_shutdown(host: FakeHost) -> None:
    boot = host.core.use_cases.boot
    first, second = [await boot.stop(deadline=9.0, validate_only=False, caller=caller("r-1")) for _ in range(2)]
    assert first.id == second.id
