"""The proof and the real linkers of two bases, on real files: this machine's own programs and libraries as a release.

The small part of `make truth`: each file is judged by the proof and by the base's own linker, in a chroot.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.adapters.files import elf
from jaild.model.problems import errors
from tests.conftest import LINUX_HOST
from tests.demo.assets import Base, prepare
from tests.truth.compare import MOUNT_POINT
from tests.truth.tree import Tree

pytestmark = [pytest.mark.real(*LINUX_HOST, "chroot"), pytest.mark.timeout(900)]

LARGEST = 1 << 20  # bytes of a file: those are most of them, and quickly read
PROGRAMS = 150


def found(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST:
            with path.open("rb") as stream:
                if stream.read(4) == b"\x7fELF":
                    yield path


def laid_out(release: Path, base: Path) -> None:
    """Fill a release with what this machine has and the base has not."""
    library = next(Path("/usr/lib").glob("*-linux-gnu"))
    for folder, to, most in ((Path("/usr/bin"), "bin", PROGRAMS), (library, "lib", 10 * PROGRAMS)):
        (release / to).mkdir()
        new = [path for path in found(folder) if not (base / str(path)[1:]).exists()]
        for path in new[:: -(-len(new) // most) or 1]:
            shutil.copy(path, release / to / path.name)
    for link in library.iterdir():
        there = release / "lib" / link.name
        if link.is_symlink() and (target := link.readlink().name) and (there.parent / target).exists():
            there.symlink_to(target)


@pytest.mark.parametrize("which", ["old_base", "new_base"])
def test_the_proof_agrees_with_the_bases_own_linker_on_every_file(which: str, tmp_path: Path) -> None:
    base: Base = getattr(prepare(), which)
    tree = Tree(base, tmp_path / "tree")
    tree.clear()
    laid_out(tree.release, tree.folder)
    tree.make_cache()
    answers, judged = tree.judge(elf.index(tree.release, prefix=MOUNT_POINT), {})
    assert judged.differences(answers) == []
    assert len(answers) > PROGRAMS
    assert errors(judged.problems), "nothing was missing: so nothing was proved"
