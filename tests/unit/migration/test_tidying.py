"""What a jail leaves behind on the host that it left, when that cannot be put away at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jaild.adapters.zfs.errors import refusal
from tests.fakes.host import FakeHost
from tests.hosts.asking import reason_of, serves
from tests.hosts.migrating import migrate, two_hosts

JAIL = "tank/jaild/jails/web"


@pytest.fixture
async def hosts(quick_path: Path) -> AsyncIterator[tuple[FakeHost, FakeHost]]:
    """A host with a jail in whose folder somebody has a shell, and an empty one."""
    source, target = await two_hosts(quick_path, back=False)
    source.zfs.refuse["unmount"] = refusal("DATASET_BUSY", JAIL, "a shell is in it")
    yield source, target
    await source.stop()
    await target.stop()


async def move(source: FakeHost, target: FakeHost) -> str:
    """Migrate, and return why it failed; '' if it did not."""
    return reason_of(await source.end_of(await migrate(source, target)))


async def copy(host: FakeHost) -> list[tuple[bool, bool]]:
    """Return of each of the jail's datasets whether it is read-only and whether it is mounted."""
    return [(each.readonly, each.mounted) for each in await host.zfs.datasets(JAIL)]


async def told(host: FakeHost, kind: str) -> list[str]:
    """Return what was told of the jail in events of a kind."""
    events = host.core.use_cases.events
    return [event.message async for event in events.watch(0, "jails/web", False) if event.kind == kind]


async def test_a_copy_that_somebody_uses_is_read_only_at_once_and_put_away_when_they_leave(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    assert await move(source, target) == ""
    assert serves(target, 1)
    assert await copy(source) == [(True, True), (True, True)]
    assert "a shell is in it" in (await told(source, "jail.cleanup-pending"))[0]
    source.zfs.refuse.clear()
    await source.core.supervisor.idle()
    assert await copy(source) == [(True, False), (True, False)]
    assert len(await told(source, "jail.cleaned-up")) == 1


async def test_one_dataset_that_cannot_be_fenced_keeps_no_other_from_it(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    source.zfs.refuse = {f"set {JAIL}/data": refusal("DATASET_BUSY", JAIL, "set, but not remounted: it is written to")}
    assert await move(source, target) == ""
    assert await copy(source) == [(True, False), (True, False)]  # the one has it from its parent
    assert "it is written to" in (await told(source, "jail.cleanup-pending"))[0]
    source.zfs.refuse.clear()
    await source.core.supervisor.idle()
    assert len(await told(source, "jail.cleaned-up")) == 1


async def test_nothing_is_put_away_any_more_when_the_jail_is_back(hosts: tuple[FakeHost, FakeHost]) -> None:
    source, target = hosts
    assert await move(source, target) == ""
    assert await move(target, source) == ""
    source.zfs.refuse.clear()
    await source.core.supervisor.idle()
    assert serves(source, 1)
    assert await copy(source) == [(False, True), (False, True)]
    assert await told(source, "jail.cleaned-up") == []


async def test_a_start_goes_on_with_what_the_daemon_before_it_could_not_put_away(
    hosts: tuple[FakeHost, FakeHost],
) -> None:
    source, target = hosts
    assert await move(source, target) == ""
    await source.restart()
    assert await copy(source) == [(True, True), (True, True)]
    source.zfs.refuse.clear()
    await source.quiet()
    assert await copy(source) == [(True, False), (True, False)]
