"""passwd, group and their kin, merged by entry: who is in them matters, not on which line.

Formats: passwd(5), group(5), shadow(5), gshadow(5); FreeBSD's master.passwd(5) has three fields more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NAMES = frozenset({"passwd", "group", "shadow", "gshadow", "master.passwd"})
PRIVATE = frozenset({"shadow", "gshadow", "master.passwd"})  # they hold password hashes: never shown
# Fields that are lists: a member added on one side and another on the other are no conflict.
_LISTS: Mapping[str, frozenset[int]] = {"group": frozenset({3}), "gshadow": frozenset({2, 3})}
# The day of the last password change: images differ in it for every account, and it decides nothing by itself.
_UNIMPORTANT: Mapping[str, frozenset[int]] = {"shadow": frozenset({2})}
# passwd, group and master.passwd have the number that must be one account's alone in their third field.
_NUMBER = 2
_NUMBERED = frozenset({"passwd", "group", "master.passwd"})


@dataclass(frozen=True, kw_only=True)
class AccountMerge:
    """The merged text, and what could not be merged, one line for each (never with a password's hash)."""

    text: str
    conflicts: tuple[str, ...] = ()


def entries(text: str) -> list[tuple[str, str]]:
    """Return name and line of each entry, in their order; a comment or odd line is its own name."""
    lines = [line for line in text.split("\n") if line]
    return [(line if line.startswith("#") or ":" not in line else line.partition(":")[0], line) for line in lines]


def parse(text: str) -> dict[str, str] | None:
    """Return name -> line in their order; nothing if a name is there twice."""
    found = entries(text)
    by_name = dict(found)
    return by_name if len(by_name) == len(found) else None


def render(by_name: Mapping[str, str]) -> str:
    """Return the text of the file."""
    return "".join(f"{line}\n" for line in by_name.values())


def merge(name: str, ancestor: str, theirs: str, mine: str) -> AccountMerge | None:
    """Merge the file `name` three ways by entry.

    Returns nothing if one of the three has an entry twice: then only lines can be compared.
    """
    a, t, m = parse(ancestor), parse(theirs), parse(mine)
    if a is None or t is None or m is None:
        return None
    merged: dict[str, str] = {}
    conflicts: list[str] = []
    for key in _order(t, m):
        line, conflict = _merge_entry(name, key, a.get(key), t.get(key), m.get(key))
        if line is not None:
            merged[key] = line
        if conflict:
            conflicts.append(conflict)
    conflicts.extend(_shared_numbers(name, merged, t, m))
    return AccountMerge(text=render(merged), conflicts=tuple(conflicts))


def _order(theirs: Mapping[str, str], mine: Mapping[str, str]) -> list[str]:
    """Return mine's order, with what only theirs has after what it follows there."""
    after: dict[str, list[str]] = {}  # what only theirs has -> by the entry of mine that it follows there
    previous = ""
    for key in theirs:
        if key in mine:
            previous = key
        else:
            after.setdefault(previous, []).append(key)
    order = after.get("", [])
    for key in mine:
        order += [key, *after.get(key, ())]
    return order


def _merge_entry(
    name: str, key: str, ancestor: str | None, theirs: str | None, mine: str | None
) -> tuple[str | None, str]:
    """Return the line, if there is to be one, and the conflict, if there is one (then the line is mine)."""
    if _equal(name, ancestor, mine):
        return theirs, ""
    if _equal(name, ancestor, theirs) or _equal(name, theirs, mine):
        return mine, ""
    if theirs is None or mine is None:
        who = "the new version removes" if theirs is None else "the jail removed"
        return mine, f"{key}: {who} an entry that the other side changed"
    return _merge_fields(name, key, ancestor, theirs, mine)


def _merge_fields(name: str, key: str, ancestor: str | None, theirs: str, mine: str) -> tuple[str, str]:
    t, m = theirs.split(":"), mine.split(":")
    a = ancestor.split(":") if ancestor is not None else None
    if len(t) != len(m) or (a is not None and len(a) != len(m)):
        return mine, f"{key}: the entries have different numbers of fields"
    fields: list[str] = []
    wrong: list[str] = []
    for index, (their, my) in enumerate(zip(t, m, strict=True)):
        old = a[index] if a is not None else None
        if their in {my, old} or index in _UNIMPORTANT.get(name, ()):
            fields.append(my)
        elif old == my:
            fields.append(their)
        elif index in _LISTS.get(name, ()):
            fields.append(_merge_list(old or "", their, my))
        else:
            shown = "" if name in PRIVATE else f" ({my!r} here, {their!r} in the new version)"
            fields.append(my)
            wrong.append(f"field {index + 1}{shown}")
    return (mine, f"{key}: both sides changed {', '.join(wrong)}") if wrong else (":".join(fields), "")


def _merge_list(ancestor: str, theirs: str, mine: str) -> str:
    a, t, m = (dict.fromkeys(name for name in text.split(",") if name) for text in (ancestor, theirs, mine))
    kept = [name for name in m if name in t or name not in a]
    return ",".join(kept + [name for name in t if name not in m and name not in a])


def _equal(name: str, one: str | None, other: str | None) -> bool:
    if one is None or other is None or one == other:
        return one == other
    ignored = _UNIMPORTANT.get(name, frozenset())
    a, b = one.split(":"), other.split(":")
    return len(a) == len(b) and all(x == y or i in ignored for i, (x, y) in enumerate(zip(a, b, strict=True)))


def number(line: str) -> str:
    """Return the uid or gid of a line, or nothing."""
    fields = line.split(":")
    return fields[_NUMBER] if len(fields) > _NUMBER and not line.startswith("#") else ""


def _shared_numbers(
    name: str, merged: Mapping[str, str], theirs: Mapping[str, str], mine: Mapping[str, str]
) -> list[str]:
    """Return the numbers that two names got because each side gave it to another one.

    One side alone may well have such a pair: root and toor.
    """
    owners: dict[str, str] = {}
    found: list[str] = []
    for key, line in merged.items() if name in _NUMBERED else ():
        value = number(line)
        first = owners.setdefault(value, key) if value else key
        if first != key and not any(first in side and key in side for side in (theirs, mine)):
            found.append(
                f"{first} and {key}: both have the number {value}, one from the jail, one from the new version"
            )
    return found
