"""A jail that was handed over: whatever goes wrong when it is started is an answer, and its source stops asking."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.model import layout
from jaild.model.jails.spec import JailSpec, Readiness, TcpCheck
from jaild.model.layers.records import Ownership
from tests.fakes.host import FakeHost, Healthy, caller
from tests.hosts import invariants
from tests.hosts.asking import configure, ended, reason_of, serves
from tests.hosts.migrating import SPEC, migrate, two_hosts
from tests.hosts.standbys import happened, stop

CHECKED = msgspec.structs.replace(
    SPEC, health=(TcpCheck(port=80),), readiness=Readiness(successes=1, interval=1, deadline=9)
)


class Hanging(Healthy):
    """A probe that never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def tcp(self, address: str, port: int, timeout: float) -> str:  # noqa: ARG002 -- the port's
        """Hang."""
        self.asked.set()
        await asyncio.Event().wait()
        return ""

    async def http(self, address: str, port: int, path: str, timeout: float) -> str:  # noqa: ARG002 -- the port's
        """Hang."""
        return await self.tcp(address, port, timeout)


class DefectOfTheOwner(dict[str, Exception]):
    """Mounts end in a defect as soon as the host owns the jail."""

    def __init__(self, host: FakeHost) -> None:
        super().__init__()
        self._host = host

    def get(self, key: str, default: Any = None) -> Any:
        entry = self._host.core.inventory.jails.get("web")
        owned = entry is not None and entry.record is not None and entry.record.state is Ownership.ACTIVE
        return ValueError("not a mount point") if owned and key.startswith("mount") else default


async def ready(folder: Path, spec: JailSpec = CHECKED) -> tuple[FakeHost, FakeHost]:
    source, target = await two_hosts(folder, back=False)
    assert reason_of(await configure(source, spec)) == ""
    return source, target


@pytest.mark.parametrize("step", ["create", "start"])
async def test_whatever_keeps_a_jail_that_came_from_starting_its_source_gets_an_answer(
    quick_path: Path, step: str
) -> None:
    source, target = await ready(quick_path)
    target.runtime.refuse[step] = KeyError("mounts")
    ended_as = await source.end_of(await migrate(source, target))
    assert reason_of(ended_as) == "ACTIVATED_UNHEALTHY"
    assert ended_as.failure is not None
    assert "KeyError" in ended_as.failure.message
    assert "KeyError" in await happened(target, "jail.failed")
    assert await invariants.unsafe((source, target), "web") == []
    await stop([source, target])


async def test_a_jail_that_came_and_whose_datasets_cannot_be_opened_by_a_defect_is_answered_as_well(
    quick_path: Path,
) -> None:
    source, target = await ready(quick_path)
    target.zfs.refuse = DefectOfTheOwner(target)
    assert reason_of(await source.end_of(await migrate(source, target))) == "ACTIVATED_UNHEALTHY"
    assert "ValueError" in target.core.inventory.jails["web"].message
    await stop([source, target])


async def test_a_record_that_could_not_be_written_is_no_answer_and_the_source_asks_again(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = await ready(quick_path)
    change = target.zfs.set
    refused: list[str] = []

    async def changed(name: str, properties: Mapping[str, str], *others: str) -> None:
        text = properties.get(layout.JAIL_PROPERTY, "")
        if '"active"' in text and not refused:
            refused.append(text)
            raise ValueError(text)
        await change(name, properties, *others)

    monkeypatch.setattr(target.zfs, "set", changed)
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert len(refused) == 1
    assert serves(target, 2)
    await stop([source, target])


async def test_who_stops_a_jail_does_not_wait_for_its_health_checks_after_a_migration(quick_path: Path) -> None:
    source, target = await two_hosts(quick_path, back=False)
    target.probe = hanging = Hanging()
    await target.restart()
    assert reason_of(await configure(source, CHECKED)) == ""
    moving = await migrate(source, target)
    await hanging.asked.wait()
    jails = target.core.use_cases.jails
    stopped = await ended(target, jails.stop("web", caller=caller()))
    assert reason_of(stopped) == ""
    moved = await source.end_of(moving)
    assert reason_of(moved) == "ACTIVATED_UNHEALTHY"
    assert moved.failure is not None
    assert "HEALTH_CHECK_ENDED" in moved.failure.message
    await stop([source, target])


async def test_a_daemon_that_stops_does_not_wait_for_an_activation_and_its_successor_ends_it(quick_path: Path) -> None:
    source, target = await two_hosts(quick_path, back=False)
    well = target.probe
    target.probe = hanging = Hanging()
    await target.restart()
    assert reason_of(await configure(source, CHECKED)) == ""
    moving = await migrate(source, target)
    await hanging.asked.wait()
    async with asyncio.timeout(1):
        await target.core.supervisor.close()
    target.probe = well
    await target.restart()
    assert reason_of(await source.end_of(moving)) == ""
    await target.quiet()
    assert serves(target, 2)
    await stop([source, target])
