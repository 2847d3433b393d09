"""The stretch in which the jail is down, and the commit point in it; then Activate, until it is acknowledged.

freeze ─► final increment ─► prepare, every guid compared ─► COMMIT ─► activate ─► fence
   ▲ thaw: on any failure before it                            │
   └───────────────────────────────────────────────────────────┘

What need not be done while the jail is down is done later: its run is removed when the other host has started it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec
import structlog

from jaild.engine import saga
from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.supervisor import BackOff
from jaild.jails.build import JailParts
from jaild.migration.precopy import Precopy
from jaild.migration.session import HANDOVER_TIMED_OUT, MigrationSession
from jaild.model.errors import JaildError
from jaild.model.jails import quotas
from jaild.model.jails.authority import Intent
from jaild.model.jails.ownership import advance
from jaild.model.jails.spec import Hooks
from jaild.model.layers.records import Ownership
from jaild.model.migration.budget import Parts, patience
from jaild.model.migration.journal import Phase, missed
from jaild.model.replication.policy import to_be_confirmed, vouching
from jaild.transfer.build import TransferParts
from jaild.transfer.snapshots import MigrationSnapshots

Work = Callable[[JailEntry], Awaitable[object]]
_AGAIN = 5.0  # seconds until a silent standby is asked again
_FLUSHED = 0.2  # seconds in which a flush is done where nothing has to be waited for
_START_AGAIN = BackOff(first=1.0, longest=30.0)
_LEAVE_AGAIN = BackOff(first=5.0, longest=600.0)  # somebody's shell in the jail's folder may stay there for long
_LEFT = frozenset({Ownership.MOVED, Ownership.FENCED})


class Cutover:
    """Stops the jail here and gives it away, or starts it again; cleans up what it leaves behind."""

    def __init__(self, engine: Engine, jails: JailParts, transfer: TransferParts, precopy: Precopy) -> None:
        self._inventory = engine.inventory
        self._clock = engine.ports.clock
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files
        self._datasets = jails.datasets
        self._runs = jails.runs
        self._hooks = jails.hooks
        self._precopy = precopy
        self._sole = transfer.sole
        self._dispatcher = engine.dispatcher
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._log = structlog.get_logger("jaild.cutover")

    async def may_give_away(self, session: MigrationSession) -> bool:
        """Ask the jail's standbys whether one has taken it over; False, after a pause, while one is silent."""
        silent = await self._sole.silent(session.jail)
        if not silent:
            session.handle.note(away=False)
            return True
        hosts = ", ".join(sorted(silent))
        session.handle.note(
            away=True,
            message=f"{hosts} does not answer, and may have taken the jail over; asked again in {_AGAIN:.0f} s; the "
            f'jail serves; if you know that none has: jailctl jail force-start {session.jail} --confirm "'
            f'{vouching(session.jail, silent)}"; to give up: jailctl operation cancel {session.handle.id}',
        )
        await self._clock.sleep(_AGAIN)
        return False

    # -- hooks, while it serves here

    def drain(self) -> saga.Phase[MigrationSession]:
        """Return the phase of the hooks before the stop. If the jail goes on here, those after its start are run."""
        return saga.Phase(
            "drain",
            self._drain,
            undo=self.serves_on,
            message="hooks before_stop",
            resumable=True,
            within=MigrationSession.time_left,
            late=MigrationSession.past_deadline,
            when=_drains,
        )

    async def _drain(self, session: MigrationSession) -> None:
        session.drained = await self._hooks.before_stop(session.jail, session.generation)

    async def serves_on(self, session: MigrationSession) -> None:
        """Say that the jail, which was told to drain, serves on here."""
        await self._hooks.serves_on(session.jail, session.generation)

    # -- freeze, and its undoing

    async def freeze(self, session: MigrationSession) -> None:
        """Write the intent down, then stop the jail."""
        await session.write(phase=Phase.FROZEN)
        frozen = advance(session.record, Ownership.FROZEN, migration=session.id, peer=session.peer_name)
        await self._datasets.write(session.entry, frozen)
        session.was_running = session.entry.run is not None and session.entry.run.running
        session.patience = patience(session.journal.max_downtime, session.journal.predicted or 0.0)
        session.frozen_at = self._clock.monotonic()
        await self._runs.stop(session.entry, session.generation.number)
        stopped = self._clock.monotonic()
        session.parts = Parts(before_stop=session.drained, stop=stopped - session.frozen_at)
        session.waits_until = stopped + session.patience

    async def thaw(self, session: MigrationSession) -> None:
        """Make the jail active here again if it was frozen, and start it if it ran: as soon as its datasets answer.

        If it was the last part that did not get through, it may be sent again.
        """
        down = 0.0 if session.frozen_at is None else self._clock.monotonic() - session.frozen_at
        await self._unfreeze(session)
        session.frozen_at = None
        if not isinstance(session.error, JaildError) or session.error.reason != HANDOVER_TIMED_OUT:
            return
        if session.entry.record is not None:
            session.record = session.entry.record
        session.connected, session.rounds, session.fits = False, [], False
        await session.write(phase=Phase.SENDING, thaws=session.journal.thaws + 1)
        session.handle.facts(thaws=session.journal.thaws)
        message = f"it was down for {down:.1f} s, and {session.peer_name} did not get the rest: it serves here again"
        await self._events.emit("migration.thawed", session.target, message, migration=session.id)

    async def _unfreeze(self, session: MigrationSession) -> None:
        if session.journal.phase is Phase.SENDING:
            return
        name = f"jail {session.jail} is made active here again"
        was_frozen = await self._supervisor.insist(
            name, lambda: self._made_active(session.entry), target=session.target
        )
        if was_frozen and session.was_running:
            await self._start_again(session.entry, session)
            if session.frozen_at is not None:
                session.handle.note(downtime=self._clock.monotonic() - session.frozen_at)

    async def _made_active(self, entry: JailEntry) -> bool:
        # The dataset is asked: a `zfs set` that failed may have been carried out.
        record = entry.record = await self._datasets.recorded(entry)
        if record.state is not Ownership.FROZEN:
            return False
        await self._datasets.write(entry, advance(record, Ownership.ACTIVE, migration="", peer=""))
        return True

    async def _start_again(self, entry: JailEntry, session: MigrationSession) -> None:
        try:
            await self._runs.ensure(entry, session.generation)
        except Exception as error:  # noqa: BLE001 -- whatever keeps it down: it is started as soon as it can be
            entry.message = f"it did not start again after a failed migration: {error}"
            await self._events.emit("jail.failed", session.target, f"{entry.message}; tried again")
            name = f"start of {entry.name} after a failed migration"
            self._supervisor.retry(name, lambda: self._start(entry), pause=_START_AGAIN, target=session.target)

    async def _start(self, entry: JailEntry) -> None:
        """Start it in its turn, unless somebody has done so, stopped it, or moved it away meanwhile."""
        async with self._dispatcher.exclusive(f"jails/{entry.name}"):
            await self._runs.boot(entry)
            if entry.generation is not None:
                await self._hooks.serves_on(entry.name, entry.generation)

    # -- while it is down

    async def last_increment(self, session: MigrationSession) -> None:
        """Send what was written since the last round."""
        began = self._clock.monotonic()
        await self._flush(session)
        flush = self._clock.monotonic() - began
        last = await self._precopy.round(session, urgent=True)
        session.parts = msgspec.structs.replace(session.parts, flush=flush, snapshot=last.snapshot, send=last.sending)

    async def _flush(self, session: MigrationSession) -> None:
        """Bring what processes wrote to mapped files to the file systems: a snapshot has only what those have."""
        folders = [session.entry.folder / dataset.path for dataset in session.journal.offer.jail.datasets]
        flushing = asyncio.ensure_future(self._files.flush(folders))
        try:
            await asyncio.wait({flushing}, timeout=_FLUSHED)
            if not flushing.done() and session.entry.record is not None:
                # OpenZFS before 2.2 waits for its next transaction group, 5 s apart: any `zfs set` brings it about.
                await self._datasets.write(session.entry, session.entry.record)
            await flushing
        finally:
            flushing.cancel()
            await asyncio.wait({flushing})

    async def prepare(self, session: MigrationSession) -> None:
        """Make the target compare every guid and write PREPARED: from here on it waits for this host's word."""
        await session.through(lambda: session.peer.prepare(session.id, session.journal.epoch, session.sent))

    async def commit(self, session: MigrationSession) -> None:
        """Give the jail away: one `zfs set` of its record. Not if somebody has taken it over since it was frozen."""
        _, record = self._inventory.permitted(session.jail, Intent.COMMIT)
        moved = advance(record, Ownership.MOVED, owner=session.journal.peer_id, epoch=session.journal.epoch)
        await self._datasets.write(session.entry, moved)
        await session.write(phase=Phase.COMMITTED)
        self._tell_committed(session)

    def _tell_committed(self, session: MigrationSession) -> None:
        """Tell it while the target starts the jail, which is down until then."""
        message = f"{session.peer_name} owns it from epoch {session.journal.epoch} on"
        emit = partial(self._events.emit, "migration.committed", session.target, message, migration=session.id)
        self._supervisor.retry(f"telling of the commit of {session.id}", emit, target=session.target)

    async def is_committed(self, session: MigrationSession) -> bool:
        """Ask the dataset itself: a `zfs set` that was interrupted may have been carried out."""
        record = await self._datasets.recorded(session.entry)
        session.entry.record = record
        if record.state is Ownership.MOVED:
            try:
                await session.write(phase=Phase.COMMITTED)
            except Exception as error:  # noqa: BLE001 -- the record itself is the truth; the journal only follows it
                self._log.warning("the journal cannot follow", migration=session.id, error=str(error))
        return record.state is Ownership.MOVED

    # -- the target owns it

    async def activate(self, session: MigrationSession) -> None:
        """Have the target start the jail. It is asked until it answers: a lost answer is resolved by asking again."""
        again = session.activating_since is not None
        if session.activating_since is None:
            session.activating_since = self._clock.monotonic()
        peer = session.home.peers.get(session.peer_name)
        answer = session.activated = await peer.activate(session.id, session.journal.epoch, session.so_far())
        if session.was_running and session.frozen_at is not None:
            # What the target took until the jail had started; not its health checks, nor the way of its answer. Its
            # parts are those of its last try: if it was away meanwhile, only since when the jail runs tells.
            here, there = session.activating_since - session.frozen_at, answer.parts
            waited = self._clock.monotonic() - session.activating_since
            downtime = here + (waited - min(answer.up, waited) if again and answer.up else min(there.downtime, waited))
            verify = max(here - session.parts.downtime, 0.0)
            parts = msgspec.structs.replace(
                session.parts,
                verify=verify,
                mounts=there.mounts,
                start=there.start,
                readiness=there.readiness,
                after_start=there.after_start,
            )
            session.journal = msgspec.structs.replace(session.journal, downtime=downtime, parts=parts)
            session.handle.note(downtime=downtime, rounds=session.journal.rounds)
        else:
            session.handle.note(rounds=session.journal.rounds)
        session.handle.facts(migration=session.id, healthy=str(answer.healthy).lower(), bytes=session.journal.bytes)

    async def leave(self, session: MigrationSession) -> None:
        """End the run here, and fence the copy that stays here."""
        await self.put_away(session.entry)
        if session.activated is not None:  # last: from then on the copy may become a standby's
            healthy, message = session.activated.healthy, session.activated.message
            await session.write(phase=Phase.ACTIVATED, healthy=healthy, message=message)
        if told := missed(session.journal):
            session.handle.facts(over_budget=told)
            await self._events.emit("migration.over_budget", session.target, told, migration=session.id)

    # -- what a jail leaves behind

    async def put_away(self, entry: JailEntry) -> None:
        """End the runs of a jail that is another host's now and fence its copy, now or as soon as that can be done."""
        await self._leave_behind(entry, self._runs.end_all, self._fence)

    async def fence(self, entry: JailEntry) -> None:
        """Fence what stays behind, now or as soon as that can be done."""
        await self._leave_behind(entry, self._fence)

    async def _fence(self, entry: JailEntry) -> None:
        """Make the copy that stays behind read-only and unmounted, and drop the rounds' snapshots but the last two.

        It has no quotas from then on, as every copy: what comes back may be more than it was.
        """
        datasets = [d.name for d in await self._zfs.datasets(entry.dataset)]
        failures: list[JaildError] = []

        async def attempt(work: Awaitable[object]) -> None:
            try:
                await work
            except JaildError as error:  # who uses one dataset keeps it mounted, and no other one writable
                failures.append(error)

        for dataset in reversed(datasets):
            await attempt(self._zfs.unmount(dataset))
        # Children first: one that is mounted at boot below a parent that is not leaves a folder in the way.
        for dataset in reversed(datasets):
            of_part = {} if dataset == entry.dataset else quotas.bounds_of(None).properties
            await attempt(self._zfs.set(dataset, {"canmount": "noauto", "readonly": "on", **of_part}))
        if not failures:  # all have it from the first one then, which opens all if the jail comes back
            for dataset in datasets[1:]:
                await attempt(self._zfs.inherit(dataset, "readonly"))
        snapshots = MigrationSnapshots(self._zfs, entry.dataset)
        await snapshots.thin()
        if _has_no_replica(entry):
            await snapshots.forget_rounds()
        if failures:
            raise failures[0]

    async def _leave_behind(self, entry: JailEntry, *works: Work) -> None:
        """Do all, in the jail's queue. What fails is told and retried in the background, until the jail is back."""
        failures = await self._tried(works, entry)
        if not failures:
            return
        for error in failures.values():
            await self._events.emit(
                "jail.cleanup-pending", f"jails/{entry.name}", f"it has left, but: {error}; tried again"
            )
        left = list(failures)

        async def go_on() -> None:
            async with self._dispatcher.exclusive(f"jails/{entry.name}"):
                if not self._is_away(entry):
                    return
                failures = await self._tried(left, entry)
                left[:] = failures
                for error in failures.values():
                    raise error
            await self._events.emit("jail.cleaned-up", f"jails/{entry.name}", "what was left here is put away now")

        name = f"tidying of {entry.name}"
        self._supervisor.drop(name)  # of an earlier stay: all of it is done again
        self._supervisor.retry(name, go_on, pause=_LEAVE_AGAIN, after=_LEAVE_AGAIN.first, target=f"jails/{entry.name}")

    def _is_away(self, entry: JailEntry) -> bool:
        here = self._inventory.jails.get(entry.name) is entry
        return here and entry.record is not None and entry.record.state in _LEFT

    async def _tried(self, works: Sequence[Work], entry: JailEntry) -> dict[Work, Exception]:
        """Return what could not be done, and why not. One that fails keeps none from being tried."""
        failures: dict[Work, Exception] = {}
        for work in works:
            try:
                await work(entry)
            except Exception as error:  # noqa: BLE001 -- whatever it was: it is done again
                self._log.warning("cannot put away yet", jail=entry.name, exc_info=error)
                failures[work] = error
        return failures


def _has_no_replica(entry: JailEntry) -> bool:
    """Whether nobody but the new owner keeps a copy of a jail that moved away, beside this one."""
    record, generation = entry.record, entry.generation
    if record is None or record.state is not Ownership.MOVED or generation is None:
        return False
    return not to_be_confirmed(record, generation.spec, record.peer)


def _drains(session: MigrationSession) -> bool:
    run = session.entry.run
    return run is not None and run.running and session.generation.spec.hooks != Hooks()
