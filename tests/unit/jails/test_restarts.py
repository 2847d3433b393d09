"""Jails that end by themselves, by the restart policy of their spec."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from jaild.model.errors import InternalError, ResourceExhaustedError
from jaild.model.jails.liveness import Health
from jaild.model.jails.restarts import Verdict
from jaild.model.jails.spec import Backoff, ExecCheck, JailSpec, Liveness, Restart, TcpCheck
from jaild.model.views import Event, JailState
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import SPEC, configure, create, deploy, ended
from tests.unit.jails.test_liveness import until

POLICY = Restart(policy="on-failure", max=2, within=600, backoff=Backoff(first=1, longest=60))


def spec(policy: Restart | None = POLICY, **more: Any) -> JailSpec:
    return msgspec.structs.replace(SPEC, restart=policy, **more)


def state(host: FakeHost) -> JailState:
    return host.core.use_cases.jails.get("web").state


def starts(host: FakeHost) -> int:
    return host.runtime.calls.count(("start", "web.1"))


async def dies(host: FakeHost, status: int = 1, *, generation: int = 1) -> None:
    """Let the jail end, and wait until all that comes of it has been done."""
    host.runtime.end("web", generation, status)
    await told(host, f"watch of generation {generation} ended")


async def told(host: FakeHost, _: str = "") -> None:
    await host.core.supervisor.over("watch web")
    await host.quiet()


class Pause:
    """The time between an end and what is done about it: it stands still until `over` is set."""

    def __init__(self, host: FakeHost) -> None:
        self.begun, self.over = asyncio.Event(), asyncio.Event()
        self._usual = host.clock.sleep
        host.clock.sleep = self._sleep  # type: ignore[method-assign]

    async def _sleep(self, seconds: float) -> None:
        if seconds > 1000:
            self.begun.set()
            await self.over.wait()
        await self._usual(seconds)


SLOW = msgspec.structs.replace(POLICY, backoff=Backoff(first=3000, longest=3000))


async def events(host: FakeHost, *kinds: str) -> list[Event]:
    assert host.store is not None
    return [event for event in await host.store.events(0, "", 1000) if event.kind in kinds]


async def test_a_jail_that_fails_is_started_again_after_a_pause_that_doubles(host: FakeHost) -> None:
    await create(host, spec())
    for pause in (1.0, 2.0):
        host.clock.slept.clear()
        await dies(host)
        assert state(host) is JailState.RUNNING
        assert any(pause * 0.9 < slept <= pause for slept in host.clock.slept)
    assert starts(host) == 3
    (first, _) = await events(host, "jail.exited")
    assert "status 1" in first.message
    assert first.detail["status"] == "1"


async def test_a_jail_that_keeps_dying_ends_in_a_crash_loop_that_is_told_and_stays_visible(host: FakeHost) -> None:
    await create(host, spec())
    for _ in range(3):
        await dies(host, -11)
    assert state(host) is JailState.CRASH_LOOP
    assert starts(host) == 3
    view = host.core.use_cases.jails.get("web")
    assert "signal 11 (SIGSEGV)" in view.message
    assert view.restarts is not None
    assert len(view.restarts.ends) == 3
    assert [event.target for event in await events(host, "jail.crash_loop")] == ["jails/web"]


async def test_a_process_that_ends_as_soon_as_it_is_started_comes_to_a_crash_loop_by_itself(host: FakeHost) -> None:
    await create(host, spec())
    start = host.runtime.start

    async def dying(jail: str, generation: int) -> Any:
        run = await start(jail, generation)
        host.runtime.end(jail, generation, 1)
        return run

    host.runtime.start = dying  # type: ignore[method-assign]
    await dies(host)
    assert state(host) is JailState.CRASH_LOOP
    assert starts(host) == 3
    assert len(await events(host, "jail.crash_loop")) == 1


async def test_one_that_cannot_be_started_is_tried_as_often_and_says_why(host: FakeHost) -> None:
    await create(host, spec())
    host.runtime.refuse["create"] = InternalError("COMMAND_FAILED", "the disk is away")
    await dies(host)
    assert state(host) is JailState.CRASH_LOOP
    assert "the disk is away" in host.core.use_cases.jails.get("web").message
    assert len(await events(host, "jail.crash_loop")) == 1


@pytest.mark.parametrize(
    ("policy", "status"), [(None, 1), (Restart(policy="never"), 1), (Restart(policy="on-failure"), 0)]
)
async def test_without_a_policy_or_where_it_lets_the_end_be_nothing_is_started(
    host: FakeHost, policy: Restart | None, status: int
) -> None:
    await create(host, spec(policy))
    await dies(host, status)
    assert state(host) is JailState.FAILED
    assert starts(host) == 1


async def test_always_is_always(host: FakeHost) -> None:
    await create(host, spec(Restart(policy="always")))
    await dies(host, 0)
    assert state(host) is JailState.RUNNING


async def test_a_persons_start_begins_a_new_count(host: FakeHost) -> None:
    await create(host, spec())
    for _ in range(3):
        await dies(host)
    await ended(host, host.core.use_cases.jails.start("web", caller=caller()))
    assert (state(host), host.core.use_cases.jails.get("web").restarts) == (JailState.RUNNING, None)
    await dies(host)
    assert state(host) is JailState.RUNNING


async def test_a_change_begins_a_new_count(host: FakeHost) -> None:
    await create(host, spec())
    for _ in range(3):
        await dies(host)
    assert (await deploy(host, "web/2")).failure is None
    assert (state(host), host.core.use_cases.jails.get("web").restarts) == (JailState.RUNNING, None)


async def test_a_jail_that_is_stopped_during_the_pause_stays_stopped(host: FakeHost) -> None:
    await create(host, spec(SLOW))
    pause = Pause(host)
    host.runtime.end("web", 1, 1)
    await pause.begun.wait()
    assert state(host) is JailState.STARTING
    await ended(host, host.core.use_cases.jails.stop("web", caller=caller()))
    pause.over.set()
    await told(host)
    assert (state(host), starts(host)) == (JailState.STOPPED, 1)


async def test_what_a_change_ends_is_the_changes_to_undo(host: FakeHost) -> None:
    check = ExecCheck(command=("check",))
    await create(host, spec(health=(check,)))
    host.runtime.say("web", 2, status=1, command=check.command)
    start = host.runtime.start

    async def dying(jail: str, generation: int) -> Any:
        run = await start(jail, generation)
        if generation == 2:
            host.runtime.end(jail, generation, 1)
        return run

    host.runtime.start = dying  # type: ignore[method-assign]
    assert (await deploy(host, "web/2")).failure is not None
    await host.quiet()
    view = host.core.use_cases.jails.get("web")
    assert (view.state, view.restarts) == (JailState.RUNNING, None)
    assert host.runtime.calls.count(("start", "web.2")) == 1


async def test_no_jail_is_started_on_a_host_that_was_shut_down_and_all_are_when_it_goes_on(host: FakeHost) -> None:
    await create(host, spec(SLOW))
    pause = Pause(host)
    host.runtime.end("web", 1, 1)
    await pause.begun.wait()
    assert state(host) is JailState.STARTING
    await ended(host, host.core.use_cases.boot.stop(deadline=60, validate_only=False, caller=caller()))
    pause.over.set()
    await told(host)
    assert starts(host) == 1
    await ended(host, host.core.use_cases.boot.start(validate_only=False, caller=caller()))
    await host.quiet()
    assert (state(host), starts(host)) == (JailState.RUNNING, 2)


# -- the daemon restarts


async def test_a_daemon_that_restarts_goes_on_with_the_count(host: FakeHost) -> None:
    await create(host, spec())
    await dies(host)
    await dies(host)
    await host.restart()
    await host.quiet()
    assert state(host) is JailState.RUNNING
    await dies(host)
    assert state(host) is JailState.CRASH_LOOP
    await host.restart()
    await host.quiet()
    assert (state(host), starts(host)) == (JailState.CRASH_LOOP, 3)
    await ended(host, host.core.use_cases.jails.start("web", caller=caller()))
    await host.restart()
    await host.quiet()
    assert (state(host), host.core.use_cases.jails.get("web").restarts) == (JailState.RUNNING, None)


async def test_a_daemon_that_restarts_in_the_pause_starts_it_after_that(host: FakeHost) -> None:
    await create(host, spec(SLOW))
    pause = Pause(host)
    host.runtime.end("web", 1, 1)
    await pause.begun.wait()
    assert state(host) is JailState.STARTING
    began = host.clock.now()
    await host.restart()
    assert state(host) is JailState.STARTING
    pause.over.set()
    await host.quiet()
    assert (state(host), starts(host)) == (JailState.RUNNING, 2)
    assert host.clock.now() - began >= 2900


@pytest.mark.parametrize(("policy", "state_then"), [("never", JailState.FAILED), ("on-failure", JailState.RUNNING)])
async def test_an_end_while_the_daemon_was_away_is_one_of_a_status_that_nobody_knows(
    host: FakeHost, policy: Any, state_then: JailState
) -> None:
    await create(host, spec(Restart(policy="on-failure")))
    await dies(host)  # the daemon has been in this boot of the host
    await configure(host, msgspec.structs.replace(spec(Restart(policy=policy)), labels={"of": "2"}))
    await host.kill()
    host.runtime.by_name["web.2"].pid = 0
    host.runtime.by_name["web.2"].ended.set()
    await host.start()
    await host.quiet()
    assert state(host) is state_then
    away = (await events(host, "jail.exited"))[-1]
    assert "while the daemon was away, with unknown status" in away.message
    assert len(host.core.inventory.jails["web"].restarts.ends) == 1  # type: ignore[union-attr]


async def away(host: FakeHost) -> None:
    """Let the jail end while the daemon is away, and wait for all that comes of it."""
    await host.kill()
    host.runtime.by_name["web.1"].pid = 0
    host.runtime.by_name["web.1"].ended.set()
    await host.start()
    await host.quiet()


async def test_the_first_end_of_all_may_be_while_the_daemon_was_away(host: FakeHost) -> None:
    await create(host, spec())
    await away(host)
    assert "while the daemon was away" in (await events(host, "jail.exited"))[-1].message
    assert len(host.core.inventory.jails["web"].restarts.ends) == 1  # type: ignore[union-attr]


async def test_an_end_while_the_daemon_was_away_counts_on_after_somebody_has_ended_a_crash_loop(host: FakeHost) -> None:
    await create(host, spec())
    for _ in range(3):
        await dies(host)
    assert state(host) is JailState.CRASH_LOOP
    await host.clock.sleep(5)
    await ended(host, host.core.use_cases.jails.start("web", caller=caller()))
    await away(host)
    assert len(host.core.inventory.jails["web"].restarts.ends) == 1  # type: ignore[union-attr]
    await host.restart()
    await host.quiet()
    assert len(host.core.inventory.jails["web"].restarts.ends) == 1  # type: ignore[union-attr]


async def test_a_boot_of_the_host_starts_all_that_should_run_and_begins_all_counts_anew(host: FakeHost) -> None:
    await create(host, spec())
    for _ in range(3):
        await dies(host)
    assert state(host) is JailState.CRASH_LOOP
    await host.restart(reboot=True)
    await host.quiet()
    assert (state(host), host.core.use_cases.jails.get("web").restarts) == (JailState.RUNNING, None)
    assert host.store is not None
    assert await host.store.restarts() == []


async def test_a_full_disk_keeps_no_jail_down(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise ResourceExhaustedError("NO_SPACE", "full")

    await create(host, spec())
    assert host.store is not None
    monkeypatch.setattr(host.store, "put_restarts", full)
    monkeypatch.setattr(host.store, "put_boot", full)
    for _ in range(2):
        await dies(host)
        assert state(host) is JailState.RUNNING
    await dies(host)
    assert state(host) is JailState.CRASH_LOOP
    assert len(await events(host, "jail.crash_loop")) == 1


# -- unhealthy


async def test_an_unhealthy_jail_is_restarted_only_if_its_spec_says_so_and_no_oftener(host: FakeHost) -> None:
    async def sick(*_: object) -> str:
        return "sick"

    host.probe.tcp = sick  # type: ignore[method-assign, assignment]
    await create(host, spec(liveness=Liveness(checks=(TcpCheck(port=80),), failures=1)))
    await until(host, lambda: host.core.inventory.jails["web"].health is not None, 30)
    await host.clock.sleep(60)
    assert host.runtime.calls.count(("stop", "web.1")) == 0
    await dies(host)  # which is counted: it is no reason to restart a jail that is only unhealthy
    await until(host, lambda: _health(host) is Health.UNHEALTHY)
    await ended(host, host.core.use_cases.boot.start(validate_only=False, caller=caller()))
    await host.clock.sleep(60)
    assert starts(host) == 2
    asking = Liveness(checks=(TcpCheck(port=80),), failures=1, restart=True)
    assert (await configure(host, spec(liveness=asking))).failure is None
    await until(host, lambda: _verdict(host) is Verdict.CRASH_LOOP, 600)
    await host.clock.sleep(100)
    assert host.runtime.calls.count(("start", "web.2")) == 3
    assert state(host) is JailState.RUNNING  # sick as it is, it is left
    assert len(await events(host, "jail.crash_loop")) == 1


def _health(host: FakeHost) -> Health | None:
    found = host.core.use_cases.jails.get("web").health
    return None if found is None else found.state


def _verdict(host: FakeHost) -> Verdict | None:
    found = host.core.inventory.jails["web"].restarts
    return None if found is None else found.verdict
