"""The accounts that a release needs, put into a jail's `/etc`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from jaild.model.etc import accountfiles
from jaild.model.etc.tree import Entry, Kind, Tree
from jaild.model.layers.records import Family, Group, User
from jaild.model.problems import Problem, Severity

_MODES = {"passwd": 0o644, "group": 0o644, "shadow": 0o640, "gshadow": 0o640, "master.passwd": 0o600}


def apply_accounts(
    tree: Tree, users: Sequence[User], groups: Sequence[Group], family: Family
) -> tuple[dict[str, Entry], tuple[Problem, ...]]:
    """Return `tree` with the accounts in it, and what stood in the way; applied twice it is the same as once.

    An account that is there with the same number stays as it is (members are added). Another number under its name,
    or another name under its number, is an error ACCOUNT_CONFLICT, and that account is left out. A user whose group
    nobody defines is a warning MISSING_GROUP. Accounts get no password: nobody can log in with one.
    FreeBSD's pwd.db and spwd.db must be made again: see `jaild.model.etc.tree.stale`.
    """
    result = dict(tree)
    problems: list[Problem] = []
    for group in groups:
        conflict = _conflict(result, "group", group.name, group.gid)
        if conflict:
            problems.append(conflict)
        else:
            _add_group(result, group, family)
    for user in users:
        conflict = _conflict(result, "passwd", user.name, user.uid)
        if conflict:
            problems.append(conflict)
            continue
        _add_user(result, user, family)
        if str(user.gid) not in map(accountfiles.number, _entries(result, "group").values()):
            problems.append(_missing_group(user))
    return result, tuple(problems)


def _entries(tree: Tree, name: str) -> dict[str, str]:
    entry = tree.get(name)
    if entry is None or entry.kind is not Kind.FILE:
        return {}
    found = accountfiles.entries(entry.content.decode("utf-8", "surrogateescape"))
    return dict(reversed(found))  # the first of a name counts, as for getpwnam(3)


def _conflict(tree: Tree, file: str, name: str, number: int) -> Problem | None:
    entries = _entries(tree, file)
    what = "uid" if file == "passwd" else "gid"
    if name in entries:
        have = accountfiles.number(entries[name])
        if have == str(number):
            return None
        problem = f"{name} has {what} {have} in the jail, and the release wants {number}"
    else:
        others = [key for key, line in entries.items() if accountfiles.number(line) == str(number)]
        if not others:
            return None
        problem = f"{what} {number}, which the release wants for {name}, is {others[0]}'s in the jail"
    return Problem(
        severity=Severity.ERROR,
        code="ACCOUNT_CONFLICT",
        message=problem,
        subject=f"/etc/{file}",
        hint=f"give {name} another {what} in the release's manifest, or change the jail's own account",
        evidence=tuple(entries[key] for key in ([name] if name in entries else others)),
    )


def _missing_group(user: User) -> Problem:
    return Problem(
        severity=Severity.WARNING,
        code="MISSING_GROUP",
        message=f"{user.name} has gid {user.gid}, and no group has that number",
        subject="/etc/group",
        hint="name the group in the release's manifest",
    )


def _add_group(tree: dict[str, Entry], group: Group, family: Family) -> None:
    mark = "*" if family is Family.FREEBSD else "x"
    line = f"{group.name}:{mark}:{group.gid}:{','.join(group.members)}"
    _put(tree, "group", group.name, line, members=group.members)
    if "gshadow" in tree:
        _put(tree, "gshadow", group.name, f"{group.name}:!::{','.join(group.members)}", members=group.members)


def _add_user(tree: dict[str, Entry], user: User, family: Family) -> None:
    rest = f"{user.comment}:{user.home}:{user.shell}"
    if family is Family.FREEBSD:
        _put(tree, "passwd", user.name, f"{user.name}:*:{user.uid}:{user.gid}:{rest}")
        _put(tree, "master.passwd", user.name, f"{user.name}:*:{user.uid}:{user.gid}::0:0:{rest}")
    else:
        _put(tree, "passwd", user.name, f"{user.name}:x:{user.uid}:{user.gid}:{rest}")
        _put(tree, "shadow", user.name, f"{user.name}:!:::::::")


def _put(tree: dict[str, Entry], file: str, name: str, line: str, *, members: Iterable[str] = ()) -> None:
    """Add a line unless its name is there; then only members are added to it."""
    old = tree.get(file) or Entry(kind=Kind.FILE, mode=_MODES[file])
    text = old.content.decode("utf-8", "surrogateescape")
    have = _entries(tree, file).get(name)
    if have is None:
        text += ("" if not text or text.endswith("\n") else "\n") + f"{line}\n"
    else:
        head, _, listed = have.rpartition(":")
        names = [n for n in listed.split(",") if n]
        missing = [n for n in members if n not in names]
        if not missing:
            return
        lines = text.split("\n")
        lines[lines.index(have)] = f"{head}:{','.join(names + missing)}"
        text = "\n".join(lines)
    tree[file] = msgspec.structs.replace(old, content=text.encode("utf-8", "surrogateescape"), mtime=0)
