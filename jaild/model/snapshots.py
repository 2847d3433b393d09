"""Snapshots, and whose they are. No name says it: jaild's own have a property that does, all others are somebody's.

| purpose | made by, dropped by | held by |
|---|---|---|
| safety | a change of generation; the oldest by later ones | nobody |
| migration/ID | that migration, on both hosts | jaild-migration |
| standby | a replica's round, on both hosts | jaild-standby |
| schedule | the jail's schedule; by what it keeps | nobody |
| manual/WHO | somebody who asked for it; when asked | nobody |
| restore | a restore, of what it overwrites; the oldest by later ones, or when asked | nobody |
| clone | a clone of the jail, on the original; with the last clone of it | its clones |
| export | an export, which drops it at its end; after a crash the next daemon | nobody |
| backup/TARGET | a backup, until it is whole there, or, without bookmarks, until the next one is | nobody |

Bookmarks take no properties: those of jaild are listed, with tag and guid, in properties of the jail's dataset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jaild.model.errors import FailedPreconditionError
from jaild.model.problems import Problem, Severity

SAFETY = "safety"
STANDBY = "standby"
CLONE = "clone"
EXPORT = "export"
MIGRATION = "migration"  # of any: what `kind_of` tells
SCHEDULE = "schedule"
MANUAL = "manual"  # of any, as MIGRATION
BACKUP = "backup"  # of any, as MIGRATION
RESTORE = "restore"
HOLDS = {MIGRATION: "jaild-migration", STANDBY: "jaild-standby"}  # kind: tag of the hold that keeps such a snapshot
_TOLD = 5  # claims that a message names
_OF_JAIL = re.compile(r".+/jails/(?P<jail>[^/]+)/[^/]+")


def of_migration(identity: str) -> str:
    """Return the purpose of a migration's snapshots."""
    return f"{MIGRATION}/{identity}"


def by_hand(actor: str) -> str:
    """Return the purpose of a snapshot that somebody asked for."""
    return f"{MANUAL}/{actor}"


def kind_of(purpose: str) -> str:
    """Return what sort of purpose one is."""
    return purpose.partition("/")[0]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A snapshot. `used` is what it holds alone."""

    dataset: str
    tag: str
    guid: int
    created: int
    used: int
    referenced: int
    purpose: str = ""  # what jaild made it for, as its own property says (never an inherited one); '': somebody else's
    holds: int = 0  # how many tags hold it
    name: str = field(init=False)  # dataset@tag
    kind: str = field(init=False)  # of its purpose

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.dataset}@{self.tag}")
        object.__setattr__(self, "kind", kind_of(self.purpose))


@dataclass(frozen=True, kw_only=True)
class Bookmark:
    """What is left of a snapshot that may go: its guid, and from when on an increment starts. It takes no space."""

    dataset: str
    tag: str
    guid: int  # the snapshot's
    created: int
    name: str = field(init=False)  # dataset#tag

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", f"{self.dataset}#{self.tag}")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A snapshot that others keep: neither it nor its dataset can be destroyed."""

    snapshot: str
    holds: tuple[str, ...] = ()  # tags
    untold: int = 0  # holds whose tags this ZFS does not tell
    clones: tuple[str, ...] = ()

    @property
    def is_sent(self) -> bool:
        """Whether all that keeps it are migrations that send it, as they do with bases and releases."""
        own = all(tag.startswith(f"{HOLDS[MIGRATION]}-") for tag in self.holds)
        return bool(self.holds) and own and not self.untold and not self.clones

    def __str__(self) -> str:
        untold = (f"{self.untold} holds (zfs holds {self.snapshot})",) if self.untold else ()
        held = tuple(f"the hold {tag}" for tag in self.holds) + untold
        return f"{self.snapshot} is kept by {', '.join((*held, *(f'its clone {name}' for name in self.clones)))}"


def claimed(claims: Sequence[Claim], what: str, resource: str = "") -> FailedPreconditionError:
    """Return why `what` cannot be done: others keep snapshots that would have to go."""
    more = f" (and {len(claims) - _TOLD} more)" if len(claims) > _TOLD else ""
    return FailedPreconditionError(
        "SNAPSHOTS_IN_USE",
        f"{what} is refused: {'; '.join(str(claim) for claim in claims[:_TOLD])}{more}",
        hint=_hint(claims),
        resource=resource,
        detail={"snapshots": ",".join(claim.snapshot for claim in claims)},
    )


def _hint(claims: Sequence[Claim]) -> str:
    if all(claim.is_sent for claim in claims):
        return "a migration sends it: wait until that is over, then ask again"
    if jails := _clones_of_jails(claims):
        return f"clones go first: {'; '.join(f'jailctl jail rm {jail}' for jail in jails)}; then ask again"
    return "ask whose they are; then zfs release TAG SNAPSHOT, and zfs destroy or zfs promote CLONE; ask again"


def _clones_of_jails(claims: Sequence[Claim]) -> list[str]:
    """Return the jails that were cloned of claimed snapshots, if nothing else keeps those."""
    found = [_OF_JAIL.fullmatch(clone) for claim in claims for clone in claim.clones]
    if any(claim.holds or claim.untold for claim in claims) or not all(found):
        return []
    return sorted({match["jail"] for match in found if match is not None})


def going_along(names: Sequence[str], subject: str) -> tuple[Problem, ...]:
    """Return the note that snapshots of others go with what is destroyed."""
    if not names:
        return ()
    note = Problem(
        severity=Severity.NOTE,
        code="FOREIGN_SNAPSHOTS",
        message=f"snapshots that jaild did not make go with it: {told(names)}",
        subject=subject,
        hint="save what you need of them first",
        evidence=tuple(names),
    )
    return (note,)


def told(names: Sequence[str]) -> str:
    """Return the newest of many names (oldest first), and how many more there are."""
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return f"{', '.join(names[-_TOLD:])}{more}"


def whole(by_dataset: Mapping[str, Sequence[str]]) -> str:
    """Return the newest tag that every dataset (each: its tags, oldest first) has; empty for none."""
    first, *others = by_dataset.values() or [()]
    common = set(first).intersection(*others)
    return next((tag for tag in reversed(first) if tag in common), "")
