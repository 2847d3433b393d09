"""The order of what a daemon does when it starts, whatever the order is in which rooms register it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from jaild.engine.events import Events
from jaild.engine.inventory import Found, Inventory, JailEntry
from jaild.engine.operations import Operations
from jaild.engine.recovery import JailStage, Recovery, Resume, Stage
from jaild.model.errors import UnavailableError
from jaild.model.layers.records import JailRecord, Ownership
from jaild.model.layout import Layout
from jaild.model.operation import Operation
from jaild.model.views import Caller
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore
from tests.fakes.zfs import FakeZfs


class Host:
    """A recovery, and what its steps did."""

    def __init__(self, folder: Path) -> None:
        store, clock = MemoryStore(), FakeClock()
        self.inventory = Inventory(Layout("tank/jaild"), FakeZfs(folder), None)  # type: ignore[arg-type]  # not asked
        self.operations = Operations(store, clock)
        self.recovery = Recovery(self.inventory, self.operations, Events(store, clock))
        self.did: list[str] = []

    def add(self, name: str) -> None:
        record = JailRecord(uid=name, owner="here", epoch=1, state=Ownership.ACTIVE, generation=1)
        self.inventory.jails[name] = JailEntry(
            name=name, dataset=f"tank/jaild/jails/{name}", folder=Path("/none"), record=record
        )

    def step(self, name: str) -> Callable[[Found], Awaitable[None]]:
        async def do(_: Found) -> None:
            self.did.append(name)

        return do

    def of_jail(self, name: str, *, settled: bool = False) -> Callable[[JailEntry, JailRecord], Awaitable[bool]]:
        async def do(entry: JailEntry, _: JailRecord) -> bool:
            self.did.append(f"{name} {entry.name}")
            return settled

        return do

    def of_dataset(self, name: str, *, mine: bool) -> Callable[[str], Awaitable[bool]]:
        async def do(dataset: str) -> bool:
            self.did.append(f"{name} {dataset}")
            return mine

        return do


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


async def test_steps_are_done_in_the_order_of_the_stages(host: Host) -> None:
    for stage in reversed(Stage):
        host.recovery.at(stage, host.step(stage.name))
    await host.recovery.repair(Found())
    assert host.did == [stage.name for stage in Stage]


async def test_jails_are_repaired_one_after_the_other_each_in_the_order_of_its_stages(host: Host) -> None:
    host.add("a")
    host.add("b")
    for stage in reversed(JailStage):
        host.recovery.of_jail(stage, host.of_jail(stage.name))
    await host.recovery.repair(Found())
    assert host.did == [f"{stage.name} {jail}" for jail in "ab" for stage in JailStage]


async def test_a_step_that_settles_a_jail_is_its_last_but_for_what_is_done_after_each(host: Host) -> None:
    host.add("a")

    async def after(entry: JailEntry) -> None:
        host.did.append(f"after {entry.name}")

    host.recovery.of_jail(JailStage.UNFINISHED, host.of_jail("first", settled=True))
    host.recovery.of_jail(JailStage.GENERATIONS, host.of_jail("second"))
    host.recovery.after_jail(after)
    await host.recovery.repair(Found())
    assert host.did == ["first a", "after a"]


async def test_a_jail_that_cannot_be_repaired_is_told_of_and_keeps_no_other_from_it(host: Host) -> None:
    host.add("a")
    host.add("b")

    async def fail(entry: JailEntry, _: JailRecord) -> bool:
        if entry.name == "a":
            raise UnavailableError("X", "no disk")
        return False

    host.recovery.of_jail(JailStage.MIGRATION, fail)
    host.recovery.of_jail(JailStage.GENERATIONS, host.of_jail("last"))
    await host.recovery.repair(Found())
    assert host.did == ["last b"]
    assert "no disk" in host.recovery.repairs[0]


async def test_a_dataset_without_a_record_is_of_the_first_room_that_knows_it(host: Host) -> None:
    host.recovery.of_recordless(host.of_dataset("one", mine=False))
    host.recovery.of_recordless(host.of_dataset("two", mine=True))
    host.recovery.of_recordless(host.of_dataset("three", mine=True))
    await host.recovery.repair(Found(recordless=["d"]))
    assert (host.did, host.recovery.repairs) == (["one d", "two d"], [])


async def test_a_dataset_without_a_record_that_no_room_knows_is_left_alone(host: Host) -> None:
    host.recovery.of_recordless(host.of_dataset("one", mine=False))
    await host.recovery.repair(Found(recordless=["d"]))
    assert "left alone" in host.recovery.repairs[0]


async def test_operations_end_with_the_daemon_but_those_that_a_room_goes_on_with(host: Host) -> None:
    asked: list[Operation] = [
        host.operations.new("migrate", "jails/a", Caller(actor="x")),
        host.operations.new("deploy", "jails/b", Caller(actor="x")),
    ]
    host.recovery.continues(lambda _: {asked[0].id})
    await host.recovery.repair(Found())
    assert not host.operations.get(asked[0].id).done
    failure = host.operations.get(asked[1].id).failure
    assert failure is not None
    assert failure.reason == "DAEMON_STOPPED"
    assert host.recovery.interrupted == {"jails/b"}


def test_the_background_begins_in_its_order(host: Host) -> None:
    for stage in reversed(Resume):
        host.recovery.resumes(stage, partial(host.did.append, stage.name))
    host.recovery.resume()
    assert host.did == [stage.name for stage in Resume]
