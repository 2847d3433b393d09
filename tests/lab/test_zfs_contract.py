from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from jaild.adapters.zfs.cli import CliZfs
from jaild.model.errors import FailedPreconditionError
from tests.contract.zfs_contract import ZfsContract
from tests.contract.zfs_host import ZfsHost, refused
from tests.lab.machine import Machine
from tests.lab.place import PlaceInside

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
_numbers = itertools.count()


@pytest.fixture
async def host(machine: Machine) -> AsyncIterator[ZfsHost]:
    zfs = CliZfs(machine.processes)
    top = f"tank/t{next(_numbers)}"
    await zfs.create(top)

    async def limit(dataset: str, free: int) -> None:
        await zfs.set(dataset, {"quota": str(free)})

    yield ZfsHost(zfs=zfs, top=top, seen=lambda path: PlaceInside(machine, path), limit=limit)
    for snapshot in await zfs.snapshots(top, recursive=True):
        for tag in await zfs.holds(snapshot.name):
            await zfs.release(tag, snapshot.name)
    await zfs.run("destroy", "-R", subject=top)  # clones too, which the port never does


class TestOpenZfs(ZfsContract):
    """The contract, on OpenZFS in a kernel; only `zfs` and `zpool` run in the machine."""


async def test_a_busy_dataset_is_not_destroyed_and_keeps_its_mounts_and_snapshots(
    host: ZfsHost, machine: Machine
) -> None:
    for name in ("a", "a/b"):
        await host.zfs.create(f"{host.top}/{name}")
    await host.zfs.snapshot(top := f"{host.top}/a", "s", recursive=True)
    point = (await host.zfs.dataset(top)).mountpoint
    async with machine.processes.start(["sh", "-c", f"cd {point} && echo ready && exec sleep 600"]) as child:
        async for _ in child.read():
            break
        await refused(host.zfs.destroy(top, recursive=True), FailedPreconditionError, "DATASET_BUSY")
        await refused(host.zfs.unmount(top), FailedPreconditionError, "DATASET_BUSY")
    assert [each.mounted for each in await host.zfs.datasets(top)] == [True, True]
    assert len(await host.zfs.snapshots(top, recursive=True)) == 2
