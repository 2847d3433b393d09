"""A base in a folder of its own, and what is judged over it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from jaild.adapters.files import elf
from jaild.model.etc import regenerate
from jaild.model.etc.tree import Entry, Kind
from jaild.model.layers.libraries import Libraries, Start, own_folders
from tests.demo.assets import Base
from tests.demo.programs import run
from tests.truth.compare import MOUNT_POINT, Judgement
from tests.truth.linker import Answer, ChrootLinker


class Tree:
    """A base, unpacked, whose /usr/local takes one release after the other."""

    def __init__(self, base: Base, folder: Path) -> None:
        self.name = base.name
        self.folder = folder
        self.release = folder / MOUNT_POINT[1:]
        folder.mkdir()
        run(["bsdtar", "-xpf", str(base.archive), "-C", str(folder)])
        self._libraries = elf.index(folder, prefix="/")
        linker = next(file.interpreter for file in self._libraries.files if file.interpreter)
        self._linker = ChrootLinker(folder, linker)
        self._levels = self._linker.levels()

    def clear(self) -> None:
        """Make room for a release."""
        shutil.rmtree(self.release)
        self.release.mkdir()

    def make_cache(self) -> None:
        """Tell the linker of the release's folders, as jaild does for a generation."""
        own = self.release / "lib"
        names = [path.name for path in own.iterdir()] if own.is_dir() else []
        (ldconfig,) = regenerate.linker_cache({"ld.so.conf": Entry(kind=Kind.FILE)}, own_folders(MOUNT_POINT, names))
        run(["chroot", str(self.folder), *ldconfig])

    def judge(self, release: Libraries, variables: Mapping[str, str]) -> tuple[dict[str, Answer], Judgement]:
        """Judge each file of the release both ways, in processes with these variables."""
        judged = Judgement(release, self._libraries, start=Start.of(variables), levels=self._levels)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            answers = pool.map(partial(self._linker.ask, variables=variables), judged.files)
            return dict(zip(judged.files, answers, strict=True)), judged
