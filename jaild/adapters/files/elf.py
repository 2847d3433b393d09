"""Reading programs and libraries with pyelftools: what they need and define, without running anything.

Synchronous and busy: call it in a thread.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from jaild.adapters.files import elf_tables as elftables
from jaild.model.layers.libraries import MUSL_PATH, ElfFile, Libraries, Linker, own_folders
from jaild.model.problems import Problem, Severity

_MAGIC = b"\x7fELF"
_LINKABLE = frozenset({"ET_EXEC", "ET_DYN"})  # not objects, kernel modules and cores
# What pyelftools lets out for a file that is cut short or scrambled.
_DAMAGED = (ELFError, ConstructError, struct.error, ValueError, LookupError, AttributeError, TypeError, AssertionError,
            ArithmeticError)  # fmt: skip
_BASE_FOLDERS = ("lib", "lib32", "lib64", "libexec", "usr/lib", "usr/lib32", "usr/lib64", "usr/libexec")
_GLIBC = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")  # where its linker's own folders cannot be read off it
_SYSTEM_FOLDERS = re.compile(rb"(?:/[\w./+-]+/\0){2,}")  # SYSTEM_DIRS of elf/dl-load.c, in the linker
_LINKER_SIZE = 8 << 20  # bytes; glibc's has a quarter of a million
_FREEBSD = ("/lib", "/usr/lib")  # where ld-elf.so.1's own cannot be read off it
_FREEBSD_LINKER = "/libexec/ld-elf.so.1"
# STANDARD_LIBRARY_PATH of rtld-elf: /lib/casper:/lib:/usr/lib in 13 and 14, the last two in 15.
_FREEBSD_FOLDERS = re.compile(rb"\0((?:/[\w.+-]+)+(?::(?:/[\w.+-]+)+)+)\0")
_FREEBSD_COMPAT = "/usr/lib/compat"  # in ldconfig_paths of /etc/defaults/rc.conf, after those
_FREEBSD_HINTS = "libdata/ldconfig"  # of a release: files that name more folders (rc.d/ldconfig)
# On these, glibc takes a file without PT_GNU_STACK for one that wants an executable stack (DEFAULT_STACK_PERMS).
_STACK_BY_DEFAULT = frozenset({"EM_X86_64", "EM_386"})
_EXECUTABLE = 1  # PF_X
_SKIPPED = frozenset({"debug"})  # usr/lib/debug: symbols for debuggers, with no code
_INCLUDE_DEPTH = 5


def index(root: Path, *, prefix: str) -> Libraries:
    """Read the ELF files of the tree at `root`, which the jail sees at `prefix`; `/` means that it is a base.

    Of a base only the library folders are read, and what its files need is left out, but for the names of libraries.
    Links are noted and never followed out of the tree. A damaged file is a problem (DAMAGED_ELF, a warning).
    """
    whole = prefix == "/"
    files: list[ElfFile] = []
    links: dict[str, str] = {}
    problems: list[Problem] = []
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
                if isinstance(found, Problem):
                    problems.append(found)
                elif found is not None:
                    files.append(_offers(found) if whole else found)
    found_here = Libraries(files=tuple(files), links=links, problems=tuple(problems))
    if not whole:
        return msgspec.structs.replace(found_here, search_path=_release_folders(root, prefix))
    if (root / _FREEBSD_LINKER.lstrip("/")).exists():
        return _freebsd(found_here, root)
    musl = sorted(path.name for path in (root / "lib").glob("ld-musl-*.so.1"))
    return _musl(found_here, root, musl[0]) if musl else _glibc(found_here, root)


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


def _file(path: Path, inside: str) -> ElfFile | Problem | None:
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
            return Problem(
                severity=Severity.WARNING,
                code="DAMAGED_ELF",
                message=f"{inside} cannot be read as ELF, so what it needs is not known",
                subject=inside,
                hint="check that the archive it came from is whole",
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
        executable_stack=_wants_executable_stack(elf),
        needed=tuple(tables.needed),
        filters=tuple(tables.filters),
        rpath=_split(tables.rpath),
        runpath=_split(tables.runpath),
        versions=tables.versions,
        defines=tables.defines,
        needs=tables.needs,
        weak_versions=tables.weak_versions,
        opaque=bool(tables.needed or tables.soname) and not tables.found,
    )


def _interpreter(elf: ELFFile) -> str:
    names = [str(segment.get_interp_name()) for segment in elf.iter_segments() if isinstance(segment, InterpSegment)]
    return names[0] if names else ""


def _wants_executable_stack(elf: ELFFile) -> bool:
    stacks = [segment["p_flags"] for segment in elf.iter_segments() if segment["p_type"] == "PT_GNU_STACK"]
    return bool(stacks[0] & _EXECUTABLE) if stacks else elf["e_machine"] in _STACK_BY_DEFAULT


def _split(paths: list[str]) -> tuple[str, ...]:
    return tuple(part for path in paths for part in path.split(":") if part)


def _offers(file: ElfFile) -> ElfFile:
    """Return what others can need of a file; nothing links against a program."""
    program = file.interpreter and not file.soname
    return msgspec.structs.replace(file, needs={}, weak_versions=(), defines={} if program else file.defines)


def _release_folders(root: Path, prefix: str) -> tuple[str, ...]:
    """Return the release's own library folders: those that it has, and those that its packages name."""
    lib = root / "lib"
    folders = own_folders(prefix, [path.name for path in lib.iterdir()] if lib.is_dir() else [])
    there = [folder for folder in folders if (root / posixpath.relpath(folder, prefix)).is_dir()]
    hints = root / _FREEBSD_HINTS
    named = [
        word
        for path in (sorted(hints.iterdir()) if hints.is_dir() and not hints.is_symlink() else [])
        if _regular(path)
        for word in path.read_text(errors="replace").split()
        if word.startswith("/")
    ]
    return tuple(dict.fromkeys([*there, *named]))


def _freebsd(found: Libraries, root: Path) -> Libraries:
    ldconfig = all((root / name).is_file() for name in ("sbin/ldconfig", "etc/rc.d/ldconfig"))
    own = _FREEBSD
    if any(file.path == _FREEBSD_LINKER for file in found.files):
        said = _linker_says(root, _FREEBSD_LINKER, _FREEBSD_FOLDERS)
        own = tuple(said[1].decode().split(":")) if said else own
    folders = (*own, _FREEBSD_COMPAT) if ldconfig else own
    return msgspec.structs.replace(found, linker=Linker.FREEBSD, search_path=folders, ldconfig=ldconfig)


def _musl(found: Libraries, root: Path, linker: str) -> Libraries:
    """Read the path file, ld-musl-x86_64.path for ld-musl-x86_64.so.1: colons or lines."""
    path = _within(root, f"/etc/{linker.removesuffix('.so.1')}.path")
    folders = tuple(filter(None, re.split("[:\n]", path.read_text(errors="replace")))) if path.is_file() else MUSL_PATH
    return msgspec.structs.replace(found, linker=Linker.MUSL, search_path=folders)


def _glibc(found: Libraries, root: Path) -> Libraries:
    """Tell the linker's own folders, and those that ld.so.conf(5) adds to ldconfig(8)'s."""
    system = _system_folders(root, found.files)
    configured = [posixpath.normpath(folder) for folder in _ld_so_conf(root, "/etc/ld.so.conf", _INCLUDE_DEPTH)]
    cache = _within(root, "/etc/ld.so.cache").is_file()
    ldconfig = _within(root, "/sbin/ldconfig").is_file() and (cache or _within(root, "/etc/ld.so.conf").is_file())
    return msgspec.structs.replace(
        found,
        search_path=system,
        cached=tuple(dict.fromkeys([*configured, *system])) if ldconfig or cache else (),
        ldconfig=ldconfig,
        lib=system[0].lstrip("/"),
    )


def _system_folders(root: Path, files: Sequence[ElfFile]) -> tuple[str, ...]:
    for file in files:
        if file.soname.startswith("ld-linux") and (said := _linker_says(root, file.path, _SYSTEM_FOLDERS)):
            return tuple(folder.decode().rstrip("/") for folder in said[0].split(b"\0") if folder)
    return _GLIBC


def _linker_says(root: Path, path: str, folders: re.Pattern[bytes]) -> re.Match[bytes] | None:
    with (root / path.lstrip("/")).open("rb") as stream:
        return folders.search(stream.read(_LINKER_SIZE))


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
