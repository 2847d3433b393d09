"""One migration that this host drives, while it is under way."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from jaild.domain.journal import Journal
from jaild.domain.migration import Round
from jaild.domain.peering import DatasetState, HostHello, Offer
from jaild.domain.records import Generation, JailRecord
from jaild.ports.peer import Peer
from jaild.service.index import Entry
from jaild.service.operations import Handle


@dataclass
class Move:
    """What its phases hand on to each other. What must survive a crash is in `journal`, on disk before it counts."""

    handle: Handle
    entry: Entry
    record: JailRecord  # as it was when the migration began
    generation: Generation
    peer: Peer
    target: str  # the peer's configured name
    hello: HostHello
    offer: Offer
    journal: Journal
    missing_layers: tuple[str, ...] = ()
    states: dict[str, DatasetState] = field(default_factory=dict)  # what the target has, by path
    rounds: list[Round] = field(default_factory=list)
    frozen_at: float | None = None  # monotonic
    was_running: bool = False

    @property
    def id(self) -> str:
        """The migration's."""
        return self.journal.id

    @property
    def jail(self) -> str:
        """The jail's name."""
        return self.entry.name

    def count(self, size: int) -> None:
        """Add bytes that were sent; they are on disk with the next step that is journaled."""
        self.journal = msgspec.structs.replace(self.journal, bytes=self.journal.bytes + size)
        self.handle.note(bytes_done=self.journal.bytes)
