"""Moving a jail to another host: the source's side, which drives. Read it as the list of phases that it is.

    preflight ─► layers ─► seed ─► precopy … ─► freeze ─► final ─► verify ─► prepare ─► COMMIT ─► activate
    └──────────────── any error: abort, the jail is active here as before ──────────┘      └─ retried for ever

The commit point is one `zfs set` of the jail's record: `moved, owner=target, epoch+1`. Before it this host owns the
jail whatever happens, after it the target does.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from jaild.domain.errors import AbortedError
from jaild.domain.journal import Journal, Phase
from jaild.domain.peering import DatasetState
from jaild.ports.clock import Clock
from jaild.ports.peer import Peers
from jaild.service.handover import HandOver
from jaild.service.journals import Journals
from jaild.service.migration_snapshots import MigrationSnapshots
from jaild.service.move import Move
from jaild.service.operations import Handle
from jaild.service.precopy import Precopy
from jaild.service.preflight import Preflight
from jaild.service.retreat import Retreat


class MigrateOut:
    """Sends jails away. Runs in the jail's driver only."""

    def __init__(
        self,
        preflight: Preflight,
        precopy: Precopy,
        handover: HandOver,
        retreat: Retreat,
        peers: Peers,
        journals: Journals,
        snapshots: MigrationSnapshots,
        clock: Clock,
    ) -> None:
        self._preflight = preflight
        self._precopy = precopy
        self._handover = handover
        self._retreat = retreat
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
    ) -> str:
        """Move the jail; return the migration's id. On failure it is active here as before."""
        with handle.cancellable():
            move = await self._begin(handle, name, target)
            try:
                await self._precopy.layers(move)
                await self._precopy.until_it_fits(move, max_downtime, proceed=proceed_over_budget)
            except BaseException as error:
                await asyncio.shield(self._retreat.abort(move, error))
                raise
        try:
            await self._handover.freeze(move)
            await self._handover.last_increment(move)
            await self._handover.prepare(move)
            await self._handover.commit(move)
        except BaseException as error:
            if not await asyncio.shield(self._handover.committed(move)):
                await asyncio.shield(self._retreat.abort(move, error))
                raise
            if isinstance(error, asyncio.CancelledError):
                raise  # the daemon stops; its successor sends Activate
            self._log.warning("the commit was made although it looked failed", migration=move.id, error=str(error))
        activation = await self._handover.finish(move)
        if not activation.healthy:
            raise AbortedError(
                "ACTIVATED_UNHEALTHY",
                f"jail {name} is owned by {target} now, but did not pass its health gate there: {activation.message}",
                remedy=f"look at it on {target}: jailctl jail logs {name}; nothing is lost, it can be migrated back",
                resource=f"jails/{name}",
            )
        return move.id

    async def _begin(self, handle: Handle, name: str, target: str) -> Move:
        await handle.phase("preflight", f"asking {target}")
        examined = await self._preflight.examine(name, target)
        handle.note(plan=examined.plan)
        examined.plan.require_clean()
        offer, now = examined.offer, self._clock.now()
        journal = Journal(
            id=offer.migration,
            jail=name,
            outgoing=True,
            peer=target,
            phase=Phase.SENDING,
            offer=offer,
            epoch=examined.record.epoch + 1,
            created=now,
            updated=now,
        )
        move = Move(
            handle=handle,
            entry=examined.entry,
            record=examined.record,
            generation=examined.generation,
            peer=self._peers.get(target),
            target=target,
            hello=examined.hello,
            offer=offer,
            journal=journal,
        )
        handle.note(bytes_total=sum(d.size_bytes for d in offer.jail.datasets))
        try:
            await self._journals.put(journal)
            acceptance = await move.peer.begin(offer)
            move.journal = msgspec.structs.replace(journal, continued=bool(acceptance.datasets))
            await self._journals.put(move.journal)
            await self._snapshots.keep_common(name, acceptance.datasets)
        except BaseException as error:
            await asyncio.shield(self._retreat.abort(move, error))
            raise
        move.states = {state.path: state for state in acceptance.datasets}
        for dataset in offer.jail.datasets:
            move.states.setdefault(dataset.path, DatasetState(path=dataset.path))
        move.missing_layers = acceptance.missing_layers
        return move
