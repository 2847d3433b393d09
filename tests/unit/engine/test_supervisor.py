"""Background tasks: whatever one raises, it is told and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from jaild.engine.supervisor import BackOff, Supervisor
from jaild.model.errors import DataLossError, JaildError, UnavailableError
from tests.fakes.clock import FakeClock


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events: list[tuple[str, str, str]] = []
        self.refusal: Exception | None = None
        self.supervisor = Supervisor(self.clock, self.tell)

    async def tell(self, kind: str, target: str, message: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.events.append((kind, target, message))

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.events]


class Work:
    """Raises what it is told to, one after the other; then it is done, or (`lasts`) waits."""

    def __init__(self, raises: Sequence[BaseException] = (), *, lasts: bool = False) -> None:
        self.raises = list(raises)
        self.lasts = lasts
        self.calls = 0
        self.reached = asyncio.Event()
        self.ended = False

    async def __call__(self) -> str:
        self.calls += 1
        if self.raises:
            raise self.raises.pop(0)
        self.reached.set()
        if self.lasts:
            try:
                await asyncio.Event().wait()
            finally:
                self.ended = True
        return "done"


def away() -> JaildError:
    return UnavailableError("PEER_UNREACHABLE", "beta is away", hint="wait")


ANYTHING = [
    KeyError("web"),
    ValueError("Separator is not found"),
    RuntimeError(),
    AssertionError("no"),
    OSError(5, "I/O"),
]


@pytest.fixture
async def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("raised", [*ANYTHING, away(), asyncio.CancelledError()], ids=lambda e: type(e).__name__)
async def test_nothing_that_a_loop_raises_ends_it(bench: Bench, raised: BaseException) -> None:
    work = Work([raised], lasts=True)
    bench.supervisor.run("rounds", work, every=1.0)
    async with asyncio.timeout(5):
        await work.reached.wait()
    assert work.calls == 2
    assert bench.events[0][0] == "task.failed"
    assert type(raised).__name__ in bench.events[0][2] or "beta is away" in bench.events[0][2]
    await bench.supervisor.close()


async def test_a_loop_that_fails_does_not_spin_and_goes_back_to_its_pause_when_it_works_again(bench: Bench) -> None:
    work, seven = Work([KeyError("web")] * 4), asyncio.Event()

    async def looks() -> None:
        await work()
        if work.calls == 7:
            seven.set()
            await asyncio.Event().wait()

    bench.supervisor.run("rounds", looks, every=1.0, back_off=BackOff(0.5, 3.0))
    async with asyncio.timeout(5):
        await seven.wait()
    assert bench.clock.slept == [1.0, 1.0, 2.0, 3.0, 1.0, 1.0]
    await bench.supervisor.close()


async def test_what_fails_is_told_once_and_once_more_when_it_works_again(bench: Bench) -> None:
    bench.supervisor.retry("abort of m1", Work([away(), away(), KeyError("x"), away()]), target="jails/web")
    async with asyncio.timeout(5):
        await bench.supervisor.idle()
    assert bench.kinds() == ["task.failed", "task.recovered"]
    assert {target for _, target, _ in bench.events} == {"jails/web"}
    assert "beta is away" in bench.events[0][2]
    assert "attempt 5" in bench.events[1][2]
    assert bench.clock.slept == [0.5, 1.0, 2.0, 4.0]


async def test_what_works_at_once_is_not_worth_an_event(bench: Bench) -> None:
    bench.supervisor.retry("abort of m1", Work(), after=5.0)
    await bench.supervisor.idle()
    assert bench.events == []
    assert bench.clock.slept == [5.0]
    assert bench.supervisor.statistics() == ()


async def test_a_task_that_fails_shows_its_error_since_when_and_how_often(bench: Bench) -> None:
    work = Work([away(), KeyError("web")], lasts=True)
    bench.supervisor.retry("supersede web", work, target="jails/web")
    began = bench.clock.time
    await work.reached.wait()
    bench.clock.time += 7
    (task,) = bench.supervisor.statistics()
    assert (task.name, task.target, task.attempts, task.failures) == ("supersede web", "jails/web", 3, 2)
    assert task.error == "KeyError: 'web'"
    assert task.failing_since == began
    assert task.at_work == 7.0
    await bench.supervisor.close()


async def test_a_store_that_fails_as_well_does_not_end_a_task(bench: Bench) -> None:
    bench.refusal = DataLossError("STORE_DAMAGED", "jaild.db is damaged")
    work = Work([KeyError("web")])
    bench.supervisor.retry("tidying of web", work)
    async with asyncio.timeout(5):
        await bench.supervisor.idle()
    assert work.calls == 2


async def test_a_name_is_one_task(bench: Bench) -> None:
    first, second = Work(lasts=True), Work()
    bench.supervisor.retry("supersede web", first)
    bench.supervisor.retry("supersede web", second)
    await first.reached.wait()
    assert second.calls == 0
    assert bench.supervisor.is_under_way("supersede web")
    await bench.supervisor.end("supersede web")
    assert first.ended
    assert not bench.supervisor.is_under_way("supersede web")


async def test_another_can_be_begun_at_once_under_the_name_of_one_that_was_dropped(bench: Bench) -> None:
    first, second = Work(lasts=True), Work(lasts=True)
    bench.supervisor.retry("watch web", first, lasting=True)
    await first.reached.wait()
    bench.supervisor.drop("watch web")
    bench.supervisor.retry("watch web", second, lasting=True)
    await second.reached.wait()
    assert first.ended
    assert [task.name for task in bench.supervisor.statistics()] == ["watch web"]
    await bench.supervisor.close()
    assert second.ended


async def test_what_is_done_once_answers_whoever_waits_and_a_defect_is_told(bench: Bench) -> None:
    assert await bench.supervisor.once("good", Work()) == "done"
    with pytest.raises(UnavailableError):
        await bench.supervisor.once("away", Work([away()]))
    assert bench.events == []
    with pytest.raises(KeyError):
        await bench.supervisor.once("bad", Work([KeyError("web")]))
    assert bench.kinds() == ["task.failed"]
    assert bench.supervisor.statistics() == ()


async def test_idle_waits_for_what_comes_to_an_end_and_not_for_what_lasts(bench: Bench) -> None:
    lasting, finite = Work(lasts=True), Work([away()])
    bench.supervisor.retry("watch web", lasting, lasting=True)
    bench.supervisor.retry("abort of m1", finite)
    async with asyncio.timeout(5):
        await bench.supervisor.idle()
    assert finite.calls == 2
    assert bench.supervisor.is_under_way("watch web")
    await bench.supervisor.close()


async def test_nothing_is_begun_any_more_when_it_is_closed(bench: Bench) -> None:
    work = Work(lasts=True)
    bench.supervisor.run("rounds", work, every=1.0)
    await work.reached.wait()
    await bench.supervisor.close()
    assert work.ended
    late = Work()
    bench.supervisor.retry("late", late)
    with pytest.raises(UnavailableError) as caught:
        bench.supervisor.once("late", late)
    assert caught.value.reason == "SHUTTING_DOWN"
    await bench.supervisor.idle()
    assert late.calls == 0
