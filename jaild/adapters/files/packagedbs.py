"""The databases of dpkg, pkg and rpm in a tree that others put together: which packages are there, and whose a file is.

Nothing of the tree is run, no symlink is followed, and each file is read whole up to a limit. SQLite databases are read
from memory, with what https://www.sqlite.org/security.html advises for files of others: a bound on the work of a
query instead of trust in its tables. Rows may share pages, and a list be there once for each package: so what is read
is bounded all together. What cannot be read is told, and raises nothing.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from jaild.adapters.files import plain
from jaild.model import bounds
from jaild.model.contents import dpkg, rpmheader
from jaild.model.contents.index import Owned, Package, owners_of
from jaild.model.contents.versions import Ecosystem
from jaild.model.errors import JaildError, NotFoundError

_DPKG = Path("var/lib/dpkg")
_PKG = Path("var/db/pkg/local.sqlite")
_PACKAGES, _FILES = ("packages", "id, name, version, arch"), ("files", "path, package_id")
_RPM = (Path("usr/lib/sysimage/rpm/rpmdb.sqlite"), Path("var/lib/rpm/rpmdb.sqlite"))
# Older forms of rpm's database, which no library of FreeBSD's ports reads.
_RPM_OTHER = ("usr/lib/sysimage/rpm/Packages.db", "var/lib/rpm/Packages.db", "var/lib/rpm/Packages")
_LONGEST = 256  # characters of a name or a version
_LONGEST_PATH = 1024  # characters, as FreeBSD's PATH_MAX
_BLOB = 64 << 20  # bytes of one value
_WAL_FORMAT = slice(18, 20)  # of a database's head: 2 if it wants a log beside it, which one in memory cannot have
# A symlink on the way is an OSError; names in SQLite's own messages that are no UTF-8 are a ValueError.
_UNREADABLE = (JaildError, OSError, sqlite3.Error, ValueError, OverflowError, MemoryError)
_Found = tuple[list[Package], list[tuple[str, int]]]  # packages, and files with the position of whose they are


def read(root: Path) -> Owned:
    """Return what the databases below `root` say; blocks, so call it in a thread."""
    packages: list[Package] = []
    files: list[tuple[str, int]] = []
    problems: list[str] = []
    for reader in (_dpkg, _pkg, _rpm):
        try:
            there, owned = reader(root, problems)
        except _UNREADABLE as error:
            problems.append(f"{reader.__name__.lstrip('_')}'s database cannot be read: {error}"[:_LONGEST])
            continue
        files += [(path, number + len(packages)) for path, number in owned]
        packages += there
    if len(packages) > bounds.PACKAGES:
        problems.append(f"{len(packages)} packages are there, {bounds.PACKAGES} are in the index")
    kept = tuple(packages[: bounds.PACKAGES])
    owners = owners_of((path, number) for path, number in files if number < len(kept))
    return Owned(packages=kept, owners=owners, problems=tuple(problems))


def _below(root: Path, path: Path, limit: int) -> bytes | None:
    """Return a file of the tree; None if it is not there. Errors as `plain.read_below`."""
    try:
        return plain.read_below(root, path, limit)
    except NotFoundError:
        return None


class _Libraries:
    """Paths of libraries, each with the position of its package: as many as are kept, whatever a database names."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int]] = []

    def add(self, path: str, number: int) -> None:
        """Take a path, if it may be a library's."""
        if ".so" in path and len(path) <= _LONGEST_PATH and len(self.found) < bounds.CONTENT_FILES:
            self.found.append((path, number))


# -- dpkg


def _dpkg(root: Path, problems: list[str]) -> _Found:
    database = _Together(root)
    status = database.read(_DPKG / "status")
    found = list(islice(dpkg.packages(_text(status or b"")), bounds.PACKAGES + 1))
    for name in _names(root / _DPKG / "status.d"):  # of an image without dpkg itself
        if name.endswith(".md5sums") or len(found) > bounds.PACKAGES:
            continue
        stanzas = _text(database.read(_DPKG / "status.d" / name) or b"")
        found += islice(dpkg.packages(stanzas, installed=True), bounds.PACKAGES + 1)
    libraries = _Libraries()
    for number, package in enumerate(found[: bounds.PACKAGES]):
        for name in (f"{package.name}:{package.arch}.list", f"{package.name}.list"):
            try:
                listed = database.read(_DPKG / "info" / name) if "/" not in name else None
            except OSError as error:
                problems.append(f"{name} cannot be read: {error}"[:_LONGEST])
                break
            except JaildError as error:
                problems.append(f"{name} and the lists after it are not read: {error}"[:_LONGEST])
                return found, libraries.found
            if listed is not None:
                for line in io.BytesIO(listed):
                    if b".so" in line:
                        libraries.add(_text(line.rstrip(b"\n")), number)
                break
    return found, libraries.found


class _Together:
    """Files of one database, bounded all together: a tree may have a large one for each package."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._left = bounds.PACKAGE_DATABASE

    def read(self, path: Path) -> bytes | None:
        """Return a file; None if it is not there. `FailedPreconditionError` if it is more than what is left."""
        content = _below(self._root, path, self._left)
        self._left -= len(content or b"")
        return content


def _names(folder: Path) -> list[str]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir())[: bounds.PACKAGES]


def _text(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")


# -- pkg


def _pkg(root: Path, _: list[str]) -> _Found:
    """Read the table `packages` of pkg(8), and of `files` the libraries."""
    content = _below(root, _PKG, bounds.PACKAGE_DATABASE)
    if content is None:
        return [], []
    found: list[Package] = []
    places: dict[int, int] = {}
    libraries = _Libraries()
    with closing(_opened(content)) as database:
        for key, name, version, arch in islice(_rows(database, _PACKAGES, len(content)), bounds.PACKAGES + 1):
            if isinstance(key, int) and isinstance(name, str) and isinstance(version, str):
                places[key] = len(found)
                found.append(
                    Package(
                        name=name[:_LONGEST],
                        version=version[:_LONGEST],
                        ecosystem=Ecosystem.PKG,
                        arch=str(arch or "")[:_LONGEST],
                    )
                )
        for path, key in _rows(database, _FILES, len(content)):
            if isinstance(path, str) and key in places:
                libraries.add(path, places[key])
    return found, libraries.found


# -- rpm


def _rpm(root: Path, problems: list[str]) -> _Found:
    """Read rpm's SQLite database: a header for each package."""
    for path in _RPM:
        content = _below_folders(root, path)
        if content is not None:
            return _headers(content, problems)
    for other in _RPM_OTHER:
        if not _linked(root, Path(other).parent) and (root / other).is_file():
            problems.append(f"{other} is of a form of rpm's database that is not read: packages are not known")
            break
    return [], []


def _below_folders(root: Path, path: Path) -> bytes | None:
    """As `_below`; None also where a folder is a symlink: rpm's old folder is one to the new one."""
    return None if _linked(root, path.parent) else _below(root, path, bounds.PACKAGE_DATABASE)


def _linked(root: Path, folder: Path) -> bool:
    steps = [root.joinpath(*folder.parts[:end]) for end in range(1, len(folder.parts) + 1)]
    return any(step.is_symlink() for step in steps)


def _headers(content: bytes, problems: list[str]) -> _Found:
    found: list[Package] = []
    libraries = _Libraries()
    damaged = 0
    with closing(_opened(content)) as database:
        for (blob,) in islice(_rows(database, ("Packages", "blob"), len(content)), bounds.PACKAGES + 1):
            try:
                header = rpmheader.read(blob) if isinstance(blob, bytes) else None
            except JaildError:
                damaged += 1
                continue
            if header is not None:
                for path in header.files:
                    libraries.add(path, len(found))
                found.append(header.package)
    if damaged:
        problems.append(f"{damaged} entries of rpm's database cannot be read")
    return found, libraries.found


# -- SQLite


def _opened(content: bytes) -> sqlite3.Connection:
    """Open a database of others in memory, bounded in what a query may do."""
    head = bytearray(content)
    if head[_WAL_FORMAT] == b"\2\2":
        head[_WAL_FORMAT] = b"\1\1"
    connection = sqlite3.connect(":memory:")
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _BLOB)
        connection.text_factory = _text
        connection.deserialize(bytes(head))
        connection.execute("pragma trusted_schema=off")
        connection.execute("pragma cell_size_check=on")
        connection.set_progress_handler(lambda: 1, bounds.QUERY_STEPS)
    except BaseException:
        connection.close()
        raise
    return connection


def _rows(database: sqlite3.Connection, asked: tuple[str, str], size: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table, as its name and its columns ask; no more than fit into a database of `size` bytes.

    Not of a view, a virtual table or one with columns that are worked out: these cost more than their bytes.
    """
    table, columns = asked
    shape = "select type = 'table' and rootpage > 0 from sqlite_master where name = ? collate nocase"
    made = "select count(*) from pragma_table_xinfo(?) where hidden"
    if database.execute(shape, (table,)).fetchall() != [(1,)] or database.execute(made, (table,)).fetchall() != [(0,)]:
        raise sqlite3.DatabaseError(f"there is no plain table {table}")
    for row in database.execute(f"select {columns} from {table}"):  # noqa: S608 -- ours
        size -= sum(len(value) for value in row if isinstance(value, str | bytes))
        if size < 0:
            raise sqlite3.DatabaseError(f"the rows of {table} are more than the whole database")
        yield row
