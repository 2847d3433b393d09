from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError, NotFoundError
from tests.contract.zfs_contract import LocalZfsContract
from tests.contract.zfs_host import ZfsHost, pieces, refused
from tests.zfs_fuse import PrivateZfs, private_zfs_fuse

pytestmark = pytest.mark.real("Linux", "no kernel ZFS", "unshare", "nsenter", "mount", "zfs-fuse")
_numbers = itertools.count()


@pytest.fixture(scope="module")
def fuse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateZfs]:
    with private_zfs_fuse(tmp_path_factory.mktemp("zfs")) as running:
        yield running


@pytest.fixture
async def host(fuse: PrivateZfs) -> AsyncIterator[ZfsHost]:
    top = f"{fuse.pool}/t{next(_numbers)}"
    await fuse.zfs.create(top)

    async def limit(dataset: str, free: int) -> None:
        await fuse.zfs.set(dataset, {"quota": str(free)})

    yield ZfsHost(zfs=fuse.zfs, top=top, seen=fuse.seen, limit=limit)
    for snapshot in await fuse.zfs.snapshots(top, recursive=True):
        for tag in ("jaild:one", "jaild:two"):
            await fuse.zfs.release(tag, snapshot.name)
    await fuse.zfs.run("destroy", "-R", subject=top)  # clones too, which the port never does


class TestZfsFuse(LocalZfsContract):
    """The contract, on a real zfs-fuse."""


async def test_what_zfs_fuse_can_do_is_read_off_its_usage_texts(fuse: PrivateZfs) -> None:
    can = await fuse.zfs.capabilities()
    assert can.implementation == "zfs-fuse"
    assert not any(
        (can.resumable_receive, can.bookmarks, can.written, can.set_many, can.receive_properties, can.rich_send)
    )
    assert not can.estimates
    assert not can.lists_holds
    assert await fuse.zfs.pool_features(fuse.pool) == {"version:23"}


async def test_a_clone_for_which_zfs_fuse_chose_a_twin_of_the_origin_is_refused_and_removed(host: ZfsHost) -> None:
    zfs = host.zfs
    await zfs.create(source := f"{host.top}/src")
    await zfs.snapshot(source, "s")
    await zfs.clone(f"{source}@s", clone := f"{host.top}/clone")
    await zfs.snapshot(clone, "c")
    stream = await host.stream(f"{clone}@c", f"{source}@s")
    full = await host.stream(f"{source}@s")
    await zfs.receive(f"{host.top}/twin", pieces(full))
    outcomes = []
    for origin in (f"{source}@s", f"{host.top}/twin@s"):
        try:
            await zfs.receive(target := f"{host.top}/dst", pieces(stream), origin=origin)
        except FailedPreconditionError as error:
            outcomes.append(error.reason)
            with pytest.raises(NotFoundError):
                await zfs.dataset(target)
        else:
            outcomes.append("received" if (await zfs.dataset(target)).origin == origin else "wrong")
            await zfs.destroy(target, recursive=True)
    assert sorted(outcomes) == ["ORIGIN_AMBIGUOUS", "received"]


async def test_a_busy_mount_is_not_unmounted(host: ZfsHost, fuse: PrivateZfs) -> None:
    await host.zfs.create(name := f"{host.top}/a")
    point = (await host.zfs.dataset(name)).mountpoint
    assert point is not None
    async with fuse.processes.start(["sh", "-c", f"cd {point} && echo ready && exec sleep 60"]) as child:
        async for _ in child.read():
            break
        for call in (host.zfs.unmount(name), host.zfs.destroy(name), host.zfs.destroy(name, recursive=True)):
            await refused(call, FailedPreconditionError, "DATASET_BUSY")
    assert (await host.zfs.dataset(name)).mounted


async def test_a_create_that_cannot_mount_leaves_nothing(host: ZfsHost) -> None:
    file = await host.file(host.top, "a/in-the-way")
    file.parent.mkdir()
    file.touch()
    await refused(host.zfs.create(f"{host.top}/a"), FailedPreconditionError, "DATASET_BUSY")
    with pytest.raises(NotFoundError):
        await host.zfs.dataset(f"{host.top}/a")


async def test_a_missing_daemon_is_told_apart_from_a_missing_dataset(tmp_path: Path) -> None:
    with private_zfs_fuse(tmp_path) as ended:
        await ended.zfs.capabilities()
        zfs = ended.zfs
        await ended.processes.run(["zpool", "export", ended.pool])
        await refused(zfs.dataset(ended.pool), NotFoundError, "DATASET_NOT_FOUND")
