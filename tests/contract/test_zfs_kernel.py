"""The ZFS contract on this host's own commands and kernel: FreeBSD's, and that of a Linux that has one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from jaild.adapters.system.process import ProcessRunner
from jaild.adapters.zfs.cli import CliZfs
from jaild.model.errors import FailedPreconditionError
from tests.contract.kernel_pool import NEEDS, kernel_pool, zfs_host
from tests.contract.zfs_contract import LocalZfsContract
from tests.contract.zfs_host import ZfsHost, refused

pytestmark = pytest.mark.real(*NEEDS)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with kernel_pool(tmp_path_factory.mktemp("kernel")) as name:
        yield name


@pytest.fixture
async def host(pool: str) -> AsyncIterator[ZfsHost]:
    cli = CliZfs(ProcessRunner())
    async with zfs_host(pool, cli, cli) as made:
        yield made


class TestKernelZfs(LocalZfsContract):
    """The contract, on `zfs` and `zpool` of this host."""


async def test_a_busy_dataset_is_not_destroyed_and_keeps_its_mounts_and_snapshots(host: ZfsHost) -> None:
    for name in ("a", "a/b"):
        await host.zfs.create(f"{host.top}/{name}")
    await host.zfs.snapshot(top := f"{host.top}/a", "s", recursive=True)
    point = (await host.zfs.dataset(top)).mountpoint
    async with ProcessRunner().start(["sh", "-c", f"cd {point} && echo ready && exec sleep 60"]) as child:
        async for _ in child.read():
            break
        await refused(host.zfs.destroy(top, recursive=True), FailedPreconditionError, "DATASET_BUSY")
        await refused(host.zfs.unmount(top), FailedPreconditionError, "DATASET_BUSY")
    assert [each.mounted for each in await host.zfs.datasets(top)] == [True, True]
    assert len(await host.zfs.snapshots(top, recursive=True)) == 2
