"""Which shared libraries a program needs besides the C library of the userland under it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

LIBRARY_FOLDERS = ("lib", "lib64", "usr/lib", "usr/lib64")


class MissingLibraryError(Exception):
    """A needed library is in neither place."""

    def __init__(self, soname: str, needed_by: str) -> None:
        super().__init__(f"{needed_by} needs {soname}, which is nowhere to be had")
        self.soname = soname


def needed(path: Path) -> tuple[str, ...]:
    """The DT_NEEDED names of an ELF file."""
    with path.open("rb") as stream:
        dynamic = ELFFile(stream).get_section_by_name(".dynamic")
        if not isinstance(dynamic, DynamicSection):
            return ()
        return tuple(str(vars(tag)["needed"]) for tag in dynamic.iter_tags("DT_NEEDED"))


def libraries(tree: Path) -> dict[str, Path]:
    """Every shared library of an unpacked userland by its file name, which is how the loader looks for a soname."""
    return {path.name: path for path in sorted(set(_candidates(tree)))}


def _candidates(tree: Path) -> Iterator[Path]:
    for folder in LIBRARY_FOLDERS:
        top = tree / folder
        if top.is_symlink() or not top.is_dir():
            continue
        yield from (path for path in [*top.glob("*.so*"), *top.glob("*-linux-gnu*/*.so*")] if path.exists())


def to_bundle(programs: Iterable[Path], provided: Iterable[str], available: Mapping[str, Path]) -> dict[str, Path]:
    """The libraries, by soname, that `programs` and their libraries need beyond the sonames `provided`.

    Raises `MissingLibraryError` for one that is not `available` either.
    """
    there = frozenset(provided)
    bundled: dict[str, Path] = {}
    waiting = list(programs)
    while waiting:
        file = waiting.pop()
        for soname in needed(file):
            if soname in there or soname in bundled:
                continue
            if soname not in available:
                raise MissingLibraryError(soname, file.name)
            bundled[soname] = available[soname]
            waiting.append(available[soname])
    return bundled
