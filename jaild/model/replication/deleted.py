"""What is left of a jail whose copy here was deleted: enough to keep an older copy elsewhere from starting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from jaild.model.layers.records import JailRecord, Ownership
from jaild.model.problems import Problem, Severity
from jaild.model.replication.protocol import DELETED, Known

FIRST_EPOCH = 1  # of a jail that was never handed over: no older copy of it can exist
KEPT = 10_000  # jails that are remembered; more only while somebody is still to be told of one
_GONE = frozenset({Ownership.DELETING, Ownership.MOVED})  # others come to an end without having been the jail


class DeletedJail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row of the host's memory."""

    uid: str
    jail: str  # its name
    epoch: int
    owner: str  # host id: who owned it by that epoch, as the copy here had it
    owner_name: str
    deleted: float  # when the copy here was, by this host's clock: seconds since the epoch
    at: float = 0.0  # when the jail was taken over; 0 if it was not
    since: float = 0.0  # of that failover: what the former owner wrote later is in its own copy only
    untold: tuple[str, ...] = ()  # hosts that are still to be told of that failover

    @property
    def known(self) -> Known:
        """What other hosts are told when they ask who owns the jail."""
        return Known(
            state=DELETED,
            owner=self.owner,
            owner_name=self.owner_name,
            epoch=self.epoch,
            since=self.since,
            at=self.at,
        )


def left_of(jail: str, record: JailRecord, *, owner_name: str, is_owner: bool, now: float) -> DeletedJail | None:
    """Return what is to be remembered of a copy that is about to be destroyed; None if nothing is.

    `is_owner`: the jail itself goes, not a copy of it: whom its failover concerns is told by this host.
    """
    if record.state not in _GONE or record.epoch <= FIRST_EPOCH:
        return None
    failover = record.failover
    return DeletedJail(
        uid=record.uid,
        jail=jail,
        epoch=record.epoch,
        owner=record.owner,
        owner_name=owner_name,
        deleted=now,
        at=failover.at if failover is not None else 0.0,
        since=failover.since if failover is not None else 0.0,
        untold=failover.untold if failover is not None and is_owner else (),
    )


def untold(jail: str, hosts: Sequence[str]) -> tuple[Problem, ...]:
    """Return the note that hosts are still to be told that this one took a jail over which is to be deleted."""
    if not hosts:
        return ()
    note = Problem(
        severity=Severity.NOTE,
        code="FORMER_OWNER_UNTOLD",
        message=f"not told yet that {jail} was taken over: {', '.join(hosts)}; each may have an old copy of it",
        subject=f"jails/{jail}",
        hint="none is needed while this host can be reached: it remembers the jail, tells them when they answer, and "
        "their copies stay there, stopped and read-only; delete those there, too",
        evidence=tuple(hosts),
    )
    return (note,)


def surplus(rows: Mapping[str, DeletedJail]) -> list[DeletedJail]:
    """Return what may be forgotten, the oldest first: none that somebody is still to be told of."""
    over = len(rows) - KEPT
    if over <= 0:
        return []
    told = sorted((row for row in rows.values() if not row.untold), key=lambda row: row.deleted)
    return told[:over]
