"""Images of a registry that is told: what a tag leads to, what is checked, what is kept when the connection breaks."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.registry import Registry
from jaild.model.operation import Operation
from tests.fakes.host import FakeHost, caller
from tests.fakes.processes import Argv, Said, ScriptedProcesses
from tests.hosts.asking import reason_of
from tests.hosts.fixtures import furnished
from tests.ocilayouts import Layout, platform
from tests.tars import file, folder
from tests.unit.adapters.files.test_osdetect import elf

IMAGE = "docker://r.example/base:12"


_BROKEN = Said(stderr='level=fatal msg="writing blob: happened during read: unexpected EOF"', status=1)


class ToldSkopeo:
    """A skopeo whose registry is a layout folder; `breaks` copies end after a blob, `unreachable` ones each."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.tags: dict[str, str] = {}
        self.breaks = 0
        self.unreachable = False
        self.processes = ScriptedProcesses(self)
        self.copied: list[str] = []

    def tag(self, described: dict[str, Any], name: str = "12") -> str:
        """Let a tag name a document; return its digest."""
        self.tags[name] = described["digest"]
        return str(described["digest"])

    def _document(self, image: str) -> bytes:
        name = image.rpartition("@")[2] if "@" in image else self.tags[image.rpartition(":")[2]]
        return (self.layout.folder / "blobs/sha256" / name.removeprefix("sha256:")).read_bytes()

    async def __call__(self, argv: Argv, stdin: bytes) -> Said:
        del stdin
        if "inspect" in argv:
            document = self._document(argv[-1])
            if "--config" in argv:
                document = self._document(f"@{json.loads(document)['config']['digest']}")
            return Said(document.decode())
        manifest = json.loads(self._document(argv[-2]))
        assert argv[-1] == "oci:."
        assert self.processes.cwd is not None
        there = self.processes.cwd / "blobs/sha256"
        there.mkdir(parents=True, exist_ok=True)
        for layer in manifest["layers"]:
            name = layer["digest"].removeprefix("sha256:")
            if not (there / name).exists():
                shutil.copy(self.layout.folder / "blobs/sha256" / name, there)
                self.copied.append(name)
                if self.breaks:
                    self.breaks -= 1
                    return _BROKEN
            if self.unreachable:
                return _BROKEN
        return Said()


@pytest.fixture
def skopeo(tmp_path: Path) -> ToldSkopeo:
    return ToldSkopeo(Layout(tmp_path / "registry"))


@pytest.fixture
async def knowing(tmp_path: Path, skopeo: ToldSkopeo) -> AsyncIterator[FakeHost]:
    """A host that may pull from r.example."""
    made = FakeHost(tmp_path / "host")
    made.registries, made.programs = {"r.example": Registry()}, skopeo.processes
    yield await furnished(made)
    await made.stop()


def system(skopeo: ToldSkopeo, **more: Any) -> dict[str, Any]:
    """An image of two layers."""
    release = file("etc/os-release", b"ID=debian\nVERSION_ID=12\n")
    lower = skopeo.layout.layer(folder("etc"), release, folder("bin"), file("bin/sh", elf(), 0o755))
    return skopeo.layout.image(lower, skopeo.layout.layer(file("etc/motd", b"hello")), **more)


async def pulled(host: FakeHost, name: str = "deb-3", **more: Any) -> Operation:
    return await host.end_of(await host.core.use_cases.bases.import_image(name, IMAGE, caller=caller(), **more))


def staged(host: FakeHost) -> list[Path]:
    return list((host.folder / "staging").glob("pull-*"))


async def test_a_tag_leads_to_this_host_s_image_of_an_index_and_its_digest_is_what_is_kept(
    skopeo: ToldSkopeo, knowing: FakeHost
) -> None:
    wanted = system(skopeo)
    other = skopeo.layout.image(skopeo.layout.layer(file("x")), os="freebsd", machine="arm64")
    both = [{**wanted, **platform("linux", "amd64")}, {**other, **platform("freebsd", "arm64")}]
    skopeo.tag(skopeo.layout.index(both))
    planned = await pulled(knowing, validate_only=True)
    assert planned.plan is not None
    assert f"{IMAGE}@{wanted['digest']}" in planned.plan.steps[0]
    assert skopeo.copied == []
    done = await pulled(knowing)
    assert reason_of(done) == ""
    record = knowing.core.use_cases.bases.get("deb-3").record
    assert (record.image, f"sha256:{record.sha256}") == (f"{IMAGE}@{wanted['digest']}", wanted["digest"])
    assert staged(knowing) == []


async def test_what_a_tag_names_is_asked_once(skopeo: ToldSkopeo, knowing: FakeHost) -> None:
    first = skopeo.tag(system(skopeo))
    processes = skopeo.processes
    await pulled(knowing)
    by_tag = [told.argv for told in processes.calls if told.argv[-1] == IMAGE or IMAGE in told.argv]
    assert len(by_tag) == 1
    assert any(first in told.argv[-2] for told in processes.calls if "copy" in told.argv)


async def test_a_connection_that_breaks_is_made_again_and_goes_on(skopeo: ToldSkopeo, knowing: FakeHost) -> None:
    skopeo.tag(system(skopeo))
    skopeo.breaks = 2
    assert reason_of(await pulled(knowing)) == ""
    assert len(skopeo.copied) == len(set(skopeo.copied)) == 2


async def test_layers_that_came_before_the_connection_broke_are_not_fetched_again(
    skopeo: ToldSkopeo, knowing: FakeHost
) -> None:
    skopeo.tag(system(skopeo))
    skopeo.unreachable = True
    assert reason_of(await pulled(knowing)) == "REGISTRY_UNREACHABLE"
    skopeo.unreachable = False
    assert "deb-3" not in knowing.core.inventory.bases
    assert len(staged(knowing)) == 1
    assert reason_of(await pulled(knowing)) == ""
    assert len(skopeo.copied) == len(set(skopeo.copied)) == 2
    assert staged(knowing) == []


async def test_no_more_than_one_image_that_broke_off_is_kept(skopeo: ToldSkopeo, knowing: FakeHost) -> None:
    skopeo.tag(system(skopeo))
    skopeo.unreachable = True
    assert reason_of(await pulled(knowing, "deb-3")) == "REGISTRY_UNREACHABLE"
    assert reason_of(await pulled(knowing, "deb-4")) == "REGISTRY_UNREACHABLE"
    skopeo.unreachable = False
    assert len(staged(knowing)) == 1
    assert reason_of(await pulled(knowing, "deb-5")) == ""
    assert staged(knowing) == []


@pytest.mark.parametrize("what", ["manifest", "config", "layer"])
async def test_what_is_not_what_its_digest_says_is_not_taken(skopeo: ToldSkopeo, knowing: FakeHost, what: str) -> None:
    described = system(skopeo)
    digest = skopeo.tag(described)
    blobs = skopeo.layout.folder / "blobs/sha256"
    manifest = json.loads((blobs / digest.removeprefix("sha256:")).read_bytes())
    names = {"manifest": digest, "config": manifest["config"]["digest"], "layer": manifest["layers"][0]["digest"]}
    path = blobs / names[what].removeprefix("sha256:")
    path.write_bytes(path.read_bytes() + b" ")
    operation = await host_end(knowing, f"docker://r.example/base@{digest}")
    assert reason_of(operation) == "DIGEST_MISMATCH"
    assert staged(knowing) == []


async def host_end(host: FakeHost, image: str) -> Operation:
    return await host.end_of(await host.core.use_cases.bases.import_image("deb-3", image, caller=caller()))


async def test_a_plan_refuses_what_is_for_another_system_before_anything_is_fetched(
    skopeo: ToldSkopeo, knowing: FakeHost
) -> None:
    skopeo.tag(system(skopeo, os="freebsd"))
    with pytest.raises(FailedPreconditionError) as caught:
        await pulled(knowing, validate_only=True)
    assert caught.value.reason == "OCI_PLATFORM"
    assert reason_of(await pulled(knowing)) == "OCI_PLATFORM"
    assert skopeo.copied == []


async def test_a_manifest_that_is_none_is_refused(skopeo: ToldSkopeo, knowing: FakeHost) -> None:
    skopeo.tag(skopeo.layout.blob(b"[1]", "x"))
    assert reason_of(await pulled(knowing)) == "OCI_UNREADABLE"
