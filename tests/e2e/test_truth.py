"""The proof and the real linkers of two bases, on real files: this machine's own programs and libraries as a release.

Each file is judged by the proof and by the base's own linker (as `ldd -r` asks it, in a chroot). What the one calls
missing the other does not load, and the other way round.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.adapters.files import elf
from jaild.model.etc import regenerate
from jaild.model.etc.tree import Entry, Kind
from jaild.model.findings import errors
from jaild.model.layers.compatibility import check
from jaild.model.layers.libraries import ElfFile, own_folders
from tests.conftest import LINUX_HOST
from tests.demo.assets import Base, prepare
from tests.demo.programs import environment, run

pytestmark = [pytest.mark.real(*LINUX_HOST, "chroot"), pytest.mark.timeout(900)]

LARGEST = 1 << 20  # bytes of a file: those are most of them, and quickly read
PROGRAMS = 150
ASKED = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_WARN": "yes", "LD_BIND_NOW": "yes"}  # by which ldd(1) asks


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
        (release / to).mkdir(parents=True)
        new = [path for path in found(folder) if not (base / str(path)[1:]).exists()]
        for path in new[:: -(-len(new) // most) or 1]:
            shutil.copy(path, release / to / path.name)
    for link in library.iterdir():
        there = release / "lib" / link.name
        if link.is_symlink() and (target := link.readlink().name) and (there.parent / target).exists():
            there.symlink_to(target)


def runs(tree: Path, linker: str, file: ElfFile) -> bool:
    asked = [
        "chroot",
        str(tree),
        "/usr/bin/env",
        *(f"{name}={value}" for name, value in ASKED.items()),
        linker,
        file.path,
    ]
    told = subprocess.run(asked, env=environment(), capture_output=True, text=True, check=False)
    output = told.stdout + told.stderr
    lacks = "not found" in output or (bool(file.interpreter) and "undefined symbol" in output)
    return told.returncode == 0 and not lacks


@pytest.mark.parametrize("which", ["old_base", "new_base"])
def test_the_proof_agrees_with_the_bases_own_linker_on_every_file(which: str, tmp_path: Path) -> None:
    base: Base = getattr(prepare(), which)
    tree, release = tmp_path / "tree", tmp_path / "tree/usr/local"
    tree.mkdir()
    run(["bsdtar", "-xpf", str(base.archive), "-C", str(tree)])
    shutil.rmtree(release)
    laid_out(release, tree)
    names = [path.name for path in (release / "lib").iterdir()]
    (ldconfig,) = regenerate.linker_cache({"ld.so.conf": Entry(kind=Kind.FILE)}, own_folders("/usr/local", names))
    run(["chroot", str(tree), *ldconfig])
    index = elf.index(release, prefix="/usr/local")
    findings = check(index, elf.index(tree, prefix="/"), mount_point="/usr/local")
    told = {finding.subject for finding in findings if finding.code.startswith("MISSING_")}
    refused = {finding.subject for finding in errors(findings)}
    linker = next(file.interpreter for file in index.files if file.interpreter)
    judged = {file.path: runs(tree, linker, file) for file in index.files if file.dynamic}
    assert [path for path, good in judged.items() if not good and path not in told] == [], "passed, and does not run"
    assert [path for path, good in judged.items() if good and path in refused] == [], "refused, and runs"
    assert len(judged) > PROGRAMS
    assert told, "nothing was missing: so nothing was proved"
