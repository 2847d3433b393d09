"""Moving a jail to another host: the source's side, which drives. Read it as the list of phases that it is.

    preflight ─► connect ─► layers ─► seed ─► precopy … ─► freeze ─► final ─► verify ─► prepare ─► COMMIT ─► activate
    │               └─ link lost: wait, connect ─┘  ▲          └────── does not get through ──┘       └─ for ever
    │                                               └─────────────────────── thaw ────────────┘
    └───────────── any error, cancelled, past its deadline: abort, the jail is active here as before

The commit point is one `zfs set` of the jail's record: `moved, owner=target, epoch+1`. Before it this host owns the
jail whatever happens, after it the target does. A daemon that ends before the freeze leaves the migration as it is, and
its successor goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import structlog

from jaild.engine.inventory import Inventory
from jaild.engine.operations import Handle
from jaild.migration.cutover import Cutover
from jaild.migration.move import Move
from jaild.migration.notices import Notices
from jaild.migration.precopy import Precopy
from jaild.migration.retreat import Retreat
from jaild.migration.session import Link, past_deadline
from jaild.model.errors import AbortedError, DeadlineExceededError
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Ownership
from jaild.model.migration.budget import MAX_THAWS
from jaild.model.migration.journal import Journal, Phase, time_left
from jaild.model.phases import Stop
from jaild.ports.clock import Clock
from jaild.ports.peer import Peers
from jaild.transfer.journal import Journals
from jaild.transfer.preflight import Preflight
from jaild.transfer.snapshots import MigrationSnapshots


class MigrateOut:
    """Sends jails away. Runs in the jail's queue only."""

    def __init__(
        self,
        inventory: Inventory,
        preflight: Preflight,
        link: Link,
        precopy: Precopy,
        cutover: Cutover,
        retreat: Retreat,
        notices: Notices,
        peers: Peers,
        journals: Journals,
        snapshots: MigrationSnapshots,
        clock: Clock,
    ) -> None:
        self._inventory = inventory
        self._preflight = preflight
        self._link = link
        self._precopy = precopy
        self._cutover = cutover
        self._retreat = retreat
        self._notices = notices
        self._peers = peers
        self._journals = journals
        self._snapshots = snapshots
        self._clock = clock
        self._log = structlog.get_logger("jaild.migrate_out")

    async def migrate(
        self,
        handle: Handle,
        name: str,
        target: str,
        *,
        max_downtime: float,
        proceed_over_budget: bool,
        deadline: float | None = None,
    ) -> str:
        """Move the jail, within `deadline` seconds; return the migration's id. On failure it is here as before."""
        with handle.cancellable():
            await handle.phase("preflight", f"asking {target}")
            examined = await self._preflight.examine(name, target)
            handle.note(plan=examined.plan)
            examined.plan.require_clean()
        now = self._clock.now()
        journal = Journal(
            id=examined.offer.migration,
            jail=name,
            outgoing=True,
            peer=target,
            peer_id=examined.hello.host_id,
            phase=Phase.SENDING,
            offer=examined.offer,
            epoch=examined.record.epoch + 1,
            operation=handle.id,
            max_downtime=max_downtime,
            proceed_over_budget=proceed_over_budget,
            time_left=deadline or None,
            counted_at=self._clock.monotonic(),
            created=now,
            updated=now,
        )
        move = Move(handle, examined.entry, examined.record, self._peers.get(target), journal)
        return await self.carry_out(move, self._until_prepared)

    async def resume(self, handle: Handle, journal: Journal) -> str:
        """Go on with a migration that an earlier daemon left: before its freeze, or after its commit point."""
        entry, record = self._inventory.permitted(journal.jail, Intent.READ)
        if record.state is Ownership.MOVED and record.migration == journal.id:
            committed = msgspec.structs.replace(journal, phase=Phase.COMMITTED)
            await self._journals.put(committed)
            return await self._activate(Move(handle, entry, record, self._peers.get(journal.peer), committed))
        if time_left(journal, self._clock.monotonic()) == 0:  # whether or not the jail may be given away by now
            late = Move(handle, entry, record, self._peers.get(journal.peer), journal)
            error = past_deadline(late)
            await asyncio.shield(self._retreat.abort(late, error))
            raise error
        generation = self._inventory.owned(journal.jail, Intent.GIVE_AWAY).generation
        offer = await self._preflight.offer(entry, record, generation, journal.offer)
        move = Move(
            handle,
            entry,
            record,
            self._peers.get(journal.peer),
            msgspec.structs.replace(journal, offer=offer, epoch=record.epoch + 1),
        )
        # Of layers that came whole before the crash nothing would let go any more.
        await self._snapshots.release_layers(journal.id, offer.jail.layers)
        newest = await self._snapshots.newest(entry.name, journal.id)
        if newest is not None:
            move.number, move.pending = newest[0] + 1, newest[1]
        return await self.carry_out(move, self._until_prepared)

    async def carry_out(self, move: Move, until_prepared: Callable[[Move], Awaitable[None]]) -> str:
        """Give the jail away after `until_prepared` has brought it to where only the commit point is missing.

        On failure it is active here as before. Returns the migration's id.
        """
        try:
            with move.handle.cancellable():
                await until_prepared(move)
            # No await before it: who cancels now is told that it is too late.
            move.handle.enter("commit", stop=Stop.NEVER)
            await self._cutover.commit(move)
        except BaseException as error:
            # Whatever it was that failed: once the jail was frozen, only its record says whether it was given away.
            if move.journal.phase is not Phase.SENDING and await asyncio.shield(self._cutover.committed(move)):
                if isinstance(error, asyncio.CancelledError):
                    raise  # the daemon stops; its successor sends Activate
                self._log.warning("the commit was made although it looked failed", migration=move.id, error=str(error))
            elif _is_left(move, error):
                raise
            else:
                await asyncio.shield(self._retreat.abort(move, error))
                raise
        return await self._activate(move)

    async def _until_prepared(self, move: Move) -> None:
        """Come to where only the commit point is missing."""
        await self._journals.put(move.journal)
        move.handle.note(resumable=True, bytes_total=sum(d.size_bytes for d in move.journal.offer.jail.datasets))
        await move.handle.phase("connect", f"{move.target} begins")
        async with self._before_its_deadline(move):
            await self._link.through(move, _nothing)
            await self._precopy.layers(move)
            while not await self._prepared(move):
                if move.journal.thaws >= MAX_THAWS:
                    raise DeadlineExceededError(
                        "HANDOVER_TIMED_OUT",
                        f"jail {move.jail} was stopped {move.journal.thaws} times, and its last part did not get "
                        f"through to {move.target} within {move.patience:.1f} s: it serves here",
                        remedy="see why the link is slow or broken; then migrate again, or allow a longer downtime",
                        resource=f"jails/{move.jail}",
                    )

    async def _prepared(self, move: Move) -> bool:
        """Send until the rest fits, then stop the jail for it; False if it could not be, or had to be started again."""
        await self._precopy.until_it_fits(move)
        try:
            if not await self._cutover.freeze(move):
                move.rounds = []  # what is written meanwhile is sent first
                return False
            async with asyncio.timeout(move.patience):
                await self._cutover.last_increment(move)
                await self._cutover.prepare(move)
        except TimeoutError:
            await asyncio.shield(self._retreat.start_again(move))
            return False
        return True

    @asynccontextmanager
    async def _before_its_deadline(self, move: Move) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(time_left(move.journal, self._clock.monotonic())):
                yield
        except TimeoutError:
            raise past_deadline(move) from None

    async def _activate(self, move: Move) -> str:
        activation = await self._cutover.finish(move)
        self._notices.hand_on(move.journal)
        if not activation.healthy:
            raise AbortedError(
                "ACTIVATED_UNHEALTHY",
                f"jail {move.jail} is owned by {move.target} now, but did not pass its health checks there: "
                f"{activation.message}",
                remedy=f"look at it on {move.target}: jailctl jail logs {move.jail}; nothing is lost, it can be "
                "migrated back",
                resource=f"jails/{move.jail}",
            )
        return move.id


async def _nothing() -> None:
    """Be what is carried out when only the connection is wanted."""


def _is_left(move: Move, error: BaseException) -> bool:
    """Whether the daemon ends, and its successor goes on."""
    return isinstance(error, asyncio.CancelledError) and move.handle.is_left and move.journal.phase is Phase.SENDING
