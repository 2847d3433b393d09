"""Reading programs and libraries with pyelftools: what they need and define, without running anything.

Synchronous and busy: call it in a thread.
"""

from __future__ import annotations

import os
import posixpath
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from jaild.adapters.files import elf_tables as elftables
from jaild.model.findings import Finding, Severity
from jaild.model.layers.libraries import ElfFile, Libraries

_MAGIC = b"\x7fELF"
_LINKABLE = frozenset({"ET_EXEC", "ET_DYN"})  # not objects, kernel modules and cores
# What pyelftools lets out for a file that is cut short or scrambled.
_DAMAGED = (ELFError, ConstructError, struct.error, ValueError, LookupError, AttributeError, TypeError, AssertionError,
            ArithmeticError)  # fmt: skip
_BASE_FOLDERS = ("lib", "lib32", "lib64", "libexec", "usr/lib", "usr/lib32", "usr/lib64", "usr/libexec")
_STANDARD = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
# rc.d/ldconfig's default, see ldconfig_paths in /etc/defaults/rc.conf; the first two are ld-elf.so.1's own.
_FREEBSD = ("/lib", "/usr/lib", "/usr/lib/compat", "/usr/local/lib", "/usr/local/lib/compat/pkg")
_MULTIARCH = ("-linux-gnu", "-linux-gnueabihf", "-linux-musl")
_SKIPPED = frozenset({"debug"})  # usr/lib/debug: symbols for debuggers, with no code
_INCLUDE_DEPTH = 5


def index(root: Path, *, prefix: str) -> Libraries:
    """Read the ELF files of the tree at `root`, which the jail sees at `prefix`; `/` means that it is a base.

    Of a base only the library folders are read, and what its files need is left out, but for the names of libraries.
    Links are noted and never followed out of the tree. A damaged file is a finding (DAMAGED_ELF, a warning).
    """
    whole = prefix == "/"
    files: list[ElfFile] = []
    links: dict[str, str] = {}
    findings: list[Finding] = []
    tops = [root / name for name in _BASE_FOLDERS] if whole else [root]
    if whole:
        _note_links(root, root, prefix, links)
    for top in tops:
        if top.is_symlink() or not top.is_dir():
            continue
        for folder, names, entries in os.walk(top):
            here = Path(folder)
            names[:] = sorted(set(names) - _SKIPPED)
            _note_links(here, root, prefix, links)
            for name in sorted(entries):
                found = _file(here / name, _inside(here / name, root, prefix))
                if isinstance(found, Finding):
                    findings.append(found)
                elif found is not None:
                    files.append(_offers(found) if whole else found)
    search = _base_search_path(root) if whole else _release_search_path(root, prefix)
    return Libraries(files=tuple(files), links=links, search_path=search, findings=tuple(findings))


def _inside(path: Path, root: Path, prefix: str) -> str:
    return posixpath.normpath(f"{prefix}/{path.relative_to(root).as_posix()}").replace("//", "/")


def _note_links(folder: Path, root: Path, prefix: str, links: dict[str, str]) -> None:
    """Note the links of one folder that may lead to a library: to a folder, or with .so or ld in the name."""
    for entry in os.scandir(folder):
        if entry.is_symlink():
            target = os.readlink(entry.path)  # noqa: PTH115 -- the text itself, no Path made of it
            if ".so" in entry.name or entry.name.startswith("ld") or _is_folder(root, folder, target):
                here = _inside(Path(entry.path), root, prefix)
                links[here] = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))


def _is_folder(root: Path, folder: Path, target: str) -> bool:
    """Tell whether a link leads to a folder of this tree by one step; an absolute one is taken within `root`."""
    place = root / target.lstrip("/") if target.startswith("/") else folder / target
    return place.is_dir()


def _file(path: Path, inside: str) -> ElfFile | Finding | None:
    """Read one file; nothing if it is no program or library."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) if _regular(path) else -1
    if descriptor < 0:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        if stream.read(4) != _MAGIC:
            return None
        try:
            return _read(stream, inside)
        except _DAMAGED as error:
            return Finding(
                severity=Severity.WARNING,
                code="DAMAGED_ELF",
                message=f"{inside} cannot be read as ELF, so what it needs is not known",
                subject=inside,
                remedy="check that the archive it came from is whole",
                evidence=(f"{type(error).__name__}: {error}"[:200],),
            )


def _regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _read(stream: BinaryIO, inside: str) -> ElfFile | None:
    elf = ELFFile(stream)
    if elf["e_type"] not in _LINKABLE:
        return None
    tables = elftables.read(elf)
    return ElfFile(
        path=inside,
        machine=str(elf["e_machine"]),
        bits=elf.elfclass,
        soname=tables.soname,
        interpreter=_interpreter(elf),
        needed=tuple(tables.needed),
        filters=tuple(tables.filters),
        rpath=_expand(tables.rpath, inside),
        runpath=_expand(tables.runpath, inside),
        versions=tables.versions,
        defines=tables.defines,
        needs=tables.needs,
        weak_versions=tables.weak_versions,
        opaque=bool(tables.needed or tables.soname) and not tables.found,
    )


def _interpreter(elf: ELFFile) -> str:
    names = [str(segment.get_interp_name()) for segment in elf.iter_segments() if isinstance(segment, InterpSegment)]
    return names[0] if names else ""


def _expand(paths: list[str], inside: str) -> tuple[str, ...]:
    """Split rpaths, put the file's own folder for $ORIGIN, drop relative ones (they mean the caller's folder)."""
    origin = posixpath.dirname(inside)
    split = [part.replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for path in paths for part in path.split(":")]
    return tuple(posixpath.normpath(part) for part in split if part.startswith("/"))


def _offers(file: ElfFile) -> ElfFile:
    """Return what others can need of a file; nothing links against a program."""
    program = file.interpreter and not file.soname
    return msgspec.structs.replace(file, needs={}, weak_versions=(), defines={} if program else file.defines)


def _release_search_path(root: Path, prefix: str) -> tuple[str, ...]:
    """Return the release's own library folders: lib, lib64, and what is named like a Debian multiarch folder."""
    lib = root / "lib"
    multiarch = sorted(p.name for p in lib.iterdir() if p.name.endswith(_MULTIARCH)) if lib.is_dir() else []
    folders = ["lib", *(f"lib/{name}" for name in multiarch), "lib64"]
    return tuple(f"{prefix.rstrip('/')}/{name}" for name in folders if (root / name).is_dir())


def _base_search_path(root: Path) -> tuple[str, ...]:
    """Return the standard folders and those that ld.so.conf(5) or ldconfig(8)'s defaults add."""
    if (root / "libexec/ld-elf.so.1").exists():
        return _FREEBSD
    standard = [
        f"{folder}/{entry.name}"
        for folder in ("/lib", "/usr/lib")
        if (root / folder[1:]).is_dir()
        for entry in sorted(_within(root, folder).iterdir())
        if entry.name.endswith(_MULTIARCH)
    ]
    configured = _ld_so_conf(root, "/etc/ld.so.conf", _INCLUDE_DEPTH)
    return tuple(dict.fromkeys([*configured, *standard, *_STANDARD]))


def _within(root: Path, folder: str) -> Path:
    """Return where `folder` of the tree is on the host, if its links stay in the tree; else the tree's root."""
    place = (root / folder.lstrip("/")).resolve()
    return place if place.is_relative_to(root.resolve()) else root


def _ld_so_conf(root: Path, name: str, depth: int) -> Iterator[str]:
    path = _within(root, name)
    if depth == 0 or not path.is_file():
        return
    for line in path.read_text(errors="replace").splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["include"]:
            for pattern in words[1:]:
                absolute = posixpath.join(posixpath.dirname(name), pattern)
                for match in sorted(root.glob(absolute.lstrip("/"))):
                    yield from _ld_so_conf(root, f"/{match.relative_to(root)}", depth - 1)
        elif words and words[0].startswith("/"):
            yield posixpath.normpath(words[0])
