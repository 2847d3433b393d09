"""What is sent while the jail serves: layers that the target lacks, all data, then rounds of what changed meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.concurrency import for_each
from jaild.migration.session import MigrationSession
from jaild.model import quantity
from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.model.migration.budget import Again, Freeze, OverBudget, Round, after_round
from jaild.model.migration.forecast import NOTHING, FixedCost, fixed_cost
from jaild.model.migration.protocol import DatasetState, LayerOffer
from jaild.model.migration.streams import USELESS
from jaild.model.snapshots import Snapshot
from jaild.transfer.build import TransferParts
from jaild.transfer.snapshots import MigrationSnapshots

_T = TypeVar("_T")
_AT_ONCE = 4  # datasets sent side by side while the jail serves: of small ones most is waiting, also beside a large one
_WORTH_ASKING = 4  # datasets: so many sends of nothing take longer than one question about all


class Precopy:
    """Brings the target so near to the source that the rest fits the downtime budget."""

    def __init__(self, engine: Engine, transfer: TransferParts) -> None:
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files
        self._journals = transfer.journals
        self._sender = transfer.sender
        self._clock = engine.ports.clock
        self._log = structlog.get_logger("jaild.precopy")

    @staticmethod
    def told(session: MigrationSession) -> str:
        """Say how far it is."""
        told = f"round {session.journal.rounds + 1}"
        predicted, allowed = session.journal.predicted, session.journal.max_downtime
        if predicted is None:
            return told
        low = "at least " if session.journal.predicted_at_least else ""
        return f"{told}; downtime predicted to be {low}{predicted:.1f} s, {allowed:.1f} s are allowed"

    def fixed_cost(self, session: MigrationSession) -> FixedCost:
        """Return what the hand-over is expected to take beside the last increment."""
        run = session.entry.run
        if run is None or not run.running:
            return NOTHING
        moves = self._journals.outgoing()
        return fixed_cost(session.jail, session.peer_name, moves, session.entry.took, session.there)

    @staticmethod
    def next_layer(session: MigrationSession) -> str:
        """Say which layer is sent first."""
        return f"sending {session.missing_layers[0]}"

    async def layers(self, session: MigrationSession) -> None:
        """Send the bases and releases that the target lacks. They stay there, whatever comes of the migration."""
        offered = session.journal.offer.jail.layers
        lacking = [each for each in offered if each.path in session.missing_layers]
        async with self._sender.held_layers(session.id, lacking):
            for layer in lacking:
                session.handle.note(message=f"sending {layer.path}")
                await session.through(partial(self._layer, session, layer))

    async def _layer(self, session: MigrationSession, layer: LayerOffer) -> None:
        if layer.path in session.missing_layers:  # the answer that it had arrived may have been lost
            token = session.layer_tokens.get(layer.path, "")
            token = token and session.usable(token)
            await self._gone_on_with(session, token, lambda t: self._sender.layer(session, layer, t))

    async def seed(self, session: MigrationSession) -> None:
        """Send all data, or what the target's older copy has not.

        `FailedPreconditionError` (DOWNTIME_OVER_BUDGET), before that, if no round can make the downtime short enough.
        """
        fixed = self.fixed_cost(session)
        if fixed.seconds > session.journal.max_downtime and not session.journal.proceed_over_budget:
            raise _over_budget(session, fixed, fixed.seconds)
        await self._round_and_look(session, fixed)

    async def until_it_fits(self, session: MigrationSession) -> None:
        """Send rounds until the rest is predicted to fit the budget.

        `FailedPreconditionError` (DOWNTIME_OVER_BUDGET) if it never does, unless the caller said to proceed.
        """
        fixed = self.fixed_cost(session)
        while not session.fits:
            await self._round_and_look(session, fixed)

    async def _round_and_look(self, session: MigrationSession, fixed: FixedCost) -> None:
        session.handle.note(message=self.told(session))
        # What is in mapped files only is not counted as written: it would all be left for the last round.
        await self._files.flush([session.entry.folder / each.path for each in session.journal.offer.jail.datasets])
        session.rounds.append(await self.round(session))
        budget = session.journal.max_downtime
        if session.journal.proceed_over_budget:  # what more rounds make shorter, they still may
            budget = max(budget, fixed.seconds)
        written = await self._written(session)
        decision = after_round(session.rounds, budget, fixed.seconds, written)
        session.journal = msgspec.structs.replace(
            session.journal,
            predicted=decision.predicted,
            predicted_at_least=fixed.at_least,
            predicted_send=decision.predicted - fixed.seconds,
        )
        session.handle.note(
            rounds=session.journal.rounds,
            predicted_downtime=decision.predicted,
            predicted_at_least=fixed.at_least,
            rate=int(session.rounds[-1].bytes / max(session.rounds[-1].seconds, 1e-3)),
            bytes_total=session.journal.bytes + written if written else 0,
            message=self.told(session),
        )
        match decision:
            case Freeze():
                session.fits = True
            case OverBudget(predicted, rounds) if session.journal.proceed_over_budget:
                self._log.warning("going on over budget", predicted=predicted, rounds=rounds)
                session.fits = True
            case OverBudget(predicted, _):
                raise _over_budget(session, fixed, predicted)
            case Again():
                pass

    async def _written(self, session: MigrationSession) -> int | None:
        """Return what was written since the last round's snapshot, where ZFS tells."""
        if not (await self._zfs.capabilities()).written:
            return None
        return sum((await self._zfs.written(session.entry.dataset, session.whole)).values())

    async def round(self, session: MigrationSession, *, urgent: bool = False) -> Round:
        """Snapshot the jail, or take the snapshot that is not whole on the target yet, and bring the target to it.

        `urgent`: the jail is down; holds and older snapshots are seen to later, and what has not changed is not sent.
        """
        began, before = self._clock.monotonic(), session.journal.bytes
        root, own = session.entry.dataset, MigrationSnapshots(self._zfs, session.entry.dataset)
        found = await self._snapshot(session, own, hold=not urgent)
        taken = self._clock.monotonic()
        snapshots = {snapshot.dataset.removeprefix(root).lstrip("/"): snapshot for snapshot in found}
        session.sent = {path: snapshot.guid for path, snapshot in snapshots.items()}
        left = list(snapshots.items())
        idle = await self._idle(session, len(left)) if urgent else frozenset[str]()

        async def send(each: tuple[str, Snapshot]) -> None:
            await self._dataset(session, *each, urgent=urgent, idle=each[0] in idle)

        if not urgent:  # else all have come at least once: none has to wait for its parent
            await session.through(partial(send, left.pop(0)))
        at_once = len(left) if urgent else _AT_ONCE
        await session.through(lambda: for_each(left, send, at_once=at_once))
        session.whole, session.pending = session.pending, ""
        session.journal = msgspec.structs.replace(session.journal, rounds=session.journal.rounds + 1)
        seconds = self._clock.monotonic() - began
        if not urgent:  # else on disk with the commit
            await session.write()
            await own.supersede(session.id, session.whole)
        return Round(session.journal.bytes - before, seconds, snapshot=taken - began)

    async def _idle(self, session: MigrationSession, datasets: int) -> frozenset[str]:
        """Return the jail's parts in which ZFS says that nothing was written since the last round.

        To ask is a program that all wait for; else each has one that sends what turns out to be nothing.
        """
        if datasets < _WORTH_ASKING or not session.whole or not (await self._zfs.capabilities()).written:
            return frozenset()
        written = await self._zfs.written(session.entry.dataset, session.whole)
        root = session.entry.dataset
        idle = {dataset.removeprefix(root).lstrip("/") for dataset, size in written.items() if size == 0}
        return frozenset(idle - {""})

    async def _snapshot(self, session: MigrationSession, own: MigrationSnapshots, *, hold: bool) -> list[Snapshot]:
        if session.pending:
            found = await own.tagged(session.id, session.pending, hold=hold)
            if found:
                return found
        taken = await own.take(session.id, session.number, hold=hold)
        session.pending, session.number = taken[0].tag, session.number + 1
        return taken

    async def _dataset(
        self, session: MigrationSession, path: str, snapshot: Snapshot, *, urgent: bool, idle: bool
    ) -> None:
        state = session.states.get(path, DatasetState(path=path))
        before = session.arrived.get(path)
        if idle and before and before.tag == session.whole and state.snapshot_guids[-1:] == (before.guid,):
            session.sent[path] = before.guid  # it ends there with what it has
            return
        token = state.resume_token and session.usable(state.resume_token)

        async def send(token: str) -> Snapshot:
            there = msgspec.structs.replace(state, resume_token=token)
            return await self._sender.dataset(session, path, snapshot, there, before=before, urgent=urgent)

        last = await self._gone_on_with(session, token, send)
        others = tuple(guid for guid in state.snapshot_guids if guid != last.guid)
        session.states[path] = DatasetState(path=path, snapshot_guids=(*others, last.guid))
        session.arrived[path] = last
        session.sent[path] = last.guid

    async def _gone_on_with(self, session: MigrationSession, token: str, send: Callable[[str], Awaitable[_T]]) -> _T:
        """Send the rest of an interrupted stream, or the whole if the target cannot go on from the token."""
        try:
            return await send(token)
        except JaildError as error:
            if not token or error.reason not in USELESS:
                raise
            self._log.warning("sent anew", migration=session.id, reason=error.reason)
        session.distrust(token)
        return await send("")


def _over_budget(session: MigrationSession, fixed: FixedCost, predicted: float) -> FailedPreconditionError:
    allowed, low = session.journal.max_downtime, "at least " if fixed.at_least else ""
    told = f"the downtime is predicted to be {low}{predicted:.1f} s, {allowed:.1f} s are allowed"
    if fixed.seconds > allowed:
        told += f"; no round makes it shorter than {fixed.seconds:.1f} s: {fixed}"
    else:
        rounds = quantity.count(len(session.rounds), "round")
        told = f"after {rounds} {told}; beside the last increment it is {fixed.seconds:.1f} s: {fixed}"
    hint = fixed.hint(predicted, allowed)
    return FailedPreconditionError("DOWNTIME_OVER_BUDGET", told, hint=hint, resource=f"jails/{session.jail}")
