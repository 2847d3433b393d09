"""A pool of the kernel's ZFS of one's own, for adapters that are tried on it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from jaild.adapters.system.process import ProcessRunner
from jaild.adapters.zfs.cli import CliZfs
from jaild.ports.zfs import Zfs
from tests.contract.zfs_host import ZfsHost

NEEDS = ("kernel ZFS", "zfs", "zpool")
_numbers = itertools.count()


@contextmanager
def kernel_pool(folder: Path) -> Iterator[str]:
    """Make a pool with a name of its own, on a file in `folder` or on the device that JAILD_TEST_VDEV names."""
    name = f"jaild-test-{os.getpid()}"
    vdev = os.environ.get("JAILD_TEST_VDEV") or str(folder / "vdev")
    if vdev == str(folder / "vdev"):
        with (folder / "vdev").open("wb") as file:
            file.truncate(1 << 30)
    make = ["zpool", "create", "-O", "atime=off", "-o", "cachefile=none", "-m", str(folder / "pool"), name, vdev]
    asyncio.run(ProcessRunner().run(make))
    try:
        yield name
    finally:
        asyncio.run(ProcessRunner().run(["zpool", "destroy", "-f", name]))


@asynccontextmanager
async def zfs_host(pool: str, zfs: Zfs, cli: CliZfs) -> AsyncIterator[ZfsHost]:
    """Give one test an empty dataset of the pool by `zfs`; what is left of it is taken away by `cli`."""
    await zfs.create(top := f"{pool}/t{next(_numbers)}")

    async def limit(dataset: str, free: int) -> None:
        await zfs.set(dataset, {"quota": str(free)})

    yield ZfsHost(zfs=zfs, top=top, seen=lambda path: path, limit=limit)
    for snapshot in await cli.snapshots(top, recursive=True):
        for tag in await cli.holds(snapshot.name):
            await cli.release(tag, snapshot.name)
    await cli.run("destroy", "-R", subject=top)  # clones too, which the port never does
