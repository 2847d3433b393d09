"""A pool at 100 %: what makes room works, and what would need some is refused by its plan."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from jaild.adapters.zfs.errors import refusal
from jaild.model import bounds
from jaild.model.errors import FailedPreconditionError
from tests.fakes.host import ROOT, FakeHost, caller
from tests.hosts.asking import active, create, delete, deploy, ended, reason_of, roll_back, serves, touched

RESERVE = f"{ROOT}/reserve"


def fill(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing free: properties are refused, as zfs-fuse does it, as long as the reserve is there."""
    host.zfs.space = 0
    set_ = host.zfs.set

    async def refused(name: str, properties: Mapping[str, str], *others: str) -> None:
        if host.zfs.space == 0 and RESERVE in host.zfs.pool.filesystems:
            raise refusal("NO_SPACE", name, f"cannot set property for '{name}': out of space")
        await set_(name, properties, *others)

    monkeypatch.setattr(host.zfs, "set", refused)


async def stop(host: FakeHost) -> str:
    return reason_of(await ended(host, host.core.use_cases.jails.stop("web", caller=caller())))


async def test_the_reserve_is_there_from_the_first_start_on_and_is_never_mounted(host: FakeHost) -> None:
    await host.quiet()
    found = await host.zfs.dataset(RESERVE)
    assert (found.mounted, found.mountpoint) == (False, None)
    assert host.zfs.pool.filesystems[RESERVE].properties["reservation"] == str(bounds.RESERVE)
    await host.restart()
    await host.quiet()
    assert host.zfs.calls.count(("create", RESERVE)) == 1


async def test_a_jail_is_stopped_and_deleted_in_a_full_pool(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    await create(host)
    await host.quiet()
    fill(host, monkeypatch)
    assert await stop(host) == ""
    assert host.runtime.by_name == {}
    assert RESERVE not in host.zfs.pool.filesystems
    assert reason_of(await delete(host)) == ""
    assert f"{ROOT}/jails/web" not in host.zfs.pool.filesystems


async def test_the_reserve_is_made_again_when_there_is_room(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    await create(host)
    await host.quiet()
    fill(host, monkeypatch)
    assert reason_of(await delete(host, force=True)) == ""
    (failing,) = [task for task in host.core.supervisor.statistics() if task.name == "room for records"]
    host.zfs.space = 2 * bounds.RESERVE
    await host.quiet()
    assert RESERVE in host.zfs.pool.filesystems
    assert failing.name not in [task.name for task in host.core.supervisor.statistics()]


async def test_without_a_reserve_the_refusal_is_told_as_it_is(host: FakeHost) -> None:
    await create(host)
    await host.quiet()
    host.zfs.refuse[f"set {ROOT}/jails/web"] = refusal("NO_SPACE", "web", "out of space")
    assert await stop(host) == "NO_SPACE"
    assert serves(host, 1)


async def test_what_somebody_else_made_under_its_name_is_never_destroyed(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host)
    await host.quiet()
    await host.zfs.destroy(RESERVE, recursive=True)
    await host.zfs.create(RESERVE)
    fill(host, monkeypatch)
    assert await stop(host) == "NO_SPACE"
    assert RESERVE in host.zfs.pool.filesystems


async def test_a_reserve_that_others_hold_leaves_the_refusal_as_it_is(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host)
    await host.quiet()
    await host.zfs.snapshot(RESERVE, "theirs")
    await host.zfs.hold("backup", f"{RESERVE}@theirs")
    fill(host, monkeypatch)
    assert await stop(host) == "NO_SPACE"
    assert serves(host, 1)


async def test_what_makes_a_new_generation_is_refused_by_its_plan(host: FakeHost) -> None:
    await create(host)
    await deploy(host, "web/2")
    await host.quiet()
    host.zfs.space = bounds.STAGING
    touched(host)
    assert reason_of(await deploy(host, "web/1")) == "PLAN_REFUSED"
    with pytest.raises(FailedPreconditionError) as refused:
        await create(host, name="other")
    assert [problem.code for problem in refused.value.problems] == ["NO_SPACE"]
    assert touched(host) == []
    assert active(host).number == 2
    host.zfs.space = bounds.STAGING - 1
    assert reason_of(await roll_back(host)) == "PLAN_REFUSED"
    host.zfs.space = 2 * bounds.STAGING
    assert reason_of(await deploy(host, "web/1")) == ""
