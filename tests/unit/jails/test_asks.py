"""What is known is not asked: the calls to ZFS of each change, word for word, and when it is asked all the same."""

from __future__ import annotations

import msgspec
import pytest

from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.jails.datasets import KEPT_SAFETY_SNAPSHOTS
from jaild.model.jails.spec import JailSpec, Volume
from tests.fakes.faults import injected
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import SPEC, configure, create, delete, deploy, ended, reason_of, roll_back, upgrade

_WEB = "tank/jaild/jails/web"
_SYSTEM_CALLS = frozenset({"mounted"})


def asked(host: FakeHost) -> list[str]:
    """What ZFS was asked since this was called last, without the jail's name.

    System calls are no question to it, and of no snapshots at all nothing is held or released.
    """
    told = [f"{operation} {name.removeprefix(_WEB)}".rstrip() for operation, name in host.zfs.calls if name]
    host.zfs.calls.clear()
    return [each for each in told if each.split()[0] not in _SYSTEM_CALLS]


def volumes(**quotas: str) -> JailSpec:
    found = {name: Volume(path=f"/var/{name}", quota=quota) for name, quota in quotas.items()}
    return msgspec.structs.replace(SPEC, volumes=found)


async def tags(host: FakeHost) -> list[str]:
    return [snapshot.tag for snapshot in await host.zfs.snapshots(_WEB)]


async def test_a_change_asks_zfs_nothing(host: FakeHost) -> None:
    asked(host)
    await create(host)
    assert asked(host) == ["create", "create /data", "set"]
    await deploy(host, "web/2")
    assert asked(host) == ["snapshot @before-2", "set"]
    await upgrade(host, "deb-2")
    assert asked(host) == ["snapshot @before-3", "set"]
    await roll_back(host)
    assert asked(host) == ["snapshot @before-2.2", "set"]
    restarted = await ended(host, host.core.use_cases.jails.restart("web", caller=caller()))
    assert reason_of(restarted) == ""
    assert asked(host) == []


async def test_a_deletion_asks_who_keeps_the_jail_before_it_is_stopped_and_after(host: FakeHost) -> None:
    await create(host)
    asked(host)
    assert reason_of(await delete(host, force=True)) == ""
    assert asked(host) == ["snapshots", "clones", "set", "snapshots", "clones", "destroy"]


async def test_from_the_fourth_change_on_the_oldest_safety_snapshot_is_looked_at_and_dropped(host: FakeHost) -> None:
    await create(host)
    for release in ("web/2", "web/1", "web/2"):
        await deploy(host, release)
    assert len(await tags(host)) == KEPT_SAFETY_SNAPSHOTS
    asked(host)
    await deploy(host, "web/1")
    await host.quiet()
    assert asked(host) == ["snapshot @before-5", "set", "snapshots", "destroy @before-2"]
    assert await tags(host) == ["before-3", "before-4", "before-5"]


async def test_a_safety_snapshot_that_could_not_be_dropped_is_dropped_when_zfs_answers(host: FakeHost) -> None:
    await create(host)
    for release in ("web/2", "web/1", "web/2"):
        await deploy(host, release)
    host.zfs.refuse["snapshots"] = injected("snapshots")
    assert reason_of(await deploy(host, "web/1")) == ""
    host.zfs.refuse.clear()
    await host.quiet()
    assert await tags(host) == ["before-3", "before-4", "before-5"]


async def test_of_a_jail_that_is_deleted_meanwhile_nothing_is_dropped(host: FakeHost) -> None:
    await create(host)
    for release in ("web/2", "web/1", "web/2"):
        await deploy(host, release)
    host.zfs.refuse["snapshots"] = injected("snapshots")
    await deploy(host, "web/1")
    host.zfs.refuse.clear()
    assert reason_of(await delete(host, force=True)) == ""
    asked(host)
    await host.quiet()
    assert asked(host) == []


async def test_the_first_change_after_a_start_of_the_daemon_looks_at_the_safety_snapshots_once(host: FakeHost) -> None:
    await create(host)
    await deploy(host, "web/2")
    await host.restart()
    await host.quiet()  # a start has questions of its own
    asked(host)
    await deploy(host, "web/1")
    await host.quiet()
    assert asked(host) == ["snapshots", "snapshot @before-3", "set"]
    await deploy(host, "web/2")
    assert asked(host) == ["snapshot @before-4", "set"]


async def test_datasets_are_looked_at_when_quotas_or_volumes_change_and_not_when_anything_else_does(
    host: FakeHost,
) -> None:
    await create(host, volumes(store="1M"))
    asked(host)
    await configure(host, msgspec.structs.replace(volumes(store="1M"), hostname="other"))
    assert [each for each in asked(host) if each.startswith("dataset")] == []
    await configure(host, volumes(store="2M"))
    assert [each for each in asked(host) if each.startswith("dataset")] == ["datasets", "datasets"]
    await configure(host, volumes(store="2M", more="1M"))
    assert "create /more" in asked(host)
    await host.restart()
    asked(host)
    await configure(host, msgspec.structs.replace(volumes(store="2M", more="1M"), hostname="again"))
    assert [each for each in asked(host) if each.startswith("dataset")] == []


async def test_a_snapshot_whose_making_seemed_to_fail_is_not_forgotten(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host)
    make = OwnedSnapshots.make

    async def made_and_failed(*args: object, **named: object) -> str:
        await make(*args, **named)  # type: ignore[arg-type]
        raise injected("snapshot")

    with monkeypatch.context() as patched:
        patched.setattr(OwnedSnapshots, "make", made_and_failed)
        assert reason_of(await deploy(host, "web/2")) == "COMMAND_FAILED"
    assert await tags(host) == ["before-2"]
    assert reason_of(await deploy(host, "web/2")) == ""
    assert await tags(host) == ["before-2"]


async def test_tries_that_fail_leave_one_safety_snapshot_and_rollbacks_that_fail_never_more_than_are_kept(
    host: FakeHost,
) -> None:
    await create(host)
    host.runtime.refuse["start:web.2"] = injected("start")
    for _ in range(5):
        assert reason_of(await deploy(host, "web/2")) == "COMMAND_FAILED"
    assert await tags(host) == ["before-2"]
    host.runtime.refuse.clear()
    for release in ("web/2", "web/1"):
        assert reason_of(await deploy(host, release)) == ""
    host.runtime.refuse["start:web.2"] = injected("start")
    for _ in range(5):
        assert reason_of(await roll_back(host)) == "COMMAND_FAILED"
        assert len(await tags(host)) <= KEPT_SAFETY_SNAPSHOTS + 1


async def test_a_new_jail_is_refused_where_its_dataset_is_not_mounted_below_the_folder_of_all(host: FakeHost) -> None:
    await host.zfs.set("tank/jaild/jails", {"mountpoint": "none"})
    assert reason_of(await create(host)) == "DATASET_NOT_MOUNTED"
    assert host.core.inventory.jails == {}
