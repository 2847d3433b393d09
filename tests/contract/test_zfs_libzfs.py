from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from jaild.adapters.system.process import ProcessRunner
from jaild.adapters.zfs.cli import CliZfs
from jaild.adapters.zfs.libzfs import LibZfs
from jaild.adapters.zfs.pylibzfs import imported
from jaild.model.errors import FailedPreconditionError
from tests.contract.kernel_pool import NEEDS, kernel_pool, zfs_host
from tests.contract.zfs_contract import LocalZfsContract
from tests.contract.zfs_host import ZfsHost, refused

# Skipped also where everything is required: jaild works without py-libzfs, and pip has none.
pytestmark = pytest.mark.real("py-libzfs", *NEEDS)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with kernel_pool(tmp_path_factory.mktemp("libzfs")) as name:
        yield name


@pytest.fixture
def cli() -> CliZfs:
    return CliZfs(ProcessRunner())


@pytest.fixture
async def host(pool: str, cli: CliZfs) -> AsyncIterator[ZfsHost]:
    async with zfs_host(pool, LibZfs(cli, imported()), cli) as made:
        yield made


class TestLibZfs(LocalZfsContract):
    """The contract, on py-libzfs and a ZFS in the kernel."""


async def test_what_others_did_is_seen_at_once(host: ZfsHost, cli: CliZfs) -> None:
    await host.zfs.create(name := f"{host.top}/a", {"jaild:one": "1"})
    assert [each.mounted for each in await host.zfs.datasets(host.top)] == [True, True]
    await cli.unmount(name)
    assert [each.mounted for each in await host.zfs.datasets(host.top)] == [True, False]
    await cli.mount(name)
    assert [each.mounted for each in await host.zfs.datasets(host.top)] == [True, True]
    await cli.set(name, {"jaild:one": "2"})
    assert (await host.zfs.dataset(name)).properties == {"jaild:one": "2"}
    await cli.snapshot(name, "s")
    assert [each.tag for each in await host.zfs.snapshots(name)] == ["s"]


async def test_both_adapters_tell_the_same_of_a_tree(host: ZfsHost, cli: CliZfs) -> None:
    for name in ("a", "a/b", "c"):
        await host.zfs.create(f"{host.top}/{name}", {"jaild:jail": name, "quota": str(1 << 26)})
    await host.zfs.snapshot(host.top, "s", recursive=True)
    await host.zfs.clone(f"{host.top}/a@s", f"{host.top}/clone", {"canmount": "noauto"})
    both = [await zfs.datasets(host.top) for zfs in (host.zfs, cli)]
    # What is used changes with each transaction group, whoever asks.
    one, other = ([replace(each, used=0, referenced=0, available=0) for each in told] for told in both)
    assert one == other


async def test_a_listing_needs_no_command(host: ZfsHost, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        raise AssertionError("a command was asked")

    monkeypatch.setattr(CliZfs, "datasets", never)
    assert await host.zfs.datasets(host.top)


async def test_a_busy_dataset_is_not_destroyed_and_keeps_its_mounts_and_snapshots(host: ZfsHost) -> None:
    for name in ("a", "a/b"):
        await host.zfs.create(f"{host.top}/{name}")
    await host.zfs.snapshot(f"{host.top}/a", "s")
    point = (await host.zfs.dataset(f"{host.top}/a/b")).mountpoint
    async with ProcessRunner().start(["sh", "-c", f"cd {point} && echo ready && exec sleep 60"]) as child:
        async for _ in child.read():
            break
        for call in (
            host.zfs.unmount(f"{host.top}/a"),
            host.zfs.destroy(f"{host.top}/a/b"),
            host.zfs.destroy(f"{host.top}/a", recursive=True),
        ):
            await refused(call, FailedPreconditionError, "DATASET_BUSY")
    assert [each.mounted for each in await host.zfs.datasets(f"{host.top}/a")] == [True, True]
    assert len(await host.zfs.snapshots(f"{host.top}/a")) == 1
