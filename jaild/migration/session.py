"""A migration that this host drives: what its phases hand on to each other, and the link to its target.

begin (attempt 1) ─► streams … ─✗ lost ─► wait ─► begin (attempt 2): how far has everything come? ─► streams …

The link is kept up; while it is lost, the jail serves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import structlog

from jaild.engine import saga
from jaild.engine.inventory import Inventory, JailEntry
from jaild.model import quantity
from jaild.model.errors import DeadlineExceededError, FailedPreconditionError, JaildError
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Generation, JailRecord
from jaild.model.migration.budget import MAX_THAWS, Parts, Round
from jaild.model.migration.journal import Journal, Phase, so_far, time_left
from jaild.model.migration.protocol import Acceptance, Activated, DatasetState, Offer, SoFar, Tested
from jaild.model.migration.streams import PASSING, PROTOCOL
from jaild.model.replication.policy import moment
from jaild.model.salvage import Report
from jaild.model.snapshots import Snapshot
from jaild.ports.clock import Clock
from jaild.ports.peer import Peer, Peers
from jaild.rpc import correlation
from jaild.transfer.journal import Journals
from jaild.transfer.preflight import Examined

_T = TypeVar("_T")
HANDOVER_TIMED_OUT = "HANDOVER_TIMED_OUT"
_TRIES = 3  # a token that is still the same after so many means that the stream is stuck
_FIRST_PAUSE = 0.5  # seconds, doubled after each try in vain up to the longest
_LONGEST_PAUSE = 30.0
_LONGEST_FROZEN = 1.0  # while the jail is down
_log = structlog.get_logger("jaild.session")


@dataclass(frozen=True, kw_only=True)
class Home:
    """What a session needs of the host that it runs on."""

    inventory: Inventory
    peers: Peers
    journals: Journals
    clock: Clock


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What was asked for."""

    jail: str
    target: str  # the peer's configured name
    max_downtime: float = 5.0  # seconds
    proceed_over_budget: bool = False  # go on although more are predicted
    deadline: float | None = None  # seconds, after which it is given up; None for never
    bandwidth: int = 0  # bytes per second; 0 for no cap of its own
    resumable: bool = False  # the next daemon goes on with it
    intent: Intent = Intent.GIVE_AWAY
    keep_copy: bool = False  # of a test migration


@dataclass(kw_only=True)
class MigrationSession(saga.Attempt):
    """What must survive a crash is in `journal`, on disk before it counts. It, and what is of it, come of `open`."""

    home: Home
    terms: Terms
    id: str = field(init=False)  # the migration's
    jail: str = field(init=False)  # the name of the jail that moves
    peer_name: str = field(init=False)  # the target's configured name
    entry: JailEntry = field(init=False)
    record: JailRecord = field(init=False)  # while it is active here
    journal: Journal = field(init=False)
    peer: Peer = field(init=False)
    attempt: int = field(init=False)  # which connection to the target this is
    connected: bool = False  # the target has begun, and what follows is what it has
    missing_layers: tuple[str, ...] = ()
    states: dict[str, DatasetState] = field(default_factory=dict)  # of the jail's datasets there, by path
    arrived: dict[str, Snapshot] = field(default_factory=dict)  # each dataset's newest that came whole, by path
    sent: dict[str, int] = field(default_factory=dict)  # guid of the snapshot that each dataset is to end with, by path
    layer_tokens: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)  # how often a token was gone on from
    pending: str = ""  # tag of the snapshot that the target does not have whole yet
    whole: str = ""  # tag of the newest snapshot that it has whole
    number: int = 0  # of the next snapshot
    rounds: list[Round] = field(default_factory=list)
    fits: bool = False  # what is left is predicted to fit the budget
    frozen_at: float | None = None  # monotonic
    patience: float = 0.0  # seconds that the jail may be down before the commit point
    waits_until: float = 0.0  # (monotonic) for the last part, once the jail is stopped
    there: Parts = field(default_factory=Parts)  # what mounts and start usually take on the target, as it says
    parts: Parts = field(default_factory=Parts)  # of the downtime, as far as it has come
    drained: float | None = None  # seconds that the hooks before the stop took
    was_running: bool = False
    activating_since: float | None = None  # (monotonic) when the target was told first to start it
    activated: Activated | None = None  # its answer
    tested: Tested = field(default_factory=Tested)  # how the clone came up
    salvaged: Report = field(
        default_factory=lambda: Report(source="", at=0.0, entries=0)
    )  # what of a salvage came, and what did not

    @property
    def generation(self) -> Generation:
        """The active one."""
        if self.entry.generation is None:
            raise TypeError(self.entry.name)
        return self.entry.generation

    @property
    def is_open(self) -> bool:
        """Whether it has a journal."""
        return hasattr(self, "journal")

    # -- what is known of it

    def open(self, examined: Examined) -> None:
        """Begin the journal of what both sides have agreed to; nothing of it is on disk yet."""
        now, terms, offer = self.home.clock.now(), self.terms, examined.offer
        journal = Journal(
            id=offer.migration,
            jail=terms.jail,
            outgoing=True,
            peer=terms.target,
            peer_id=examined.hello.host_id,
            phase=Phase.SENDING,
            offer=msgspec.structs.replace(offer, test=terms.intent is Intent.TEST),
            epoch=examined.record.epoch + 1,
            operation=self.handle.id,
            max_downtime=terms.max_downtime,
            proceed_over_budget=terms.proceed_over_budget,
            bandwidth=terms.bandwidth,
            time_left=terms.deadline or None,
            counted_at=self.home.clock.monotonic(),
            created=now,
            updated=now,
        )
        self.take(examined.entry, examined.record, journal)

    def take(self, entry: JailEntry, record: JailRecord, journal: Journal) -> None:
        """Be the session of a journal."""
        correlation.bind(migration=journal.id, jail=entry.name)
        self.entry, self.record, self.journal = entry, record, journal
        self.id, self.jail, self.peer_name = journal.id, entry.name, journal.peer
        self.peer, self.attempt = self.home.peers.get(journal.peer), journal.offer.attempt

    async def write(self, **changes: Any) -> None:
        """Change the journal; on disk when this returns."""
        self.journal = msgspec.structs.replace(self.journal, **changes)
        await self.home.journals.put(self.journal)

    def count(self, size: int) -> None:
        """Add bytes that were sent; they are on disk with the next step that is journaled."""
        self.journal = msgspec.structs.replace(self.journal, bytes=self.journal.bytes + size)
        self.handle.progress(self.journal.bytes)

    def so_far(self) -> SoFar:
        """Return what the target is told of its course when it is to start the jail."""
        was_up = self.was_running and self.frozen_at is not None
        return so_far(self.journal, self.home.clock.monotonic() - (self.frozen_at or 0.0) if was_up else None)

    def expected(self) -> int:
        """Return how many bytes have to be sent for the first round; 0 where that is not known: an increment's."""
        if any(state.snapshot_guids or state.resume_token for state in self.states.values()):
            return 0
        offered = self.journal.offer.jail
        layers = [layer.size_bytes for layer in offered.layers if layer.path in self.missing_layers]
        return sum(layers) + sum(dataset.size_bytes for dataset in offered.datasets)

    def usable(self, token: str) -> str:
        """Return a token, or '' when going on from it has brought nothing for some times: it is stuck."""
        self.tries[token] = self.tries.get(token, 0) + 1
        return token if self.tries[token] <= _TRIES else ""

    def distrust(self, token: str) -> None:
        """Never go on from a token again."""
        self.tries[token] = _TRIES

    # -- its time

    def time_left(self) -> float | None:
        """Return the seconds until it is given up; None for never."""
        return time_left(self.journal, self.home.clock.monotonic())

    def past_deadline(self) -> DeadlineExceededError:
        """Return what a migration that took too long is given up with."""
        return DeadlineExceededError(
            "MIGRATION_DEADLINE",
            f"jail {self.jail} was not handed over to {self.peer_name} by its deadline",
            hint="nothing was changed; see why the link was slow or down, then migrate again with a later deadline",
            resource=self.target,
            detail={"bytes": str(self.journal.bytes)},
        )

    def down_time_left(self) -> float:
        """Return the seconds that the last part may still take, while the jail is down."""
        waits, left = max(self.waits_until - self.home.clock.monotonic(), 0.0), self.time_left()
        return waits if left is None else min(waits, left)

    def down_too_long(self) -> DeadlineExceededError:
        """Return what ends the wait for a last part that does not get through."""
        if self.time_left() == 0.0:
            return self.past_deadline()
        return DeadlineExceededError(
            HANDOVER_TIMED_OUT,
            f"jail {self.jail} was stopped {quantity.count(self.journal.thaws + 1, 'time')}, and its last part did not "
            f"get through to {self.peer_name} within {self.patience:.1f} s: it serves here",
            hint="see why the link is slow or broken; then migrate again, or allow a longer downtime",
            resource=self.target,
        )

    def may_stop_again(self) -> bool:
        """Whether the jail may be stopped once more after this time."""
        return self.journal.thaws + 1 < MAX_THAWS

    # -- the link

    async def connect(self) -> None:
        """Have the target begin, however long that takes."""
        await self.through(_nothing)

    async def through(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Return what `work` returns. It may be begun any number of times, each with the target's present state.

        `DeadlineExceededError` (MIGRATION_DEADLINE) past the migration's deadline; (HANDOVER_TIMED_OUT) while the jail
        is down, when it has been so for longer than its patience.
        """
        clock = self.home.clock
        lost_at, sent, pause = None, self.journal.bytes, _FIRST_PAUSE
        while True:
            try:
                if not self.connected:
                    await self._begin()
                return await work()
            except JaildError as error:
                if not PASSING.fullmatch(error.reason):
                    raise
                lost = error
            self.connected = False
            if lost_at is None or self.journal.bytes > sent:
                lost_at, sent, pause = clock.now(), self.journal.bytes, _FIRST_PAUSE
            await self._wait(lost, lost_at, pause)
            pause = min(pause * 2, _LONGEST_PAUSE if self.frozen_at is None else _LONGEST_FROZEN)

    async def _begin(self) -> None:
        """Begin, or begin anew: what the target has is known after this, and nothing of before is on its way."""
        inventory, peer = self.home.inventory, self.home.peers.get(self.peer_name)
        offer = msgspec.structs.replace(self.journal.offer, attempt=self.attempt + 1)
        if offer.attempt > 1:
            hello = await peer.hello(inventory.host_id, inventory.host_name, PROTOCOL)
            self._require_same(hello.host_id)
        self.attempt = offer.attempt
        await self.write(offer=offer)
        self._found(peer, await peer.begin(self._as_sent(offer)))
        if self.handle.operation.away:
            self.handle.note(away=False, message=f"{self.peer_name} is back")

    def _as_sent(self, offer: Offer) -> Offer:
        """Return an offer that names what is being sent, too: of what has come, the target may not know whose it is."""
        datasets = tuple(
            msgspec.structs.replace(each, own_guids=(*each.own_guids, self.sent[each.path]))
            if each.path in self.sent
            else each
            for each in offer.jail.datasets
        )
        return msgspec.structs.replace(offer, jail=msgspec.structs.replace(offer.jail, datasets=datasets))

    def _found(self, peer: Peer, acceptance: Acceptance) -> None:
        """Take over what the target has."""
        self.peer = peer
        self.connected = True
        self.missing_layers = acceptance.missing_layers
        self.layer_tokens = {state.path: state.resume_token for state in acceptance.layers}
        self.states = {offered.path: DatasetState(path=offered.path) for offered in self.journal.offer.jail.datasets}
        self.states |= {state.path: state for state in acceptance.datasets}
        self.there = acceptance.parts

    def _require_same(self, host_id: str) -> None:
        if host_id != self.journal.peer_id:
            raise FailedPreconditionError(
                "PEER_CHANGED",
                f"{self.peer_name} is another host now than when the migration began",
                hint="see what answers under that name, then migrate again",
                resource=self.peer_name,
                detail={"before": self.journal.peer_id, "now": host_id},
            )

    async def _wait(self, lost: JaildError, since: float, pause: float) -> None:
        now = self.home.clock.monotonic()
        _log.warning("link lost", migration=self.id, peer=self.peer_name, reason=lost.reason, since=moment(since))
        if self.frozen_at is not None:
            if now + pause - self.frozen_at > self.patience:
                raise self.down_too_long() from lost
        elif (left := self.time_left()) is not None and left < pause:
            raise self.past_deadline() from lost
        serves = "the jail serves" if self.frozen_at is None else "the jail is down"
        # The same text until it answers: a program that follows it prints one line, not one for each try.
        self.handle.note(
            away=True,
            message=f"{self.peer_name} has been away since {moment(since)} ({lost.reason}); tried again all the time; "
            f"{serves}; to give up: jailctl operation cancel {self.handle.id}",
        )
        await self.home.clock.sleep(pause)


async def _nothing() -> None:
    """Be what is carried out when only the connection is wanted."""
