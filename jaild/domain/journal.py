"""What each side of a migration writes down before it acts."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jaild.domain.peering import Offer


class Phase(StrEnum):
    """How far a migration is.

    source: SENDING ─► FROZEN ─► COMMITTED ─► ACTIVATED ─► FINALIZED
              └──────────┴─► ABORTED (the jail is active here again)
    target: RECEIVING ─► PREPARED ─► ACTIVATED
              └─────────────┴─► ABORTED

    The commit point itself is the jail's property on the source, not this journal: recovery believes the property.
    """

    SENDING = "sending"
    FROZEN = "frozen"
    COMMITTED = "committed"
    RECEIVING = "receiving"
    PREPARED = "prepared"
    ACTIVATED = "activated"
    ABORTED = "aborted"
    FINALIZED = "finalized"


HANDED_OVER = frozenset({Phase.COMMITTED, Phase.ACTIVATED, Phase.FINALIZED})  # the target owns the jail


class Journal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One migration as one of its two hosts remembers it. Replaced whole."""

    id: str
    jail: str
    outgoing: bool
    peer: str  # the other host's configured name
    phase: Phase
    offer: Offer
    epoch: int  # after the hand-over
    continued: bool = False  # the target has an older copy, which goes back to MOVED if this is aborted
    created: float = 0.0
    updated: float = 0.0
    bytes: int = 0
    rounds: int = 0
    blackout: float | None = None
    healthy: bool = False
    message: str = ""
    notified: bool = True  # source: the target knows that it was aborted


def epoch_in_force(journal: Journal) -> int:
    """Return the highest epoch of the jail that a journal proves to have been in force."""
    return journal.epoch if journal.phase in HANDED_OVER else journal.epoch - 1
