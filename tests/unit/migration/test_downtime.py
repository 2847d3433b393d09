"""What a jail's downtime is predicted to be, what it was made of, and what is said if it was too long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.model.jails.spec import ExecCheck, Readiness
from jaild.model.migration.budget import Parts
from jaild.model.migration.forecast import ALLOWANCE
from jaild.model.operation import Operation
from jaild.model.views import MigrationView
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Fault, Network
from tests.fakes.runtime import FakeRuntime
from tests.hosts.asking import SPEC, configure, create, ended, reason_of, serves
from tests.hosts.fixtures import furnished
from tests.hosts.migrating import writes_at_its_end

Pair = tuple[FakeHost, FakeHost]
SLOW = {"stop": 2.0, "create": 0.5, "start": 4.0}


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Two hosts with one clock, whose stops and starts take their time, and a jail on the first."""
    network = Network()
    first, second = FakeHost(tmp_path / "alpha", "alpha", network), FakeHost(tmp_path / "beta", "beta", network)
    second.clock = first.clock
    second.runtime = FakeRuntime(now=first.clock.now, sleep=first.clock.sleep)
    for host in (first, second):
        host.runtime.takes = dict(SLOW)
    await furnished(first)
    await second.start()
    await create(first)
    yield first, second
    await first.stop()
    await second.stop()


async def move(source: FakeHost, target: FakeHost, allowed: float = 30.0, *, proceed: bool = False) -> Operation:
    return await source.end_of(
        await source.core.use_cases.migrations.migrate(
            "web",
            target.name,
            max_downtime=allowed,
            proceed_over_budget=proceed,
            etag="",
            validate_only=False,
            caller=caller(),
        )
    )


async def restart(host: FakeHost) -> None:
    assert reason_of(await ended(host, host.core.use_cases.jails.restart("web", caller=caller()))) == ""


def slow_sends(host: FakeHost) -> None:
    """Let each receive take half a second, however little comes."""
    received = host.zfs.receive

    async def slow(*args: Any, **kwargs: Any) -> Any:
        await host.clock.sleep(0.5)
        return await received(*args, **kwargs)

    host.zfs.receive = slow  # type: ignore[method-assign]


def newest(host: FakeHost) -> MigrationView:
    return host.core.use_cases.migrations.list()[0]


def sent(host: FakeHost) -> list[str]:
    """Of the jail's datasets."""
    return [str(what) for operation, what in host.zfs.calls if operation == "send" and "/jails/" in str(what)]


async def test_the_parts_of_a_downtime_are_measured_and_kept_on_both_sides(pair: Pair) -> None:
    source, target = pair
    done = await move(source, target)
    assert reason_of(done) == ""
    view = newest(source)
    assert view.parts is not None
    assert (view.parts.stop, view.parts.mounts, view.parts.start) == (2.0, 0.5, 4.0)
    assert view.parts.downtime == pytest.approx(view.downtime)
    assert view.downtime == pytest.approx(6.5)
    there = newest(target)
    assert there.parts is not None
    assert msgspec.structs.replace(there.parts, readiness=None) == Parts(mounts=0.5, start=4.0)
    await source.restart()
    assert newest(source).parts == view.parts


async def test_the_health_checks_are_no_part_of_the_downtime(pair: Pair) -> None:
    source, target = pair
    readiness = Readiness(interval=1.5, successes=3)
    checked = msgspec.structs.replace(SPEC, health=(ExecCheck(command=("check",)),), readiness=readiness)
    assert reason_of(await configure(source, checked)) == ""
    done = await move(source, target)
    assert done.downtime == pytest.approx(6.5)
    parts = newest(source).parts
    assert parts is not None
    assert parts.readiness == pytest.approx(3.0)


async def test_the_time_that_a_target_was_away_before_it_started_the_jail_is_part_of_the_downtime(pair: Pair) -> None:
    source, target = pair
    source.network.at, source.network.fault = ("alpha>beta activate", 0), Fault.REQUEST_LOST
    source.network.counting, stopped_at = True, []
    stop = source.runtime.stop

    async def stopped(jail: str, generation: int) -> float:
        stopped_at.append(source.clock.now())
        return await stop(jail, generation)

    source.runtime.stop = stopped  # type: ignore[method-assign]
    done = await move(source, target)
    assert reason_of(done) == ""
    (run,) = await target.runtime.runs()
    assert run.started - stopped_at[0] > 7.0
    assert done.downtime == pytest.approx(run.started - stopped_at[0])


async def test_a_jail_whose_stop_was_never_measured_is_predicted_by_a_lower_bound(pair: Pair) -> None:
    source, target = pair
    done = await move(source, target)
    assert done.predicted_at_least
    assert done.predicted_downtime == pytest.approx(4.5 + ALLOWANCE)
    view = newest(source)
    assert (view.predicted, view.predicted_at_least) == (done.predicted_downtime, True)


async def test_the_stop_and_the_start_of_a_restart_are_what_a_first_move_is_predicted_by(pair: Pair) -> None:
    source, target = pair
    await restart(source)
    done = await move(source, target)
    assert not done.predicted_at_least
    assert done.predicted_downtime == pytest.approx(6.5 + ALLOWANCE)


async def test_a_move_back_is_predicted_by_what_the_former_host_remembers_of_the_jail(pair: Pair) -> None:
    source, target = pair
    await restart(source)
    await move(source, target)
    source.runtime.takes["start"] = 9.0
    target.runtime.takes["stop"] = 3.0
    await restart(target)
    done = await move(target, source)
    assert not done.predicted_at_least
    assert done.predicted_downtime == pytest.approx(3.0 + 0.5 + 4.0 + ALLOWANCE)
    assert done.downtime == pytest.approx(3.0 + 0.5 + 9.0)


async def test_a_second_move_is_predicted_by_what_the_first_took(pair: Pair) -> None:
    source, target = pair
    target.runtime.takes["start"] = 10.0
    writes_at_its_end(*pair)
    for host in pair:
        slow_sends(host)
    assert (await move(source, target)).downtime == pytest.approx(13.5)
    await move(target, source)
    done = await move(source, target)
    assert not done.predicted_at_least
    assert done.downtime == pytest.approx(13.5)
    assert done.predicted_downtime == pytest.approx(13.5, abs=0.5)


async def test_a_budget_below_stop_and_start_is_refused_before_anything_is_sent(pair: Pair) -> None:
    source, target = pair
    await restart(source)
    done = await move(source, target, allowed=5.0)
    assert reason_of(done) == "DOWNTIME_OVER_BUDGET"
    assert done.failure is not None
    assert "stop 2.0 s, mounts 0.5 s, start 4.0 s" in done.failure.message
    assert done.downtime is None
    assert sent(source) == []
    await source.quiet()
    assert serves(source, 1)


async def test_who_goes_on_over_the_budget_has_rounds_sent_until_they_do_not_help(pair: Pair) -> None:
    source, target = pair
    await restart(source)
    done = await move(source, target, allowed=5.0, proceed=True)
    assert reason_of(done) == ""
    assert done.rounds > 1
    assert sent(source)
    (migration,) = source.core.use_cases.migrations.list()
    assert (done.rounds, done.message) == (migration.rounds, "")  # one number; and nothing is being done any more


async def test_a_downtime_that_was_too_long_is_told_with_its_parts(pair: Pair) -> None:
    source, target = pair
    done = await move(source, target, allowed=6.0)
    assert reason_of(done) == ""
    told = "down for 6.5 s, 6.0 s were allowed: stop 2.0 s, mounts 0.5 s, start 4.0 s"
    assert done.facts["over_budget"] == told
    events = source.core.use_cases.events.watch(0, "", False)
    assert [event.message async for event in events if event.kind == "migration.over_budget"] == [told]


async def test_a_downtime_within_the_budget_is_told_by_nobody(pair: Pair) -> None:
    source, target = pair
    done = await move(source, target)
    assert "down for" not in done.message


async def test_a_jail_that_does_not_run_fits_any_budget(pair: Pair) -> None:
    source, target = pair
    stopped = source.core.use_cases.jails.stop("web", caller=caller())
    assert reason_of(await ended(source, stopped)) == ""
    done = await move(source, target, allowed=0.5)
    assert reason_of(done) == ""
    assert not done.predicted_at_least


async def test_a_test_migration_predicts_by_the_start_of_its_clone_and_so_does_the_move_after_it(pair: Pair) -> None:
    source, target = pair
    await restart(source)
    target.runtime.takes["start"] = 7.0
    asked = await source.core.use_cases.migrations.test(
        "web", target.name, max_downtime=5.0, keep_copy=False, etag="", caller=caller()
    )
    tested = await source.end_of(asked)
    assert tested.predicted_downtime == pytest.approx(2.0 + 0.5 + 7.0 + ALLOWANCE)
    assert tested.plan is not None
    (problem,) = tested.plan.problems
    assert "start 7.0 s" in problem.message
    done = await move(source, target)
    assert done.predicted_downtime == pytest.approx(tested.predicted_downtime)
