"""What is sent while the jail serves: layers that the target lacks, all data, then rounds of what changed meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec
import structlog

from jaild.engine.gather import gather_or_cancel
from jaild.engine.inventory import Inventory
from jaild.migration.move import Move
from jaild.migration.session import Link
from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.model.migration.budget import FIXED_COST, Again, Freeze, OverBudget, Round, after_round
from jaild.model.migration.protocol import DatasetState, LayerOffer
from jaild.model.migration.streams import Version
from jaild.ports.clock import Clock
from jaild.ports.files import Files
from jaild.ports.zfs import Snapshot, Zfs
from jaild.transfer.journal import Journals
from jaild.transfer.sender import Transfer
from jaild.transfer.snapshots import MigrationSnapshots

_T = TypeVar("_T")
# What a receive says of a token that it cannot go on from: the stream is begun anew then.
_USELESS = frozenset(
    {
        "TOKEN_STALE",
        "STREAM_INVALID",
        "RECEIVE_OVERTAKEN",
        "STREAM_BASE_MISSING",
        "RECEIVE_INTERRUPTED",
        "DATASET_EXISTS",
    }
)


class Precopy:
    """Brings the target so near to the source that the rest fits the downtime budget."""

    def __init__(
        self,
        inventory: Inventory,
        zfs: Zfs,
        files: Files,
        journals: Journals,
        snapshots: MigrationSnapshots,
        link: Link,
        transfer: Transfer,
        clock: Clock,
    ) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._files = files
        self._journals = journals
        self._snapshots = snapshots
        self._link = link
        self._transfer = transfer
        self._clock = clock
        self._log = structlog.get_logger("jaild.precopy")

    async def layers(self, move: Move) -> None:
        """Send the bases and releases that the target lacks. They stay there, whatever comes of the migration."""
        offered = move.journal.offer.jail.layers
        async with self._snapshots.held_layers(move.id, [each for each in offered if each.path in move.missing_layers]):
            for layer in offered:
                if layer.path in move.missing_layers:
                    await move.handle.phase("layers", f"sending {layer.path}")
                    await self._link.through(move, partial(self._layer, move, layer))

    async def _layer(self, move: Move, layer: LayerOffer) -> None:
        if layer.path in move.missing_layers:  # the answer that it had arrived may have been lost
            token = move.usable(move.layer_tokens.get(layer.path, ""))
            await self._gone_on_with(move, token, lambda t: self._transfer.layer(move, layer, t))

    async def until_it_fits(self, move: Move) -> None:
        """Send rounds until the rest is predicted to fit the budget.

        `FailedPreconditionError` (DOWNTIME_OVER_BUDGET) if it never does, unless the caller said to proceed.
        """
        budget, proceed = move.journal.max_downtime, move.journal.proceed_over_budget
        while True:
            count = len(move.rounds)
            await move.handle.phase("seed" if move.number == 0 else "precopy", _told(move))
            # What is in mapped files only is not counted as written: it would all be left for the last round.
            await self._files.flush([move.entry.folder / each.path for each in move.journal.offer.jail.datasets])
            move.rounds.append(await self.round(move))
            fixed = self._journals.usual_overhead(move.jail) or FIXED_COST
            written = await self._written(move)
            decision = after_round(move.rounds, budget, fixed, written)
            move.journal = msgspec.structs.replace(move.journal, predicted=decision.predicted)
            move.handle.note(
                rounds=move.journal.rounds,
                predicted_downtime=decision.predicted,
                rate=int(move.rounds[-1].bytes / max(move.rounds[-1].seconds, 1e-3)),
                bytes_total=move.journal.bytes + (written or 0),
                message=_told(move),
            )
            match decision:
                case Freeze():
                    return
                case OverBudget(predicted, _) if proceed:
                    self._log.warning("going on over budget", predicted=predicted, rounds=count + 1)
                    return
                case OverBudget(predicted, rounds):
                    raise FailedPreconditionError(
                        "DOWNTIME_OVER_BUDGET",
                        f"after {rounds} rounds the downtime is still predicted at {predicted:.1f} s, "
                        f"{budget:.1f} s are allowed",
                        remedy="allow more, migrate when less is written, or say to proceed over budget",
                        resource=f"jails/{move.jail}",
                    )
                case Again():
                    continue

    async def _written(self, move: Move) -> int | None:
        """Return what was written since the last round's snapshot, where ZFS tells."""
        if not (await self._zfs.capabilities()).written:
            return None
        return await self._zfs.written(self._inventory.where.jail(move.jail), move.whole)

    async def round(self, move: Move, *, urgent: bool = False) -> Round:
        """Snapshot the jail, or take the snapshot that is not whole on the target yet, and bring the target to it.

        `urgent`: the jail is down; holds and older snapshots are seen to later.
        """
        began, before = self._clock.monotonic(), move.journal.bytes
        root = self._inventory.where.jail(move.jail)
        snapshots = {s.dataset.removeprefix(root).lstrip("/"): s for s in await self._snapshot(move, hold=not urgent)}
        move.sent = {path: snapshot.guid for path, snapshot in snapshots.items()}
        send = partial(self._dataset, move, urgent=urgent)
        if urgent:  # all have come at least once: none has to wait for its parent
            await self._link.through(move, lambda: gather_or_cancel(send(*each) for each in snapshots.items()))
        else:
            for each in snapshots.items():
                await self._link.through(move, partial(send, *each))
        move.whole, move.pending = move.pending, ""
        move.journal = msgspec.structs.replace(move.journal, rounds=move.journal.rounds + 1)
        await self._journals.put(move.journal)
        if not urgent:
            await self._snapshots.supersede(move.jail, move.id, move.whole)
        return Round(move.journal.bytes - before, self._clock.monotonic() - began)

    async def _snapshot(self, move: Move, *, hold: bool) -> list[Snapshot]:
        if move.pending:
            found = await self._snapshots.tagged(move.jail, move.id, move.pending, hold=hold)
            if found:
                return found
        taken = await self._snapshots.take(move.jail, move.id, move.number, hold=hold)
        move.pending, move.number = taken[0].tag, move.number + 1
        return taken

    async def _dataset(self, move: Move, path: str, snapshot: Snapshot, *, urgent: bool) -> None:
        state = move.states.get(path, DatasetState(path=path))
        token = move.usable(state.resume_token)

        async def send(token: str) -> None:
            there = msgspec.structs.replace(state, resume_token=token)
            before = move.arrived.get(path)
            await self._transfer.dataset(move, path, snapshot, there, before=before, urgent=urgent)

        await self._gone_on_with(move, token, send)
        others = tuple(guid for guid in state.snapshot_guids if guid != snapshot.guid)
        move.states[path] = DatasetState(path=path, snapshot_guids=(*others, snapshot.guid))
        move.arrived[path] = Version(snapshot.tag, snapshot.guid)

    async def _gone_on_with(self, move: Move, token: str, send: Callable[[str], Awaitable[_T]]) -> _T:
        """Send the rest of an interrupted stream, or the whole if the target cannot go on from the token."""
        try:
            return await send(token)
        except JaildError as error:
            if not token or error.reason not in _USELESS:
                raise
            self._log.warning("sent anew", migration=move.id, reason=error.reason)
        move.distrust(token)
        return await send("")


def _told(move: Move) -> str:
    told = f"round {move.journal.rounds}"
    if move.journal.predicted is None:
        return told
    return (
        f"{told}; downtime predicted at {move.journal.predicted:.1f} s, {move.journal.max_downtime:.1f} s are allowed"
    )
