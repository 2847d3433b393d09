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

One `zfs set` moves a jail from one state to another. What may be done in which is decided in
`jaild.model.jails.authority`; there is no other way to start one.
"""

from __future__ import annotations

import msgspec

from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.records import JailRecord, Ownership

_KEPT_BY = frozenset({Ownership.ACTIVE, Ownership.FROZEN})

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
            hint="look at the jail again; something else changed it meanwhile",
        )
    if state not in _KEPT_BY:  # what another host does with what is staged, a volume or older data, this is not told
        changes = {"staged": None, "removing": (), "restoring": None, **changes}
    return msgspec.structs.replace(record, state=state, **changes)
