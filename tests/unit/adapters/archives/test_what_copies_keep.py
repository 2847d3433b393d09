"""What each way of copying keeps of a file, on a file system that can keep all of it, and on one that keeps little."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.archives.ociimages import OciImages
from jaild.adapters.files import config_tree
from jaild.adapters.files.host import HostFiles
from jaild.adapters.files.salvage_reader import HostFileTrees
from jaild.adapters.system.process import ProcessRunner
from jaild.model.layers.archive import Extra, base_policy, release_policy
from jaild.model.layers.ociimage import Platform
from tests.extras import archive, extras
from tests.ocilayouts import LAYER, Layout
from tests.tars import bsdtar
from tests.zfs_fuse import private_zfs_fuse

pytestmark = pytest.mark.real("bsdtar", "Linux")

ARCHIVES = BsdtarArchives(ProcessRunner())
SIZE = 4 << 20  # bytes of the file with a hole
SECONDS = 1_000_000

ALWAYS = frozenset({"content", "mode", "owner", "time", "symbolic links"})
FILES = ALWAYS | {"hard links", "holes"}
ATTRIBUTES = frozenset({"user attributes", "capabilities", "ACLs", "a folder's default ACL"})
EVERYTHING = FILES | ATTRIBUTES | {"file flags"}


def source(folder: Path) -> Path:
    tree = folder / "source"
    tree.mkdir()
    bsdtar("-x", "-p", "-f", archive(folder / "made.tar", without="other"), "-C", tree)
    with (tree / "bin/hole").open("wb") as hole:
        hole.truncate(SIZE)
    (tree / "bin/plain").chmod(0o4750)
    os.chown(tree / "bin/user", 7, 8)
    (tree / "bin/link").symlink_to("plain")
    (tree / "bin/folder").mkdir()
    acl = os.getxattr(tree / "bin/acl", "system.posix_acl_access")
    os.setxattr(tree / "bin/folder", "system.posix_acl_default", acl)
    for path in (tree / "bin").iterdir():
        os.utime(path, (SECONDS, SECONDS), follow_symlinks=False)
    return tree


def packed(tree: Path) -> Path:
    made = tree.parent / "packed.tar"
    bsdtar("-c", "--format=pax", "-f", made, "-C", tree, "bin")
    return made


def kept(tree: Path) -> set[str]:
    there, status = extras(tree), {path.name: path.lstat() for path in (tree / "bin").iterdir()}
    checks = {
        "content": (tree / "bin/flags").read_bytes() == b"flags" and status["hole"].st_size == SIZE,
        "mode": status["plain"].st_mode & 0o7777 == 0o4750,
        "owner": (status["user"].st_uid, status["user"].st_gid) == (7, 8),
        "time": {one.st_mtime for one in status.values()} == {SECONDS},
        "symbolic links": (tree / "bin/link").readlink() == Path("plain"),
        "hard links": status["ping"].st_ino == status["twin"].st_ino,
        "holes": status["hole"].st_blocks * 512 < SIZE // 2,
        "user attributes": Extra.USER in there["user"],
        "capabilities": Extra.SECURITY in there["ping"],
        "ACLs": Extra.POSIX_ACL in there["acl"],
        "a folder's default ACL": Extra.POSIX_ACL in there["folder/"],
        "file flags": Extra.FLAGS in there["flags"],
    }
    return {what for what, is_so in checks.items() if is_so}


async def as_base(tree: Path, into: Path) -> None:
    made = packed(tree)
    await ARCHIVES.extract(made, into, await ARCHIVES.verify(made, base_policy()))


async def as_release(tree: Path, into: Path) -> None:
    made = packed(tree)
    await ARCHIVES.extract(made, into, await ARCHIVES.verify(made, release_policy()))


async def as_difference(tree: Path, into: Path) -> None:
    made = packed(tree)
    listing = await ARCHIVES.verify(made, release_policy())
    await ARCHIVES.extract_difference(made, into, listing, staging=tree.parent / "staging")


async def as_tree(tree: Path, into: Path) -> None:
    await ARCHIVES.copy_tree(tree, into, await ARCHIVES.verify_tree(tree, base_policy()))


async def as_image(tree: Path, into: Path) -> None:
    layout, images = Layout(tree.parent / "layout"), OciImages(ARCHIVES)
    made = layout.finish(layout.image(layout.blob(packed(tree).read_bytes(), LAYER)))
    wanted = Platform(architecture="amd64", os="linux")
    await images.unpack(await images.open(made, reference="", wanted=wanted), into, base_policy())


async def as_match(tree: Path, into: Path) -> None:
    await ARCHIVES.match_tree(tree, into, await ARCHIVES.verify_tree(tree, release_policy()))
    again = await ARCHIVES.match_tree(tree, into, await ARCHIVES.verify_tree(tree, release_policy()))
    assert (again.written, again.removed) == (0, 0)


async def as_addition(tree: Path, into: Path) -> None:
    await ARCHIVES.add_tree(tree, into)


async def as_copy(tree: Path, into: Path) -> None:
    await HostFiles(tree.parent / "spool").copy(tree, into)


async def as_salvage(tree: Path, into: Path) -> None:
    trees = HostFileTrees()
    await trees.write(into, trees.read(tree, []))


async def as_configuration(tree: Path, into: Path) -> None:
    await asyncio.to_thread(config_tree.write, config_tree.read(tree), into)


Way = Callable[[Path, Path], Awaitable[None]]
KEEPS: Mapping[Way, frozenset[str]] = {
    as_base: EVERYTHING,  # an archive
    as_tree: EVERYTHING,  # an unpacked tree as a base
    as_image: EVERYTHING,
    as_release: FILES,  # a note names what is dropped
    as_difference: FILES,  # as well
    as_match: EVERYTHING - {"file flags"},  # a build, over its parent
    as_copy: EVERYTHING - {"file flags"},  # a jail's first data, a build's parent
    as_addition: EVERYTHING - {"file flags", "hard links"},  # a recipe's `copy`
    as_salvage: FILES,
    as_configuration: ALWAYS,
}


@pytest.mark.parametrize("way", KEEPS, ids=lambda way: way.__name__)
async def test_a_copy_keeps_what_its_way_keeps(tmp_path: Path, way: Way) -> None:
    tree, into = source(tmp_path), tmp_path / "into"
    assert kept(tree) == EVERYTHING
    into.mkdir()
    await way(tree, into)
    # Zeros are a hole on a file system that compresses: OpenZFS, since 2.2 without being asked.
    assert KEEPS[way] <= kept(into) <= KEEPS[way] | {"holes"}


@pytest.fixture(scope="module")
def zfs_fuse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with private_zfs_fuse(tmp_path_factory.mktemp("fuse")) as private:
        yield private.seen(private.root)


@pytest.mark.real("Linux", "no kernel ZFS", "unshare", "nsenter", "mount", "zfs-fuse")
@pytest.mark.parametrize("way", KEEPS, ids=lambda way: way.__name__)
async def test_where_no_attributes_are_kept_the_rest_is(tmp_path: Path, zfs_fuse: Path, way: Way) -> None:
    into = zfs_fuse / way.__name__
    into.mkdir()
    await way(source(tmp_path), into)
    assert kept(into) >= KEEPS[way] & FILES
    assert not kept(into) & (ATTRIBUTES | {"file flags"})
