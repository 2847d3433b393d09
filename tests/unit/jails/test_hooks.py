"""Hooks: a jail drains while it serves, and whatever comes of that, in the end it is told that it serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.spec import ExecHook, Hooks, HttpHook, JailSpec
from jaild.model.operation import Operation
from jaild.model.views import JailState
from jaild.ports.runtime import Run
from tests.fakes.faults import Effect
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network
from tests.fakes.runtime import Answer
from tests.hosts.asking import SPEC, active, create, deploy, ended, reason_of, serves
from tests.hosts.fixtures import furnished
from tests.hosts.invariants import running_now
from tests.hosts.migrating import migrate

URL = "http://192.0.2.1:8080"


def hooked(name: str = "", on_error: Literal["continue", "abort"] = "continue") -> JailSpec:
    drain = HttpHook(url=f"{URL}/drain{name}", on_error=on_error)
    hooks = Hooks(before_stop=(drain,), after_start=(HttpHook(url=f"{URL}/serve{name}", on_error=on_error),))
    return msgspec.structs.replace(SPEC, hooks=hooks)


def called(host: FakeHost) -> list[str]:
    """Return what was called since this was asked last."""
    found = host.probe.called.copy()
    host.probe.called.clear()
    return found


async def with_hooks(host: FakeHost, on_error: Literal["continue", "abort"] = "continue") -> FakeHost:
    assert reason_of(await create(host, hooked(on_error=on_error))) == ""
    assert called(host) == ["/serve"]
    return host


async def stop(host: FakeHost, *, force: bool = False) -> Operation:
    return await ended(host, host.core.use_cases.jails.stop("web", caller=caller(), force=force))


async def restart(host: FakeHost) -> Operation:
    return await ended(host, host.core.use_cases.jails.restart("web", caller=caller()))


def phases(operation: Operation) -> list[str]:
    return [report.name for report in operation.phases]


async def failures(host: FakeHost) -> list[str]:
    return [e.message async for e in host.core.use_cases.events.watch(0, "", False) if e.kind == "hook.failed"]


class Watched:
    """A load balancer that notes which generation ran when it was called, and may be slow to answer."""

    def __init__(self, host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[str, list[str]]] = []
        self.asked, self.answer = asyncio.Event(), asyncio.Event()
        self.answer.set()
        self._host, self._call = host, host.probe.call
        monkeypatch.setattr(host.probe, "call", self.call)

    async def call(self, method: str, address: str, port: int, path: str, status: int | None, timeout: float) -> str:
        running = sorted(name for name, run in self._host.runtime.by_name.items() if run.pid)
        self.seen.append((path, running))
        self.asked.set()
        await self.answer.wait()
        return await self._call(method, address, port, path, status, timeout)


async def test_a_change_drains_while_the_old_one_serves_and_says_so_when_the_new_one_does(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_hooks(host)
    watched = Watched(host, monkeypatch)
    done = await deploy(host, "web/2")
    assert reason_of(done) == ""
    assert watched.seen == [("/drain", ["web.1"]), ("/serve", ["web.2"])]
    assert phases(done) == ["plan", "stage", "drain", "cutover", "health-check", "after-start", "commit", "settle"]


async def test_a_stop_a_start_and_a_restart_call_them(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    await with_hooks(host)
    watched = Watched(host, monkeypatch)
    assert reason_of(await restart(host)) == ""
    assert reason_of(await stop(host)) == ""
    assert reason_of(await stop(host)) == ""  # nothing runs: nothing drains
    assert reason_of(await ended(host, host.core.use_cases.jails.start("web", caller=caller()))) == ""
    one = ["web.1"]
    assert watched.seen == [("/drain", one), ("/serve", one), ("/drain", one), ("/serve", one)]


async def test_a_start_that_failed_but_took_effect_leaves_nothing_running(
    host: FakeHost,
) -> None:
    await with_hooks(host)
    await stop(host)
    called(host)
    host.life.counting, host.life.effect, host.life.at = True, Effect.ERROR_AFTER, ("runtime.start web", 0)
    start = host.core.use_cases.jails.start
    assert reason_of(await ended(host, start("web", caller=caller()))) == "COMMAND_FAILED"
    assert (host.life.hit, called(host), await running_now([host], "web")) == (True, [], [])
    assert reason_of(await ended(host, start("web", caller=caller()))) == ""
    assert called(host) == ["/serve"]


async def test_the_hooks_of_a_change_are_those_of_the_generation_that_they_are_about(host: FakeHost) -> None:
    await with_hooks(host)
    jails = host.core.use_cases.jails
    asked = jails.configure("web", hooked("-new"), etag="", validate_only=False, caller=caller())
    assert reason_of(await ended(host, asked)) == ""
    assert called(host) == ["/drain", "/serve-new"]


async def test_a_generation_that_is_taken_back_leaves_the_old_one_told_that_it_serves(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_hooks(host)
    original = host.runtime.start

    async def failing(jail: str, generation: int) -> Run:
        if generation != 1:
            raise FailedPreconditionError("START_FAILED", "no", hint="")
        return await original(jail, generation)

    monkeypatch.setattr(host.runtime, "start", failing)
    assert reason_of(await deploy(host, "web/2")) == "START_FAILED"
    assert called(host) == ["/drain", "/serve"]
    assert serves(host, 1)


async def test_one_that_fails_is_told_and_goes_on_or_ends_the_change_as_the_spec_says(host: FakeHost) -> None:
    await with_hooks(host)
    host.probe.refused["/drain"] = "answered 503"
    assert reason_of(await deploy(host, "web/2")) == ""
    (told,) = await failures(host)
    assert "before_stop[0] of jail web failed: answered 503" in told


@pytest.mark.parametrize("which", ["/drain", "/serve"])
async def test_an_abort_leaves_the_old_generation_serving_and_told_so(host: FakeHost, which: str) -> None:
    await with_hooks(host, "abort")
    host.probe.refused[which] = "answered 503"
    failed = await deploy(host, "web/2")
    assert reason_of(failed) == "HOOK_FAILED"
    assert serves(host, 1)
    assert called(host)[-1] == "/serve"
    assert active(host).release == "web/1"


async def test_an_abort_of_a_stop_leaves_the_jail_running(host: FakeHost) -> None:
    await with_hooks(host, "abort")
    host.probe.refused["/drain"] = "answered 503"
    assert reason_of(await stop(host)) == "HOOK_FAILED"
    assert serves(host, 1)
    assert called(host) == ["/drain", "/serve"]
    await host.restart(reboot=True)
    await host.quiet()
    assert serves(host, 1)


async def test_a_stop_by_force_calls_none_and_does_not_wait_for_those_that_run(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_hooks(host)
    watched = Watched(host, monkeypatch)
    watched.answer.clear()
    jails = host.core.use_cases.jails
    gentle = await jails.stop("web", caller=caller())
    await watched.asked.wait()
    assert reason_of(await stop(host, force=True)) == ""
    assert reason_of(await host.end_of(gentle)) == ""
    assert jails.get("web").state is JailState.STOPPED
    watched.answer.set()
    assert reason_of(await ended(host, jails.start("web", caller=caller()))) == ""
    watched.seen.clear()
    assert reason_of(await stop(host, force=True)) == ""
    assert watched.seen == []


async def test_a_cancel_while_it_drains_leaves_it_serving_and_told_so(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_hooks(host)
    watched = Watched(host, monkeypatch)
    for ask in ("deploy", "stop"):
        watched.asked.clear()
        watched.answer.clear()
        jails = host.core.use_cases.jails
        operation = await (
            jails.deploy("web", "web/2", etag="", validate_only=False, caller=caller())
            if ask == "deploy"
            else jails.stop("web", caller=caller())
        )
        await watched.asked.wait()
        await host.core.use_cases.operations.cancel(operation.id, caller())
        watched.answer.set()
        assert reason_of(await host.end_of(operation)) == "OPERATION_CANCELLED"
        assert watched.seen[-1] == ("/serve", ["web.1"])
        assert serves(host, 1)


@pytest.mark.parametrize("ask", ["deploy", "restart", "stop"])
@pytest.mark.parametrize("reboot", [False, True])
async def test_after_a_crash_while_it_drains_it_serves_and_is_told_so(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, ask: str, *, reboot: bool
) -> None:
    await with_hooks(host)
    watched = Watched(host, monkeypatch)
    watched.answer.clear()
    jails = host.core.use_cases.jails
    if ask == "deploy":
        await jails.deploy("web", "web/2", etag="", validate_only=False, caller=caller())
    else:
        await getattr(jails, ask)("web", caller=caller())
    await watched.asked.wait()
    watched.answer.set()
    await host.restart(reboot=reboot)
    await host.quiet()
    assert watched.seen[-1] == ("/serve", ["web.1"])
    assert serves(host, 1)


async def test_a_command_runs_in_the_jail(host: FakeHost) -> None:
    hooks = Hooks(before_stop=(ExecHook(command=("/bin/drain", "now")),))
    await create(host, msgspec.structs.replace(SPEC, hooks=hooks))
    host.runtime.answers["web.1"] = Answer(status=3, stderr=b"busy")
    assert reason_of(await stop(host)) == ""
    (told,) = await failures(host)
    assert "/bin/drain now: exit status 3: busy" in told


async def test_a_plan_tells_of_them(host: FakeHost) -> None:
    await with_hooks(host)
    jails = host.core.use_cases.jails
    planned = await jails.deploy("web", "web/2", etag="", validate_only=True, caller=caller())
    assert planned.plan is not None
    steps = planned.plan.steps
    assert [step for step in steps if "hook" in step] == ["1 hook before_stop", "1 hook after_start"]


async def test_the_hosts_shutdown_lets_jails_drain_and_its_boot_says_that_they_serve(host: FakeHost) -> None:
    await with_hooks(host, "abort")
    host.probe.refused["/drain"] = "answered 503"
    boot = host.core.use_cases.boot
    assert reason_of(await ended(host, boot.stop(deadline=60, validate_only=False, caller=caller()))) == ""
    assert called(host) == ["/drain"]
    await host.restart(reboot=True)
    await host.quiet()
    assert called(host) == ["/serve"]


# -- migrations


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[FakeHost, FakeHost]]:
    network = Network()
    first, second = FakeHost(tmp_path / "alpha", "alpha", network), FakeHost(tmp_path / "beta", "beta", network)
    await furnished(first)
    await second.start()
    yield first, second
    await first.stop()
    await second.stop()


async def test_a_migration_drains_here_and_says_there_that_it_serves(pair: tuple[FakeHost, FakeHost]) -> None:
    source, target = pair
    await with_hooks(source)
    done = await source.end_of(await migrate(source, target))
    assert reason_of(done) == ""
    assert (called(source), called(target)) == (["/drain"], ["/serve"])
    names = phases(done)
    assert names.index("precopy") < names.index("drain") < names.index("freeze")
    (moved,) = source.core.use_cases.migrations.list()
    assert moved.parts is not None
    assert None not in {moved.parts.before_stop, moved.parts.after_start}
    assert moved.parts.downtime == pytest.approx(
        sum(getattr(moved.parts, p) or 0 for p in ("stop", "flush", "snapshot", "send", "verify", "mounts", "start"))
    )


async def test_a_migration_that_is_given_up_after_it_drained_leaves_it_told_that_it_serves(
    pair: tuple[FakeHost, FakeHost],
) -> None:
    source, target = pair
    await with_hooks(source, "abort")
    source.probe.refused["/drain"] = "answered 503"
    assert reason_of(await source.end_of(await migrate(source, target))) == "HOOK_FAILED"
    assert called(source) == ["/drain", "/serve"]
    assert serves(source, 1)


@pytest.mark.parametrize("reboot", [False, True])
async def test_after_a_crash_while_a_migration_drains_it_is_told_that_it_serves_until_it_drains_again(
    pair: tuple[FakeHost, FakeHost], monkeypatch: pytest.MonkeyPatch, *, reboot: bool
) -> None:
    source, target = pair
    await with_hooks(source)
    watched = Watched(source, monkeypatch)
    watched.answer.clear()
    operation = await migrate(source, target)
    await watched.asked.wait()
    watched.answer.set()
    await source.restart(reboot=reboot)
    await source.quiet()
    await source.end_of(operation)
    assert serves(target, 1)
    assert [path for path, _ in watched.seen if path == "/serve"] != []
    assert watched.seen[-1] == ("/drain", ["web.1"])
    assert called(target) == ["/serve"]
