"""What an entry carries beside content and mode arrives with it, or is named in a note: on every file system."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.archives.ociimages import OciImages
from jaild.adapters.system.process import ProcessRunner
from jaild.model.layers.archive import Extra, Policy, base_policy, release_policy
from jaild.model.layers.ociimage import Platform
from tests.extras import CAPABILITY, RECORDS, archive, extras
from tests.ocilayouts import LAYER, Layout
from tests.zfs_fuse import private_zfs_fuse

pytestmark = pytest.mark.real("bsdtar", "Linux")

ARCHIVES = BsdtarArchives(ProcessRunner())
HERE = Platform(architecture="amd64", os="linux")


async def extracted(source: Path, tree: Path, policy: Policy) -> tuple[str, ...]:
    return (await ARCHIVES.extract(source, tree, await ARCHIVES.verify(source, policy))).notes


async def copied(source: Path, tree: Path, policy: Policy) -> tuple[str, ...]:
    unpacked = source.parent / "unpacked"  # where all of it may not be kept either: then there is less to copy
    unpacked.mkdir()
    await extracted(source, unpacked, base_policy())
    return (await ARCHIVES.copy_tree(unpacked, tree, await ARCHIVES.verify_tree(unpacked, policy))).notes


async def layered(source: Path, tree: Path, _policy: Policy) -> tuple[str, ...]:
    layout = Layout(source.parent / "layout")
    made = layout.finish(layout.image(layout.blob(source.read_bytes(), LAYER)))
    images = OciImages(ARCHIVES)
    return await images.unpack(await images.open(made, reference="", wanted=HERE), tree, base_policy())


async def compared(source: Path, tree: Path, policy: Policy) -> tuple[str, ...]:
    staging = source.parent / "staging"
    listing = await ARCHIVES.verify(source, policy)
    return (await ARCHIVES.extract_difference(source, tree, listing, staging=staging)).notes


Way = Callable[[Path, Path, Policy], Awaitable[tuple[str, ...]]]
WAYS: Mapping[str, tuple[Way, Policy]] = {
    "an archive as a base": (extracted, base_policy()),
    "an archive as a release": (extracted, release_policy()),
    "a release by difference": (compared, release_policy()),
    "a tree as a base": (copied, base_policy()),
    "a tree as a release": (copied, release_policy()),
    "an image": (layered, base_policy()),
}


@pytest.fixture(scope="module")
def zfs_fuse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with private_zfs_fuse(tmp_path_factory.mktemp("fuse")) as private:
        yield private.seen(private.root)


async def arrives_or_is_named(way: str, source: Path, tree: Path) -> None:
    arrive, policy = WAYS[way]
    had = extras(source) if source.is_dir() else None
    notes = " | ".join(await arrive(source, tree, policy))
    have = extras(tree)
    if arrive is copied:
        had = extras(source.parent / "unpacked")
    for name, records in RECORDS.items():
        assert (tree / "bin" / name).read_bytes() == name.encode()
        wanted = (
            had[name]
            if had is not None
            else frozenset(kind for key, said in records.items() for kind in _kinds(key, said))
        )
        for kind in wanted - have[name]:
            (told,) = (note for note in notes.split(" | ") if f"without {kind}" in note)
            assert f"bin/{name}'" in told
        for kind in have[name]:
            assert f"without {kind}" not in notes
    assert (tree / "bin/ping").samefile(tree / "bin/twin")
    assert not [path for path in tree.iterdir() if path.name != "bin"]


def _kinds(key: str, said: str) -> Iterator[Extra]:
    if said == "uarch":  # of ZFS on FreeBSD, on every file
        return
    known = {"acl": Extra.POSIX_ACL, "fflags": Extra.FLAGS, "security": Extra.SECURITY, "nowhere": Extra.OTHER}
    known |= {"user": Extra.USER, "trusted": Extra.TRUSTED}
    yield from (kind for part, kind in known.items() if part in key.split("."))


@pytest.mark.parametrize("way", WAYS)
async def test_what_a_file_carries_arrives_or_is_named(tmp_path: Path, way: str) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    await arrives_or_is_named(way, archive(tmp_path / "a.tar"), tree)


@pytest.mark.real("Linux", "no kernel ZFS", "unshare", "nsenter", "mount", "zfs-fuse")
@pytest.mark.parametrize("way", WAYS)
async def test_a_dataset_that_keeps_no_attributes_gets_the_tree_without(
    tmp_path: Path, zfs_fuse: Path, way: str
) -> None:
    tree = zfs_fuse / way.replace(" ", "-")
    tree.mkdir()
    await arrives_or_is_named(way, archive(tmp_path / "a.tar"), tree)
    assert not any(extras(tree).values())


async def test_a_base_keeps_what_its_file_system_can(tmp_path: Path) -> None:
    os.setxattr(tmp_path, "user.jaild", b"1")  # else this is no file system to see it on
    tree = tmp_path / "tree"
    tree.mkdir()
    await extracted(archive(tmp_path / "a.tar"), tree, base_policy())
    assert os.getxattr(tree / "bin/ping", "security.capability") == CAPABILITY.encode()
    assert os.getxattr(tree / "bin/user", "user.mime") == b"text/plain"


async def test_the_probe_leaves_nothing_when_it_is_cancelled(tmp_path: Path) -> None:
    asking = asyncio.ensure_future(ARCHIVES.not_kept(tmp_path, frozenset(Extra)))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert not list(tmp_path.iterdir())
