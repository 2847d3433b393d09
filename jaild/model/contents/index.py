"""What a sealed layer holds: packages, libraries and files, as its index says that lies beside its tree.

An index is of what others have put together, so it is bounded, and says in `problems` what it lacks.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping

import msgspec

from jaild.model import bounds
from jaild.model.contents.versions import Ecosystem
from jaild.model.layers.libraries import Libraries

_HOPS = 40  # as many links as Linux follows
_SO = ".so."


class Package(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A package that is installed in a tree, as the database of its system says."""

    name: str
    version: str
    ecosystem: Ecosystem
    arch: str = ""
    source: str = ""  # what it was built from, where that has another name: libssl3 is of openssl
    source_version: str = ""  # likewise


class Library(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A shared library. Paths are those inside the jail."""

    soname: str
    path: str
    version: str = ""  # its package's, else what its file's name says beyond the soname; '' if neither is known
    package: str = ""  # name of the package that brought it; '' if none did, or that is not known
    ecosystem: Ecosystem = Ecosystem.NONE


class Contents(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a layer holds, without its files."""

    packages: tuple[Package, ...] = ()
    libraries: tuple[Library, ...] = ()
    problems: tuple[str, ...] = ()  # what could not be read, or was too much


class FileSums(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A layer's regular files, by the paths inside the jail, with their sha256 in hex; '' where it was not read."""

    files: dict[str, str] = {}
    links: dict[str, str] = {}  # symlink -> where it leads, absolute


class Indexed(msgspec.Struct, frozen=True, kw_only=True):
    """Both."""

    contents: Contents
    files: FileSums


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """Packages, and which of them brought a file: path inside the jail -> position in `packages`."""

    packages: tuple[Package, ...] = ()
    owners: dict[str, int] = {}
    problems: tuple[str, ...] = ()


def libraries_of(found: Libraries, owned: Owned) -> tuple[Library, ...]:
    """Return the shared libraries of a tree with the versions that can be known.

    Links in circles, or through thousands of folders, are followed as far as `bounds.CONTENT_LINKS_WORK` goes.
    """
    names: dict[str, list[str]] = {}  # real file -> links that lead to it
    left = bounds.CONTENT_LINKS_WORK
    for link in found.links:
        if _SO in posixpath.basename(link) and left > 0:
            real, work = _followed(link, found.links)
            names.setdefault(real, []).append(link)
            left -= work
    made = []
    for file in found.files:
        if not file.soname:
            continue
        paths = [file.path, *names.get(file.path, ())]
        at = next((owned.owners[path] for path in map(_merged, paths) if path in owned.owners), None)
        package = owned.packages[at] if at is not None else None
        made.append(
            Library(
                soname=file.soname,
                path=file.path,
                version=package.version if package else _from_names(file.soname, paths),
                package=package.name if package else "",
                ecosystem=package.ecosystem if package else Ecosystem.NONE,
            )
        )
    return tuple(sorted(made, key=lambda library: library.path))


def owners_of(paths: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return whose the paths are, as `Owned` has it: a database may name a file by a folder that is a link now."""
    return {_merged(path): number for path, number in paths}


def _merged(path: str) -> str:
    """Return a path without the /usr before bin, sbin and lib, which many systems have merged."""
    return path.removeprefix("/usr") if path.startswith(("/usr/lib", "/usr/bin/", "/usr/sbin/")) else path


def _from_names(soname: str, paths: Iterable[str]) -> str:
    """Return the longest version after .so. in the names of a file that goes on beyond the soname's."""
    stem = soname.partition(_SO)[0] + _SO
    found = [name.removeprefix(stem) for path in paths if (name := posixpath.basename(path)).startswith(f"{soname}.")]
    return max(found, key=len, default="")


def resolved(path: str, links: Mapping[str, str]) -> str:
    """Return where a path leads through links; where links go in a circle, somewhere on it."""
    return _followed(path, links)[0]


def _followed(path: str, links: Mapping[str, str]) -> tuple[str, int]:
    """Return where a path leads, and how many bytes of paths were put together for it."""
    work = 0
    for _ in range(_HOPS):
        parts = path.split("/")
        for end in range(2, len(parts) + 1):
            above = "/".join(parts[:end])
            work += len(above)
            target = links.get(above)
            if target is not None:
                path = posixpath.normpath("/".join([target, *parts[end:]]))
                break
        else:
            return path, work
    return path, work
