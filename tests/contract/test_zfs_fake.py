from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from jaild.model.errors import UnavailableError
from tests.contract.zfs_contract import LocalZfsContract
from tests.contract.zfs_host import ZfsHost, pieces
from tests.fakes.zfs import FakeZfs


@pytest.fixture
async def host(tmp_path: Path) -> ZfsHost:
    fake = FakeZfs(tmp_path)
    await fake.create("tank/top")

    def limit(_: str, free: int) -> None:
        fake.space = free

    return ZfsHost(zfs=fake, top="tank/top", seen=lambda path: path, limit=limit)


class TestFakeZfs(LocalZfsContract):
    """The contract, on directories."""


async def test_what_is_to_be_refused_is_refused_until_it_is_taken_back(tmp_path: Path) -> None:
    fake = FakeZfs(tmp_path)
    fake.refuse["create tank/a"] = UnavailableError("X", "no")
    with pytest.raises(UnavailableError):
        await fake.create("tank/a")
    await fake.create("tank/b")
    del fake.refuse["create tank/a"]
    await fake.create("tank/a")
    assert [name for operation, name in fake.calls if operation == "create"] == ["tank/a", "tank/b", "tank/a"]


async def test_the_fake_receives_with_the_tarfile_of_python_3_11_2(
    host: ZfsHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tarfile.TarFile.extractall

    def without_filter(tar: tarfile.TarFile, path: Path, *, numeric_owner: bool) -> None:
        whole(tar, path, numeric_owner=numeric_owner)

    monkeypatch.setattr(tarfile.TarFile, "extractall", without_filter)
    await host.zfs.create(f"{host.top}/a")
    (await host.file(f"{host.top}/a", "f")).write_bytes(b"x")
    await host.zfs.snapshot(f"{host.top}/a", "s")
    await host.zfs.receive(f"{host.top}/b", pieces(await host.stream(f"{host.top}/a@s")))
    await host.zfs.mount(f"{host.top}/b")
    assert (await host.file(f"{host.top}/b", "f")).read_bytes() == b"x"
