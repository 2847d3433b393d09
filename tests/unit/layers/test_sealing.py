"""Making layers: cancelled at any moment, nothing is left, and nobody else's is taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from jaild.layers.sealing import Sealer
from jaild.model import layout
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, ResourceExhaustedError
from jaild.ports.zfs import Zfs
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import reason_of
from tests.unit.layers.test_killed_imports import a_tree


class SlowlyMaking:
    """A ZFS whose `create` takes until `go`, and is killed too late to keep it from taking effect."""

    def __init__(self, zfs: Zfs) -> None:
        self._zfs = zfs
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._zfs, name)

    async def create(self, name: str, properties: Mapping[str, str] | None = None) -> None:
        self.begun.set()
        try:
            await self.go.wait()
        finally:
            await self._zfs.create(name, properties)


async def never(folder: Path) -> NoReturn:
    raise AssertionError(folder)


async def cancelled_while_making(host: FakeHost, dataset: str) -> None:
    zfs = SlowlyMaking(host.zfs)
    sealing = asyncio.create_task(
        Sealer(cast("Zfs", zfs), host.files).seal(dataset, layout.BASE_PROPERTY, never), name="seal"
    )
    await zfs.begun.wait()
    sealing.cancel()
    await asyncio.sleep(0)
    zfs.go.set()
    with pytest.raises(asyncio.CancelledError):
        await sealing


async def datasets(host: FakeHost) -> list[str]:
    return sorted(dataset.name for dataset in await host.zfs.datasets("tank"))


async def test_a_cancel_while_the_dataset_is_made_leaves_none(host: FakeHost) -> None:
    before = await datasets(host)
    await cancelled_while_making(host, host.core.inventory.where.base("deb-3"))
    assert await datasets(host) == before


async def test_a_cancel_while_a_dataset_is_made_that_was_there_before_leaves_it_alone(host: FakeHost) -> None:
    before = await datasets(host)
    await cancelled_while_making(host, host.core.inventory.where.base("deb-1"))
    assert await datasets(host) == before


async def test_a_dataset_that_cannot_be_destroyed_either_does_not_hide_why_it_was_not_sealed(host: FakeHost) -> None:
    async def full(folder: Path) -> NoReturn:
        host.zfs.refuse["destroy"] = FailedPreconditionError("DATASET_BUSY", f"{folder} is in use", hint="wait")
        raise ResourceExhaustedError("NO_SPACE", "the pool is full", hint="free some")

    with pytest.raises(ResourceExhaustedError) as raised:
        await Sealer(host.zfs, host.files).seal(host.core.inventory.where.base("deb-3"), layout.BASE_PROPERTY, full)
    assert raised.value.reason == "NO_SPACE"


async def test_an_import_that_waited_for_another_of_its_name_is_refused_before_it_reads_anything(
    host: FakeHost, quick_path: Path
) -> None:
    tree = str(a_tree(quick_path / "tree"))
    imports = [await host.core.use_cases.bases.import_path("deb-3", tree, sha256="", caller=caller()) for _ in range(2)]
    first, second = [await host.end_of(each) for each in imports]
    assert (reason_of(first), reason_of(second)) == ("", "BASE_EXISTS")
    assert [phase.name for phase in first.phases] == ["check", "unpack", "seal"]
    assert [phase.name for phase in second.phases] == []


@pytest.mark.parametrize(
    ("path", "told"),
    [("relative", "is not absolute"), ("{0}/nothing", "is not there"), ("{0}", "is an empty folder")],
)
async def test_an_import_of_nothing_is_refused_with_what_the_daemon_sees(
    host: FakeHost, tmp_path: Path, path: str, told: str
) -> None:
    there = tmp_path / "empty"
    there.mkdir()
    with pytest.raises(InvalidArgumentError, match=told) as refused:
        await host.core.use_cases.bases.import_path("deb-3", path.format(there), sha256="", caller=caller())
    assert refused.value.reason == "PATH_NOT_FOUND"
    assert ("sees no mounts made after its start" in refused.value.hint) is (path != "relative")
