from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from jaild.engine import operations as module
from jaild.engine.operations import Handle, Operations
from jaild.model import bounds
from jaild.model.errors import AbortedError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.operation import PHASES, Operation, Outcome, PhaseReport, Stop
from jaild.model.problems import Plan, Problem, Severity
from jaild.model.views import Caller
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore

ADA = Caller(actor="ada", request_id="r1")
BOB = Caller(actor="bob", request_id="r1")
PLAN = Plan(kind="deploy", target="jails/web")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(100.0)


@pytest.fixture
def operations(store: MemoryStore, clock: FakeClock) -> Operations:
    return Operations(store, clock)


async def started(operations: Operations, caller: Caller = ADA) -> Operation:
    operation = operations.new("deploy", "jails/web", caller)
    await operations.save(operation.id)
    return operation


async def test_an_unknown_operation_is_told_so_and_not_remembered(operations: Operations) -> None:
    with pytest.raises(NotFoundError) as caught:
        operations.get("x")
    assert caught.value.reason == "OPERATION_NOT_FOUND"
    with pytest.raises(NotFoundError):
        await operations.wait("x")
    assert operations.watched == {}


async def test_the_same_request_of_the_same_caller_leads_to_the_same_operation(operations: Operations) -> None:
    operation = await started(operations)
    assert await operations.duplicate(ADA, "deploy", "jails/web") == operation
    assert await operations.duplicate(BOB, "deploy", "jails/web") is None
    assert await operations.duplicate(Caller(actor="ada", request_id="r2"), "deploy", "jails/web") is None


async def test_a_request_id_used_for_something_else_is_refused_and_not_answered_with_the_other(
    operations: Operations,
) -> None:
    await started(operations)
    for kind, target in (("stop", "jails/web"), ("deploy", "jails/db")):
        with pytest.raises(InvalidArgumentError) as caught:
            await operations.duplicate(ADA, kind, target)
        assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_without_a_request_id_nothing_is_a_duplicate(operations: Operations) -> None:
    caller = Caller(actor="ada")
    await started(operations, caller)
    assert await operations.duplicate(caller, "deploy", "jails/web") is None


async def test_a_request_is_recognised_after_a_restart(
    operations: Operations, store: MemoryStore, clock: FakeClock
) -> None:
    operation = await started(operations)
    again = Operations(store, clock)
    assert await again.load() == [operation]
    assert await again.duplicate(ADA, "deploy", "jails/web") == operation


async def test_only_what_was_not_done_is_left_to_recovery(
    operations: Operations, store: MemoryStore, clock: FakeClock
) -> None:
    done, open_ = await started(operations, Caller(actor="a")), await started(operations, Caller(actor="b"))
    await operations.finish(done.id, result="jails/web")
    again = Operations(store, clock)
    assert [operation.id for operation in await again.load()] == [open_.id]
    assert again.get(done.id).result == "jails/web"


async def test_an_end_is_stored_with_all_that_an_error_says(
    operations: Operations, store: MemoryStore, clock: FakeClock
) -> None:
    operation = await started(operations)
    operations.update(operation.id, phase="health-check")
    clock.time = 107.0
    error = AbortedError("HEALTH_CHECK_FAILED", "not healthy", hint="fix it", detail={"log": "x"})
    await operations.finish(operation.id, error=error)
    (stored,) = await store.operations()
    assert stored == operations.get(operation.id)
    assert (stored.done, stored.phase, stored.updated, stored.created) == (True, "health-check", 107.0, 100.0)
    assert stored.failure is not None
    assert (stored.failure.error, stored.failure.reason) == ("AbortedError", "HEALTH_CHECK_FAILED")
    assert stored.failure.detail == {"log": "x"}


async def test_operations_are_listed_newest_first(operations: Operations, clock: FakeClock) -> None:
    old = await started(operations)
    clock.time += 1
    new = await started(operations, BOB)
    assert [operation.id for operation in operations.list()] == [new.id, old.id]


# --- validate_only


async def test_a_plan_is_done_at_once_and_not_stored_and_no_duplicate_of_the_real_request(
    operations: Operations, store: MemoryStore
) -> None:
    operation = await operations.planned(PLAN, ADA)
    assert operation.done
    assert operation.plan == PLAN
    assert await operations.duplicate(ADA, "deploy", "jails/web") is None
    assert await store.operations() == []


# --- what is kept


async def test_the_oldest_that_are_done_are_forgotten_and_open_ones_never(
    operations: Operations, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    open_ = await started(operations, Caller(actor="open"))
    done = [await started(operations, Caller(actor=str(n), request_id="r")) for n in range(4)]
    for operation in done:
        await operations.finish(operation.id)
    kept = {open_.id, done[2].id, done[3].id}
    assert {operation.id for operation in operations.list()} == kept
    assert {operation.id for operation in await store.operations()} == kept
    assert await operations.duplicate(Caller(actor="0", request_id="r"), "deploy", "jails/web") is None


async def test_plans_push_neither_operations_nor_their_request_ids_out(
    operations: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    real = await started(operations)
    await operations.finish(real.id)
    for _ in range(5):
        plan = await operations.planned(PLAN, ADA)
    assert operations.list() == [operations.get(real.id)]
    assert await operations.duplicate(ADA, "deploy", "jails/web") == operations.get(real.id)
    assert operations.get(plan.id).plan == PLAN
    await operations.delete(plan.id)
    with pytest.raises(NotFoundError):
        operations.get(plan.id)


async def test_plans_alone_do_not_fill_the_memory(operations: Operations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "PLANS", 2)
    plans = [await operations.planned(PLAN, ADA) for _ in range(3)]
    with pytest.raises(NotFoundError):
        operations.get(plans[0].id)
    monkeypatch.setattr(bounds, "PLANS_BYTES", 1000)
    large = Plan(kind="deploy", target="jails/web", steps=("x" * 900,))
    last = [await operations.planned(large, ADA) for _ in range(2)][-1]
    assert operations.get(last.id).plan == large
    with pytest.raises(NotFoundError):
        operations.get(plans[2].id)


async def test_whoever_asks_most_has_its_own_oldest_forgotten_and_nobody_elses(
    operations: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    quiet = await started(operations, BOB)
    await operations.finish(quiet.id)
    for number in range(9):
        operation = await started(operations, Caller(actor="ada", request_id=str(number)))
        await operations.finish(operation.id)
    assert await operations.duplicate(BOB, "deploy", "jails/web") == operations.get(quiet.id)
    assert len(operations.list()) == 3


async def test_what_is_kept_is_bounded_in_bytes_after_a_restart_too(
    operations: Operations, store: MemoryStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        operation = await started(operations, Caller(actor="ada"))
        await operations.finish(operation.id, result="x" * 1000)
    monkeypatch.setattr(module, "KEPT_BYTES", 3000)
    again = Operations(store, clock)
    await again.load()
    assert len(again.list()) == len(await store.operations()) == 2


async def test_texts_and_problems_of_an_operation_are_cut_to_what_is_kept(operations: Operations) -> None:
    note = Problem(severity=Severity.NOTE, code="N", message="n" * 1000)
    stop = Problem(severity=Severity.ERROR, code="MERGE_CONFLICT", message="stop")
    operation = await started(operations)
    Handle(operations, operation.id).note(message="m" * 1_000_000)
    plan = Plan(kind="deploy", target="jails/web", problems=(*[note] * 1000, stop), steps=("s",) * 1000)
    operations.update(operation.id, plan=plan, facts={"log": "f" * 1_000_000})
    refusal = FailedPreconditionError("PLAN_REFUSED", "e" * 1_000_000, problems=plan.problems)
    ended = await operations.finish(operation.id, error=refusal)
    assert len(ended.message) <= 4096
    assert len(ended.facts["log"]) <= 4096
    assert ended.plan is not None
    assert ended.failure is not None
    for problems in (ended.plan.problems, ended.failure.problems):
        assert problems[0] == stop  # what stops it comes first, what does not fit is counted
        assert problems[-1].code == "MORE_PROBLEMS"
        assert problems[-1].message.startswith(str(1001 - len(problems) + 1))
    assert len(msgspec.json.encode(ended)) < 600_000


async def test_what_stops_a_change_is_told_however_much_evidence_it_has(operations: Operations) -> None:
    held = tuple(f"tank/jaild/jails/web/data@hourly-{number}" for number in range(10_000))
    stop = Problem(severity=Severity.ERROR, code="SNAPSHOTS_IN_USE", message="kept", evidence=held)
    planned = await operations.planned(Plan(kind="delete", target="jails/web", problems=(stop,)), ADA)
    assert planned.plan is not None
    (told,) = planned.plan.problems
    assert (told.code, told.severity, told.message) == (stop.code, stop.severity, stop.message)
    assert told.evidence == (*held[:20], "and 9980 more")


async def test_ends_at_the_same_time_forget_each_old_one_once(
    operations: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = [await started(operations, Caller(actor=str(n))) for n in range(8)]
    for operation in begun[:4]:
        await operations.finish(operation.id)
    monkeypatch.setattr(module, "KEPT", 1)
    await asyncio.gather(*(operations.finish(operation.id) for operation in begun[4:]))
    assert len(operations.list()) == 1


async def test_one_that_is_under_way_cannot_be_forgotten(operations: Operations, store: MemoryStore) -> None:
    operation = await started(operations)
    with pytest.raises(FailedPreconditionError) as caught:
        await operations.delete(operation.id)
    assert caught.value.reason == "OPERATION_RUNNING"
    await operations.finish(operation.id)
    await operations.delete(operation.id)
    assert operations.list() == await store.operations() == []


# --- watching


async def collect(stream: AsyncIterator[Operation], into: list[str]) -> None:
    into.extend([operation.phase async for operation in stream])


async def let_others_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_every_watcher_sees_the_present_each_change_and_the_end(operations: Operations) -> None:
    operation = await started(operations)
    seen: list[list[str]] = [[], []]
    watchers = [asyncio.create_task(collect(operations.watch(operation.id), into)) for into in seen]
    await let_others_run()
    operations.update(operation.id, phase="stage")
    await let_others_run()
    await operations.finish(operation.id)
    await asyncio.gather(*watchers)
    assert seen == [["queued", "stage", "done"]] * 2
    assert operations.watched == {}


async def test_what_changes_while_a_watcher_is_busy_is_not_missed(operations: Operations) -> None:
    operation = await started(operations)
    stream = operations.watch(operation.id)
    await anext(stream)
    operations.update(operation.id, phase="stage")
    operations.update(operation.id, phase="health-check")
    assert (await anext(stream)).phase == "health-check"
    await operations.finish(operation.id)
    assert [last.phase async for last in stream] == ["done"]


async def test_watchers_hear_of_progress_now_and_then_and_of_all_else_at_once(
    operations: Operations, clock: FakeClock
) -> None:
    handle = Handle(operations, (await started(operations)).id)
    seen: list[int] = []

    async def watch() -> None:
        async for operation in operations.watch(handle.id):
            seen.append(operation.bytes_done)  # noqa: PERF401  # one by one: they are counted meanwhile

    watcher = asyncio.create_task(watch())
    await let_others_run()
    for done in range(1, 100):  # 33 a second, for 3 seconds
        handle.progress(done, bytes_total=100)
        await let_others_run()
        assert handle.operation.bytes_done == done  # who asks is told
        await clock.sleep(0.03)
    told = len(seen)
    handle.progress(100)
    handle.note(message="sent")
    await let_others_run()
    await operations.finish(handle.id)
    await watcher
    assert 20 < told < 35
    assert seen[told:] == [100, 100]


async def test_a_done_operation_is_watched_once(operations: Operations) -> None:
    operation = await started(operations)
    await operations.finish(operation.id)
    seen: list[str] = []
    await collect(operations.watch(operation.id), seen)
    assert seen == ["done"]


async def test_waiting_ends_with_the_operation_or_with_the_time(operations: Operations) -> None:
    operation = await started(operations)
    assert not (await operations.wait(operation.id, 0.001)).done
    waiting = asyncio.create_task(operations.wait(operation.id))
    await let_others_run()
    await operations.finish(operation.id, result="jails/web")
    assert (await waiting).result == "jails/web"
    assert (await operations.wait(operation.id, 0)).done


# --- cancelling


async def test_cancelling_what_is_done_is_no_error(operations: Operations) -> None:
    operation = await started(operations)
    await operations.finish(operation.id)
    await operations.cancel(operation.id, BOB)
    assert not operations.get(operation.id).cancel_requested


async def test_in_a_phase_that_nothing_may_end_no_cancel_is_taken(operations: Operations) -> None:
    operation = await started(operations)
    Handle(operations, operation.id).enter("commit", stop=Stop.NEVER)
    with pytest.raises(FailedPreconditionError) as caught:
        await operations.cancel(operation.id, ADA)
    assert caught.value.reason == "NOT_CANCELLABLE"
    assert not operations.get(operation.id).cancel_requested


async def test_a_cancel_is_on_disk_and_interrupts_only_a_stretch_that_may_be(
    operations: Operations, store: MemoryStore
) -> None:
    operation = await started(operations)
    handle = Handle(operations, operation.id)
    over = asyncio.Event()

    async def work() -> str:
        await over.wait()
        with handle.cancellable():
            await asyncio.Event().wait()
        return "never"

    task = asyncio.create_task(work())
    await let_others_run()
    await operations.cancel(operation.id, ADA)
    await let_others_run()
    assert not task.done()
    assert (await store.operations())[0].cancel_requested
    over.set()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(("stop", "ends"), [(Stop.NOW, True), (Stop.CANCEL, False), (Stop.NEVER, False)])
async def test_the_daemons_stop_waits_for_the_end_of_a_phase_that_it_may_not_end(
    operations: Operations, stop: Stop, *, ends: bool
) -> None:
    handle = Handle(operations, (await started(operations)).id)

    async def work() -> None:
        with handle.cancellable():
            await handle.phase("freeze", stop=stop)
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await let_others_run()
    operations.stop(handle.id)
    await let_others_run()
    assert task.done() is ends
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_phase_that_follows_may_be_ended_again(operations: Operations) -> None:
    handle = Handle(operations, (await started(operations)).id)
    handle.enter("cutover", stop=Stop.NEVER)
    await handle.phase("health-check")
    await operations.cancel(handle.id, ADA)
    assert handle.operation.cancel_requested


async def test_a_second_cancel_does_not_interrupt_the_undoing_of_the_first(operations: Operations) -> None:
    operation = await started(operations)
    handle = Handle(operations, operation.id)
    undoing, may_go_on = asyncio.Event(), asyncio.Event()
    undone: list[str] = []

    async def work() -> None:
        with handle.cancellable():
            try:
                await asyncio.Event().wait()
            finally:
                undoing.set()
                await may_go_on.wait()
                undone.append("all of it")

    task = asyncio.create_task(work())
    await let_others_run()
    await operations.cancel(operation.id, ADA)
    await undoing.wait()
    await operations.cancel(operation.id, ADA)
    await let_others_run()
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert undone == ["all of it"]


async def test_a_phase_is_on_disk_when_it_begins_and_notes_are_not(operations: Operations, store: MemoryStore) -> None:
    handle = Handle(operations, (await started(operations)).id)
    await handle.phase("stage", "generation 2")
    handle.note(bytes_done=7)
    handle.facts(generation=2)
    handle.facts(rolled_back="true")
    (stored,) = await store.operations()
    assert (stored.phase, stored.message, stored.bytes_done) == ("stage", "generation 2", 0)
    assert (handle.operation.bytes_done, handle.operation.facts) == (7, {"generation": "2", "rolled_back": "true"})


async def test_each_phase_is_timed_and_the_last_comes_out_as_the_operation_did(
    operations: Operations, clock: FakeClock
) -> None:
    handle = Handle(operations, (await started(operations)).id)
    clock.time += 1
    await handle.phase("stage", "generation 2")
    clock.time += 2
    await handle.phase("health-check")
    assert handle.operation.phases == (PhaseReport("stage", 1.0, 2.0, Outcome.DONE), PhaseReport("health-check", 3.0))
    clock.time += 4
    failed = await operations.finish(handle.id, error=AbortedError("HEALTH_CHECK_FAILED", "not healthy"))
    assert failed.phases[1] == PhaseReport("health-check", 3.0, 4.0, Outcome.FAILED)


async def test_a_phase_that_is_entered_again_at_once_goes_on(operations: Operations, clock: FakeClock) -> None:
    handle = Handle(operations, (await started(operations)).id)
    for number in (1, 2, 3):
        await handle.phase("precopy", f"round {number}")
        clock.time += 1
    done = await operations.finish(handle.id)
    assert done.phases == (PhaseReport("precopy", 0.0, 3.0, Outcome.DONE),)


async def test_what_is_undone_after_a_failure_is_no_part_of_the_phase_that_failed(
    operations: Operations, clock: FakeClock
) -> None:
    handle = Handle(operations, (await started(operations)).id)
    await handle.phase("stage")
    await handle.phase("health-check")
    handle.failed()
    clock.time += 5
    handle.came_out("stage", Outcome.UNDONE)
    failed = await operations.finish(handle.id, error=AbortedError("HEALTH_CHECK_FAILED", "not healthy"))
    assert [(each.name, each.seconds, each.outcome) for each in failed.phases] == [
        ("stage", 0.0, Outcome.UNDONE),
        ("health-check", 0.0, Outcome.FAILED),
    ]


async def test_an_operation_remembers_so_many_phases_and_no_more(operations: Operations) -> None:
    handle = Handle(operations, (await started(operations)).id)
    for number in range(PHASES + 3):
        handle.enter(f"round {number}")
    assert len(handle.operation.phases) == PHASES
    assert handle.operation.phases[-1].name == f"round {PHASES + 2}"


async def test_no_total_is_less_than_what_was_done(operations: Operations) -> None:
    handle = Handle(operations, (await started(operations)).id)
    handle.note(bytes_total=100)
    handle.progress(100)
    assert (handle.operation.bytes_done, handle.operation.bytes_total) == (100, 100)
    handle.progress(101)
    assert (handle.operation.bytes_done, handle.operation.bytes_total) == (101, 0)  # an estimate that was too low
    handle.note(bytes_total=50)
    assert handle.operation.bytes_total == 0
