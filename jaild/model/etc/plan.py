"""A new generation's two configuration trees, made of those that there are. Pure, and slow: call it in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaild.model import bounds, quantity
from jaild.model.etc import identity, renumber
from jaild.model.etc import regenerate as etctools
from jaild.model.etc.accounts import apply_accounts
from jaild.model.etc.merge import merge
from jaild.model.etc.renumber import Renumbered
from jaild.model.etc.tree import Tree
from jaild.model.layers.records import Family, Group, User
from jaild.model.problems import Problem, Severity


@dataclass(frozen=True, kw_only=True)
class Sides:
    """What one folder's tree is made of; ancestor and mine are None for a jail that is not there yet."""

    theirs: Tree
    ancestor: Tree | None = None
    mine: Tree | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """The trees of /etc and of the release's folder for it (`local_folder`), and whose they are."""

    etc: Sides
    local: Sides
    local_folder: str
    family: Family
    machine_id: str  # 32 hexadecimal digits, of nobody yet
    users: Sequence[User] = ()
    groups: Sequence[Group] = ()
    rebased: bool = False  # the new generation is on another base
    copied: bool = False  # `mine` is another jail's: its identity stays there, and an own one is made of each kind
    libraries: Sequence[str] | None = None  # the release's folders of them; None: what the linker knows is still right


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The trees, what stands in the way, and what must be run in the jail when they are written."""

    etc: Tree
    local_etc: Tree
    problems: tuple[Problem, ...]
    tools: tuple[etctools.Argv, ...]
    renumbered: tuple[Renumbered, ...]  # accounts for which there may be problems, by who owns which files


def carry_out(request: Request) -> Answer:
    """Merge both, and put the release's accounts in."""
    brings, had = request.etc.theirs, request.etc.ancestor or {}
    if request.copied:
        mine = request.etc.mine or {}
        brings, had = {**mine, **brings}, {}
        own_sides = Sides(theirs=request.etc.theirs, ancestor=request.etc.ancestor, mine=identity.without(mine))
        request = replace(request, etc=own_sides)
    sides, renumbered = _in_the_jails_numbers(request.etc)
    etc, problems = _merged(_with_own_identity(sides), "/etc")
    local_etc, found = _merged(request.local, request.local_folder)
    problems += found
    if request.users or request.groups:
        large = [path for path in ("passwd", "group", "master.passwd", "shadow", "gshadow") if _large(etc, path)]
        if large:
            problems += [_too_large(path) for path in large]
        else:
            etc, clashes = apply_accounts(etc, request.users, request.groups, request.family)
            problems += clashes
    own = identity.completed(etc, brings, had, request.machine_id)
    etc = own.tree
    problems += identity.in_jail(request.etc.mine or {}, request.etc.ancestor or {})
    known = [tree for tree in (request.etc.theirs, request.etc.mine) if tree is not None]
    tools = etctools.commands(request.family, etc, known, rebased=request.rebased)
    if request.libraries is not None and request.family is Family.LINUX:
        cache = etctools.linker_cache(request.etc.theirs, request.libraries)
        tools, etc = (*tools, *cache), etctools.without_cache(etc, request.etc.theirs) if cache else etc
    return Answer(
        etc=etc,
        local_etc=local_etc,
        problems=tuple(problems),
        tools=(*tools, *own.tools),
        renumbered=renumber.held(renumbered, etc, request.etc.theirs),
    )


def again(
    etc: Tree, tools: Sequence[etctools.Argv], staged: Tree, made: Tree
) -> tuple[Tree, tuple[etctools.Argv, ...]]:
    """Return an /etc that was merged anew with what the tools have made already, and the tools still to be run for it.

    `staged` was written before, and `made` is what the tools made of it.
    """
    own = identity.with_made(etc, tools, staged, made)
    return etctools.with_cache(own.tree, own.tools, staged, made)


def _in_the_jails_numbers(sides: Sides) -> tuple[Sides, tuple[Renumbered, ...]]:
    if sides.ancestor is None or sides.mine is None:
        return sides, ()
    kept = renumber.kept(sides.ancestor, sides.theirs, sides.mine)
    return Sides(theirs=kept.theirs, ancestor=kept.ancestor, mine=sides.mine), kept.renumbered


def _with_own_identity(sides: Sides) -> Sides:
    mine = sides.mine or {}
    ancestor = identity.kept(sides.ancestor, mine) if sides.ancestor is not None else None
    return Sides(theirs=identity.kept(sides.theirs, mine), ancestor=ancestor, mine=sides.mine)


def _merged(sides: Sides, folder: str) -> tuple[Tree, list[Problem]]:
    if sides.ancestor is None or sides.mine is None:
        return sides.theirs, []
    merged = merge(sides.ancestor, sides.theirs, sides.mine)
    return merged.tree, merged.problems(folder)


def _large(tree: Tree, path: str) -> bool:
    entry = tree.get(path)
    return entry is not None and len(entry.content) > bounds.MERGE_FILE


def _too_large(path: str) -> Problem:
    return Problem(
        severity=Severity.ERROR,
        code="MERGE_TOO_COSTLY",
        message=f"/etc/{path} is larger than {quantity.size(bounds.MERGE_FILE)}, and the release's accounts go into it",
        subject=f"/etc/{path}",
        hint="make the file smaller in the jail, then plan again",
    )
