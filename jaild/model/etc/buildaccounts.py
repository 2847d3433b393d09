"""Accounts that a build made, as packages' scripts do by pw(8): they belong into the release's manifest."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from jaild.model.etc import accountfiles
from jaild.model.etc.tree import Kind, Tree
from jaild.model.layers.records import Group, Manifest, User

_REST = ("comment", "home", "shell")
_PASSWD_FIELDS, _GROUP_FIELDS = 7, 4  # passwd(5), group(5)


def with_made(manifest: Manifest, before: Tree, after: Tree) -> Manifest:
    """Return the manifest with the users and groups that `after` (an /etc) has and `before` has not.

    Those that the manifest names already stay as they are; root's numbers are nobody else's.
    """
    users = {*_entries(before, "passwd"), *(user.name for user in manifest.users)}
    groups = {*_entries(before, "group"), *(group.name for group in manifest.groups)}
    return msgspec.structs.replace(
        manifest,
        users=(*manifest.users, *(user for user in _users(after) if user.name not in users)),
        groups=(*manifest.groups, *(group for group in _groups(after) if group.name not in groups)),
    )


def _users(tree: Tree) -> list[User]:
    rows = [line.split(":") for line in _entries(tree, "passwd").values()]
    return [
        msgspec.convert(
            {"name": row[0], "uid": int(row[2]), "gid": int(row[3])} | dict(zip(_REST, row[4:], strict=True)), User
        )
        for row in rows
        if len(row) == _PASSWD_FIELDS and row[2].isdecimal() and row[3].isdecimal() and int(row[2])
    ]


def _groups(tree: Tree) -> list[Group]:
    rows = [line.split(":") for line in _entries(tree, "group").values()]
    return [
        Group(name=row[0], gid=int(row[2]), members=tuple(name for name in row[3].split(",") if name))
        for row in rows
        if len(row) == _GROUP_FIELDS and row[2].isdecimal() and int(row[2])
    ]


def _entries(tree: Tree, name: str) -> Mapping[str, str]:
    entry = tree.get(name)
    if entry is None or entry.kind is not Kind.FILE:
        return {}
    return dict(accountfiles.entries(entry.content.decode("utf-8", "surrogateescape")))
