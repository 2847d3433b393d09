"""A configuration tree as plain values: what stands under `/etc` or `/usr/local/etc`, small enough for memory."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What a path is. Devices, sockets and pipes have no place in a configuration."""

    FILE = "file"
    LINK = "link"
    DIRECTORY = "directory"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One path.

    `mtime` is in nanoseconds since the epoch, 0 for a file made by a merge, and no part of any comparison.
    """

    kind: Kind
    mode: int = 0o644  # permission bits; those of a link mean nothing
    uid: int = 0
    gid: int = 0
    content: bytes = b""  # files
    target: str = ""  # links
    mtime: int = 0

    def same(self, other: Entry | None) -> bool:
        """Tell whether both are the same but for their time."""
        return other is not None and msgspec.structs.replace(other, mtime=self.mtime) == self


# Paths are relative, with /, without . and .., parents of each are in the tree too; the root itself is not.
Tree = Mapping[str, Entry]


def changed(before: Tree, after: Tree) -> tuple[str, ...]:
    """Return the paths that differ, sorted."""
    return tuple(
        path
        for path in sorted(before.keys() | after.keys())
        if (old := before.get(path)) is None or not old.same(after.get(path))
    )


# What tools make from a text beside it, and would be wrong after a merge: file -> its source.
_MADE_FROM = {
    "pwd.db": "master.passwd",  # pwd_mkdb(8)
    "spwd.db": "master.passwd",
    "login.conf.db": "login.conf",  # cap_mkdb(1)
    "services.db": "services",  # services_mkdb(8)
    "termcap.db": "termcap",
    "aliases.db": "aliases",  # newaliases(1)
    "mail/aliases.db": "mail/aliases",
    "ld.so.cache": "ld.so.conf",  # ldconfig(8)
}
# Made anew from the base's libraries, not from a text alone: so it is stale whenever the base differs.
_LINKER_CACHE = "ld.so.cache"
# Copies that passwd(1) and useradd(8) leave, and their lock.
_BACKUPS = frozenset({"passwd-", "group-", "shadow-", "gshadow-", "subuid-", "subgid-", ".pwd.lock"})


def is_generated(path: str) -> bool:
    """Tell whether a tool makes this file from another one, so that it must not be merged."""
    return path in _MADE_FROM


def is_backup(path: str) -> bool:
    """Tell whether it is a tool's own copy, which says nothing about the jail's configuration."""
    return path in _BACKUPS


def stale(before: Tree, after: Tree) -> tuple[str, ...]:
    """Return the generated files of `after` that must be made again, since their source is not what it was in `before`.

    On FreeBSD the two password databases are among them even if they are not there yet: nobody can log in without.
    """
    moved = set(changed(before, after))
    wanted = set(after) | ({"pwd.db", "spwd.db"} if "master.passwd" in after else set())
    linker = {_LINKER_CACHE} if _LINKER_CACHE in moved else set()
    return tuple(sorted({path for path, source in _MADE_FROM.items() if path in wanted and source in moved} | linker))
