"""A cap on what one migration may send, and another one while it runs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from jaild.model.operation import Operation
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import reason_of, serves
from tests.hosts.fleet import until
from tests.hosts.migrating import two_hosts

BIG = 4 << 20


@pytest.fixture
async def hosts(quick_path: Path) -> AsyncIterator[tuple[FakeHost, FakeHost]]:
    source, target = await two_hosts(quick_path, back=False)
    (source.core.inventory.jails["web"].folder / "data/var/big").write_bytes(os.urandom(BIG))
    yield source, target
    await source.stop()
    await target.stop()


async def begun(source: FakeHost, bandwidth: int) -> Operation:
    return await source.core.use_cases.migrations.migrate(
        "web",
        "beta",
        max_downtime=10.0,
        proceed_over_budget=True,
        etag="",
        validate_only=False,
        caller=caller(),
        bandwidth=bandwidth,
    )


async def test_a_migration_keeps_to_its_cap(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    began = source.clock.time
    end = await source.end_of(await begun(source, 1000))
    assert reason_of(end) == ""
    assert serves(target, 1)
    assert source.clock.time - began >= (BIG - (1 << 20)) / 1000  # the last piece of a stream is not waited for
    (view,) = source.core.use_cases.migrations.list()
    assert view.bandwidth == 1000
    with pytest.raises(FailedPreconditionError, match="sends nothing"):
        await source.core.use_cases.migrations.cap(view.id, 1, validate_only=False)
    with pytest.raises(FailedPreconditionError, match="came to this host"):
        await target.core.use_cases.migrations.cap(view.id, 1, validate_only=False)


async def test_the_cap_is_changed_while_it_runs(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, _ = hosts
    migrations, began = source.core.use_cases.migrations, source.clock.time
    operation = await begun(source, 1)
    await until(source, operation, lambda: bool(migrations.list()))
    (view,) = migrations.list()
    planned = await migrations.cap(view.id, 5000, validate_only=True)
    assert (planned.bandwidth, migrations.get(view.id).bandwidth) == (5000, 1)
    assert (await migrations.cap(view.id, 0, validate_only=False)).bandwidth == 0
    assert reason_of(await source.end_of(operation)) == ""
    assert source.clock.time - began < BIG / 2
    assert migrations.get(view.id).bandwidth == 0


async def test_the_cap_of_one_that_was_refused_is_not_the_next_ones(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    await target.core.use_cases.evacuations.drain("", caller=caller())
    assert reason_of(await source.end_of(await begun(source, 1))) == "PLAN_REFUSED"
    await target.core.use_cases.evacuations.undrain(caller=caller())
    began = source.clock.time
    assert reason_of(await source.end_of(await begun(source, 0))) == ""
    assert source.clock.time - began < BIG / 2


async def test_a_cap_below_nothing_is_refused(hosts: tuple[FakeHost, FakeHost]) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await begun(hosts[0], -1)
    assert refused.value.reason == "INVALID_BANDWIDTH"
