"""A wall clock that is set forth or back changes no interval: not in a daemon's life, and not from one to the next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jaild.model.operation import Operation
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Fault
from tests.hosts.asking import reason_of
from tests.hosts.migrating import two_hosts

DEADLINE = 600.0
DAY = 86_400.0
STEPPED = pytest.mark.parametrize("step", [-DAY, DAY], ids=["a day back", "a day on"])
RESTARTED = pytest.mark.parametrize("reboot", [False, True], ids=["daemon", "host"])


@pytest.fixture
async def source(quick_path: Path) -> AsyncIterator[FakeHost]:
    """A host with a jail, whose link to the other host breaks in the middle of the first stream and stays so."""
    source, target = await two_hosts(quick_path, back=False)
    source.clock.booted = source.clock.time - DEADLINE / 3
    source.network.at = (f"{source.name}>{target.name} receive data", 0)
    source.network.counting, source.network.fault = True, Fault.CUT_WITHIN
    yield source
    await source.stop()
    await target.stop()


async def migration_that_waits(source: FakeHost) -> Operation:
    operation = await source.core.use_cases.migrations.migrate(
        "web",
        "beta",
        max_downtime=10.0,
        proceed_over_budget=True,
        etag="",
        validate_only=False,
        caller=caller(),
        deadline=DEADLINE,
    )
    async for seen in source.core.use_cases.operations.watch(operation.id):
        if seen.away:
            break
    return operation


@STEPPED
async def test_a_migration_is_given_up_at_its_deadline_whatever_the_wall_clock_does(
    source: FakeHost, step: float
) -> None:
    began = source.clock.monotonic()
    operation = await migration_that_waits(source)
    source.clock.stepped = step
    assert reason_of(await source.end_of(operation)) == "MIGRATION_DEADLINE"
    assert DEADLINE / 2 < source.clock.monotonic() - began <= DEADLINE


@STEPPED
@RESTARTED
async def test_what_is_left_of_a_deadline_is_what_was_left_before_the_restart(
    source: FakeHost, step: float, *, reboot: bool
) -> None:
    began = source.clock.time
    operation = await migration_that_waits(source)
    source.clock.stepped = step
    await source.restart(reboot=reboot)
    assert reason_of(await source.end_of(operation)) == "MIGRATION_DEADLINE"
    # After a boot the jail waits for its target, which is asked meanwhile: this clock adds up what both sleep.
    asking = DEADLINE / 50 if reboot else 0.0
    assert DEADLINE / 2 < source.clock.time - began <= DEADLINE + asking


async def test_the_time_in_which_no_daemon_ran_counts_for_a_deadline_too(source: FakeHost) -> None:
    operation = await migration_that_waits(source)
    source.clock.time += DEADLINE
    resumed = source.clock.time
    await source.restart()
    assert reason_of(await source.end_of(operation)) == "MIGRATION_DEADLINE"
    assert source.clock.time - resumed < DEADLINE / 10


@STEPPED
@RESTARTED
async def test_an_operation_tells_how_long_it_has_been_under_way_whatever_the_wall_clock_does(
    source: FakeHost, step: float, *, reboot: bool
) -> None:
    began = source.clock.time
    operation = await migration_that_waits(source)
    source.clock.stepped = step
    await source.restart(reboot=reboot)
    ended = await source.end_of(operation)
    assert ended.seconds == pytest.approx(source.clock.time - began, abs=DEADLINE / 10)
