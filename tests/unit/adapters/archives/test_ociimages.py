"""OCI layouts: the right image, every blob what its digest says, layers one over the other."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.archives.ociimages import OciImages
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import (
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
)
from jaild.model.layers import ociimage
from jaild.model.layers.archive import base_policy
from jaild.model.layers.ociimage import Platform
from tests.ocilayouts import Layout, named, platform
from tests.tars import Item, file, folder, hardlink, picture, symlink

HERE = Platform(architecture="amd64", os="linux")
IMAGES = OciImages(BsdtarArchives(ProcessRunner()))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


async def unpacked(layout: Path, tmp_path: Path, reference: str = "") -> Path:
    tree = tmp_path / "tree"
    tree.mkdir()
    await IMAGES.unpack(await IMAGES.open(layout, reference=reference, wanted=HERE), tree, base_policy())
    return tree


def names(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))


@pytest.mark.parametrize("form", ["gzip", "zstd", ""])
async def test_a_layer_is_unpacked_however_it_is_compressed(layout: Layout, tmp_path: Path, form: str) -> None:
    made = layout.finish(layout.image(layout.layer(folder("bin"), file("bin/sh", b"sh", 0o4755), form=form)))
    tree = await unpacked(made, tmp_path)
    assert (tree / "bin/sh").read_bytes() == b"sh"
    assert (tree / "bin/sh").stat().st_mode & 0o7777 == 0o4755


async def test_whiteouts_take_away_what_lower_layers_brought_and_nothing_of_their_own(
    layout: Layout, tmp_path: Path
) -> None:
    lower = [
        folder("a"),
        file("a/old"),
        file("a/kept"),
        folder("b"),
        file("b/x"),
        folder("b/c"),
        file("gone"),
        folder("d"),
    ]
    upper = [file(".wh.gone"), file("a/.wh.old"), folder("b"), file("b/.wh..wh..opq"), file("b/new"), file(".wh.d")]
    more = [file("a/.wh.nothing"), file("nowhere/.wh.at-all"), file(".wh..wh.aufs")]
    made = layout.finish(layout.image(layout.layer(*lower), layout.layer(*upper, *more)))
    assert names(await unpacked(made, tmp_path)) == ["a", "a/kept", "b", "b/new"]


async def test_a_later_layer_replaces_files_by_folders_and_folders_by_files(layout: Layout, tmp_path: Path) -> None:
    lower = layout.layer(
        folder("a"), file("a/x"), file("b"), symlink("c", "a"), file("same", b"1"), hardlink("twin", "same")
    )
    upper = layout.layer(file("a", b"file"), folder("b"), file("b/y"), folder("c"), file("c/z"), file("same", b"2"))
    tree = await unpacked(layout.finish(layout.image(lower, upper)), tmp_path)
    assert names(tree) == ["a", "b", "b/y", "c", "c/z", "same", "twin"]
    assert (tree / "a").read_bytes() == b"file"
    assert not (tree / "c").is_symlink()
    assert ((tree / "same").read_bytes(), (tree / "twin").read_bytes()) == (b"2", b"1")


async def test_hard_links_of_a_layer_stay_links(layout: Layout, tmp_path: Path) -> None:
    tree = await unpacked(layout.finish(layout.image(layout.layer(file("a", b"x"), hardlink("b", "a")))), tmp_path)
    assert (tree / "a").stat().st_ino == (tree / "b").stat().st_ino


@pytest.mark.parametrize(
    "upper",
    [
        (file("../passwd", b"evil"),),
        (file("a/../../.wh.passwd"),),
        (file("a/../passwd", b"evil"),),
        (file("/passwd", b"evil"),),
        (hardlink("a", "../passwd"),),
        (file("loop/x"),),
    ],
)
async def test_a_name_with_two_dots_or_without_an_end_is_refused(
    layout: Layout, tmp_path: Path, upper: tuple[Item, ...]
) -> None:
    (tmp_path / "passwd").write_text("root")
    lower = layout.layer(symlink("loop", "circle"), symlink("circle", "loop"))
    with pytest.raises(InvalidArgumentError) as refused:
        await unpacked(layout.finish(layout.image(lower, layout.layer(*upper))), tmp_path)
    assert refused.value.reason == "ARCHIVE_PATH_ESCAPES"
    assert (tmp_path / "passwd").read_text() == "root"


@pytest.mark.parametrize("target", ["{host}", "../../../../../../../../../..{host}", "inner/../..{host}"])
@pytest.mark.parametrize(
    "upper",
    [
        (file("way/passwd", b"evil"),),
        (folder("way/passwd"), file("way/passwd/x")),
        (symlink("way/passwd", "/"),),
        (file("way/.wh.passwd"),),
        (file("way/.wh..wh..opq"),),
    ],
)
async def test_a_way_through_a_link_ends_in_the_tree_and_never_on_the_host(
    layout: Layout, tmp_path: Path, upper: tuple[Item, ...], target: str
) -> None:
    host = tmp_path / "host"
    host.mkdir()
    (host / "passwd").write_text("root")
    inside = str(host).removeprefix("/")
    lower = layout.layer(symlink("way", target.format(host=host)), file(f"{inside}/passwd", b"the image's"))
    before = picture(host)
    tree = await unpacked(layout.finish(layout.image(lower, layout.layer(*upper))), tmp_path)
    assert picture(host) == before
    assert (tree / "way").is_symlink()
    there = tree / inside / "passwd"
    assert not there.is_file() or there.read_bytes() == b"evil"


async def test_entries_and_whiteouts_go_through_a_lower_layers_link(layout: Layout, tmp_path: Path) -> None:
    lower = [folder("usr"), folder("usr/lib"), file("usr/lib/old"), symlink("lib", "usr/lib"), symlink("l", "/lib")]
    upper = [file("lib/new", b"1"), file("l/deep/x", b"2"), file("lib/.wh.old")]
    tree = await unpacked(layout.finish(layout.image(layout.layer(*lower), layout.layer(*upper))), tmp_path)
    assert names(tree) == ["l", "lib", "usr", "usr/lib", "usr/lib/deep", "usr/lib/deep/x", "usr/lib/new"]
    assert (tree / "usr/lib/new").read_bytes() == b"1"


async def test_a_folder_takes_the_place_of_a_lower_layers_link_and_of_a_file(layout: Layout, tmp_path: Path) -> None:
    lower = layout.layer(folder("usr"), file("usr/kept"), symlink("lib", "usr"), file("was-file"), file("is-file"))
    upper = layout.layer(folder("lib"), file("lib/x"), file("was-file/x"), file("is-file/.wh.nothing"))
    tree = await unpacked(layout.finish(layout.image(lower, upper)), tmp_path)
    assert names(tree) == ["is-file", "lib", "lib/x", "usr", "usr/kept", "was-file", "was-file/x"]


async def test_a_link_to_a_file_is_no_way_to_a_folder(layout: Layout, tmp_path: Path) -> None:
    lower = layout.layer(file("file"), symlink("way", "file"))
    with pytest.raises(InvalidArgumentError, match="leads to 'file', which is no folder"):
        await unpacked(layout.finish(layout.image(lower, layout.layer(file("way/x")))), tmp_path)


async def test_hard_links_may_be_absolute_and_to_files_of_layers_below(layout: Layout, tmp_path: Path) -> None:
    lower = layout.layer(folder("usr"), file("usr/a", b"1"), hardlink("usr/b", "/usr/a"), symlink("u", "usr"))
    upper = layout.layer(hardlink("c", "/usr/a"), hardlink("d", "u/a"), hardlink("e", "u"), file("e/x"))
    tree = await unpacked(layout.finish(layout.image(lower, upper)), tmp_path)
    assert len({(tree / name).stat().st_ino for name in ("usr/a", "usr/b", "c", "d")}) == 1
    assert (tree / "e").readlink() == Path("usr")
    assert (tree / "usr/x").exists()


@pytest.mark.parametrize(
    "upper", [(hardlink("b", "a"), file("a")), (hardlink("b", "a"), file(".wh.a")), (hardlink("b", "/etc/passwd"),)]
)
async def test_a_hard_link_to_what_is_no_file_of_the_image_is_refused(
    layout: Layout, tmp_path: Path, upper: tuple[Item, ...]
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await unpacked(layout.finish(layout.image(layout.layer(file("a")), layout.layer(*upper))), tmp_path)
    assert refused.value.reason == "ARCHIVE_LINK_ESCAPES"


async def test_the_image_for_this_host_is_chosen_from_an_index_of_indexes(layout: Layout, tmp_path: Path) -> None:
    arm = layout.image(layout.layer(file("arm")), machine="arm64", **platform("linux", "arm64"))
    bsd = layout.image(layout.layer(file("bsd")), os="freebsd", **platform("freebsd", "amd64"))
    mine = layout.image(layout.layer(file("mine")), **platform("linux", "amd64"))
    attested = layout.image(layout.layer(file("attested")), **platform("unknown", "unknown"))
    del attested["platform"]["os"]
    made = layout.finish(layout.index([arm, bsd, mine]))
    assert names(await unpacked(made, tmp_path)) == ["mine"]


async def test_of_several_images_one_must_be_named(layout: Layout, tmp_path: Path) -> None:
    images = [layout.image(layout.layer(file(name)), **named(name)) for name in ("v1", "v2")]
    made = layout.finish(*images)
    with pytest.raises(FailedPreconditionError) as refused:
        await unpacked(made, tmp_path)
    assert (refused.value.reason, refused.value.hint) == ("OCI_AMBIGUOUS", "name one of them: v1, v2")
    assert names(await unpacked(made, tmp_path / "layout", "v2")) == ["v2"]
    with pytest.raises(NotFoundError) as missing:
        await IMAGES.open(made, reference="v3", wanted=HERE)
    assert (missing.value.reason, missing.value.hint) == ("OCI_IMAGE_NOT_FOUND", "there are: v1, v2")


async def refusal_of(layout: Path) -> JaildError:
    with pytest.raises(JaildError) as refused:
        await IMAGES.open(layout, reference="", wanted=HERE)
    assert refused.value.hint
    return refused.value


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(("system", "machine"), [("freebsd", "amd64"), ("linux", "arm64")])
async def test_an_image_of_another_system_or_machine_is_refused_by_index_and_by_config(
    layout: Layout, system: str, machine: str, *, told: bool
) -> None:
    more = platform(system, machine) if told else {}
    error = await refusal_of(layout.finish(layout.image(layout.layer(file("x")), os=system, machine=machine, **more)))
    assert (error.reason, error.detail) == ("OCI_PLATFORM", {"found": f"{system}/{machine}", "wanted": "linux/amd64"})


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("which", ["layer", "manifest", "config"])
async def test_a_blob_that_is_not_what_its_digest_says_is_refused(layout: Layout, which: str) -> None:
    layer = layout.layer(file("x"))
    image = layout.image(layer)
    made = layout.finish(image)
    blobs = {"layer": layer, "manifest": image}
    known = {blob["digest"] for blob in blobs.values()}
    (config,) = (path for path in (made / "blobs/sha256").iterdir() if f"sha256:{path.name}" not in known)
    path = config if which == "config" else made / "blobs/sha256" / blobs[which]["digest"].partition(":")[2]
    _flip(path)
    error = await refusal_of(made)
    assert isinstance(error, DataLossError)
    assert error.reason == "DIGEST_MISMATCH"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: (made / "index.json").write_text("{}"),
        lambda made: (made / "index.json").unlink(),
        lambda made: shutil.rmtree(made / "blobs/sha256"),
        lambda made: (made / "index.json").write_text('{"manifests": [{"digest": "md5:00", "size": 1}]}'),
        lambda made: (made / "index.json").write_text('{"manifests": [{"digest": "sha256:../x", "size": 1}]}'),
    ],
)
async def test_what_is_no_layout_is_told_so(layout: Layout, spoil: Callable[[Path], object]) -> None:
    made = layout.finish(layout.image(layout.layer(file("x"))))
    spoil(made)
    assert (await refusal_of(made)).reason == "OCI_UNREADABLE"


async def test_an_artifact_without_layers_of_files_is_refused(layout: Layout) -> None:
    made = layout.finish(layout.image(layout.blob(b"{}", "application/vnd.oci.empty.v1+json")))
    assert (await refusal_of(made)).reason == "OCI_UNREADABLE"


@pytest.mark.parametrize(
    ("name", "removed"),
    [
        (b"bin/sh", None),
        (b"bin/.wh.sh", b"bin/sh"),
        (b"./.wh.sh", b"./sh"),
        (b".wh.sh", b"sh"),
        (b"bin/.wh..wh..opq", b"bin/"),
        (b".wh..wh..opq", b"/"),
        (b".wh..wh.plnk", b""),
        (b"bin/.wh.", b""),
        (b"bin/.wh...", b""),
    ],
)
def test_a_whiteouts_name_says_what_it_removes(name: bytes, removed: bytes | None) -> None:
    assert ociimage.removed(name) == removed


async def test_an_image_as_freebsd_itself_makes_it_is_taken(tmp_path: Path) -> None:
    """15.1's release/scripts/make-oci-image.sh: one layer of tar+gzip, no platform in the index, a small `cmd`."""
    blobs, here = tmp_path / "oci/blobs/sha256", Platform(architecture="amd64", os="freebsd")
    blobs.mkdir(parents=True)

    def blob(data: bytes, kind: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    (tmp_path / "rootfs/bin").mkdir(parents=True)
    (tmp_path / "rootfs/bin/sh").write_bytes(b"sh")
    tar = await ProcessRunner().run(("bsdtar", "-C", str(tmp_path / "rootfs"), "-czf", "-", "bin"))
    layer = blob(tar.stdout, "layer.v1.tar+gzip")
    config = {
        "created": "2026-06-02T00:00:00Z",
        "architecture": "amd64",
        "os": "freebsd",
        "config": {"cmd": ["/bin/sh"]},
    }
    inner = {"config": blob(json.dumps(config).encode(), "config.v1+json"), "layers": [layer], "annotations": {}}
    manifest = blob(json.dumps({"schemaVersion": 2, **inner}).encode(), "manifest.v1+json")
    name = {"annotations": {"org.opencontainers.image.ref.name": "freebsd-runtime:15.1-RELEASE-amd64"}}
    (tmp_path / "oci/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (tmp_path / "oci/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest | name]}))
    for reference in ("", "freebsd-runtime:15.1-RELEASE-amd64"):
        image = await IMAGES.open(tmp_path / "oci", reference=reference, wanted=here)
    (tmp_path / "tree").mkdir()
    await IMAGES.unpack(image, tmp_path / "tree", base_policy())
    assert names(tmp_path / "tree") == ["bin", "bin/sh"]
