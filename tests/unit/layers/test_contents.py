"""The index of a layer: sealed with it, or made later for one that was sealed without."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jaild.engine.inventory import AnyLayer
from jaild.layers import contents
from jaild.layers.contents import LayerContents
from jaild.model import layout
from jaild.model.contents.versions import Ecosystem
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.spec import JailSpec
from jaild.ports.files import Files
from tests.fakes.host import FakeHost
from tests.fakes.network import Network
from tests.hosts.asking import create
from tests.hosts.migrating import migrate
from tests.unit.model.contents.test_dpkg import STATUS

PARTS = (layout.CONTENTS, layout.FILES)


def contents_of(host: FakeHost) -> LayerContents:
    return host.core.rooms.layers.contents


def folder_of(host: FakeHost) -> Path:
    return host.core.rooms.engine.place.contents


def as_sealed_by_an_older_jaild(layer: AnyLayer) -> None:
    for part in PARTS:
        (layer.folder / part).unlink()


async def nothing(*_: object) -> None:
    """Seal a layer as an older jaild did."""


async def test_a_layer_is_sealed_with_its_index(host: FakeHost) -> None:
    await host.add_base("debian", {"var/lib/dpkg/status": STATUS})
    await host.add_release("web/3", {"lib/data": "x"})
    base, release = host.core.inventory.base("debian"), host.core.inventory.release("web/3")
    found = await contents_of(host).of(base)
    assert [each.name for each in found.packages] == ["libssl3", "adduser"]
    assert "/etc/motd" in (await contents_of(host).files(base)).files
    assert "/usr/local/lib/data" in (await contents_of(host).files(release)).files
    assert not list(folder_of(host).glob("*"))


async def test_one_that_was_sealed_without_gets_it_when_the_daemon_starts(host: FakeHost) -> None:
    base = host.core.inventory.base("deb-1")
    as_sealed_by_an_older_jaild(base)
    await host.restart()
    await host.core.supervisor.idle()
    assert "/etc/motd" in (await contents_of(host).files(host.core.inventory.base("deb-1"))).files
    assert sorted(path.name for path in folder_of(host).iterdir()) == [f"{base.guid}.{part}" for part in PARTS]
    assert not (base.folder / layout.CONTENTS).exists()


async def test_until_it_is_made_who_asks_is_told_and_has_it_made(host: FakeHost) -> None:
    base = host.core.inventory.base("deb-1")
    as_sealed_by_an_older_jaild(base)
    with pytest.raises(FailedPreconditionError, match="not in an index yet"):
        await contents_of(host).of(base)
    await host.core.supervisor.idle()
    await contents_of(host).of(base)


async def test_one_that_cannot_be_read_is_made_again(host: FakeHost) -> None:
    base = host.core.inventory.base("deb-1")
    for part in PARTS:
        (base.folder / part).write_bytes(b'{"packages": 7}')
    with pytest.raises(FailedPreconditionError):
        await contents_of(host).of(base)
    await host.core.supervisor.idle()
    await contents_of(host).of(base)


@pytest.mark.parametrize("damage", [Path.unlink, lambda part: part.write_bytes(b'{"files": 7}')])
async def test_one_of_which_a_part_is_missing_or_damaged_is_made_again(
    host: FakeHost, damage: Callable[[Path], object]
) -> None:
    base = host.core.inventory.base("deb-1")
    damage(base.folder / layout.FILES)
    for _ in range(2):  # also if what was made here is damaged then
        with pytest.raises(FailedPreconditionError, match="not in an index yet"):
            await contents_of(host).files(base)
        await host.core.supervisor.idle()
        assert "/etc/motd" in (await contents_of(host).files(base)).files
        damage(folder_of(host) / f"{base.guid}.{layout.FILES}")


async def test_a_layer_whose_index_cannot_be_made_keeps_no_other_from_its_own(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [host.core.inventory.base(name) for name in ("deb-1", "deb-2")]
    for layer in layers:
        as_sealed_by_an_older_jaild(layer)
    make, tried = contents.write_index, list[Path]()

    async def broken_at_first(files: Files, layer: Path, *told: Any) -> None:
        tried.append(layer)
        if len(tried) == 1:
            raise OSError(errno.EIO, "input/output error")
        await make(files, layer, *told)

    monkeypatch.setattr(contents, "write_index", broken_at_first)
    contents_of(host).begin()
    await host.core.supervisor.idle()
    first, second = (layer.folder for layer in layers)
    assert tried == [first, second, first]


async def test_what_is_of_a_layer_that_is_gone_goes(host: FakeHost) -> None:
    folder_of(host).mkdir(exist_ok=True)
    (folder_of(host) / f"17.{layout.CONTENTS}").write_text("{}")
    contents_of(host).begin()
    await host.core.supervisor.idle()
    assert not list(folder_of(host).iterdir())


@pytest.mark.parametrize("older", [False, True])
async def test_the_index_goes_with_a_layer_to_another_host_or_is_made_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, older: bool
) -> None:
    network = Network()
    alpha, beta = (FakeHost(tmp_path / name, name, network) for name in ("alpha", "beta"))
    for each in (alpha, beta):
        await each.start()
    with monkeypatch.context() as patch:
        if older:
            patch.setattr("jaild.layers.contents.write_index", nothing)
        await alpha.add_base("moved", {"etc/older": str(older)})
    await create(alpha, JailSpec(base="moved", command=("/bin/run",)))
    await alpha.end_of(await migrate(alpha, beta))
    await beta.core.supervisor.idle()
    base = beta.core.inventory.base("moved")
    assert "/etc/motd" in (await contents_of(beta).files(base)).files
    assert (base.folder / layout.CONTENTS).exists() is not older
    for each in (alpha, beta):
        await each.stop()


async def test_packages_of_a_release_that_was_built_here_are_in_its_index(host: FakeHost) -> None:
    await host.add_release("web/3")
    release = host.core.inventory.release("web/3")
    (release.folder / layout.PACKAGES).write_text('["py311-foo-1.2_3,1", "nameless"]')
    as_sealed_by_an_older_jaild(release)
    contents_of(host).begin()
    await host.core.supervisor.idle()
    (package,) = (await contents_of(host).of(release)).packages
    assert (package.name, package.version, package.ecosystem) == ("py311-foo", "1.2_3,1", Ecosystem.PKG)
