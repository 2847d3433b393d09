"""Who may run a jail, and when.

    (created)            freeze                 commit
        │      ┌─────────────────────► FROZEN ─────────► MOVED ──── finalize ──► (gone)
        ▼      │ ◄──────── abort ────────┘                 │
     ACTIVE ───┤                                           │ begin (the jail comes back)
        ▲      ├── delete ──► DELETING ──► (gone)          ▼
        │      │       activate             prepare    INCOMING ◄── begin ── (not here)
        ├──────┼───────────────── PREPARED ◄─────────────┘ │
        │      │                      │ ── begin, later ──►│
        │      │                      └──── abort ─────────┴──► MOVED, STANDBY, or (gone)
        │      └── superseded: another host took it over ──► FENCED ──► (gone)
        │
        │ commit              claim               first round
        └──────── CLAIMED ◄────────── STANDBY ◄──────────────── (not here), MOVED
                     └─── withdrawn ────►┘ │ begin: handed over as planned
                                           └──────► INCOMING

An interrupted migration's copy (INCOMING, PREPARED) is claimed in the same way when its source is gone for good, and so
is the ACTIVE jail of another host's pool. FENCED differs from MOVED in that its owner does not have all that is in it.

One `zfs set` moves a jail from one state to another. The boot rule is `may_start`; there is no other way to start one.
"""

from __future__ import annotations

import msgspec

from jaild.domain.errors import FailedPreconditionError
from jaild.domain.records import JailRecord, Ownership

# Whose datasets this host mounts, as far as the record alone can tell.
MOUNTED = frozenset({Ownership.ACTIVE, Ownership.FROZEN, Ownership.DELETING})

_NEXT: dict[Ownership, frozenset[Ownership]] = {
    Ownership.ACTIVE: frozenset({Ownership.ACTIVE, Ownership.FROZEN, Ownership.FENCED, Ownership.DELETING}),
    Ownership.FROZEN: frozenset({Ownership.ACTIVE, Ownership.MOVED}),
    Ownership.MOVED: frozenset({Ownership.INCOMING, Ownership.STANDBY, Ownership.DELETING}),
    Ownership.INCOMING: frozenset(
        {
            Ownership.INCOMING,
            Ownership.PREPARED,
            Ownership.CLAIMED,
            Ownership.MOVED,
            Ownership.STANDBY,
            Ownership.DELETING,
        }
    ),
    Ownership.PREPARED: frozenset(
        {
            Ownership.ACTIVE,
            Ownership.INCOMING,
            Ownership.CLAIMED,
            Ownership.MOVED,
            Ownership.STANDBY,
            Ownership.DELETING,
        }
    ),
    Ownership.STANDBY: frozenset({Ownership.STANDBY, Ownership.CLAIMED, Ownership.INCOMING, Ownership.DELETING}),
    Ownership.CLAIMED: frozenset({Ownership.ACTIVE, Ownership.STANDBY, Ownership.INCOMING, Ownership.PREPARED}),
    Ownership.FENCED: frozenset({Ownership.DELETING}),
    Ownership.DELETING: frozenset(),
}


def advance(record: JailRecord, state: Ownership, **changes: object) -> JailRecord:
    """Return the record in its next state; `FailedPreconditionError` (ILLEGAL_TRANSITION) if there is no such arrow."""
    if state not in _NEXT[record.state]:
        raise FailedPreconditionError(
            "ILLEGAL_TRANSITION",
            f"a jail that is {record.state} cannot become {state}",
            remedy="look at the jail again; something else changed it meanwhile",
        )
    return msgspec.structs.replace(record, state=state, **changes)


def may_start(record: JailRecord, host_id: str, known_epoch: int = 0) -> bool:
    """Return whether this host may run the jail: it owns it, the jail is active, and no higher epoch was seen."""
    return record.state is Ownership.ACTIVE and record.owner == host_id and record.epoch >= known_epoch


def superseded(record: JailRecord, host_id: str, known_epoch: int) -> bool:
    """Return whether a jail says that it is this host's, but was handed on since: it comes from an old pool."""
    return record.state is Ownership.ACTIVE and record.owner == host_id and record.epoch < known_epoch


def require_changeable(record: JailRecord, host_id: str, name: str, known_epoch: int = 0) -> None:
    """Raise `FailedPreconditionError` unless the jail is this host's to change, saying where it is instead."""
    if may_start(record, host_id, known_epoch):
        return
    if superseded(record, host_id, known_epoch):
        raise FailedPreconditionError(
            "JAIL_SUPERSEDED",
            f"jail {name} is here with epoch {record.epoch}, but epoch {known_epoch} of it was seen",
            remedy="this is an old copy: look for the migration by which it left (jailctl migration ls); delete this "
            "copy when the jail is well where it went",
            resource=f"jails/{name}",
            detail={"epoch": str(record.epoch), "known_epoch": str(known_epoch)},
        )
    reason, message, remedy = {
        Ownership.FROZEN: ("JAIL_MIGRATING", "is being migrated", "wait for the migration, or cancel its operation"),
        Ownership.INCOMING: ("JAIL_INCOMING", "is being received from another host", "ask the host that owns it"),
        Ownership.PREPARED: ("JAIL_INCOMING", "waits for the hand-over from another host", "ask the host that owns it"),
        Ownership.MOVED: ("JAIL_MOVED", "moved to another host", "ask the host that owns it now"),
        Ownership.STANDBY: ("JAIL_STANDBY", "is a replica here", "ask the host that owns it, or promote this one"),
        Ownership.CLAIMED: ("JAIL_STANDBY", "is being taken over", "wait for that operation"),
        Ownership.FENCED: ("JAIL_FENCED", "was taken over by another host", "ask the host that owns it now"),
        Ownership.DELETING: ("JAIL_DELETING", "is being deleted", "wait until it is gone"),
    }.get(record.state, ("JAIL_NOT_OWNED", "belongs to another host", "ask the host that owns it"))
    raise FailedPreconditionError(reason, f"jail {name} {message}", remedy=remedy, resource=f"jails/{name}")
