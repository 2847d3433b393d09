"""One migration that this host drives, while it is under way."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.model.layers.records import Generation, JailRecord
from jaild.model.migration.budget import Round
from jaild.model.migration.journal import Journal
from jaild.model.migration.protocol import Acceptance, DatasetState, Offer
from jaild.model.migration.streams import Version
from jaild.ports.peer import Peer

_TRIES = 3  # a token that is still the same after so many means that the stream is stuck


@dataclass
class Move:
    """What its phases hand on to each other. What must survive a crash is in `journal`, on disk before it counts."""

    handle: Handle
    entry: JailEntry
    record: JailRecord  # while it is active here
    peer: Peer
    journal: Journal
    connected: bool = False  # the target has begun, and what follows is what it has
    missing_layers: tuple[str, ...] = ()
    states: dict[str, DatasetState] = field(default_factory=dict)  # of the jail's datasets there, by path
    arrived: dict[str, Version] = field(default_factory=dict)  # each dataset's newest snapshot that came whole, by path
    sent: dict[str, int] = field(default_factory=dict)  # guid of each dataset's newest snapshot here, by path
    layer_tokens: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)  # how often a token was gone on from
    pending: str = ""  # tag of the snapshot that the target does not have whole yet
    whole: str = ""  # tag of the newest snapshot that it has whole
    number: int = 0  # of the next snapshot
    rounds: list[Round] = field(default_factory=list)
    frozen_at: float | None = None  # monotonic
    patience: float = 0.0  # seconds that the jail may be down before the commit point
    last_increment: float = 0.0  # seconds that it took
    was_running: bool = False

    @property
    def id(self) -> str:
        """The migration's."""
        return self.journal.id

    @property
    def jail(self) -> str:
        """The jail's name."""
        return self.entry.name

    @property
    def generation(self) -> Generation:
        """The active one."""
        if self.entry.generation is None:
            raise TypeError(self.entry.name)
        return self.entry.generation

    @property
    def target(self) -> str:
        """The peer's configured name."""
        return self.journal.peer

    @property
    def attempt(self) -> int:
        """Which connection to the target this is."""
        return self.journal.offer.attempt

    def as_sent(self, offer: Offer) -> Offer:
        """Return an offer that names what is being sent, too: of what has come, the target may not know whose it is."""
        datasets = tuple(
            msgspec.structs.replace(each, own_guids=(*each.own_guids, self.sent[each.path]))
            if self.sent.get(each.path, 0) not in {0, *each.own_guids}
            else each
            for each in offer.jail.datasets
        )
        return msgspec.structs.replace(offer, jail=msgspec.structs.replace(offer.jail, datasets=datasets))

    def connect(self, peer: Peer, acceptance: Acceptance) -> None:
        """Take over what the target has."""
        self.peer = peer
        self.connected = True
        self.missing_layers = acceptance.missing_layers
        self.layer_tokens = {state.path: state.resume_token for state in acceptance.layers}
        self.states = {offered.path: DatasetState(path=offered.path) for offered in self.journal.offer.jail.datasets}
        self.states |= {state.path: state for state in acceptance.datasets}

    def count(self, size: int) -> None:
        """Add bytes that were sent; they are on disk with the next step that is journaled."""
        self.journal = msgspec.structs.replace(self.journal, bytes=self.journal.bytes + size)
        self.handle.note(bytes_done=self.journal.bytes)

    def usable(self, token: str) -> str:
        """Return a token, or '' when going on from it has brought nothing for some times: it is stuck."""
        self.tries[token] = self.tries.get(token, 0) + 1
        return token if self.tries[token] <= _TRIES else ""

    def distrust(self, token: str) -> None:
        """Never go on from a token again."""
        self.tries[token] = _TRIES
