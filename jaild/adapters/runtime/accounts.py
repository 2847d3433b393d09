"""Users of a jail, resolved in its own passwd(5) and group(5), never in the host's."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jaild.model.errors import FailedPreconditionError

_PASSWD_FIELDS = 7
_GROUP_FIELDS = 4
_ID = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who a process is."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()  # supplementary
    home: str = "/"


def _entries(text: str, fields: int) -> list[list[str]]:
    """Return the lines that have all fields and numbers where ids belong: the jail's root writes what it likes."""
    rows = (line.split(":") for line in text.splitlines() if line and not line.startswith("#"))
    ids = slice(2, 4) if fields == _PASSWD_FIELDS else slice(2, 3)
    return [row for row in rows if len(row) >= fields and all(map(_ID.fullmatch, row[ids]))]


def _missing(kind: str, name: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "USER_MISSING",
        f"the jail has no {kind} {name!r}",
        hint="add the account to the release's manifest, or name a numeric id",
        resource=name,
        detail={"kind": kind},
    )


def resolve(user: str, passwd: str, group: str) -> Account:
    """Return who `user` is: a name or uid, each with an optional `:group`; empty means root.

    A uid without an entry has gid 0 and no further groups, as container runtimes do it.
    Raises `FailedPreconditionError` (USER_MISSING) for an unknown name.
    """
    who, _, which = user.partition(":")
    who = who or "0"
    users = _entries(passwd, _PASSWD_FIELDS)
    entry = next((u for u in users if u[0] == who or (who.isdecimal() and u[2] == who)), None)
    if entry is None and not who.isdecimal():
        raise _missing("user", who)
    name, uid, gid, home = (entry[0], int(entry[2]), int(entry[3]), entry[5]) if entry else ("", int(who), 0, "/")
    groups = _entries(group, _GROUP_FIELDS)
    if which:
        row = next((g for g in groups if g[0] == which), None)
        if row is None and not which.isdecimal():
            raise _missing("group", which)
        return Account(uid=uid, gid=int(row[2] if row else which), home=home or "/")
    more = tuple(sorted({int(g[2]) for g in groups if name and name in g[3].split(",")} - {gid}))
    return Account(uid=uid, gid=gid, groups=more, home=home or "/")
