"""Moving a jail to another host: the source's side, which drives. Read it as the list of phases that `_saga` is.

    preflight ─► connect ─► layers ─► seed ─► precopy … ─► freeze ─► final ─► handover ─► COMMIT ─► activate ─► fence
    │               └─ link lost: wait, connect ─┘  ▲          └────── does not get through ──┘       └─ for ever
    │                                               └─────────────────────── thaw ────────────┘
    └───────────── any error, cancelled, past its deadline: given up, the jail is active here as before

The commit point is one `zfs set` of the jail's record: `moved, owner=target, epoch+1`. Before it this host owns the
jail whatever happens, after it the target does. A daemon that ends before the freeze leaves the migration as it is, and
its successor goes on (`recover`); what it finds frozen is given up.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.engine.saga import Back, Completion, Phase, Pivot, Saga
from jaild.engine.supervisor import BackOff
from jaild.jails.build import JailParts
from jaild.migration.cutover import Cutover
from jaild.migration.precopy import Precopy
from jaild.migration.session import HANDOVER_TIMED_OUT, Home, MigrationSession, Terms
from jaild.model.errors import AbortedError, FailedPreconditionError, JaildError
from jaild.model.jails.authority import Intent
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import JailRecord, Ownership
from jaild.model.migration import journal as journals
from jaild.model.migration.journal import Journal
from jaild.model.migration.received import standbys_of
from jaild.model.operation import Operation, Stop
from jaild.model.replication.protocol import Supersession
from jaild.rpc import correlation
from jaild.transfer.build import TransferParts
from jaild.transfer.sender import RateLimiter
from jaild.transfer.snapshots import MigrationSnapshots

Wait = Callable[[], Awaitable[bool]]
UntilItServes = Callable[[str, Callable[[], float | None]], Wait | None]
Tell = Callable[[str], Awaitable[None]]
_PAUSE = BackOff(first=0.5, longest=30.0)
_ACTIVATE = BackOff(first=0.2, longest=10.0)
_HANDED_ON = BackOff(first=1.0, longest=60.0)
_TRIES = 12  # at telling a standby whom the jail was handed to: some ten minutes
_ON_THE_WAY = frozenset({journals.Phase.SENDING, journals.Phase.FROZEN, journals.Phase.COMMITTED})


class SourceMigration:
    """Sends jails away. Runs in the jail's queue only."""

    def __init__(
        self, engine: Engine, jails: JailParts, transfer: TransferParts, home: Home, precopy: Precopy, cutover: Cutover
    ) -> None:
        self._home = home
        self._inventory = home.inventory
        self._journals = home.journals
        self._preflight = transfer.preflight
        self._precopy = precopy
        self._cutover = cutover
        self._datasets = jails.datasets
        self._sender = transfer.sender
        self._zfs = engine.ports.zfs
        self._sagas = engine.sagas
        self._operations = engine.operations
        self._dispatcher = engine.dispatcher
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._sessions: dict[str, MigrationSession] = {}  # under way, by the jail's name
        self._log = structlog.get_logger("jaild.source_migration")
        preflight, self._connect, layers = self.opening()
        rounds = _sending("precopy", self._until_it_may_be_frozen, Precopy.told)
        again = Back(rounds, on=HANDOVER_TIMED_OUT, when=MigrationSession.may_stop_again)
        self._saga = Saga(
            "migrate",
            before=(
                preflight,
                self._connect,
                layers,
                _sending("seed", precopy.seed, Precopy.told, when=_is_first),
                rounds,
                cutover.drain(),
                Phase(
                    "freeze",
                    cutover.freeze,
                    undo=cutover.thaw,
                    stop=Stop.CANCEL,
                    message="stopping the jail",
                    within=MigrationSession.time_left,
                    late=MigrationSession.past_deadline,
                ),
                _down("final", cutover.last_increment, again, "the last increment"),
                _down("handover", cutover.prepare, again, "the target compares every guid and prepares"),
            ),
            pivot=Pivot("commit", cutover.commit, happened=cutover.is_committed),
            after=self.closing(),
        )

    def opening(self) -> tuple[Phase[MigrationSession], ...]:
        """Return the phases that all sessions begin with. Their undo is all of the way back that the jail serves in."""
        return (
            Phase("preflight", self._examine, message=lambda session: f"asking {session.terms.target}"),
            _sending("connect", self._begin, lambda session: f"{session.peer_name} begins", undo=self._give_up),
            _sending("layers", self._precopy.layers, Precopy.next_layer, when=_lacks_layers),
        )

    def closing(self) -> tuple[Completion[MigrationSession], ...]:
        """Return what is done when the target owns the jail."""
        return (
            Completion("activate", self._cutover.activate, _is_activating, retry=_ACTIVATE),
            Completion("fence", self._cutover.leave, message="ending its run, making its copy read-only"),
        )

    def session(self, handle: Handle, terms: Terms) -> MigrationSession:
        """Return one that its phases can be done with."""
        return MigrationSession(handle=handle, home=self._home, terms=terms)

    async def migrate(self, handle: Handle, terms: Terms) -> str:
        """Move the jail; return the migration's id. On failure it is here as before."""
        session = self.session(handle, terms)
        with self._under_way(session, terms.jail, terms.bandwidth):
            await self._sagas.carry_out(self._saga, session)
        return self.moved(session)

    @contextmanager
    def _under_way(self, session: MigrationSession, jail: str, bandwidth: int) -> Iterator[None]:
        """Let its streams take so many bytes per second, or what `cap` says meanwhile."""
        self._sessions[jail] = session
        if bandwidth:
            self._sender.hold([jail], RateLimiter(bandwidth, self._home.clock))
        try:
            yield
        finally:
            del self._sessions[jail]
            # What was refused before it had a journal had its cap, too: replicas and later moves are not to keep it.
            if session.journal.bandwidth if session.is_open else bandwidth:
                self._sender.free([jail])

    async def cap(self, journal: Journal, bandwidth: int, *, validate_only: bool) -> None:
        """Let a migration that is under way send so many bytes per second from now on; 0 for no cap.

        `FailedPreconditionError` (MIGRATION_NOT_UNDER_WAY).
        """
        session = self._sessions.get(journal.jail)
        if session is None or not session.is_open or session.id != journal.id:
            raise FailedPreconditionError(
                "MIGRATION_NOT_UNDER_WAY",
                f"migration {journal.id} is {journal.phase} here, and sends nothing",
                hint="ask on its source while it sends: jailctl migration ls",
                resource=f"migrations/{journal.id}",
            )
        if validate_only:
            return
        if bandwidth:
            self._sender.hold([journal.jail], RateLimiter(bandwidth, self._home.clock))
        else:
            self._sender.free([journal.jail])
        await session.write(bandwidth=bandwidth)

    def moved(self, session: MigrationSession) -> str:
        """Tell whoever should know that the target owns it; return the migration's id.

        `AbortedError` (ACTIVATED_UNHEALTHY) if the jail does not serve there.
        """
        self._hand_on(session.journal)
        if session.activated is not None and not session.activated.healthy:
            raise AbortedError(
                "ACTIVATED_UNHEALTHY",
                f"jail {session.jail} is owned by {session.peer_name} now, but did not pass its health checks there: "
                f"{session.activated.message}",
                hint=f"look at it on {session.peer_name}: jailctl jail logs {session.jail}; nothing is lost, it can "
                "be migrated back",
                resource=session.target,
            )
        return session.id

    # -- the phases that are not the precopy's or the cutover's

    async def _examine(self, session: MigrationSession) -> None:
        terms = session.terms
        examined = await self._preflight.examine(terms.jail, terms.target, terms.intent)
        if session.handle.operation.plan is None:
            session.handle.note(plan=examined.plan)
        examined.plan.require_clean()
        session.open(examined)
        session.handle.note(resumable=terms.resumable)

    async def _begin(self, session: MigrationSession) -> None:
        await session.write()
        session.handle.facts(migration=session.id)
        await session.connect()
        session.handle.note(bytes_total=session.expected())

    async def _until_it_may_be_frozen(self, session: MigrationSession) -> None:
        await self._precopy.until_it_fits(session)
        while not await self._cutover.may_give_away(session):
            session.rounds, session.fits = [], False  # what is written meanwhile is sent first
            await self._precopy.until_it_fits(session)

    # -- the way back

    async def _give_up(self, session: MigrationSession) -> None:
        """Undo all that was made here, and have the target undo what came there."""
        told = str(session.error or "tried; the jail was not moved")
        log, what = (self._log.warning, "aborted") if session.error else (self._log.info, "tested")
        log(f"migration {what}", jail=session.jail, migration=session.id, reason=told or repr(session.error))
        session.journal = msgspec.structs.replace(session.journal, phase=journals.Phase.ABORTED, message=told)
        await self._abort(session.journal)
        await self._events.emit(f"migration.{what}", session.target, told, migration=session.id)
        await self._drop_snapshots(session.journal)

    async def _drop_snapshots(self, journal: Journal) -> None:
        await self._sender.release_layers(journal.id, journal.offer.jail.layers)
        await MigrationSnapshots(self._zfs, self._inventory.where.jail(journal.jail)).aborted(journal)

    async def _abort(self, journal: Journal) -> None:
        """Journal that a migration was aborted and tell the target; if that cannot be done now, in the background."""
        untold = msgspec.structs.replace(journal, notified=False)
        try:
            await self._say_aborted(untold)
        except Exception as error:  # noqa: BLE001 -- whatever it was: it is said again until it is known
            self._log.warning("cannot tell yet", peer=journal.peer, migration=journal.id, error=str(error))
            self._supervisor.retry(
                f"abort of {journal.id}",
                lambda: self._say_aborted(untold),
                pause=_PAUSE,
                after=_PAUSE.first,
                target=f"jails/{journal.jail}",
            )

    async def _say_aborted(self, journal: Journal) -> None:
        await self._journals.put(journal)
        try:
            await self._home.peers.get(journal.peer).abort(journal.id)
        except JaildError as error:
            if error.reason == "PEER_UNKNOWN":  # taken out of the configuration: there is nobody to tell any more
                await self._journals.put(msgspec.structs.replace(journal, notified=True))
                return
            if error.reason != "MIGRATION_ACTIVATED":
                raise
            message = f"{journal.peer} runs it although it was never handed over: was it adopted there by force?"
            await self._events.emit("migration.two_owners", f"jails/{journal.jail}", message, migration=journal.id)
            journal = msgspec.structs.replace(journal, adopted=True)
        await self._journals.put(msgspec.structs.replace(journal, notified=True))

    # -- the jail's standbys

    def _hand_on(self, journal: Journal) -> None:
        """Tell the standbys of a jail, in the background, that it is the target's now: they believe it of nobody else.

        One that does not hear of it asks this host when its new owner speaks to it.
        """
        told = Supersession(
            jail=journal.jail,
            uid=journal.offer.jail.uid,
            epoch=journal.epoch,
            owner=journal.peer_id,
            owner_name=journal.peer,
        )
        for host in standbys_of(journal.offer.jail, journal.peer):
            name = f"tell {host} of {journal.id}"
            work, target = self._handing_on(told, host), f"jails/{journal.jail}"
            self._supervisor.retry(name, work, pause=_HANDED_ON, target=target)

    def _handing_on(self, told: Supersession, host: str) -> Callable[[], Awaitable[None]]:
        tries = itertools.count(1)

        async def say() -> None:
            try:
                await self._home.peers.get(host).standby.supersede(told)
            except JaildError as error:
                if next(tries) < _TRIES:
                    raise
                self._log.warning("a standby was not told", jail=told.jail, host=host, reason=error.reason)

        return say

    # -- what an earlier daemon has left

    def left(self, unfinished: Sequence[Operation]) -> frozenset[str]:
        """Return the ids of the operations that are gone on with."""
        return frozenset(journal.operation for journal in self._continued(unfinished))

    def _continued(self, operations: Sequence[Operation]) -> list[Journal]:
        """Return those that are gone on with where their last daemon left them: sending, or handed over."""
        resumable = {each.id for each in operations if not each.done and each.resumable}
        return [each for each in self._journals.outgoing() if each.operation in resumable and self._is_to_go_on(each)]

    def _is_to_go_on(self, journal: Journal) -> bool:
        entry = self._inventory.jails.get(journal.jail)
        if entry is None or entry.record is None:
            return False
        record, is_sending = entry.record, journal.phase is journals.Phase.SENDING
        is_here = record.state is Ownership.ACTIVE and record.epoch < journal.epoch
        return _is_moved(record, journal) or (is_sending and is_here)

    async def thaw(self, entry: JailEntry, record: JailRecord) -> None:
        """Make a jail that is found frozen active here again; `recover` tells the target."""
        await self._datasets.write(entry, advance(record, Ownership.ACTIVE, migration="", peer=""))
        journal = self._journals.find(record.migration, outgoing=True)
        if journal is not None:
            message = "the daemon ended before the commit point"
            aborted = msgspec.structs.replace(journal, phase=journals.Phase.ABORTED, notified=False, message=message)
            await self._journals.put(aborted)

    def recover(self, until_it_serves: UntilItServes, tell: Tell) -> None:
        """Go on with what has begun, and end what is given up, in the background.

        `until_it_serves` returns what waits until a jail has been started and may be given away, for this at most the
        seconds that it is told, and says False if the host goes down meanwhile; None if the jail serves already.
        """
        continued = {journal.id for journal in self._continued(self._operations.list())}
        for journal in self._journals.outgoing():
            if journal.id in continued:
                left = partial(self._journals.time_left, journal)
                is_sending = journal.phase is journals.Phase.SENDING
                wait = until_it_serves(journal.jail, left) if is_sending else None
                if wait is None:
                    self._go_on(journal, tell)
                    continue
                name = f"start before {_name(journal)}"  # its own: that may have to be ended when this is not over yet
                self._in_background(name, partial(self._go_on_after, wait, journal, tell), journal)
            elif journal.phase in _ON_THE_WAY or not journal.notified:
                self._in_background(_name(journal), partial(self._end, journal, tell), journal)

    def _in_background(self, name: str, work: Callable[[], Awaitable[None]], journal: Journal) -> None:
        self._supervisor.retry(name, work, pause=_PAUSE, target=f"jails/{journal.jail}")

    async def _go_on_after(self, wait: Wait, journal: Journal, tell: Tell) -> None:
        if await wait():
            self._go_on(journal, tell)

    def _go_on(self, journal: Journal, tell: Tell) -> None:
        async def work(handle: Handle) -> str:
            try:
                return f"migrations/{await self._resume(handle, journal)}"
            except JaildError:
                if self._journals.find(journal.id, outgoing=True) == journal:  # it could not even be taken up again
                    self._in_background(_name(journal), partial(self._end, journal, tell), journal)
                raise

        self._dispatcher.resume(journal.operation, work)

    async def _resume(self, handle: Handle, journal: Journal) -> str:
        entry, record = self._inventory.permitted(journal.jail, Intent.READ)
        session = self.session(handle, Terms(jail=journal.jail, target=journal.peer, resumable=True))
        session.take(entry, record, journal)
        if _is_moved(record, journal):
            await session.write(phase=journals.Phase.COMMITTED)
            await self._sagas.complete(self._saga, session)
            return self.moved(session)
        if session.time_left() == 0:  # whether or not the jail may be given away by now
            late = session.past_deadline()
            await self._sagas.give_up(self._saga, session, late, since=self._connect)
            raise late
        generation = self._inventory.owned(journal.jail, Intent.GIVE_AWAY).generation
        if any(report.name == "drain" for report in handle.operation.phases):  # it was told to, and serves
            await self._cutover.serves_on(session)
        offer = await self._preflight.offer(entry, record, generation, journal.offer)
        session.journal = msgspec.structs.replace(journal, offer=offer, epoch=record.epoch + 1)
        # Of layers that came whole before the crash nothing would let go any more.
        await self._sender.release_layers(journal.id, offer.jail.layers)
        newest = await MigrationSnapshots(self._zfs, entry.dataset).newest(journal.id)
        if newest is not None:
            session.number, session.pending = newest[0] + 1, newest[1]
        with self._under_way(session, journal.jail, journal.bandwidth):
            await self._sagas.carry_out(self._saga, session, since=self._connect)
        return self.moved(session)

    async def _end(self, journal: Journal, tell: Tell) -> None:
        """End what no operation goes on with: the target activates what it owns, and removes what it does not."""
        correlation.bind(migration=journal.id, jail=journal.jail)
        entry = self._inventory.jails.get(journal.jail)
        is_moved = entry is not None and entry.record is not None and _is_moved(entry.record, journal)
        if is_moved or journal.phase is journals.Phase.COMMITTED:
            await self._end_committed(msgspec.structs.replace(journal, phase=journals.Phase.COMMITTED))
            await tell(f"jail {journal.jail} moved to {journal.peer}, which acknowledged now")
            return
        await self._abort(msgspec.structs.replace(journal, phase=journals.Phase.ABORTED))
        if entry is not None:
            try:
                await self._drop_snapshots(journal)
            except JaildError as error:  # they are in sight, and dropped with the jail's next migration
                await tell(f"could not repair: {error}")

    async def _end_committed(self, journal: Journal) -> None:
        await self._journals.put(journal)
        answer = await self._home.peers.get(journal.peer).activate(journal.id, journal.epoch, journals.so_far(journal))
        done = msgspec.structs.replace(
            journal, phase=journals.Phase.ACTIVATED, healthy=answer.healthy, message=answer.message
        )
        await self._journals.put(done)
        self._hand_on(journal)


def _sending(
    name: str,
    do: Callable[[MigrationSession], Awaitable[None]],
    message: Callable[[MigrationSession], str],
    *,
    undo: Callable[[MigrationSession], Awaitable[None]] | None = None,
    when: Callable[[MigrationSession], bool] = lambda _: True,
) -> Phase[MigrationSession]:
    """Return a phase in which the jail serves: the next daemon goes on."""
    return Phase(
        name,
        do,
        undo=undo,
        message=message,
        resumable=True,
        within=MigrationSession.time_left,
        late=MigrationSession.past_deadline,
        when=when,
    )


def _down(
    name: str, do: Callable[[MigrationSession], Awaitable[None]], back: Back[MigrationSession], message: str
) -> Phase[MigrationSession]:
    """Return a phase in which the jail is down: only for as long as it was said to bear. "freeze" is on disk."""
    return Phase(
        name,
        do,
        stop=Stop.CANCEL,
        message=message,
        within=MigrationSession.down_time_left,
        late=MigrationSession.down_too_long,
        back=back,
        written=False,
    )


def _is_activating(session: MigrationSession) -> str:
    return f"{session.peer_name} starts the jail"


def _lacks_layers(session: MigrationSession) -> bool:
    return bool(session.missing_layers)


def _is_first(session: MigrationSession) -> bool:
    return session.number == 0


def _name(journal: Journal) -> str:
    return f"migration {journal.id} to {journal.peer}"


def _is_moved(record: JailRecord, journal: Journal) -> bool:
    return record.state is Ownership.MOVED and record.migration == journal.id
