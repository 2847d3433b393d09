"""Who wants a jail down does not wait until it is well: health checks end with the one that is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jaild.model.access import Role
from jaild.model.errors import PermissionDeniedError
from jaild.model.jails.spec import JailSpec, Readiness, TcpCheck
from jaild.model.operation import Operation
from jaild.model.views import Caller, JailState
from tests.fakes.host import FakeHost, Healthy, caller
from tests.hosts.asking import active, create, delete, ended, reason_of, serves
from tests.hosts.fixtures import furnished

CHECKED = JailSpec(base="deb-1", app="web/1", health=(TcpCheck(port=80),), readiness=Readiness(deadline=3600.0))


class Slow(Healthy):
    """Says that nobody is well, once it may say anything."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_answer, self.times = asyncio.Event(), asyncio.Event(), 0

    async def tcp(self, address: str, port: int, timeout: float) -> str:
        """Answer."""
        if not self.problem:
            return await super().tcp(address, port, timeout)
        self.times += 1
        self.asked.set()
        await self.may_answer.wait()
        return self.problem


@pytest.fixture
async def slow(quick_path: Path) -> tuple[FakeHost, Slow]:
    """A host with a jail that is well, and the probe that will not find it so any more."""
    host = FakeHost(quick_path)
    host.probe = probe = Slow()
    await furnished(host)
    assert reason_of(await create(host, CHECKED)) == ""
    probe.problem = "connection refused"
    return host, probe


async def started(host: FakeHost) -> Operation:
    await ended(host, host.core.use_cases.jails.stop("web", caller=caller()))
    return await host.core.use_cases.jails.start("web", caller=caller())


async def restarted(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.restart("web", caller=caller())


async def deployed(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.deploy("web", "web/2", etag="", validate_only=False, caller=caller())


CHANGES = pytest.mark.parametrize("change", [started, restarted, deployed])
Change = Callable[[FakeHost], Awaitable[Operation]]


@CHANGES
async def test_who_stops_a_jail_waits_for_one_check_and_not_for_all_health_checks(
    slow: tuple[FakeHost, Slow], change: Change
) -> None:
    host, probe = slow
    changing = await change(host)
    await probe.asked.wait()
    stopping = await host.core.use_cases.jails.stop("web", caller=caller())
    probe.may_answer.set()
    assert reason_of(await host.end_of(stopping)) == ""
    assert reason_of(await host.end_of(changing)) == "HEALTH_CHECK_ENDED"
    assert probe.times == 1
    assert host.core.use_cases.jails.get("web").state is JailState.STOPPED
    assert active(host).number == 1
    await host.stop()


def team(app: str) -> Caller:
    return Caller(actor=f"{app}-team", roles=frozenset({Role.PRODUCT}), apps=frozenset({app}))


@CHANGES
async def test_a_stop_that_is_not_its_callers_to_ask_for_is_refused_at_once_and_ends_no_gate(
    slow: tuple[FakeHost, Slow], change: Change
) -> None:
    host, probe = slow
    changing = await change(host)
    await probe.asked.wait()
    known = len(host.core.use_cases.operations.list())
    with pytest.raises(PermissionDeniedError) as refused:
        await host.core.use_cases.jails.stop("web", caller=team("db"))
    assert refused.value.reason == "APP_REQUIRED"
    assert len(host.core.use_cases.operations.list()) == known
    probe.problem = ""
    probe.may_answer.set()
    assert reason_of(await host.end_of(changing)) == ""
    assert serves(host, active(host).number)
    await host.stop()


async def test_a_stop_of_the_team_that_a_jail_is_taken_from_does_not_end_the_gate_of_that(
    slow: tuple[FakeHost, Slow],
) -> None:
    host, probe = slow
    await host.add_release("db/1")
    giving = await host.core.use_cases.jails.deploy("web", "db/1", etag="", validate_only=False, caller=caller())
    await probe.asked.wait()
    stopping = await host.core.use_cases.jails.stop("web", caller=team("web"))  # its own, so far
    probe.problem = ""
    probe.may_answer.set()
    assert reason_of(await host.end_of(giving)) == ""
    assert reason_of(await host.end_of(stopping)) == "APP_REQUIRED"
    assert (active(host).release, serves(host, 2)) == ("db/1", True)
    await host.stop()


async def test_a_team_that_stops_its_own_jail_waits_for_one_check(slow: tuple[FakeHost, Slow]) -> None:
    host, probe = slow
    changing = await deployed(host)
    await probe.asked.wait()
    stopping = await host.core.use_cases.jails.stop("web", caller=team("web"))
    probe.may_answer.set()
    assert reason_of(await host.end_of(stopping)) == ""
    assert reason_of(await host.end_of(changing)) == "HEALTH_CHECK_ENDED"
    await host.stop()


@pytest.mark.parametrize("change", [started, restarted])
async def test_a_daemon_that_stops_waits_for_one_check_and_leaves_the_jail_running(
    slow: tuple[FakeHost, Slow], change: Change
) -> None:
    host, probe = slow
    changing = await change(host)
    await probe.asked.wait()
    stopping = asyncio.create_task(host.core.stop(host.patience))
    await asyncio.sleep(0)
    probe.may_answer.set()
    await stopping
    assert reason_of(host.core.use_cases.operations.get(changing.id)) == "HEALTH_CHECK_ENDED"
    assert probe.times == 1
    assert serves(host, 1)
    await host.stop()


async def test_a_creation_is_not_undone_because_somebody_wants_the_jail_stopped(slow: tuple[FakeHost, Slow]) -> None:
    host, probe = slow
    probe.problem = ""
    assert reason_of(await delete(host, force=True)) == ""
    probe.problem = "not yet"
    creating = await host.core.use_cases.jails.create(
        "web", CHECKED, stopped=False, validate_only=False, caller=caller()
    )
    await probe.asked.wait()
    stopping = await host.core.use_cases.jails.stop("web", caller=caller())
    probe.problem = ""
    probe.may_answer.set()
    assert reason_of(await host.end_of(creating)) == ""
    assert reason_of(await host.end_of(stopping)) == ""
    assert host.core.use_cases.jails.get("web").state is JailState.STOPPED
    await host.stop()
