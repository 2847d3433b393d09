from __future__ import annotations

import asyncio

import pytest

from jaild.engine.dispatcher import QUEUE_LIMIT, Dispatcher, Work
from jaild.engine.operations import Handle, Operations
from jaild.model.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from jaild.model.operation import Failure, Operation
from jaild.model.views import Caller
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore

CALLER = Caller(actor="ada")
WEB, DNS = "jails/web", "jails/dns"
FULL = ResourceExhaustedError("NO_SPACE", "no room left")


class Bench:
    """Dispatcher with works that write down what they do and wait to be let on."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.operations = Operations(self.store, FakeClock())
        self.dispatcher = Dispatcher(self.operations)
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self._noted = asyncio.Condition()

    def work(self, name: str, *, cancellable: bool = False, error: BaseException | None = None) -> Work:
        self.gates[name] = asyncio.Event()

        async def run(handle: Handle) -> str:
            await self._note(f"{name} begins")
            if cancellable:
                with handle.cancellable():
                    await self.gates[name].wait()
            else:
                await self.gates[name].wait()
            await self._note(f"{name} ends")
            if error is not None:
                raise error
            return f"made by {name}"

        return run

    async def _note(self, line: str) -> None:
        async with self._noted:
            self.log.append(line)
            self._noted.notify_all()

    async def noted(self, line: str) -> None:
        """Wait until a work has written it down."""
        async with asyncio.timeout(5), self._noted:
            await self._noted.wait_for(lambda: line in self.log)

    async def submit(self, name: str, target: str = WEB, kind: str = "deploy", caller: Caller = CALLER) -> str:
        return (await self.dispatcher.submit(target, kind, caller, self.work(name))).id

    def failure(self, operation_id: str) -> Failure:
        failure = self.operations.get(operation_id).failure
        assert failure is not None
        return failure


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_works_on_one_target_run_one_after_the_other_in_their_order(bench: Bench) -> None:
    first, second = await bench.submit("a"), await bench.submit("b")
    bench.gates["b"].set()
    await bench.noted("a begins")
    assert [operation.id for operation in bench.dispatcher.pending(WEB)] == [first, second]
    bench.gates["a"].set()
    assert (await bench.operations.wait(second)).result == "made by b"
    assert bench.log == ["a begins", "a ends", "b begins", "b ends"]
    assert bench.dispatcher.pending(WEB) == []
    await bench.dispatcher.idle()


async def test_works_on_two_targets_run_side_by_side(bench: Bench) -> None:
    await bench.submit("a")
    other = await bench.submit("b", DNS)
    bench.gates["b"].set()
    assert (await bench.operations.wait(other)).done
    assert "a ends" not in bench.log
    bench.gates["a"].set()
    await bench.noted("a ends")


async def test_what_goes_on_beside_gives_way_before_work_of_the_kinds_that_it_has_named_and_no_other(
    bench: Bench,
) -> None:
    async def give_way(target: str) -> None:
        bench.log.append(f"way is given on {target}")

    bench.dispatcher.before(frozenset({"stop"}), give_way)
    first, second = await bench.submit("a"), await bench.submit("b", kind="stop")
    bench.gates["a"].set()
    bench.gates["b"].set()
    await bench.operations.wait(first)
    await bench.operations.wait(second)
    assert bench.log == ["a begins", "a ends", f"way is given on {WEB}", "b begins", "b ends"]


async def test_an_operation_is_on_disk_before_its_work_begins_and_before_the_caller_hears_of_it(bench: Bench) -> None:
    bench.store.ready.clear()
    submitting = asyncio.create_task(bench.submit("a"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not submitting.done()
    assert bench.log == []
    bench.store.ready.set()
    operation = await submitting
    assert [stored.id for stored in await bench.store.operations()] == [operation]
    await bench.noted("a begins")
    bench.gates["a"].set()
    await bench.dispatcher.idle()


async def test_the_same_request_again_hears_of_the_first_once_that_is_on_disk(bench: Bench) -> None:
    caller = Caller(actor="ada", request_id="r1")
    bench.store.ready.clear()
    both = [asyncio.create_task(bench.submit(name, caller=caller)) for name in ("a", "b")]
    for _ in range(20):
        await asyncio.sleep(0)
    assert [task.done() for task in both] == [False, False]
    bench.store.ready.set()
    bench.gates["a"].set()
    first, second = await asyncio.gather(*both)
    assert first == second
    await bench.dispatcher.idle()


async def test_the_same_request_again_gets_the_operation_of_the_first_and_no_second_work(bench: Bench) -> None:
    caller = Caller(actor="ada", request_id="r")
    first = await bench.submit("a", caller=caller)
    bench.gates["a"].set()
    await bench.operations.wait(first)
    assert await bench.submit("again", caller=caller) == first
    assert bench.log == ["a begins", "a ends"]


async def test_two_equal_requests_at_the_same_time_make_one_operation(bench: Bench) -> None:
    caller = Caller(actor="ada", request_id="r")
    one, other = await asyncio.gather(bench.submit("a", caller=caller), bench.submit("b", caller=caller))
    assert one == other
    bench.gates["a"].set()
    await bench.operations.wait(one)
    assert bench.log == ["a begins", "a ends"]


async def test_what_is_denied_is_not_queued(bench: Bench) -> None:
    operation = await bench.submit("a", kind="delete")
    with pytest.raises(FailedPreconditionError) as caught:
        await bench.submit("b")
    assert caught.value.reason == "JAIL_DELETING"
    assert len(bench.dispatcher.pending(WEB)) == 1
    bench.gates["a"].set()
    await bench.operations.wait(operation)
    # Who waited for the end of the deletion may make the jail again at once.
    again = await bench.submit("c", kind="create")
    bench.gates["c"].set()
    assert (await bench.operations.wait(again)).result == "made by c"


async def test_a_full_queue_refuses_and_takes_again_when_there_is_room(bench: Bench) -> None:
    waiting = [await bench.submit(str(n)) for n in range(QUEUE_LIMIT)]
    with pytest.raises(FailedPreconditionError) as caught:
        await bench.submit("too many")
    assert caught.value.reason == "JAIL_QUEUE_FULL"
    bench.gates["0"].set()
    await bench.operations.wait(waiting[0])
    last = await bench.submit("last")
    for gate in bench.gates.values():
        gate.set()
    assert (await bench.operations.wait(last)).done


# --- ends


async def test_a_refusal_ends_the_operation_with_its_reason_and_the_next_one_runs(bench: Bench) -> None:
    work = bench.work("a", error=NotFoundError("BASE_NOT_FOUND", "there is no such base"))
    first = (await bench.dispatcher.submit(WEB, "upgrade", CALLER, work)).id
    second = await bench.submit("b")
    for gate in bench.gates.values():
        gate.set()
    assert (await bench.operations.wait(second)).failure is None
    assert bench.failure(first).reason == "BASE_NOT_FOUND"


async def test_a_defect_ends_the_operation_as_such_and_the_next_one_runs(bench: Bench) -> None:
    first = (await bench.dispatcher.submit(WEB, "upgrade", CALLER, bench.work("a", error=ZeroDivisionError("oops")))).id
    second = await bench.submit("b")
    for gate in bench.gates.values():
        gate.set()
    assert (await bench.operations.wait(second)).failure is None
    failure = bench.failure(first)
    assert (failure.error, failure.reason) == ("InternalError", "INTERNAL")
    assert "ZeroDivisionError: oops" in failure.message


async def test_an_end_that_cannot_be_stored_does_not_repeat_the_work_or_hold_up_the_next(bench: Bench) -> None:
    first = await bench.submit("a")
    await bench.noted("a begins")
    bench.store.failure = FULL
    bench.gates["a"].set()
    assert (await bench.operations.wait(first)).result == "made by a"
    await bench.dispatcher.idle()
    bench.store.failure = None
    second = await bench.submit("b")
    bench.gates["b"].set()
    await bench.operations.wait(second)
    assert bench.log == ["a begins", "a ends", "b begins", "b ends"]


async def test_what_cannot_be_stored_is_refused_and_never_begun(bench: Bench) -> None:
    bench.store.failure = FULL
    with pytest.raises(ResourceExhaustedError):
        await bench.submit("a")
    await bench.dispatcher.idle()
    assert bench.log == []
    assert [operation.done for operation in bench.operations.list()] == [True]


async def test_a_caller_who_hangs_up_while_its_request_is_stored_does_not_leave_it_queued_for_ever(
    bench: Bench,
) -> None:
    bench.store.ready.clear()
    submitting = asyncio.create_task(bench.submit("a"))
    await bench.store.asked.wait()
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting
    bench.store.ready.set()
    bench.gates["a"].set()
    (operation,) = bench.operations.list()
    assert (await bench.operations.wait(operation.id)).result == "made by a"


# --- cancelling


async def test_a_queued_operation_that_is_cancelled_never_begins(bench: Bench) -> None:
    await bench.submit("a")
    second = await bench.submit("b")
    await bench.operations.cancel(second, CALLER)
    bench.gates["a"].set()
    await bench.operations.wait(second)
    assert bench.failure(second).reason == "OPERATION_CANCELLED"
    assert bench.log == ["a begins", "a ends"]


async def test_a_cancel_ends_a_stretch_that_may_be_interrupted_at_once(bench: Bench) -> None:
    operation = (await bench.dispatcher.submit(WEB, "import", CALLER, bench.work("a", cancellable=True))).id
    await bench.noted("a begins")
    await bench.operations.cancel(operation, CALLER)
    await bench.operations.wait(operation)
    assert bench.failure(operation).reason == "OPERATION_CANCELLED"
    assert bench.log == ["a begins"]


async def test_a_cancel_elsewhere_lets_the_work_go_on_to_its_end(bench: Bench) -> None:
    operation = await bench.submit("a")
    await bench.noted("a begins")
    await bench.operations.cancel(operation, CALLER)
    bench.gates["a"].set()
    assert (await bench.operations.wait(operation)).result == "made by a"


# --- stopping the daemon


async def test_a_stopping_daemon_takes_nothing_more(bench: Bench) -> None:
    await bench.dispatcher.stop(1)
    with pytest.raises(UnavailableError) as caught:
        await bench.submit("a")
    assert caught.value.reason == "SHUTTING_DOWN"


async def test_a_stop_waits_for_what_may_not_be_interrupted_and_drops_what_is_queued(bench: Bench) -> None:
    running, queued = await bench.submit("a"), await bench.submit("b")
    await bench.noted("a begins")
    stopping = asyncio.create_task(bench.dispatcher.stop(60))
    await bench.operations.wait(queued)
    bench.gates["a"].set()
    await stopping
    assert bench.operations.get(running).result == "made by a"
    assert bench.failure(queued).reason == "DAEMON_STOPPED"
    assert bench.log == ["a begins", "a ends"]


async def test_a_stop_interrupts_what_may_be_and_says_why(bench: Bench) -> None:
    operation = (await bench.dispatcher.submit(WEB, "import", CALLER, bench.work("a", cancellable=True))).id
    await bench.noted("a begins")
    await bench.dispatcher.stop(60)
    assert bench.failure(operation).reason == "DAEMON_STOPPED"


async def test_after_the_grace_even_the_rest_is_interrupted(bench: Bench) -> None:
    operation = await bench.submit("a")
    await bench.noted("a begins")
    await bench.dispatcher.stop(0.001)
    assert bench.failure(operation).reason == "DAEMON_STOPPED"
    assert bench.log == ["a begins"]


async def test_a_stop_survives_queues_that_end_while_it_goes_through_them(bench: Bench) -> None:
    ids = [await bench.submit(f"{target}{n}", target) for target in (WEB, DNS, "jails/x") for n in range(3)]
    for gate in bench.gates.values():
        gate.set()
    await bench.dispatcher.stop(60)
    assert all(bench.operations.get(operation_id).done for operation_id in ids)
    assert [bench.dispatcher.pending(target) for target in (WEB, DNS, "jails/x")] == [[], [], []]


async def test_a_request_that_was_being_stored_when_the_stop_came_is_ended_too(bench: Bench) -> None:
    bench.store.ready.clear()
    submitting = asyncio.create_task(bench.submit("a"))
    await bench.store.asked.wait()
    stopping = asyncio.create_task(bench.dispatcher.stop(0.001))
    await asyncio.wait({stopping}, timeout=0.02)
    bench.store.ready.set()
    await stopping
    await asyncio.gather(submitting, return_exceptions=True)
    assert [operation.done for operation in bench.operations.list()] == [True]
    assert "a ends" not in bench.log


async def test_what_was_made_for_a_work_that_is_never_begun_is_taken_away_once(bench: Bench) -> None:
    cleaned: list[str] = []

    async def submit(name: str, request_id: str = "", kind: str = "push") -> Operation:
        async def unbegun() -> None:
            cleaned.append(name)

        caller = Caller(actor="ada", request_id=request_id)
        return await bench.dispatcher.submit(WEB, kind, caller, bench.work(name), unbegun=unbegun)

    first = await submit("first", "id")
    assert (await submit("repeated", "id")).id == first.id
    with pytest.raises(InvalidArgumentError):
        await submit("reused", "id", "import")
    await bench.operations.cancel((await submit("cancelled")).id, CALLER)
    await submit("last")
    bench.gates["first"].set()
    await bench.noted("last begins")
    await submit("cleared")
    await bench.dispatcher.clear()
    bench.gates["last"].set()
    await bench.dispatcher.idle()
    assert cleaned == ["repeated", "reused", "cancelled", "cleared"]
