"""The databases of dpkg, pkg and rpm in a tree that others put together: which packages are there, and whose a file is.

Nothing of the tree is run, no symlink is followed, and each file is read whole up to a limit. SQLite databases are read
from memory, with what https://www.sqlite.org/security.html advises for files of others: a bound on the work of a
query instead of trust in its tables. What cannot be read is told, and raises nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
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
_RPM = (Path("usr/lib/sysimage/rpm/rpmdb.sqlite"), Path("var/lib/rpm/rpmdb.sqlite"))
# Older forms of rpm's database, which no library of FreeBSD's ports reads.
_RPM_OTHER = ("usr/lib/sysimage/rpm/Packages.db", "var/lib/rpm/Packages.db", "var/lib/rpm/Packages")
_LONGEST = 256  # characters of a name or a version
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


def _below(root: Path, path: Path | str) -> bytes | None:
    """Return a file of the tree; None if it is not there."""
    try:
        return plain.read_below(root, Path(path), bounds.PACKAGE_DATABASE)
    except NotFoundError:
        return None


# -- dpkg


def _dpkg(root: Path, problems: list[str]) -> _Found:
    status = _below(root, _DPKG / "status")
    found = dpkg.packages(_text(status)) if status is not None else []
    for name in _names(root / _DPKG / "status.d"):  # of an image without dpkg itself
        if not name.endswith(".md5sums") and (stanza := _below(root, _DPKG / "status.d" / name)) is not None:
            found += dpkg.packages(_text(stanza), installed=True)
    files: list[tuple[str, int]] = []
    for number, package in enumerate(found[: bounds.PACKAGES]):
        for name in (f"{package.name}:{package.arch}.list", f"{package.name}.list"):
            try:
                listed = _below(root, _DPKG / "info" / name) if "/" not in name else None
            except (JaildError, OSError) as error:
                problems.append(f"{name} cannot be read: {error}"[:_LONGEST])
                break
            if listed is not None:
                files += [(path, number) for path in _text(listed).split("\n") if ".so" in path]
                break
    return found, files[: bounds.CONTENT_FILES]


def _names(folder: Path) -> list[str]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir())[: bounds.PACKAGES]


def _text(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")


# -- pkg


def _pkg(root: Path, _: list[str]) -> _Found:
    """Read the table `packages` of pkg(8), and of `files` the libraries."""
    content = _below(root, _PKG)
    if content is None:
        return [], []
    with closing(_opened(content)) as database:
        rows = _rows(database, "packages", "id, name, version, arch", bounds.PACKAGES + 1)
        known = [row for row in rows if isinstance(row[1], str) and isinstance(row[2], str)]
        found = [
            Package(
                name=row[1][:_LONGEST],
                version=row[2][:_LONGEST],
                ecosystem=Ecosystem.PKG,
                arch=str(row[3] or "")[:_LONGEST],
            )
            for row in known
        ]
        places = {row[0]: number for number, row in enumerate(known)}
        owned = _rows(database, "files", "path, package_id", bounds.CONTENT_FILES, "path like '%.so%'")
    files = [(row[0], places[row[1]]) for row in owned if isinstance(row[0], str) and row[1] in places]
    return found, files


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
    return None if _linked(root, path.parent) else _below(root, path)


def _linked(root: Path, folder: Path) -> bool:
    steps = [root.joinpath(*folder.parts[:end]) for end in range(1, len(folder.parts) + 1)]
    return any(step.is_symlink() for step in steps)


def _headers(content: bytes, problems: list[str]) -> _Found:
    found: list[Package] = []
    files: list[tuple[str, int]] = []
    damaged = 0
    with closing(_opened(content)) as database:
        for row in _rows(database, "Packages", "blob", bounds.PACKAGES + 1):
            try:
                header = rpmheader.read(row[0]) if isinstance(row[0], bytes) else None
            except JaildError:
                damaged += 1
                continue
            if header is not None:
                files += [(path, len(found)) for path in header.files if ".so" in path]
                found.append(header.package)
    if damaged:
        problems.append(f"{damaged} entries of rpm's database cannot be read")
    return found, files[: bounds.CONTENT_FILES]


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


def _rows(
    database: sqlite3.Connection, table: str, columns: str, limit: int, where: str = "true"
) -> Sequence[tuple[Any, ...]]:
    """Return a table's rows, none if it is a view: whose work is not bounded by its rows."""
    kinds = database.execute("select type from sqlite_master where name = ? collate nocase", (table,)).fetchall()
    if kinds != [("table",)]:
        raise sqlite3.DatabaseError(f"there is no table {table}")
    return list(_limited(database.execute(f"select {columns} from {table} where {where}"), limit))  # noqa: S608 -- ours


def _limited(rows: Iterator[tuple[Any, ...]], limit: int) -> Iterator[tuple[Any, ...]]:
    for number, row in enumerate(rows):
        if number == limit:
            return
        yield row
