"""What a migration's operation tells of its phases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jaild.model.operation import Operation, Outcome
from tests.fakes.host import FakeHost
from tests.hosts.asking import reason_of, serves
from tests.hosts.migrating import migrate, two_hosts

PHASES = [
    "preflight",
    "connect",
    "layers",
    "seed",
    "precopy",
    "freeze",
    "final",
    "handover",
    "commit",
    "activate",
    "fence",
]


@pytest.fixture
async def hosts(quick_path: Path) -> AsyncIterator[tuple[FakeHost, FakeHost]]:
    source, target = await two_hosts(quick_path, back=False)
    yield source, target
    await source.stop()
    await target.stop()


def phases(operation: Operation) -> dict[str, Outcome]:
    return {report.name: report.outcome for report in operation.phases}


async def test_a_migration_tells_each_phase_once(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    ended = await source.end_of(await migrate(source, target))
    assert phases(ended) == dict.fromkeys(PHASES, Outcome.DONE)
    assert len(ended.phases) == len(PHASES)


async def test_a_migration_that_is_given_up_tells_what_was_undone(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    source.zfs.refuse["snapshot"] = KeyError("a defect")
    ended = await source.end_of(await migrate(source, target))
    assert reason_of(ended) == "INTERNAL"
    told = phases(ended)
    assert (told["preflight"], told["connect"], told["seed"]) == (Outcome.DONE, Outcome.UNDONE, Outcome.FAILED)
    assert serves(source, 1)
