"""What each side of a migration writes down before it acts."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jaild.model.layers.records import JailRecord
from jaild.model.migration.budget import Parts
from jaild.model.migration.protocol import Offer, SoFar
from jaild.model.operation import passed


class Phase(StrEnum):
    """How far a migration is.

    source: SENDING ─► FROZEN ─► COMMITTED ─► ACTIVATED ─► FINALIZED
              │  ◄─ thaw ─┤
              └───────────┴─► ABORTED (the jail is active here again)
    target: RECEIVING ─► PREPARED ─► ACTIVATED
              │  ◄─ begin ──┤  (of a later attempt)
              └─────────────┴─► ABORTED

    A source that is started again goes on in SENDING and in COMMITTED, and aborts in FROZEN. The commit point itself is
    the jail's property on the source, not this journal: recovery believes the property.
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
_UNFINISHED = frozenset({Phase.SENDING, Phase.FROZEN, Phase.COMMITTED})  # of a source


class Journal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One migration as one of its two hosts remembers it. Replaced whole."""

    id: str
    jail: str
    outgoing: bool
    peer: str  # the other host's configured name
    phase: Phase
    offer: Offer
    epoch: int  # after the hand-over
    before: JailRecord | None = None  # target: of the older copy that is continued, which it returns to if aborted
    had: dict[str, tuple[int, ...]] = {}  # target: guids of that copy's snapshots, oldest first, by path
    guids: dict[str, int] = {}  # target: of the snapshots that it has prepared with, by path
    closed_as_one: bool = False  # target: its parts are read-only by the jail's own dataset, and not each by itself
    operation: str = ""  # source: id of the operation that drives it
    peer_id: str = ""  # source: the target's host id
    max_downtime: float = 5.0  # source: seconds of downtime that are allowed
    bandwidth: int = 0  # source: bytes per second that may be sent; 0 for no cap of its own
    proceed_over_budget: bool = False  # source: go on although more are predicted
    time_left: float | None = None  # source: seconds from `counted_at` until it is given up; None for never
    counted_at: float = 0.0  # source: by the host's monotonic clock
    thaws: int = (
        0  # source: times that the jail was stopped and started again because its last part did not get through
    )
    created: float = 0.0
    updated: float = 0.0
    bytes: int = 0
    rounds: int = 0
    predicted: float | None = None  # seconds of downtime, before the last freeze
    predicted_at_least: bool = False  # something of it was not known
    predicted_send: float = 0.0  # seconds of it for the last increment, before what earlier ones took longer is added
    downtime: float | None = None  # seconds, measured
    parts: Parts | None = None  # of it, as far as they were measured; of a test, and on the target, what that took
    healthy: bool = False
    message: str = ""
    keep_copy: bool = False  # a test migration whose copy stays on the target when it is aborted
    notified: bool = True  # source: the target knows that it was aborted
    adopted: bool = False  # source: the target took its copy over by force, and says that it owns the jail


def time_left(journal: Journal, monotonic: float) -> float | None:
    """Return the seconds until a migration is given up, 0 if that is due; None for never."""
    if journal.time_left is None:
        return None
    return max(journal.time_left - passed(journal.counted_at, monotonic), 0.0)


def counted(journal: Journal, monotonic: float) -> Journal:
    """Return a journal with what is left of its time now, so that a later boot goes on from there."""
    return msgspec.structs.replace(journal, time_left=time_left(journal, monotonic), counted_at=monotonic)


def missed(journal: Journal) -> str:
    """Say what a downtime was made of that was longer than allowed; '' if it was not. A salvage has no budget."""
    if journal.downtime is None or journal.predicted is None or journal.downtime <= journal.max_downtime:
        return ""
    told = f"down for {journal.downtime:.1f} s, {journal.max_downtime:.1f} s were allowed"
    return f"{told}: {journal.parts}" if journal.parts is not None else told


def so_far(journal: Journal, down: float | None = None) -> SoFar:
    """Return what a source tells of it when the target is to start the jail, which has been `down` for so long."""
    return SoFar(
        down=down,
        predicted=journal.predicted,
        predicted_at_least=journal.predicted_at_least,
        rounds=journal.rounds,
        bytes=journal.bytes,
    )


def epoch_in_force(journal: Journal) -> int:
    """Return the highest epoch of the jail that a journal proves to have been in force."""
    return journal.epoch if journal.phase in HANDED_OVER else journal.epoch - 1


def is_target(journal: Journal) -> bool:
    """Say whether the target of a migration from here may have the jail, for all that this host knows."""
    return journal.phase in _UNFINISHED or not journal.notified or journal.adopted


def may_have_taken(journal: Journal, epoch: int) -> bool:
    """Say whether the target of a migration from here may own the jail, which is here with `epoch`, by an adoption.

    Of one that is known to have adopted it, not if the jail has come back from there since.
    """
    return is_target(journal) and not (journal.adopted and epoch > journal.epoch)


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """What must not be forgotten of a migration, also when its journal cannot be read: who else may own the jail.

    Kept beside each journal, in values so plain that no later jaild reads them otherwise.
    """

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
