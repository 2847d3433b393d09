"""Accounts that have another number in a base than in the jail: the jail's numbers stay, since its data has them.

Debian's packages take the first number that is free when they are installed, counting up (adduser) or down (sysusers):
sshd is 100 in an image of Debian 12, and 997 in one of 13. So a base's /etc is put into the jail's numbers before it is
merged. What cannot be put into them is the base itself, which is read-only: of its files with a number that is not the
account's here there is a problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import msgspec

from jaild.model import bounds
from jaild.model.etc import accountfiles
from jaild.model.etc.tree import Entry, Kind, Tree
from jaild.model.problems import Problem, Severity

_FREE = range(999, 99, -1)  # what packages are given, in sysusers' order; below are numbers that are agreed on
_DIGITS = 10  # of 2**32
_NAME, _NUMBER, _GROUP = 0, 2, 3  # fields of passwd(5), master.passwd(5) and, without the last, group(5)


class Kinds(StrEnum):
    """What has a number."""

    USER = "uid"
    GROUP = "gid"


_FILES: Mapping[Kinds, tuple[str, ...]] = {Kinds.USER: ("passwd", "master.passwd"), Kinds.GROUP: ("group",)}


@dataclass(frozen=True, kw_only=True)
class Renumbered:
    """An account whose number in the jail is not that of the new base, and was that of the base before, or is new."""

    kind: Kinds
    name: str
    base: int  # its number in the new base
    jail: int | None  # in the jail; None if the jail removed the account
    is_new: bool  # the base before had no such account, nor has the jail
    holder: str = ""  # who has the base's number in the jail when all is merged; empty: nobody
    holders_base: int | None = None  # which number that one has in the new base


@dataclass(frozen=True, kw_only=True)
class Owned:
    """Files of a number, and how many of them need it to be that account's, if nobody can write to them.

    Those are set-user-ID (set-group-ID) programs, and what others may not read or execute as the owner (group) may.
    """

    count: int
    needing: int = 0
    some: tuple[str, ...] = ()  # paths of those


@dataclass(frozen=True, kw_only=True)
class Owners:
    """Whose the files of a tree are: by uid and gid. `whole`: no file was left out since there are too many."""

    users: Mapping[int, Owned] = field(default_factory=dict)
    groups: Mapping[int, Owned] = field(default_factory=dict)
    whole: bool = True

    def of(self, kind: Kinds, number: int) -> Owned:
        """Return the files of a number."""
        return (self.users if kind is Kinds.USER else self.groups).get(number, Owned(count=0))

    def told(self, kind: Kinds, number: int) -> str:
        """Return their number as text."""
        return f"{'' if self.whole else 'at least '}{self.of(kind, number).count}"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Two bases' /etc in the numbers of the jail, and what has another number in the new one."""

    ancestor: Tree
    theirs: Tree
    renumbered: tuple[Renumbered, ...]


def kept(ancestor: Tree, theirs: Tree, mine: Tree) -> Kept:
    """Return the trees of the old base and the new one with the numbers that their accounts have in the jail `mine`.

    An account that the jail removed has that of the old base. A new one has its own; if that is taken, a free one.
    """
    jail, old, new = (_numbers(tree) for tree in (mine, ancestor, theirs))
    own: dict[Kinds, dict[str, int]] = {}
    found: list[Renumbered] = []
    for kind in Kinds:
        own[kind] = _without_clashes(new[kind], {**old[kind], **jail[kind]})
        found += [
            Renumbered(
                kind=kind,
                name=name,
                base=number,
                jail=own[kind][name] if name in jail[kind] or name not in old[kind] else None,
                is_new=name not in old[kind] and name not in jail[kind],
            )
            for name, number in new[kind].items()
            if own[kind][name] != number != old[kind].get(name)
        ]
    return Kept(
        ancestor=_translated(ancestor, old, own),
        theirs=_translated(theirs, new, own),
        renumbered=tuple(sorted(found, key=lambda one: (one.kind, one.name))),
    )


def held(renumbered: Iterable[Renumbered], merged: Tree, theirs: Tree) -> tuple[Renumbered, ...]:
    """Return them with who has the base's number in the /etc that came of the merge with the new base's, `theirs`."""
    numbers, base = _numbers(merged), _numbers(theirs)
    holders = {kind: {number: name for name, number in reversed(numbers[kind].items())} for kind in Kinds}
    found = ((one, holders[one.kind].get(one.base, "")) for one in renumbered)
    return tuple(replace(one, holder=who, holders_base=base[one.kind].get(who)) for one, who in found)


def problems(renumbered: Iterable[Renumbered], base: Owners, data: Owners, name: str) -> list[Problem]:
    """Return what is to be known of them: `base` has the files that the base `name` shows, `data` those of the jail.

    An error ACCOUNT_RENUMBERED if files of the base that need their number would be somebody else's, a warning if they
    would be nobody's, a note if a new account has another number than in the base, and no file needs that one.
    """
    return [
        _problem(one, base, data, name)
        for one in renumbered
        if one.is_new or (base.of(one.kind, one.base).needing and (one.holder or one.jail is not None))
    ]


def _problem(one: Renumbered, base: Owners, data: Owners, name: str) -> Problem:
    kind, owned = one.kind, base.of(one.kind, one.base)
    here = f"{kind} {one.jail} in the jail" if one.jail is not None else "no entry in the jail"
    message = f"{one.name} has {here}, and {kind} {one.base} in base {name}"
    command = "usermod -u" if kind is Kinds.USER else "groupmod -g"
    severity, hint = Severity.NOTE, ""
    if owned.needing and one.holder:
        severity = Severity.ERROR
        message += f", where files need it: in the jail they would be {one.holder}'s"
        number = f"another {kind}" if one.holders_base is None else f"{kind} {one.holders_base}, its own in the base,"
        hint = f"give {one.holder} {number} in the jail, and its files with it ({command}, chown), then plan again"
    elif owned.needing:
        severity = Severity.WARNING
        message += ", where files need it: in the jail they would be nobody's"
        hint = f"if it needs them: give it {kind} {one.base} in the jail, and its files with it ({command}, chown)"
    elif one.holder:
        message += f": there {one.base} is {one.holder}'s"
    counts = (
        f"files of {kind} {number}: {data.told(kind, number)} in the jail's data, {base.told(kind, number)} in the base"
        for number in (one.jail, one.base)
        if number is not None
    )
    return Problem(
        severity=severity,
        code="ACCOUNT_RENUMBERED",
        message=message,
        subject=f"/etc/{_FILES[kind][0]}",
        hint=hint,
        evidence=(*counts, *(f"/{path}" for path in owned.some)),
    )


def _numbers(tree: Tree) -> dict[Kinds, dict[str, int]]:
    """Return the number of each name; the first line of a name counts, as for getpwnam(3).

    Not 0: the superuser is who has that number, under whatever name.
    """
    found: dict[Kinds, dict[str, int]] = {}
    for kind, files in _FILES.items():
        lines = (line for file in files for line in _lines(tree.get(file)))
        rows = [(line.split(":")[_NAME], accountfiles.number(line)) for line in lines]
        found[kind] = {name: int(number) for name, number in reversed(rows) if _is_number(number) and int(number)}
    return found


def _without_clashes(new: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Return the numbers of all, those `before` where there are; a free one where another account of those has it.

    Not if that other one has the same number in the new base, too: root and toor.
    """
    result = {**new, **before}
    taken = {*new.values(), *before.values()}
    free = (number for number in _FREE if number not in taken)
    others = {number for name, number in before.items() if new.get(name) != number}
    for name, number in new.items():
        if name not in before and number in others:
            result[name] = next(free, number)  # none is free: the merge will say who shares it
    return result


def _translated(tree: Tree, numbers: Mapping[Kinds, Mapping[str, int]], own: Mapping[Kinds, Mapping[str, int]]) -> Tree:
    """Return a tree whose accounts have `numbers` with their `own` ones: as entries, as groups of users, as owners."""
    if all(own[kind][name] == number for kind in Kinds for name, number in numbers[kind].items()):
        return tree
    users, groups = (_by_number(numbers[kind], own[kind]) for kind in Kinds)
    result: dict[str, Entry] = {}
    for path, entry in tree.items():
        uid, gid = users.get(entry.uid, entry.uid), groups.get(entry.gid, entry.gid)
        owned = entry if (uid, gid) == (entry.uid, entry.gid) else msgspec.structs.replace(entry, uid=uid, gid=gid)
        kind = next((kind for kind, files in _FILES.items() if path in files), None)
        result[path] = owned if kind is None else _rewritten(owned, own[kind], groups if kind is Kinds.USER else {})
    return result


def _by_number(numbers: Mapping[str, int], own: Mapping[str, int]) -> dict[int, int]:
    """Return which number becomes which; not one that two names have, of which only one changes."""
    becomes: dict[int, set[int]] = {}
    for name, number in numbers.items():
        becomes.setdefault(number, set()).add(own[name])
    return {number: found.pop() for number, found in becomes.items() if len(found) == 1 and number not in found}


def _rewritten(entry: Entry, own: Mapping[str, int], groups: Mapping[int, int]) -> Entry:
    lines = [_line(line.split(":"), own, groups) for line in _lines(entry)]
    content = "\n".join(lines).encode("utf-8", "surrogateescape")
    return entry if not lines or content == entry.content else msgspec.structs.replace(entry, content=content, mtime=0)


def _line(fields: list[str], own: Mapping[str, int], groups: Mapping[int, int]) -> str:
    if len(fields) <= _GROUP or fields[_NAME].startswith("#"):
        return ":".join(fields)
    if _is_number(fields[_NUMBER]) and int(fields[_NUMBER]) and fields[_NAME] in own:
        fields[_NUMBER] = str(own[fields[_NAME]])
    if _is_number(fields[_GROUP]) and int(fields[_GROUP]) in groups:
        fields[_GROUP] = str(groups[int(fields[_GROUP])])
    return ":".join(fields)


def _lines(entry: Entry | None) -> list[str]:
    """Return a file's lines; none of one that is too large to be merged."""
    if entry is None or entry.kind is not Kind.FILE or len(entry.content) > bounds.MERGE_FILE:
        return []
    return entry.content.decode("utf-8", "surrogateescape").split("\n")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS
