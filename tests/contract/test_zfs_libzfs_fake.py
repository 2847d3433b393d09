from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.adapters.zfs.libzfs import LibZfs
from tests.contract.zfs_contract import LocalZfsContract
from tests.contract.zfs_host import ZfsHost
from tests.fakes.pylibzfs import PyLibzfs
from tests.fakes.zfs import FakeZfs


@pytest.fixture
def module(tmp_path: Path) -> Iterator[PyLibzfs]:
    found = PyLibzfs(FakeZfs(tmp_path))
    yield found
    assert found.strangers == []


@pytest.fixture
async def host(module: PyLibzfs) -> ZfsHost:
    fake = module.fake
    await fake.create("tank/top")

    def limit(_: str, free: int) -> None:
        fake.space = free

    zfs = LibZfs(fake, module, device=Path("/dev/null"))
    return ZfsHost(zfs=zfs, top="tank/top", seen=lambda path: path, limit=limit)


class TestLibZfsOnAFake(LocalZfsContract):
    """The contract, on the adapter over a fake py-libzfs; every question to that must come from one thread."""
