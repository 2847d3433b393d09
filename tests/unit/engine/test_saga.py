"""What the engine does with a list of phases: the order, the way back, and the one act that decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest

from jaild.engine.operations import Handle, Operations
from jaild.engine.saga import Attempt, Back, Completion, Phase, Pivot, Saga, SagaRunner
from jaild.engine.supervisor import BackOff, Supervisor
from jaild.model.errors import (
    AbortedError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    JaildError,
    ResourceExhaustedError,
)
from jaild.model.operation import Outcome, Stop
from jaild.model.views import Caller
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Crash
from tests.fakes.store import MemoryStore

ADA = Caller(actor="ada")
OFTEN = BackOff(first=1.0, longest=1.0)


def broken(what: str = "I/O error") -> JaildError:
    return InternalError("COMMAND_FAILED", what)


@dataclass(kw_only=True)
class Trip(Attempt):
    """What the phases of the sagas here write down, and what is to go wrong in them."""

    done: list[str] = field(default_factory=list)
    raises: dict[str, list[BaseException]] = field(default_factory=dict)
    hangs: str = ""  # what does not end by itself
    reached: asyncio.Event = field(default_factory=asyncio.Event)  # it has come there
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    stored: list[str] = field(default_factory=list)  # the phase on disk when each thing was done
    lasting: bool = False  # the pivot has happened

    async def step(self, what: str) -> None:
        self.done.append(what)
        if self.raises.get(what):
            raise self.raises[what].pop(0)
        if self.hangs == what:
            self.reached.set()
            await self.go_on.wait()


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.operations = Operations(self.store, self.clock)
        self.events: list[tuple[str, str, str]] = []
        self.supervisor = Supervisor(self.clock, self.tell)
        self.runner = SagaRunner(self.supervisor, self.tell)
        self.trip = Trip(handle=Handle(self.operations, self.operations.new("deploy", "jails/web", ADA).id))

    async def tell(self, kind: str, target: str, message: str) -> None:
        self.events.append((kind, target, message))

    def act(self, what: str) -> Callable[[Trip], asyncio.Future[None]]:
        async def do(trip: Trip) -> None:
            stored = await self.store.operations()
            trip.stored.append(stored[0].phase if stored else "")
            await trip.step(what)

        return do  # type: ignore[return-value]

    def phase(self, name: str, stop: Stop = Stop.NOW, **more: object) -> Phase[Trip]:
        return Phase(name, self.act(name), undo=self.act(f"un{name}"), stop=stop, **more)  # type: ignore[arg-type]

    def saga(self, *before: Phase[Trip], after: tuple[Completion[Trip], ...] = ()) -> Saga[Trip]:
        async def commit(trip: Trip) -> None:
            await self.act("commit")(trip)
            trip.lasting = True

        async def happened(trip: Trip) -> bool:
            await trip.step("asked")
            return trip.lasting

        return Saga("change", before, Pivot("commit", commit, happened=happened), after)

    def usual(self) -> Saga[Trip]:
        return self.saga(
            self.phase("stage"),
            self.phase("cutover", Stop.NEVER),
            self.phase("check", Stop.CANCEL),
            after=(Completion("settle", self.act("settle")),),
        )

    async def carried_out(self, saga: Saga[Trip]) -> None:
        await self.operations.save(self.trip.handle.id)
        async with asyncio.timeout(5):
            await self.runner.carry_out(saga, self.trip)

    async def begun(self, saga: Saga[Trip], hangs: str) -> asyncio.Task[None]:
        """Let it come to where it hangs."""
        self.trip.hangs = hangs
        task = asyncio.create_task(self.carried_out(saga))
        async with asyncio.timeout(5):
            await self.trip.reached.wait()
        return task

    def outcomes(self) -> dict[str, Outcome]:
        return {report.name: report.outcome for report in self.trip.handle.operation.phases}


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def ended(task: asyncio.Task[None]) -> BaseException | None:
    async with asyncio.timeout(5):
        return (await asyncio.gather(task, return_exceptions=True))[0]


# -- the order


async def test_phases_are_done_in_their_order_and_each_that_can_be_undone_is_on_disk_before_it_begins(
    bench: Bench,
) -> None:
    await bench.carried_out(bench.saga(bench.phase("stage"), bench.phase("cutover"), bench.phase("end", written=False)))
    assert bench.trip.done == ["stage", "cutover", "end", "commit"]
    assert bench.trip.stored == ["stage", "cutover", "cutover", "cutover"]  # from the pivot on in memory only, too
    assert bench.trip.error is None
    assert list(bench.outcomes()) == bench.trip.done


async def test_a_phase_that_a_run_has_not_is_neither_begun_nor_undone(bench: Bench) -> None:
    bench.trip.raises["check"] = [broken()]
    saga = bench.saga(
        bench.phase("stage"),
        bench.phase("cutover", when=lambda trip: "stage" not in trip.done),
        bench.phase("check"),
    )
    with pytest.raises(InternalError):
        await bench.carried_out(saga)
    assert bench.trip.done == ["stage", "check", "uncheck", "unstage"]


# -- the way back


@pytest.mark.parametrize("error", [broken(), KeyError("web")], ids=["refused", "defect"])
async def test_what_had_begun_is_undone_in_reverse_and_nothing_else(bench: Bench, error: Exception) -> None:
    bench.trip.raises["cutover"] = [error]
    with pytest.raises(type(error)):
        await bench.carried_out(bench.usual())
    assert bench.trip.done == ["stage", "cutover", "uncutover", "unstage"]
    assert bench.trip.error is error
    assert bench.outcomes() == {"stage": Outcome.UNDONE, "cutover": Outcome.FAILED}


async def test_a_phase_that_cannot_be_journalled_is_not_begun(bench: Bench) -> None:
    async def no_room(trip: Trip) -> None:
        await trip.step("stage")
        bench.store.failure = ResourceExhaustedError("NO_SPACE", "the disk is full")

    saga = bench.saga(Phase("stage", no_room, undo=bench.act("unstage")), bench.phase("cutover", Stop.NEVER))
    with pytest.raises(ResourceExhaustedError):
        await bench.carried_out(saga)
    assert bench.trip.done == ["stage", "unstage"]


async def test_an_undo_that_fails_is_told_and_the_others_go_on(bench: Bench) -> None:
    bench.trip.raises = {
        "check": [AbortedError("HEALTH_CHECK_FAILED", "not healthy")],
        "uncutover": [KeyError("mounts")],
        "unstage": [broken("busy")],
    }
    with pytest.raises(AbortedError, match="not healthy"):
        await bench.carried_out(bench.usual())
    assert bench.trip.done[-3:] == ["uncheck", "uncutover", "unstage"]
    assert bench.outcomes()["cutover"] is Outcome.CLEANUP_PENDING
    assert bench.outcomes()["check"] is Outcome.FAILED
    assert {(kind, target) for kind, target, _ in bench.events} == {("jail.cleanup-pending", "jails/web")}
    messages = [message for _, _, message in bench.events]
    assert "cutover could not be undone" in messages[0]
    assert "stage could not be undone: busy" in messages[1]
    assert bench.trip.handle.operation.facts["cleanup_pending"] == "; ".join(messages)


async def test_an_undo_that_dies_with_the_daemon_leaves_the_others_to_its_successor(bench: Bench) -> None:
    bench.trip.raises = {"check": [broken()], "uncutover": [Crash()]}
    with pytest.raises(Crash):
        await bench.carried_out(bench.usual())
    assert "unstage" not in bench.trip.done


# -- a cancel, and the daemon's stop


@pytest.mark.parametrize(
    ("phase", "cancelled", "stopped"),
    [("stage", True, True), ("check", True, False), ("cutover", False, False), ("commit", False, False)],
)
async def test_a_phase_is_ended_by_what_may_end_it_and_by_nothing_else(
    bench: Bench, phase: str, *, cancelled: bool, stopped: bool
) -> None:
    task = await bench.begun(bench.usual(), phase)
    bench.operations.stop(bench.trip.handle.id)
    for _ in range(10):
        await asyncio.sleep(0)
    assert task.done() is stopped
    if not stopped:
        with nullcontext() if cancelled else pytest.raises(FailedPreconditionError, match="NOT_CANCELLABLE"):
            await bench.operations.cancel(bench.trip.handle.id, ADA)
        for _ in range(10):
            await asyncio.sleep(0)
        assert task.done() is cancelled
    bench.trip.go_on.set()
    error = await ended(task)
    if cancelled:
        assert isinstance(error, asyncio.CancelledError)
        assert bench.trip.done[-1] == "unstage"
        assert not bench.trip.lasting
    else:
        assert error is None
        assert bench.trip.lasting


async def test_a_cancel_that_came_while_nothing_could_be_ended_is_heeded_at_the_next_phase_that_can_be(
    bench: Bench,
) -> None:
    task = await bench.begun(bench.usual(), "cutover")
    bench.operations.update(bench.trip.handle.id, cancel_requested=True)
    bench.trip.go_on.set()
    assert isinstance(await ended(task), asyncio.CancelledError)
    assert bench.trip.done == ["stage", "cutover", "uncutover", "unstage"]


@pytest.mark.parametrize("following", ["cutover", "commit"])
async def test_a_cancel_that_was_taken_as_a_phase_ended_is_heeded_before_what_nothing_may_end(
    bench: Bench, following: str
) -> None:
    before = (bench.phase("stage"), bench.phase("cutover", Stop.NEVER))
    task = await bench.begun(bench.saga(*before[: 2 if following == "cutover" else 1]), "stage")
    bench.store.ready.clear()  # the cancel is still being written when the phase ends
    asked = asyncio.create_task(bench.operations.cancel(bench.trip.handle.id, ADA))
    await asyncio.sleep(0)
    bench.trip.go_on.set()
    assert isinstance(await ended(task), asyncio.CancelledError)
    assert bench.trip.done == ["stage", "unstage"]
    bench.store.ready.set()
    await asked


async def test_neither_a_second_cancel_nor_the_end_of_the_daemons_patience_interrupts_an_undo(bench: Bench) -> None:
    bench.trip.raises["check"] = [broken()]
    task = await bench.begun(bench.usual(), "uncutover")
    await bench.operations.cancel(bench.trip.handle.id, ADA)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    bench.trip.go_on.set()
    assert isinstance(await ended(task), InternalError)
    assert bench.trip.done[-2:] == ["uncutover", "unstage"]


# -- the pivot


async def test_a_pivot_that_failed_and_did_not_happen_is_undone(bench: Bench) -> None:
    bench.trip.raises["commit"] = [broken()]
    with pytest.raises(InternalError):
        await bench.carried_out(bench.usual())
    assert bench.trip.done == ["stage", "cutover", "check", "commit", "asked", "uncheck", "uncutover", "unstage"]
    assert bench.outcomes()["commit"] is Outcome.FAILED


async def test_a_pivot_that_happened_although_it_failed_is_gone_on_from(bench: Bench) -> None:
    bench.trip.raises["commit"] = [broken()]
    bench.trip.lasting = True
    await bench.carried_out(bench.usual())
    assert bench.trip.done[-3:] == ["commit", "asked", "settle"]


async def test_whether_a_pivot_happened_is_asked_until_it_is_known(bench: Bench) -> None:
    bench.trip.raises = {"commit": [broken()], "asked": [broken(), KeyError("x"), broken()]}
    with pytest.raises(InternalError):
        await bench.carried_out(bench.usual())
    assert bench.trip.done.count("asked") == 4
    assert bench.trip.done[-1] == "unstage"
    assert [kind for kind, _, _ in bench.events] == ["task.failed", "task.recovered"]


async def test_what_is_not_known_when_the_daemon_ends_is_left_to_its_successor(bench: Bench) -> None:
    bench.trip.raises = {"commit": [broken()]}
    task = await bench.begun(bench.usual(), "asked")
    await bench.supervisor.close()
    assert isinstance(await ended(task), asyncio.CancelledError)
    assert bench.trip.done[-1] == "asked"


@pytest.mark.parametrize("lasting", [True, False])
async def test_a_daemon_that_ends_in_the_pivot_undoes_only_what_did_not_happen(bench: Bench, *, lasting: bool) -> None:
    task = await bench.begun(bench.usual(), "commit")
    bench.trip.lasting = lasting
    task.cancel()
    assert isinstance(await ended(task), asyncio.CancelledError)
    assert bench.trip.done[-1] == ("asked" if lasting else "unstage")


# -- after it


async def test_what_fails_after_the_pivot_is_told_and_fails_nothing(bench: Bench) -> None:
    bench.trip.raises["settle"] = [broken("busy")]
    after = [Completion(name, bench.act(name)) for name in ("settle", "measure")]
    await bench.carried_out(bench.saga(bench.phase("stage"), after=tuple(after)))
    assert bench.trip.done == ["stage", "commit", "settle", "measure"]
    told, pending = "change, after its commit: settle: busy (COMMAND_FAILED)", Outcome.CLEANUP_PENDING
    assert (*bench.events, bench.outcomes()["settle"]) == (("jail.cleanup-pending", "jails/web", told), pending)


async def test_a_store_without_room_keeps_neither_the_pivot_nor_what_follows_from_being_done(bench: Bench) -> None:
    async def stage(trip: Trip) -> None:
        await trip.step("stage")
        bench.store.failure = ResourceExhaustedError("NO_SPACE", "the disk is full")

    usual = bench.usual()
    await bench.carried_out(Saga(usual.name, (Phase("stage", stage),), usual.pivot, usual.after))
    assert bench.trip.done == ["stage", "commit", "settle"]


async def test_nothing_is_cancelled_after_the_pivot(bench: Bench) -> None:
    task = await bench.begun(bench.usual(), "settle")
    with pytest.raises(FailedPreconditionError, match="NOT_CANCELLABLE"):
        await bench.operations.cancel(bench.trip.handle.id, ADA)
    bench.operations.stop(bench.trip.handle.id)
    bench.trip.go_on.set()
    assert await ended(task) is None


# -- time, and trying again


async def test_a_phase_that_takes_too_long_is_ended_and_all_is_undone(bench: Bench) -> None:
    bench.trip.hangs = "stage"
    with pytest.raises(DeadlineExceededError, match="stage was not done within 0 s") as late:
        await bench.carried_out(bench.saga(bench.phase("stage", within=0.0)))
    assert late.value.reason == "PHASE_TIMED_OUT"
    assert bench.trip.done == ["stage", "unstage"]


async def test_a_timeout_inside_a_phase_is_its_own_error(bench: Bench) -> None:
    bench.trip.raises["stage"] = [TimeoutError("the peer")]
    with pytest.raises(TimeoutError, match="the peer"):
        await bench.carried_out(bench.saga(bench.phase("stage", within=60.0)))


async def test_a_phase_that_is_to_be_tried_again_is_tried_until_it_is_done(bench: Bench) -> None:
    bench.trip.raises = {"stage": [broken(), KeyError("x")], "activate": [broken()] * 3}
    after = (Completion("activate", bench.act("activate"), retry=OFTEN),)
    await bench.carried_out(bench.saga(bench.phase("stage", retry=OFTEN), after=after))
    assert bench.trip.done == ["stage"] * 3 + ["commit"] + ["activate"] * 4
    assert bench.clock.slept == [1.0] * 5


async def test_a_phase_that_is_ended_while_it_is_tried_again_is_not_tried_any_more(bench: Bench) -> None:
    bench.trip.hangs = "stage"
    with pytest.raises(DeadlineExceededError):
        await bench.carried_out(bench.saga(bench.phase("stage", within=0.0, retry=OFTEN)))
    assert bench.supervisor.statistics() == ()
    assert bench.trip.done[-1] == "unstage"


async def test_a_completion_that_must_be_done_is_not_taken_for_done_when_the_daemon_ends(bench: Bench) -> None:
    after = (Completion("activate", bench.act("activate"), retry=OFTEN),)
    task = await bench.begun(bench.saga(after=after), "activate")
    await bench.supervisor.close()
    assert isinstance(await ended(task), asyncio.CancelledError)


# -- back to an earlier phase, and on from one


def late(_: Trip) -> JaildError:
    return DeadlineExceededError("HANDOVER_TIMED_OUT", "it did not get through")


def looping(bench: Bench, **more: object) -> Saga[Trip]:
    """Return one whose last phase leads back to its second, behind what its third did."""
    precopy = bench.phase("precopy")
    back: Back[Trip] = Back(precopy, on="HANDOVER_TIMED_OUT", when=lambda trip: trip.done.count("freeze") < 3)
    final = bench.phase("final", Stop.CANCEL, back=back, **more)
    return bench.saga(bench.phase("connect"), precopy, bench.phase("freeze"), final)


async def test_an_error_that_leads_back_undoes_what_has_begun_since_and_goes_on_there(bench: Bench) -> None:
    bench.trip.raises["final"] = [late(bench.trip)]
    await bench.carried_out(looping(bench))
    there = ["precopy", "freeze", "final"]
    assert bench.trip.done == ["connect", *there, "unfinal", "unfreeze", *there, "commit"]
    assert bench.trip.error is None


@pytest.mark.parametrize(
    ("raises", "times"),
    [([late(Trip.__new__(Trip))] * 9, 3), ([broken()], 1)],
    ids=["once too often", "of another kind"],
)
async def test_an_error_that_does_not_lead_back_undoes_all(bench: Bench, raises: list[JaildError], times: int) -> None:
    bench.trip.raises["final"] = list(raises)
    with pytest.raises(type(raises[0])):
        await bench.carried_out(looping(bench))
    assert bench.trip.done.count("final") == times
    assert bench.trip.done[-4:] == ["unfinal", "unfreeze", "unprecopy", "unconnect"]


async def test_what_cannot_be_undone_on_the_way_back_to_an_earlier_phase_ends_it_all(bench: Bench) -> None:
    bench.trip.raises = {"final": [late(bench.trip)], "unfreeze": [broken("busy")]}
    with pytest.raises(InternalError, match="busy"):
        await bench.carried_out(looping(bench))
    assert bench.trip.done[-3:] == ["unfreeze", "unprecopy", "unconnect"]


async def test_the_way_back_to_an_earlier_phase_is_not_interrupted_by_the_end_of_the_daemon(bench: Bench) -> None:
    bench.trip.raises["final"] = [late(bench.trip)]
    task = await bench.begun(looping(bench), "unfreeze")
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    bench.trip.go_on.set()
    assert isinstance(await ended(task), asyncio.CancelledError)
    assert bench.trip.done[-3:] == ["unfreeze", "unprecopy", "unconnect"]


async def test_a_limit_may_be_told_when_its_phase_begins_and_say_what_it_means(bench: Bench) -> None:
    bench.trip.hangs = "final"
    told: list[str] = []

    def left(trip: Trip) -> float:
        told.append(trip.done[-1])
        return 0.0

    with pytest.raises(DeadlineExceededError, match="did not get through"):
        await bench.carried_out(looping(bench, within=left, late=late))
    assert told == ["freeze"] * 3


@pytest.mark.parametrize("resumable", [True, False])
async def test_a_resumable_phase_is_left_to_the_next_daemon(bench: Bench, *, resumable: bool) -> None:
    bench.operations.update(bench.trip.handle.id, resumable=True)
    task = await bench.begun(bench.saga(bench.phase("precopy", resumable=resumable)), "precopy")
    bench.operations.leaving = True
    bench.operations.stop(bench.trip.handle.id)
    assert isinstance(await ended(task), asyncio.CancelledError)
    assert bench.trip.done == (["precopy"] if resumable else ["precopy", "unprecopy"])


async def test_what_an_earlier_daemon_had_begun_is_gone_on_with_and_undone(bench: Bench) -> None:
    bench.trip.raises["freeze"] = [broken()]
    saga = looping(bench)
    with pytest.raises(InternalError):
        await bench.runner.carry_out(saga, bench.trip, since=saga.before[1])
    assert bench.trip.done == ["precopy", "freeze", "unfreeze", "unprecopy", "unconnect"]


async def test_what_is_cancelled_before_it_is_gone_on_with_is_undone(bench: Bench) -> None:
    bench.operations.update(bench.trip.handle.id, cancel_requested=True)
    saga = looping(bench)
    with pytest.raises(asyncio.CancelledError):
        await bench.runner.carry_out(saga, bench.trip, since=saga.before[0])
    assert bench.trip.done == ["unconnect"]


async def test_what_an_earlier_daemon_had_begun_is_undone_without_going_on(bench: Bench) -> None:
    error, saga = broken(), looping(bench)
    await bench.runner.give_up(saga, bench.trip, error, since=saga.before[1])
    assert bench.trip.done == ["unprecopy", "unconnect"]
    assert bench.trip.error is error


async def test_only_what_is_left_after_the_pivot_is_completed(bench: Bench) -> None:
    await bench.runner.complete(bench.usual(), bench.trip)
    assert bench.trip.done == ["settle"]


@pytest.mark.parametrize("error", [None, broken()])
async def test_a_trial_is_undone_in_any_case(bench: Bench, error: JaildError | None) -> None:
    saga = Saga("test", (bench.phase("connect"), bench.phase("test")), pivot=None)
    bench.trip.raises["test"] = [error] if error else []
    with nullcontext() if error is None else pytest.raises(InternalError):
        await bench.carried_out(saga)
    assert bench.trip.done == ["connect", "test", "untest", "unconnect"]
    assert bench.trip.error is error
