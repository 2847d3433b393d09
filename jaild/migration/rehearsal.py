"""The source's side of a rehearsal: a migration up to the last round before the freeze, then a clone over there.

    preflight ─► layers ─► seed ─► precopy … ─► the target boots a clone ─► abort, as of any migration

Nothing is frozen, so the jail serves all the time. It always ends by the abort, which a crash on either side leads to
as well: the target throws away what came, unless the copy was asked to be kept.
"""

from __future__ import annotations

import asyncio

import msgspec

from jaild.engine.operations import Handle
from jaild.migration.move import Move
from jaild.migration.precopy import Precopy
from jaild.migration.retreat import Retreat
from jaild.migration.session import Link
from jaild.model.errors import AbortedError, CancelledError
from jaild.model.findings import Finding, Severity
from jaild.model.jails.authority import Intent
from jaild.model.migration.budget import FIXED_COST, predict
from jaild.model.migration.journal import Journal, Phase
from jaild.model.migration.protocol import Rehearsed
from jaild.ports.clock import Clock
from jaild.ports.peer import Peers
from jaild.transfer.journal import Journals
from jaild.transfer.preflight import Preflight

OVER = "REHEARSAL_OVER"


class RehearseOut:
    """Tries migrations. Runs in the jail's queue only."""

    def __init__(
        self,
        preflight: Preflight,
        link: Link,
        precopy: Precopy,
        retreat: Retreat,
        peers: Peers,
        journals: Journals,
        clock: Clock,
    ) -> None:
        self._preflight = preflight
        self._link = link
        self._precopy = precopy
        self._retreat = retreat
        self._peers = peers
        self._journals = journals
        self._clock = clock

    async def rehearse(self, handle: Handle, name: str, target: str, *, max_downtime: float, keep_copy: bool) -> str:
        """Try a migration; return its id. `AbortedError` (REHEARSAL_FAILED) if the jail would not be healthy there."""
        with handle.cancellable():
            move = await self._accepted(handle, name, target, max_downtime)
            try:
                rehearsed = await self._carried_out(move, keep_copy=keep_copy)
            except BaseException as error:
                await asyncio.shield(self._retreat.abort(move, error))
                raise
            await asyncio.shield(self._retreat.abort(move, CancelledError(OVER, "tried; the jail was not moved")))
        if not rehearsed.healthy:
            raise _failed(move, rehearsed)
        return move.id

    async def _accepted(self, handle: Handle, name: str, target: str, budget: float) -> Move:
        await handle.phase("preflight", f"asking {target}")
        examined = await self._preflight.examine(name, target, Intent.REHEARSE)
        handle.note(plan=examined.plan)
        examined.plan.require_clean()
        now = self._clock.now()
        journal = Journal(  # of no operation that a successor goes on with: it aborts what it finds
            id=examined.offer.migration,
            jail=name,
            outgoing=True,
            peer=target,
            peer_id=examined.hello.host_id,
            phase=Phase.SENDING,
            offer=msgspec.structs.replace(examined.offer, rehearsal=True),
            epoch=examined.record.epoch + 1,
            max_downtime=budget,
            proceed_over_budget=True,
            created=now,
            updated=now,
        )
        await self._journals.put(journal)
        return Move(handle, examined.entry, examined.record, self._peers.get(target), journal)

    async def _carried_out(self, move: Move, *, keep_copy: bool) -> Rehearsed:
        move.handle.note(bytes_total=sum(d.size_bytes for d in move.journal.offer.jail.datasets))
        await move.handle.phase("connect", f"{move.target} begins")
        await self._link.through(move, _nothing)
        await self._precopy.layers(move)
        await self._precopy.until_it_fits(move)
        if keep_copy:  # before the target keeps its copy: that can only be continued from the snapshots that stay here
            move.journal = msgspec.structs.replace(move.journal, keep_copy=True)
            await self._journals.put(move.journal)
        await move.handle.phase("rehearse", f"{move.target} boots a clone and checks its health")
        rehearsed = await move.peer.rehearse(move.id, keep_copy=keep_copy)
        self._told(move, rehearsed, kept=keep_copy)
        return rehearsed

    def _told(self, move: Move, rehearsed: Rehearsed, *, kept: bool) -> None:
        """Put into the operation what was measured and found."""
        fixed = self._journals.usual_overhead(move.jail) or max(FIXED_COST, rehearsed.seconds)
        budget, predicted = move.journal.max_downtime, predict(move.rounds, fixed)
        plan = move.handle.operation.plan
        if plan is not None and predicted > budget:
            finding = Finding(
                severity=Severity.WARNING,
                code="DOWNTIME_OVER_BUDGET",
                message=f"the downtime is predicted at {predicted:.1f} s, {budget:.1f} s are allowed",
                subject=f"jails/{move.jail}",
                remedy="allow more, migrate when less is written, or say to proceed over budget",
            )
            plan = msgspec.structs.replace(plan, findings=(*plan.findings, finding))
        move.handle.note(plan=plan, predicted_downtime=predicted, message="the clone is gone again")
        move.handle.facts(
            healthy=str(rehearsed.healthy).lower(),
            predicted_downtime=f"{predicted:.2f} s",
            start=f"{rehearsed.seconds:.2f} s",
            sent_bytes=move.journal.bytes,
            copy=f"kept on {move.target}" if kept else "thrown away",
        )


def _failed(move: Move, rehearsed: Rehearsed) -> AbortedError:
    plan = move.handle.operation.plan
    return AbortedError(
        "REHEARSAL_FAILED",
        f"jail {move.jail} would not have become healthy on {move.target}: {rehearsed.message}",
        remedy=f"mend what the checks and the log say before you migrate; the jail goes on here, nothing of it is left "
        f"on {move.target} but bases and releases",
        resource=f"jails/{move.jail}",
        detail={"checks": rehearsed.checks, "log": rehearsed.log},
        findings=plan.findings if plan is not None else (),
    )


async def _nothing() -> None:
    """Be what is carried out when only the connection is wanted."""
