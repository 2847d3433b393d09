"""What is sent while the jail serves: layers that the target lacks, all data, then rounds of what changed meanwhile."""

from __future__ import annotations

import msgspec
import structlog

from jaild.domain.errors import FailedPreconditionError
from jaild.domain.migration import Again, Freeze, OverBudget, Round, after_round
from jaild.domain.peering import DatasetState
from jaild.ports.clock import Clock
from jaild.service.index import Index
from jaild.service.journals import Journals
from jaild.service.migration_snapshots import MigrationSnapshots, prefix
from jaild.service.move import Move
from jaild.service.transfer import Transfer

FIXED_COST = 1.0  # seconds that any hand-over takes beside the last increment, until one has been measured


class Precopy:
    """Brings the target so near to the source that the rest fits the downtime budget."""

    def __init__(
        self,
        index: Index,
        journals: Journals,
        snapshots: MigrationSnapshots,
        transfer: Transfer,
        clock: Clock,
    ) -> None:
        self._index = index
        self._journals = journals
        self._snapshots = snapshots
        self._transfer = transfer
        self._clock = clock
        self._log = structlog.get_logger("jaild.precopy")

    async def layers(self, move: Move) -> None:
        """Send the bases and releases that the target lacks. They stay there, whatever comes of the migration."""
        for layer in move.offer.jail.layers:
            if layer.path in move.missing_layers:
                await move.handle.phase("layers", f"sending {layer.path}")
                await self._transfer.layer(move, layer)

    async def until_it_fits(self, move: Move, budget: float, *, proceed: bool) -> None:
        """Send rounds until the rest is predicted to fit `budget` seconds.

        `FailedPreconditionError` (BLACKOUT_OVER_BUDGET) if it never does, unless the caller said to `proceed`.
        """
        while True:
            number = len(move.rounds)
            await move.handle.phase("seed" if number == 0 else "precopy", f"round {number}")
            move.rounds.append(await self.round(move, f"{prefix(move.id)}{number}"))
            move.handle.note(rounds=len(move.rounds))
            decision = after_round(move.rounds, budget, self._journals.usual_blackout() or FIXED_COST)
            move.handle.note(predicted_blackout=decision.predicted)
            match decision:
                case Freeze():
                    return
                case OverBudget(predicted, rounds) if proceed:
                    self._log.warning("going on over budget", predicted=predicted, rounds=rounds)
                    return
                case OverBudget(predicted, rounds):
                    raise FailedPreconditionError(
                        "BLACKOUT_OVER_BUDGET",
                        f"after {rounds} rounds the blackout is still predicted at {predicted:.1f} s, "
                        f"{budget:.1f} s are allowed",
                        remedy="allow more, migrate when less is written, or say to proceed over budget",
                        resource=f"jails/{move.jail}",
                    )
                case Again():
                    continue

    async def round(self, move: Move, tag: str) -> Round:
        """Snapshot the jail and bring the target to it."""
        began, sent = self._clock.monotonic(), 0
        root = self._index.where.jail(move.jail)
        for snapshot in await self._snapshots.take(move.jail, tag):
            path = snapshot.dataset.removeprefix(root).lstrip("/")
            state = move.states.get(path, DatasetState(path=path))
            sent += await self._transfer.dataset(move, path, snapshot, state)
            move.states[path] = DatasetState(path=path, snapshot_guids=(*state.snapshot_guids, snapshot.guid))
        await self._journals.put(msgspec.structs.replace(move.journal, rounds=len(move.rounds) + 1))
        return Round(sent, self._clock.monotonic() - began)
