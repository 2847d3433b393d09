"""Bases from OCI image layouts, made by the test, on a real daemon."""

from __future__ import annotations

import gzip
import subprocess
import tarfile
from pathlib import Path

import pytest

from jaild.model.errors import DataLossError, FailedPreconditionError, InvalidArgumentError
from jaild.v1 import base_making_pb2, bases_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, refused
from tests.e2e.node import Node
from tests.extras import CAPABILITY
from tests.ocilayouts import LAYER, Layout, named
from tests.tars import file, pack

pytestmark = pytest.mark.real(*LINUX_HOST)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def tiny(layout: Layout) -> Path:
    """An image of a userland and a zstd layer over it that changes a file and takes another away."""
    items = [*trees.base_items("1", {"gone": "x\n"}), file("etc/old/conf", b"old")]
    lower = layout.layer(*items)
    whiteouts = (file("etc/.wh.gone"), file("etc/.wh.old"))
    upper = layout.layer(file("etc/motd", b"from the second layer\n"), *whiteouts, form="zstd")
    return layout.finish(layout.image(lower, upper, **named("v1")), layout.image(lower, **named("v0")))


def forget(api: Client, name: str) -> None:
    api.done(api.call(api.bases.DeleteBase, bases_pb2.DeleteBaseRequest(name=f"bases/{name}")))


def test_a_layout_on_the_host_becomes_a_base_that_jails_run_on(api: Client, layout: Layout, tmp_path: Path) -> None:
    made = tiny(layout)
    base = api.import_base("from-oci", tmp_path, path=str(made), image="v1")
    assert (base.family, base.abi) == ("linux", "tiny:1:amd64")
    assert base.notes[0].startswith("OCI image of 2 layers, manifest sha256:")
    assert base.notes[0].endswith(base.sha256)
    api.create("edge-o", trees.spec("from-oci", "web/1"))
    assert api.sh("edge-o", "cat /etc/motd; ls -d /etc/gone /etc/old 2>/dev/null || true") == "from the second layer\n"
    api.delete("edge-o")
    forget(api, "from-oci")


def test_a_layout_comes_as_an_archive_too(api: Client, layout: Layout, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    subprocess.run(["tar", "-C", tiny(layout), "-cf", archive, "."], check=True)
    with refused(FailedPreconditionError, "OCI_AMBIGUOUS"):
        api.import_base("sent", archive)
    base = api.import_base("sent", archive, image="v0")
    assert base.notes[0].startswith("OCI image of 1 layer,")
    forget(api, "sent")


def test_what_does_not_fit_leaves_nothing(api: Client, node: Node, layout: Layout, tmp_path: Path) -> None:
    before = node.traces()
    other = layout.finish(layout.image(layout.layer(*trees.base_items()), machine="arm64"))
    with refused(FailedPreconditionError, "OCI_PLATFORM"):
        api.import_base("bad", tmp_path, path=str(other))
    says_so = layout.finish(layout.image(layout.layer(file("hello"))))
    with refused(InvalidArgumentError, "NOT_A_BASE"):
        api.import_base("bad", tmp_path, path=str(says_so))
    damaged = layout.layer(*trees.base_items())
    made = layout.finish(layout.image(damaged))
    blob = made / "blobs/sha256" / damaged["digest"].partition(":")[2]
    blob.write_bytes(blob.read_bytes() + b"x")
    with refused(DataLossError, "DIGEST_MISMATCH"):
        api.import_base("bad", tmp_path, path=str(made))
    cut = gzip.compress(pack(tmp_path / "x.tar", *trees.base_items()).read_bytes())[:100_000]
    with refused(DataLossError, "ARCHIVE_TRUNCATED"):
        api.import_base("bad", tmp_path, path=str(layout.finish(layout.image(layout.blob(cut, f"{LAYER}+gzip")))))
    with refused(InvalidArgumentError, "NOT_AN_IMAGE"):
        api.import_base("bad", trees.base(tmp_path / "base.tgz"), image="v1")
    assert node.traces() == before


def test_a_program_with_capabilities_comes_without_them_where_the_pool_keeps_none(api: Client, tmp_path: Path) -> None:
    plain, archive = trees.base(tmp_path / "plain.tgz"), tmp_path / "base.tar"
    with tarfile.open(plain) as made, tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as packed:
        for member in made:
            if member.name == "bin/busybox":
                member.pax_headers = {"SCHILY.xattr.security.capability": CAPABILITY}
            packed.addfile(member, made.extractfile(member) if member.isreg() else None)
    base = api.import_base("capable", archive)
    notes = [note for note in base.notes if "bin/busybox" in note]
    # Of the kernel's OpenZFS it is kept.
    assert notes in ([], ["1 came without security attributes, which the dataset does not keep: 'bin/busybox'"])
    assert bool(notes) is not Path("/dev/zfs").exists()
    forget(api, "capable")


def test_a_base_cannot_be_made_by_freebsds_tools_here(api: Client, node: Node) -> None:
    before = node.traces()
    request = base_making_pb2.InstallBaseRequest(base_id="b", repository="FreeBSD-base", abi="FreeBSD:15:amd64")
    with refused(FailedPreconditionError, "FREEBSD_ONLY"):
        api.call(api.base_making.InstallBase, request)
    with refused(FailedPreconditionError, "FREEBSD_ONLY"):
        api.call(api.base_making.PatchBase, base_making_pb2.PatchBaseRequest(base_id="b", parent="bases/tiny-1"))
    assert node.traces() == before
