from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from jaild.adapters.files.host import HostFiles
from jaild.engine.events import Events
from jaild.engine.inventory import Inventory
from jaild.engine.supervisor import Supervisor
from jaild.jails.health import HealthChecks
from jaild.jails.runs import Runs
from jaild.model.errors import AbortedError, FailedPreconditionError
from jaild.model.jails.spec import (
    ExecCheck,
    HealthCheck,
    HttpCheck,
    JailSpec,
    Limits,
    Mode,
    Network,
    Readiness,
    TcpCheck,
)
from jaild.model.layout import Layout
from jaild.ports.runtime import RunSpec
from tests.fakes.clock import FakeClock
from tests.fakes.runtime import FakeRuntime
from tests.fakes.store import MemoryStore
from tests.fakes.zfs import FakeZfs

TCP = TcpCheck(port=80)
SPEC = JailSpec(base="b1", health=(TCP,), readiness=Readiness(successes=2, interval=0.5, deadline=10))
SICK = "connection refused"


class FakeProbe:
    """Implements `jaild.ports.probe.Probe`.

    It says `answers` one by one, then the last one again; `asked` is what of. None: it hangs.
    """

    def __init__(self) -> None:
        self.answers: Sequence[str | Callable[[], str] | None] = [""]
        self.asked: list[tuple[str, ...]] = []

    async def _answer(self) -> str:
        await asyncio.sleep(0)
        answer, *rest = self.answers
        self.answers = rest or [answer]
        if answer is None:
            await asyncio.Event().wait()
            return ""
        return answer() if callable(answer) else answer

    async def tcp(self, address: str, port: int, timeout: float) -> str:
        """Answer."""
        self.asked.append(("tcp", address, str(port), str(timeout)))
        return await self._answer()

    async def http(self, address: str, port: int, path: str, timeout: float) -> str:
        """Answer."""
        self.asked.append(("http", address, str(port), path, str(timeout)))
        return await self._answer()


class Bench:
    """Health checks of generation 2 of the jail web, which runs."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.probe = FakeProbe()
        self.runtime = FakeRuntime(now=self.clock.now)
        files = HostFiles(folder / "spool")
        inventory = Inventory(Layout("tank/jaild"), FakeZfs(folder / "zfs"), files)
        events = Events(MemoryStore(), self.clock)
        supervisor = Supervisor(self.clock, events.emit)
        self.runs = Runs(inventory, self.runtime, supervisor, events, self.clock, folder)
        self.health_checks = HealthChecks(self.runtime, self.runs, self.probe, files, self.clock)

    async def start(self) -> None:
        run = RunSpec(
            jail="web",
            generation=2,
            uid="u",
            mounts=(),
            command=("/bin/web",),
            environment={},
            user="root",
            hostname="web",
            network=Network(),
            limits=Limits(),
            osrelease="",
            osreldate=0,
            log=self.runs.log_path("web"),
            stop_signal="TERM",
            stop_timeout=1.0,
        )
        await self.runtime.create(run)
        await self.runtime.start("web", 2)

    async def passes(self, spec: JailSpec = SPEC) -> None:
        await self.health_checks.require_healthy("web", 2, spec)

    async def refusal(self, spec: JailSpec = SPEC) -> AbortedError:
        with pytest.raises(AbortedError) as caught:
            await self.passes(spec)
        assert caught.value.reason == "HEALTH_CHECK_FAILED"
        assert caught.value.resource == "jails/web/generations/2"
        return caught.value

    def crash(self) -> str:
        self.runtime.end("web", 2, 3)
        return ""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.start()
    yield bench
    assert asyncio.all_tasks() == {asyncio.current_task()}, "the health checks leave nothing running"


def checked(*checks: HealthCheck, network: Network | None = None) -> JailSpec:
    return msgspec.structs.replace(SPEC, health=checks, network=network or Network())


async def test_a_jail_is_healthy_when_its_checks_pass_often_enough_in_a_row(bench: Bench) -> None:
    bench.probe.answers = ["", SICK, "", ""]
    await bench.passes()
    assert len(bench.probe.asked) == 4
    assert bench.clock.slept == [0.5] * 3


async def test_a_jail_that_is_sick_until_the_deadline_fails_with_what_the_checks_said(bench: Bench) -> None:
    bench.probe.answers = [SICK]
    began = bench.clock.now()
    error = await bench.refusal()
    assert SICK in error.message
    assert error.detail["checks"] == SICK
    assert bench.clock.now() - began == 10


async def test_a_jail_that_is_well_at_the_deadline_may_finish_its_row(bench: Bench) -> None:
    bench.probe.answers = [SICK] * 20 + [""]
    await bench.passes()
    assert len(bench.probe.asked) == 22


async def test_a_jail_that_comes_and_goes_fails_at_its_first_failure_after_the_deadline(bench: Bench) -> None:
    bench.probe.answers = [SICK, ""] * 30
    await bench.refusal()
    assert bench.clock.slept == [0.5] * 20


async def test_what_fails_in_the_same_words_too_often_in_a_row_is_not_waited_for(bench: Bench) -> None:
    three = msgspec.structs.replace(SPEC, readiness=Readiness(successes=2, interval=0.5, deadline=10, failures=3))
    bench.probe.answers = [SICK, SICK, "still loading", SICK, SICK, "", SICK, SICK, SICK, ""]
    error = await bench.refusal(three)
    assert error.detail["checks"].splitlines() == [SICK, "said 3 times in a row"]
    assert bench.clock.slept == [0.5] * 8
    bench.probe.answers = [SICK, SICK, "", ""]
    await bench.passes(three)


async def test_every_check_must_pass_and_all_that_fail_are_told(bench: Bench) -> None:
    bench.probe.answers = ["", "one is sick", "another is sick", *["x"] * 57, "", "the last", "words"]
    error = await bench.refusal(checked(TCP, TCP, TCP))
    assert error.detail["checks"].splitlines() == ["the last", "words"]


async def test_the_end_of_the_log_is_in_the_error(bench: Bench) -> None:
    bench.runs.log_path("web").write_bytes(b"x" * 10_000 + b"\nsegmentation fault\xff\n")
    bench.probe.answers = [SICK]
    error = await bench.refusal()
    assert error.detail["log"].endswith("segmentation fault\ufffd")
    assert len(error.detail["log"]) <= 2000


async def test_a_log_that_cannot_be_read_does_not_hide_the_failure(bench: Bench) -> None:
    bench.runs.log_path("web").mkdir()
    bench.probe.answers = [SICK]
    error = await bench.refusal()
    assert SICK in error.message
    assert "not readable" in error.detail["log"]


async def test_a_first_process_that_ends_fails_the_health_checks_at_once(bench: Bench) -> None:
    bench.probe.answers = [SICK, bench.crash, None]
    error = await bench.refusal()
    assert "ended with status 3" in error.message


async def test_a_jail_that_ended_before_its_health_checks_fails_them_even_if_something_answers(bench: Bench) -> None:
    bench.crash()
    await bench.refusal()


async def test_without_checks_a_jail_only_has_to_keep_running(bench: Bench) -> None:
    await bench.passes(checked())
    assert bench.clock.slept == [0.5, 0.5]


async def test_without_checks_a_jail_that_ends_fails_too(bench: Bench) -> None:
    bench.crash()
    assert "status 3" in (await bench.refusal(checked())).message


async def test_a_run_that_the_runtime_does_not_know_fails_with_the_runtimes_word(bench: Bench) -> None:
    bench.runtime.refuse["wait"] = FailedPreconditionError("RUN_NOT_RUNNING", "it was not started")
    bench.probe.answers = [SICK]
    with pytest.raises(FailedPreconditionError) as caught:
        await bench.passes()
    assert caught.value.reason == "RUN_NOT_RUNNING"


async def test_health_checks_that_are_cancelled_stop_asking(bench: Bench) -> None:
    bench.probe.answers = [SICK]
    patient = msgspec.structs.replace(SPEC, readiness=Readiness(deadline=3600, interval=0.001))
    waiting = asyncio.create_task(bench.passes(patient))
    for _ in range(20):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    asked = len(bench.probe.asked)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(bench.probe.asked) == asked


# --- what is asked

OWN = Network(mode=Mode.VNET, addresses=("10.0.0.5/24", "2001:db8::5/64"))


@pytest.mark.parametrize(
    ("check", "network", "asked"),
    [
        (TCP, Network(), ("tcp", "127.0.0.1", "80", "2.0")),
        (TCP, OWN, ("tcp", "10.0.0.5", "80", "2.0")),
        (TcpCheck(port=80, address="2001:db8::5"), OWN, ("tcp", "2001:db8::5", "80", "2.0")),
        (HttpCheck(port=8080, path="/up", timeout=1.5), OWN, ("http", "10.0.0.5", "8080", "/up", "1.5")),
    ],
)
async def test_a_check_asks_the_address_it_names_else_the_jails_first_else_this_host(
    bench: Bench, check: HealthCheck, network: Network, asked: tuple[str, ...]
) -> None:
    await bench.passes(checked(check, network=network))
    assert set(bench.probe.asked) == {asked}


EXEC = ExecCheck(command=("check", "-q"))


async def test_a_command_is_well_with_status_0_whatever_it_says(bench: Bench) -> None:
    bench.runtime.say("web", 2, stderr=b"warning", command=EXEC.command)
    await bench.passes(checked(EXEC))


async def test_a_command_that_fails_is_told_with_its_status_and_output(bench: Bench) -> None:
    bench.runtime.say("web", 2, status=7, stdout=b"no ", stderr=b"disk\n", command=EXEC.command)
    assert "check -q: exit status 7: no disk" in (await bench.refusal(checked(EXEC))).message


async def test_a_command_that_cannot_be_run_is_a_failed_check(bench: Bench) -> None:
    bench.runtime.refuse["exec"] = FailedPreconditionError("RUN_NOT_RUNNING", "nothing runs there")
    assert "check -q: nothing runs there" in (await bench.refusal(checked(EXEC))).message


async def test_a_command_that_hangs_is_a_failed_check_and_is_closed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    async def hanging(*_: object) -> AsyncIterator[object]:
        try:
            await asyncio.Event().wait()
            yield None
        finally:
            closed.append("exec")

    monkeypatch.setattr(bench.runtime, "exec", hanging)
    spec = msgspec.structs.replace(
        checked(ExecCheck(command=("sleep",), timeout=0.001)), readiness=Readiness(deadline=0.1, interval=0.1)
    )
    assert "sleep: not done within 0.001 s" in (await bench.refusal(spec)).message
    assert closed


@pytest.mark.parametrize("raised", [ValueError("no separator"), KeyError("x"), UnicodeError("label too long")])
async def test_a_check_that_dies_of_whatever_the_service_does_is_a_failed_check(
    bench: Bench, raised: Exception
) -> None:
    def die() -> str:
        raise raised

    bench.probe.answers = [die, ""]
    await bench.passes(SPEC)
    bench.probe.answers = [die]
    with pytest.raises(AbortedError, match=type(raised).__name__):
        await bench.passes(SPEC)
