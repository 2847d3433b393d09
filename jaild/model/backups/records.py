"""Backups as they are kept elsewhere, and what is decided about them without asking anybody.

A lineage is a full backup and what was sent after it, each an increment of the one before: one dataset of another
host's pool, or one folder. What cannot be an increment (the first, that of a jail which came from another host, one
whose base is gone) begins a new one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from jaild.model.backups.retention import expired
from jaild.model.errors import NotFoundError
from jaild.model.jails.spec import Keep
from jaild.model.layers.records import JailRecord
from jaild.model.replication.policy import moment


class BackupPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a backup has of one dataset. `path`: below the jail's own, which has ''."""

    path: str
    guid: int  # of its snapshot
    base: int = 0  # guid of the one that its stream goes on from; 0: a full one
    size: int = 0  # bytes of the stream; 0 where none is kept
    sha256: str = ""  # of the stream


class Backup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of a jail at one moment."""

    id: str  # tag of its snapshots
    jail: str
    uid: str
    host: str  # name of the one that made it
    taken: float  # seconds since the epoch
    record: JailRecord  # as it was then
    base: str  # that its generation runs on
    release: str = ""
    parts: tuple[BackupPart, ...] = ()
    schema: int = 1


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Whole backups, oldest first, each but the first an increment. `name`: of the dataset or folder."""

    name: str
    backups: tuple[Backup, ...] = ()


def lineage_name(jail: str, uid: str, backup: str) -> str:
    """Return what a new lineage is called."""
    return f"{jail}.{uid[:8]}.{backup}"


def is_of(lineage: str, jail: str) -> bool:
    """Whether a lineage's name is one of a jail of that name; of any jail if it is empty."""
    return not jail or lineage.partition(".")[0] == jail


def continued(
    lineages: Sequence[Lineage], uid: str, there: Mapping[str, Collection[int]], longest: int | None
) -> Lineage | None:
    """Return the lineage that a new backup of a jail goes on; None for a new one.

    `there`: by path, the guids of the snapshots and bookmarks that increments may start from. `longest`: increments
    that a lineage may have; None: any number.
    """
    for lineage in sorted(lineages, key=lambda each: each.backups[-1].taken if each.backups else 0.0, reverse=True):
        if not lineage.backups or lineage.backups[-1].uid != uid:
            continue
        if longest is not None and len(lineage.backups) > longest:
            continue
        tip = {part.path: part.guid for part in lineage.backups[-1].parts}
        if "" in tip and all(tip[path] in guids for path, guids in there.items() if path in tip):
            return lineage
    return None


def doomed(lineages: Iterable[Lineage], uid: str, keep: Keep, *, chained: bool) -> dict[str, tuple[str, ...]]:
    """Return which backups of a jail go, by lineage.

    `chained`: each needs all before it, so a lineage goes as a whole.
    """
    own = [lineage for lineage in lineages if lineage.backups and lineage.backups[-1].uid == uid]
    taken = sorted(((b.id, b.taken) for lineage in own for b in lineage.backups), key=lambda each: each[1])
    gone = frozenset(expired(taken, keep))
    tip = taken[-1][0] if taken else ""
    found: dict[str, tuple[str, ...]] = {}
    for lineage in own:
        ids = tuple(backup.id for backup in lineage.backups if backup.id in gone)
        if chained and len(ids) < len(lineage.backups):
            continue
        if tip not in ids and ids:
            found[lineage.name] = ids
    return found


def backup_of(lineages: Iterable[Lineage], jail: str, wanted: str | float) -> tuple[Lineage, Backup]:
    """Return a backup of a jail by its id, or the last one that is not later than a time (seconds since the epoch).

    `NotFoundError` (BACKUP_NOT_FOUND).
    """
    all_of = [(lineage, backup) for lineage in lineages for backup in lineage.backups if backup.jail == jail]
    all_of.sort(key=lambda found: found[1].taken, reverse=True)
    for lineage, backup in all_of:
        if backup.id == wanted or (not isinstance(wanted, str) and backup.taken <= wanted):
            return lineage, backup
    told = ", ".join(f"{backup.id} ({moment(backup.taken)})" for _, backup in all_of[:5])
    raise NotFoundError(
        "BACKUP_NOT_FOUND", f"there is no such backup of jail {jail}", hint=f"there are: {told or 'none'}"
    )
