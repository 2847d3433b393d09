"""Checks go on after the readiness checks: of jails that run, that are this host's, and that nobody changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from jaild.jails.liveness import TASK
from jaild.model.jails.liveness import Health, HealthStatus
from jaild.model.jails.spec import ExecCheck, HealthCheck, JailSpec, Liveness, Network, ProcessCheck, TcpCheck
from jaild.model.views import Event
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network as Hosts
from tests.hosts.asking import SPEC, configure, create, deploy, ended
from tests.hosts.fixtures import furnished
from tests.hosts.migrating import migrate

TCP = TcpCheck(port=80)
SICK = "connection refused"


def living(*checks: HealthCheck, failures: int = 2) -> JailSpec:
    return msgspec.structs.replace(SPEC, liveness=Liveness(checks=checks, interval=10, failures=failures))


def health(host: FakeHost, name: str = "web") -> HealthStatus | None:
    return host.core.use_cases.jails.get(name).health


def state(host: FakeHost, name: str = "web") -> Health | None:
    found = health(host, name)
    return None if found is None else found.state


async def until(host: FakeHost, so: Callable[[], bool], seconds: float = 200) -> None:
    """Let the host's time pass until something is so."""
    end = host.clock.now() + seconds
    while not so():
        assert host.clock.now() < end, "it does not become so"
        await host.clock.sleep(0.1)


async def events(host: FakeHost, *kinds: str) -> list[Event]:
    assert host.store is not None
    return [event for event in await host.store.events(0, "", 1000) if event.kind in kinds]


async def test_a_jail_that_becomes_sick_is_unhealthy_after_its_failures_and_well_after_one_pass(
    host: FakeHost,
) -> None:
    await create(host, living(TCP))
    await until(host, lambda: state(host) is Health.HEALTHY)
    host.probe.problem = SICK
    await until(host, lambda: state(host) is Health.UNHEALTHY)
    found = health(host)
    assert found is not None
    assert (found.failures, found.flaps, found.output) == (2, 1, SICK)
    assert found.since <= host.clock.now()
    host.probe.problem = ""
    await until(host, lambda: state(host) is Health.HEALTHY)
    told = await events(host, "jail.healthy", "jail.unhealthy")
    assert [(event.kind, event.target) for event in told] == [
        ("jail.unhealthy", "jails/web"),
        ("jail.healthy", "jails/web"),
    ]
    assert SICK in told[0].message


async def test_a_round_is_made_each_interval_and_the_first_within_one(host: FakeHost) -> None:
    asked: list[float] = []

    async def tcp(*_: Any) -> str:
        asked.append(host.clock.now())
        return ""

    host.probe.tcp = tcp  # type: ignore[method-assign, assignment]
    await create(host, living(TCP))
    began = host.clock.now()
    await until(host, lambda: len(asked) >= 5)
    assert asked[0] - began < 12
    assert all(9 < after - before < 12 for before, after in pairwise(asked))


async def test_the_checks_are_the_gates_where_none_are_named_and_all_of_them_count(host: FakeHost) -> None:
    check = ExecCheck(command=("check",))
    await create(host, msgspec.structs.replace(living(), health=(TCP, check)))
    await until(host, lambda: state(host) is Health.HEALTHY)
    host.runtime.say("web", 1, status=3, stderr=b"no disk", command=check.command)
    await until(host, lambda: state(host) is Health.UNHEALTHY)
    found = health(host)
    assert found is not None
    assert found.output == "check: exit status 3: no disk"


@pytest.mark.parametrize("checks", [(), (ProcessCheck(),)])
async def test_that_a_jail_runs_is_known_without_asking(host: FakeHost, checks: tuple[HealthCheck, ...]) -> None:
    await create(host, living(*checks))
    host.runtime.calls.clear()
    await until(host, lambda: state(host) is Health.HEALTHY)
    assert host.runtime.calls == []


async def test_a_jail_without_liveness_or_that_does_not_run_has_no_health(host: FakeHost) -> None:
    await create(host)
    await create(host, living(TCP), name="other")
    await until(host, lambda: state(host, "other") is Health.HEALTHY)
    assert health(host) is None
    await ended(host, host.core.use_cases.jails.stop("other", caller=caller()))
    assert health(host, "other") is None
    await until(host, lambda: host.core.inventory.jail("other").health is None)


async def test_a_change_of_the_spec_begins_anew_with_what_it_says(host: FakeHost) -> None:
    await create(host, living(TCP))
    host.probe.problem = SICK
    await until(host, lambda: state(host) is Health.UNHEALTHY)
    host.probe.problem = ""
    assert (await configure(host, living(ProcessCheck()))).failure is None
    host.probe.problem = SICK
    await until(host, lambda: state(host) is Health.HEALTHY)
    found = health(host)
    assert found is not None
    assert found.flaps == 0


async def test_while_a_jail_is_changed_it_is_not_checked_and_what_was_asked_before_does_not_count(
    host: FakeHost,
) -> None:
    check = ExecCheck(command=("check",))
    await create(host, living(check, failures=1))
    await until(host, lambda: state(host) is Health.HEALTHY)
    asked, answer = asyncio.Event(), asyncio.Event()
    usual = host.runtime.exec

    async def slow(*args: Any, **kinds: Any) -> AsyncGenerator[Any, None]:
        asked.set()
        await answer.wait()
        async for output in usual(*args, **kinds):
            yield output

    host.runtime.exec = slow  # type: ignore[method-assign]
    host.runtime.say("web", 1, status=1, command=check.command)
    await until(host, asked.is_set)
    async with host.core.dispatcher.exclusive("jails/web"):  # a peer's call
        answer.set()
        asked.clear()
        await host.clock.sleep(50)
        assert state(host) is Health.HEALTHY
        assert not asked.is_set()
    host.runtime.exec = usual  # type: ignore[method-assign]
    await until(host, lambda: state(host) is Health.UNHEALTHY)


async def test_what_a_deploy_makes_of_a_check_is_no_failure(host: FakeHost) -> None:
    await create(host, living(TCP, failures=1))
    await until(host, lambda: state(host) is Health.HEALTHY)
    host.runtime.takes["start"] = 60.0

    async def tcp(*_: Any) -> str:
        run = host.core.inventory.jail("web").run
        return "" if run is not None and run.running else SICK

    host.probe.tcp = tcp  # type: ignore[method-assign, assignment]
    assert (await deploy(host, "web/2")).failure is None
    await until(host, lambda: state(host) is Health.HEALTHY)
    assert await events(host, "jail.unhealthy") == []


async def test_a_daemon_that_restarts_goes_on_with_the_jails_that_run(host: FakeHost) -> None:
    await create(host, living(TCP))
    await until(host, lambda: state(host) is Health.HEALTHY)
    await host.restart()
    await host.quiet()
    host.probe.problem = SICK
    await until(host, lambda: state(host) is Health.UNHEALTHY)
    assert host.runtime.by_name["web.1"].pid  # and the jail runs on


async def test_a_check_that_hangs_delays_nobody_else(host: FakeHost) -> None:
    async def tcp(_: str, port: int, __: float) -> str:
        if port == 1:
            await asyncio.Event().wait()
        return ""

    host.probe.tcp = tcp  # type: ignore[method-assign, assignment]
    await create(host, living(TcpCheck(port=1)))
    await create(host, living(TCP), name="other")
    await until(host, lambda: state(host, "other") is Health.HEALTHY)
    assert state(host) is Health.UNKNOWN


async def test_a_round_that_dies_ends_nobody_elses(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the store is gone")

    await create(host, living(TCP, failures=1))
    await until(host, lambda: state(host) is Health.HEALTHY)
    monkeypatch.setattr(host.core.use_cases.events, "emit", broken)
    host.probe.problem = SICK
    await until(host, lambda: state(host) is Health.UNHEALTHY)
    host.probe.problem = ""
    await until(host, lambda: state(host) is Health.HEALTHY)
    assert host.core.supervisor.is_under_way(TASK)


async def test_a_jail_that_moves_away_is_checked_where_it_goes_and_not_here(tmp_path: Any) -> None:
    network = Hosts()
    alpha, beta = (FakeHost(tmp_path / name, name, network) for name in ("alpha", "beta"))
    await furnished(alpha)
    await beta.start()
    try:
        await create(alpha, msgspec.structs.replace(living(TCP), network=Network()))
        await until(alpha, lambda: state(alpha) is Health.HEALTHY)
        assert (await alpha.end_of(await migrate(alpha, beta))).failure is None
        beta.probe.problem = SICK
        await until(beta, lambda: state(beta) is Health.UNHEALTHY)
        assert health(alpha) is None
    finally:
        await alpha.stop()
        await beta.stop()
