"""Three-way merge of whole configuration trees: what the new version changed, and what the jail changed, both kept.

Ancestor: the tree as the old base (or release) brought it. Theirs: as the new one brings it. Mine: the jail's own.
A path changed on one side takes that side; changed on both, files are merged by line (accounts by entry), and the
attributes one by one. What cannot be merged is a conflict, and the jail's own version stays in the result.

What root in a jail writes there decides how long a comparison by line takes: for texts whose lines are alike it grows
with the square of their length and worse. So a merge has a number of steps, the same on every machine, and a file for
which they do not suffice is a conflict too. Blocks for a second at most: call it in a thread.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import msgspec
from merge3 import Merge3

from jaild.model import bounds, quantity
from jaild.model.etc import accountfiles, textlines
from jaild.model.etc import tree as etctree
from jaild.model.etc.linematch import Steps, TooManyStepsError
from jaild.model.etc.tree import Entry, Kind, Tree
from jaild.model.problems import Problem, Severity

_DIFF_LINES = 20
_READABLE = 0o004  # of a file that nobody but its owner may read, nothing is shown


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A path that both sides changed in ways that exclude each other. `diff`: `<` the jail's, `>` the new lines."""

    path: str
    message: str
    diff: tuple[str, ...] = ()
    code: str = "MERGE_CONFLICT"  # or MERGE_TOO_COSTLY

    def problem(self, folder: str) -> Problem:
        """Return it as an error of a plan; `folder` is where the tree stands in the jail: /etc."""
        path = _printable(f"{folder}/{self.path}")
        return Problem(
            severity=Severity.ERROR,
            code=self.code,
            message=f"{path}: {self.message}",
            subject=path,
            hint="make the jail's file fit the new version (or take its own back), then plan again",
            evidence=tuple(map(_printable, self.diff)),
        )


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The result. `changed`: paths that differ from the jail's tree; `regenerate`: see `jaild.model.etc.tree.stale`."""

    tree: dict[str, Entry]
    changed: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    regenerate: tuple[str, ...]

    def problems(self, folder: str) -> list[Problem]:
        """Return the conflicts as errors of a plan, as many as help; `folder` is where the tree stands in the jail."""
        shown = [conflict.problem(folder) for conflict in self.conflicts[: bounds.MERGE_CONFLICTS]]
        if more := len(self.conflicts) - len(shown):
            rest = Conflict(path="", message=f"{quantity.count(more, 'more conflict')} in the files below it")
            shown.append(rest.problem(folder))
        return shown


@dataclass
class _Conflicts:
    """What was found so far, and what is left of the steps for all files."""

    found: list[Conflict] = dataclasses.field(default_factory=list)
    paths: set[str] = dataclasses.field(default_factory=set)
    steps: Steps = dataclasses.field(default_factory=lambda: Steps(bounds.MERGE_STEPS))

    def append(self, conflict: Conflict) -> None:
        self.found.append(conflict)
        self.paths.add(conflict.path)


def merge(ancestor: Tree, theirs: Tree, mine: Tree) -> Merged:
    """Merge three ways."""
    result: dict[str, Entry] = {}
    conflicts = _Conflicts()
    for path in sorted(ancestor.keys() | theirs.keys() | mine.keys()):
        entry = _merge_path(path, ancestor.get(path), theirs.get(path), mine.get(path), conflicts)
        if entry is not None:
            result[path] = entry
    _keep_parents(result, theirs, mine, conflicts)
    tree = dict(sorted(result.items()))
    return Merged(
        tree=tree,
        changed=etctree.changed(mine, tree),
        conflicts=tuple(conflicts.found),
        regenerate=etctree.stale(mine, tree),
    )


def _printable(text: str) -> str:
    """Return text that JSON can carry: names and accounts may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _same(one: Entry | None, other: Entry | None) -> bool:
    return one is other if one is None else one.same(other)


def _merge_path(
    path: str, ancestor: Entry | None, theirs: Entry | None, mine: Entry | None, conflicts: _Conflicts
) -> Entry | None:
    if _same(ancestor, theirs) or _same(theirs, mine):
        return mine
    if _same(ancestor, mine):
        return theirs
    if etctree.is_backup(path) or etctree.is_generated(path):
        return theirs or mine if etctree.is_generated(path) else mine
    if theirs is not None and mine is not None and theirs.kind is mine.kind:
        return _merge_entries(path, ancestor, theirs, mine, conflicts)
    conflicts.append(Conflict(path=path, message=_exclusion(theirs, mine)))
    return mine


def _exclusion(theirs: Entry | None, mine: Entry | None) -> str:
    if theirs is None:
        return "the new version removes it, the jail changed it"
    if mine is None:
        return "the jail removed it, the new version changes it"
    return f"it is a {mine.kind} in the jail, and a {theirs.kind} in the new version"


def _merge_entries(path: str, ancestor: Entry | None, theirs: Entry, mine: Entry, conflicts: _Conflicts) -> Entry:
    """Merge two of one kind that differ from the ancestor and from each other."""
    old = ancestor if ancestor is not None and ancestor.kind is mine.kind else None
    merged = mine
    for field in ("mode", "uid", "gid", "target"):
        was, their, my = (getattr(e, field) if e is not None else None for e in (old, theirs, mine))
        if my not in {their, was} and their != was:
            shown = (
                f"{my:o} here, {their:o} in the new version"
                if field == "mode"
                else f"{my} here, {their} in the new version"
            )
            conflicts.append(Conflict(path=path, message=f"both sides changed its {field}: {shown}"))
        elif my == was:
            merged = msgspec.structs.replace(merged, **{field: their})
    if mine.kind is Kind.FILE:
        content, conflict = _merge_content(path, old, theirs, mine, conflicts.steps)
        merged = msgspec.structs.replace(merged, content=content)
        if conflict is not None:
            conflicts.append(conflict)
    return merged if merged.same(mine) else msgspec.structs.replace(merged, mtime=0)


def _merge_content(
    path: str, ancestor: Entry | None, theirs: Entry, mine: Entry, steps: Steps
) -> tuple[bytes, Conflict | None]:
    old = ancestor.content if ancestor is not None else None
    if theirs.content in {mine.content, old} or old == mine.content:
        return (theirs if old == mine.content else mine).content, None
    if max(len(old or b""), len(theirs.content), len(mine.content)) > bounds.MERGE_FILE:
        return mine.content, _too_costly(path, f"a file of more than {quantity.size(bounds.MERGE_FILE)} is not merged")
    if path in accountfiles.NAMES and (merged := _merge_accounts(path, old or b"", theirs.content, mine.content)):
        return merged
    if any(b"\0" in part for part in (old or b"", theirs.content, mine.content)):
        return mine.content, Conflict(path=path, message="both sides changed it, and it is not text")
    private = path in accountfiles.PRIVATE or not mine.mode & theirs.mode & _READABLE
    try:
        return _merge_text(path, old or b"", theirs.content, mine.content, steps, private=private)
    except TooManyStepsError:
        return mine.content, _too_costly(path, "its lines are too many, or too much alike, to be compared one by one")


def _merge_accounts(path: str, *sides: bytes) -> tuple[bytes, Conflict | None] | None:
    """Return the file merged by entry; None if only its lines can be compared."""
    accounts = accountfiles.merge(path, *(side.decode("utf-8", "surrogateescape") for side in sides))
    if accounts is None:
        return None
    conflict = Conflict(path=path, message="accounts", diff=accounts.conflicts) if accounts.conflicts else None
    return accounts.text.encode("utf-8", "surrogateescape"), conflict


def _too_costly(path: str, why: str) -> Conflict:
    return Conflict(path=path, message=f"both sides changed it, and {why}", code="MERGE_TOO_COSTLY")


def _merge_text(
    path: str, old: bytes, theirs: bytes, mine: bytes, steps: Steps, *, private: bool
) -> tuple[bytes, Conflict | None]:
    merged: list[bytes] = []
    diff: list[str] = []
    base, there, here = textlines.split(old, theirs, mine)
    matcher: Any = steps.matcher  # a function, where the stubs want a class
    groups = Merge3(base.lines, here.lines, there.lines, sequence_matcher=matcher).merge_groups()
    for what, *lines in groups:
        if what == "conflict":
            merged.extend(lines[1])
            diff.extend(f"{mark} {line.decode('utf-8', 'replace').rstrip()}"
                        for mark, side in (("<", lines[1]), (">", lines[2])) for line in side)  # fmt: skip
        else:
            merged.extend(lines[0])
    if not diff:
        return textlines.join(merged, base, there, here), None
    if private:
        diff = ["(not shown: the file is private)"]
    elif len(diff) > _DIFF_LINES:
        diff = [*diff[:_DIFF_LINES], f"and {quantity.count(len(diff) - _DIFF_LINES, 'more line')}"]
    return mine, Conflict(path=path, message="both sides changed the same lines", diff=tuple(diff))


def _keep_parents(result: dict[str, Entry], theirs: Tree, mine: Tree, conflicts: _Conflicts) -> None:
    """Give each path of the result its folders: one side may have removed or replaced what the other put files into."""
    for path in sorted(result):
        parts = path.split("/")
        for parent in ("/".join(parts[:depth]) for depth in range(1, len(parts))):
            have = result.get(parent)
            if have is None:
                result[parent] = mine.get(parent) or theirs[parent]
            elif have.kind is not Kind.DIRECTORY:
                if parent not in conflicts.paths:
                    message = f"one side has a {have.kind} where the other has files below it"
                    conflicts.append(Conflict(path=parent, message=message, diff=(path,)))
                own = mine.get(parent)
                if own is None or own.kind is not Kind.DIRECTORY:
                    del result[path]
                    break
                result[parent] = own
