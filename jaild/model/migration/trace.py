"""What must not be forgotten of a migration, also when its journal cannot be read: who else may own the jail."""

from __future__ import annotations

import msgspec

from jaild.model.migration.journal import Journal, epoch_in_force
from jaild.model.migration.party import is_target


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Kept beside each journal, in values so plain that no later jaild reads them otherwise."""

    jail: str
    uid: str
    peer: str
    epoch: int  # the highest of the jail that the journal proves to have been in force
    is_target: bool  # the peer is the target of a migration from here, and may have the jail


def trace_of(journal: Journal) -> Trace:
    """Return what is kept of a journal."""
    return Trace(
        jail=journal.jail,
        uid=journal.offer.jail.uid,
        peer=journal.peer,
        epoch=epoch_in_force(journal),
        is_target=journal.outgoing and is_target(journal),
    )
