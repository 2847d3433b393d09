"""How many jails start at once at boot; one that takes long to become healthy keeps no other down."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from jaild.model.jails.spec import Boot
from jaild.model.problems import Severity
from jaild.model.views import JailState
from jaild.ports.runtime import Run
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import SPEC, create
from tests.hosts.standbys import happened
from tests.unit.migration.test_activation import CHECKED, Hanging


async def test_a_boot_goes_on_when_the_jails_of_one_order_are_not_healthy_in_the_operators_time(host: FakeHost) -> None:
    await create(host, msgspec.structs.replace(CHECKED, boot=Boot(order=1)), name="slow")
    await create(host, msgspec.structs.replace(CHECKED, health=(), boot=Boot(order=2)))
    host.probe = hanging = Hanging()
    host.boot_patience = 0.2
    await host.restart(reboot=True)
    await hanging.asked.wait()
    assert "not healthy after 0.2 s" in await happened(host, "jail.slow")
    await happened(host, "jail.started")
    assert host.core.use_cases.jails.get("web").state is JailState.RUNNING
    await host.core.dispatcher.stop(0.1)


async def test_no_more_jails_than_the_operator_says_are_started_at_once_and_in_boot_order(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, order in (("d", 2), ("a", 1), ("c", 1), ("b", 1)):
        await create(host, msgspec.structs.replace(SPEC, boot=Boot(order=order)), name=name)
    host.starts_at_once = 2
    start, under_way, most = host.runtime.start, 0, list[int]()

    async def counted(jail: str, generation: int) -> Run:
        nonlocal under_way
        under_way += 1
        most.append(under_way)
        await asyncio.sleep(0.01)  # the others have their chance
        under_way -= 1
        return await start(jail, generation)

    monkeypatch.setattr(host.runtime, "start", counted)
    host.runtime.calls.clear()
    await host.restart(reboot=True)
    await host.quiet()
    assert max(most) == 2
    assert [name for call, name in host.runtime.calls if call == "start"] == ["a.1", "b.1", "c.1", "d.1"]


async def test_a_jail_starts_after_those_that_it_names_and_stops_before_them(host: FakeHost) -> None:
    for name, boot in (("a", Boot(order=1, after=("b",))), ("b", Boot(order=1, after=("c",))), ("c", Boot(order=2))):
        await create(host, msgspec.structs.replace(SPEC, boot=boot), name=name)
    host.runtime.calls.clear()
    await host.restart(reboot=True)
    await host.quiet()
    assert [name for call, name in host.runtime.calls if call == "start"] == ["c.1", "b.1", "a.1"]
    host.runtime.calls.clear()
    asked = await host.core.use_cases.boot.stop(deadline=60.0, validate_only=False, caller=caller())
    assert (await host.end_of(asked)).failure is None
    assert [name for call, name in host.runtime.calls if call == "stop"] == ["a.1", "b.1", "c.1"]


async def test_who_would_wait_for_itself_is_refused_and_who_waits_for_nobody_is_told(host: FakeHost) -> None:
    await create(host, msgspec.structs.replace(SPEC, boot=Boot(after=("web",))), name="db")
    jails = host.core.use_cases.jails
    spec = msgspec.structs.replace(SPEC, boot=Boot(after=("db", "gone")))
    plan = (await jails.create("web", spec, stopped=False, validate_only=True, caller=caller())).plan
    assert plan is not None
    assert [(problem.code, problem.severity) for problem in plan.problems] == [
        ("BOOT_CIRCLE", Severity.ERROR),
        ("BOOT_AFTER_NOBODY", Severity.WARNING),
    ]
    assert "web after db after web" in plan.problems[0].message


async def test_a_jail_that_waits_for_its_health_checks_keeps_no_other_from_starting(host: FakeHost) -> None:
    await create(host, msgspec.structs.replace(CHECKED, boot=Boot(order=1)), name="a-slow")
    await create(host, msgspec.structs.replace(CHECKED, health=(), boot=Boot(order=1)))
    host.probe = hanging = Hanging()
    host.starts_at_once = 1
    await host.restart(reboot=True)
    await hanging.asked.wait()
    await happened(host, "jail.started")
    assert host.core.use_cases.jails.get("web").state is JailState.RUNNING
    await host.core.dispatcher.stop(0.1)
