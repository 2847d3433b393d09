"""Moving a jail to another host: the source's side, which drives. Read it as the list of phases that it is.

    preflight ─► layers ─► seed ─► precopy … ─► freeze ─► final ─► verify ─► prepare ─► COMMIT ─► activate
    └──────────────── any error: abort, the jail is active here as before ──────────┘      └─ retried for ever

The commit point is one `zfs set` of the jail's record: `moved, owner=target, epoch+1`. Before it this host owns the
jail whatever happens, after it the target does.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from jaild.domain.errors import AbortedError, DataLossError, FailedPreconditionError, JaildError
from jaild.domain.findings import Finding, Severity
from jaild.domain.journal import Journal, Phase
from jaild.domain.lifecycle import advance, require_changeable
from jaild.domain.migration import PROTOCOL, Again, Freeze, OverBudget, Round, after_round
from jaild.domain.peering import Acceptance, Activation, DatasetState, HostHello, Offer
from jaild.domain.plan import Plan
from jaild.domain.records import Generation, JailRecord, Ownership
from jaild.ports.clock import Clock
from jaild.ports.peer import Peer, Peers
from jaild.ports.zfs import Zfs
from jaild.service.events import Events
from jaild.service.index import Entry, Index
from jaild.service.jail_datasets import JailDatasets
from jaild.service.journals import Journals
from jaild.service.migration_snapshots import MigrationSnapshots, prefix
from jaild.service.notices import Notices
from jaild.service.offering import offer_of
from jaild.service.operations import Handle
from jaild.service.runs import Runs
from jaild.service.transfer import Transfer

FIXED_COST = 1.0  # seconds that any hand-over takes beside the last increment, until one has been measured


@dataclass
class Move:
    """One migration under way."""

    id: str
    entry: Entry
    record: JailRecord
    generation: Generation
    peer: Peer
    target: str  # the peer's configured name
    hello: HostHello
    offer: Offer
    journal: Journal
    transfer: Transfer
    states: dict[str, DatasetState] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    frozen_at: float | None = None  # monotonic
    was_running: bool = False


class MigrateOut:
    """Sends jails away. Runs in the jail's driver only."""

    def __init__(
        self,
        index: Index,
        zfs: Zfs,
        peers: Peers,
        journals: Journals,
        datasets: JailDatasets,
        runs: Runs,
        snapshots: MigrationSnapshots,
        notices: Notices,
        events: Events,
        clock: Clock,
    ) -> None:
        self._index = index
        self._zfs = zfs
        self._peers = peers
        self._journals = journals
        self._snapshots = snapshots
        self._notices = notices
        self._datasets = datasets
        self._runs = runs
        self._events = events
        self._clock = clock
        self._log = structlog.get_logger("jaild.migrate_out")

    async def preflight(self, name: str, target: str, migration: str = "") -> tuple[Plan, Offer, HostHello, Acceptance]:
        """Ask both sides whether the jail can move; nothing is changed on either."""
        entry, record = self._index.whole(name)
        require_changeable(record, self._index.host_id, name)
        if entry.generation is None:
            raise FailedPreconditionError("JAIL_NOT_READY", f"jail {name} has no generation yet", remedy="wait for it")
        peer = self._peers.get(target)
        hello = await peer.hello(self._index.host_id, self._index.host_name, PROTOCOL)
        findings = list(self._identity(hello, target))
        jail = await offer_of(self._index, self._zfs, entry, record, entry.generation)
        offer = Offer(
            migration=migration or uuid.uuid4().hex,
            source_id=self._index.host_id,
            source_name=self._index.host_name,
            jail=jail,
        )
        acceptance = await peer.preflight(offer) if not findings else Acceptance()
        plan = Plan(
            kind="migrate",
            target=f"jails/{name}",
            steps=_steps(acceptance, target),
            findings=(*findings, *acceptance.findings),
            from_generation=entry.generation.number,
            to_generation=entry.generation.number,
            base=entry.generation.base,
            release=entry.generation.release,
        )
        return plan, offer, hello, acceptance

    def _identity(self, hello: HostHello, target: str) -> Sequence[Finding]:
        self._index.host_names[hello.host_id] = target
        if hello.protocol != PROTOCOL:
            message = f"{target} speaks peer protocol {hello.protocol}, this host {PROTOCOL}"
            return [_error("PROTOCOL_MISMATCH", message, "bring both hosts to the same jaild")]
        if hello.host_id == self._index.host_id:
            return [_error("SAME_HOST", f"{target} is this host", "name another peer")]
        return []

    async def migrate(
        self, handle: Handle, name: str, target: str, *, max_downtime: float, proceed_over_budget: bool
    ) -> str:
        """Move the jail; return the migration's id. On failure it is active here as before."""
        with handle.cancellable():
            move = await self._begin(handle, name, target)
            try:
                await self._send_layers(handle, move)
                await self._precopy(handle, move, max_downtime, proceed=proceed_over_budget)
            except BaseException as error:
                await asyncio.shield(self._abort(handle, move, error))
                raise
        try:
            await self._freeze(handle, move)
            await self._final(handle, move)
            await handle.phase("handover", "the target prepares")
            guids = {path: state.snapshot_guids[-1] for path, state in move.states.items()}
            await move.peer.prepare(move.id, move.record.epoch + 1, guids)
            await self._commit(move)
        except BaseException as error:
            if not await asyncio.shield(self._committed(move)):
                await asyncio.shield(self._abort(handle, move, error))
                raise
            if isinstance(error, asyncio.CancelledError):
                raise  # the daemon stops; its successor sends Activate
            self._log.warning("the commit was made although it looked failed", migration=move.id, error=str(error))
        # In memory only: from the commit point on nothing of this host's may keep Activate from being sent.
        handle.note(phase="activate", message=f"{target} starts the jail")
        asked = self._clock.monotonic()
        activation = await self.activate(move.journal)
        blackout = None
        if move.was_running and move.frozen_at is not None:
            # What the target took until the jail had started; its gate, and the way of its answer, are no blackout.
            blackout = asked - move.frozen_at + min(activation.seconds, self._clock.monotonic() - asked)
        handle.note(blackout=blackout)
        handle.facts(migration=move.id, healthy=str(activation.healthy).lower(), bytes=move.journal.bytes)
        await self._close(move, activation, blackout)
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
        plan, offer, hello, _ = await self.preflight(name, target)
        handle.note(plan=plan)
        plan.require_clean()
        entry, record = self._index.whole(name)
        if entry.generation is None:
            raise TypeError(name)
        now = self._clock.now()
        journal = Journal(
            id=offer.migration,
            jail=name,
            outgoing=True,
            peer=target,
            phase=Phase.SENDING,
            offer=offer,
            epoch=record.epoch + 1,
            created=now,
            updated=now,
        )

        def count(size: int) -> None:
            move.journal = msgspec.structs.replace(move.journal, bytes=move.journal.bytes + size)
            handle.note(bytes_done=move.journal.bytes)

        peer = self._peers.get(target)
        transfer = Transfer(self._index, self._zfs, peer, offer.migration, count)
        move = Move(offer.migration, entry, record, entry.generation, peer, target, hello, offer, journal, transfer)
        handle.note(bytes_total=sum(d.size_bytes for d in offer.jail.datasets))
        try:
            await self._journals.put(journal)
            acceptance = await peer.begin(offer)
            move.journal = msgspec.structs.replace(journal, continued=bool(acceptance.datasets))
            await self._journals.put(move.journal)
            await self._snapshots.keep_common(name, acceptance.datasets)
        except BaseException as error:
            await asyncio.shield(self._abort(handle, move, error))
            raise
        move.states = {state.path: state for state in acceptance.datasets}
        for dataset in offer.jail.datasets:
            move.states.setdefault(dataset.path, DatasetState(path=dataset.path))
        move.offer = offer
        handle.facts(missing_layers=",".join(acceptance.missing_layers))
        return move

    async def _send_layers(self, handle: Handle, move: Move) -> None:
        missing = set(handle.operation.facts.get("missing_layers", "").split(","))
        for layer in move.offer.jail.layers:
            if layer.path in missing:
                await handle.phase("layers", f"sending {layer.path}")
                await move.transfer.layer(layer)

    async def _precopy(self, handle: Handle, move: Move, budget: float, *, proceed: bool) -> None:
        while True:
            number = len(move.rounds)
            await handle.phase("seed" if number == 0 else "precopy", f"round {number}")
            move.rounds.append(await self._round(move, f"{prefix(move.id)}{number}"))
            handle.note(rounds=len(move.rounds))
            decision = after_round(move.rounds, budget, self._journals.usual_blackout() or FIXED_COST)
            handle.note(predicted_blackout=decision.predicted)
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
                        resource=f"jails/{move.entry.name}",
                    )
                case Again():
                    continue

    async def _round(self, move: Move, tag: str) -> Round:
        began, sent = self._clock.monotonic(), 0
        root = self._index.where.jail(move.entry.name)
        for snapshot in await self._snapshots.take(move.entry.name, tag):
            path = snapshot.dataset.removeprefix(root).lstrip("/")
            state = move.states.get(path, DatasetState(path=path))
            sent += await move.transfer.dataset(move.entry.name, path, snapshot, state)
            move.states[path] = DatasetState(path=path, snapshot_guids=(*state.snapshot_guids, snapshot.guid))
        await self._journals.put(msgspec.structs.replace(move.journal, rounds=len(move.rounds) + 1))
        return Round(sent, self._clock.monotonic() - began)

    async def _freeze(self, handle: Handle, move: Move) -> None:
        await handle.phase("freeze", "stopping the jail")
        move.journal = msgspec.structs.replace(move.journal, phase=Phase.FROZEN, rounds=len(move.rounds))
        await self._journals.put(move.journal)
        frozen = advance(move.record, Ownership.FROZEN, migration=move.id, peer=move.target)
        await self._datasets.write(move.entry, frozen)
        move.was_running = move.entry.run is not None and move.entry.run.running
        move.frozen_at = self._clock.monotonic()
        await self._runs.stop(move.entry, move.generation.number)
        await self._runs.remove(move.entry, move.generation.number)

    async def _final(self, handle: Handle, move: Move) -> None:
        await handle.phase("final", "the last increment")
        await self._round(move, f"{prefix(move.id)}final")
        await handle.phase("verify", "comparing every guid")
        there = {state.path: state for state in (await move.peer.state(move.id)).datasets}
        for path, state in move.states.items():
            guids = there[path].snapshot_guids if path in there else ()
            if not guids or guids[-1] != state.snapshot_guids[-1]:
                raise DataLossError(
                    "GUID_MISMATCH",
                    f"{move.entry.name}/{path or '.'}: the target's newest snapshot is not the one that was sent",
                    remedy="nothing was handed over; look at the target's events, then migrate again",
                    detail={"sent": str(state.snapshot_guids[-1]), "there": str(guids[-1:] or "")},
                )

    async def _commit(self, move: Move) -> None:
        record = move.entry.record
        if record is None:
            raise TypeError(move.entry.name)
        moved = advance(record, Ownership.MOVED, owner=move.hello.host_id, epoch=move.record.epoch + 1)
        await self._datasets.write(move.entry, moved)
        move.journal = msgspec.structs.replace(move.journal, phase=Phase.COMMITTED)
        await self._journals.put(move.journal)
        message = f"{move.target} owns it from epoch {moved.epoch} on"
        await self._events.emit("migration.committed", f"jails/{move.entry.name}", message, migration=move.id)

    async def _committed(self, move: Move) -> bool:
        """Ask the dataset itself: a `zfs set` that was interrupted may have been carried out."""
        record = await self._datasets.recorded(move.entry.name)
        move.entry.record = record
        if record.state is Ownership.MOVED:
            move.journal = msgspec.structs.replace(move.journal, phase=Phase.COMMITTED)
            try:
                await self._journals.put(move.journal)
            except JaildError as error:  # the record itself is the truth; the journal only follows it
                self._log.warning("the journal cannot follow", migration=move.id, reason=error.reason)
        return record.state is Ownership.MOVED

    async def activate(self, journal: Journal) -> Activation:
        """Tell the target until it acknowledges; a lost answer is resolved by asking again, never by a timeout."""
        pause = 0.2
        while True:
            try:
                return await self._peers.get(journal.peer).activate(journal.id, journal.epoch)
            except JaildError as error:
                self._log.warning("not acknowledged yet", migration=journal.id, reason=error.reason, error=str(error))
            await self._clock.sleep(pause)
            pause = min(pause * 2, 10.0)

    async def _close(self, move: Move, activation: Activation, blackout: float | None) -> None:
        journal = msgspec.structs.replace(
            move.journal,
            phase=Phase.ACTIVATED,
            blackout=blackout,
            healthy=activation.healthy,
            message=activation.message,
        )
        await self._journals.put(journal)
        try:
            await self.fence(move.entry)
        except JaildError as error:  # the jail has moved; its copy here is fenced at the next start
            await self._events.emit("jail.untidy", f"jails/{move.entry.name}", f"after the migration: {error}")

    async def fence(self, entry: Entry) -> None:
        """Make the copy that stays behind read-only and unmounted, and drop the rounds' snapshots but the last."""
        root = self._index.where.jail(entry.name)
        datasets = [d.name for d in await self._zfs.datasets(root)]
        for dataset in reversed(datasets):
            await self._zfs.unmount(dataset)
        # Children first: one that is mounted at boot below a parent that is not leaves a folder in the way.
        for dataset in reversed(datasets):
            await self._zfs.set(dataset, {"canmount": "noauto", "readonly": "on"})
        await self._snapshots.thin(entry.name)

    async def _abort(self, handle: Handle, move: Move, error: BaseException) -> None:
        """Return to the state before: this host owns the jail, and starts it whether the target can be told or not."""
        name = move.entry.name
        reason = error.reason if isinstance(error, JaildError) else type(error).__name__
        self._log.warning("migration aborted", jail=name, migration=move.id, reason=reason)
        if move.entry.record is not None and move.entry.record.state is Ownership.FROZEN:
            await self._datasets.write(move.entry, advance(move.entry.record, Ownership.ACTIVE, migration="", peer=""))
            if move.was_running:
                await self._start_again(handle, move)
        move.journal = msgspec.structs.replace(move.journal, phase=Phase.ABORTED, message=str(error))
        await self._notices.tell(move.journal)
        await self._events.emit("migration.aborted", f"jails/{name}", str(error), migration=move.id)
        try:
            await self._snapshots.drop_rounds(move.journal)
        except JaildError as left:  # why it was aborted matters more
            await self._events.emit("jail.untidy", f"jails/{name}", f"snapshots of {move.id} are left: {left}")

    async def _start_again(self, handle: Handle, move: Move) -> None:
        try:
            await self._runs.ensure(move.entry, move.generation)
        except JaildError as error:
            move.entry.message = f"it did not start again after a failed migration: {error}"
            await self._events.emit("jail.failed", f"jails/{move.entry.name}", move.entry.message)
        if move.frozen_at is not None:
            handle.note(blackout=self._clock.monotonic() - move.frozen_at)


def _error(code: str, message: str, remedy: str) -> Finding:
    return Finding(severity=Severity.ERROR, code=code, message=message, remedy=remedy)


def _steps(acceptance: Acceptance, target: str) -> tuple[str, ...]:
    layers = tuple(f"send {path} to {target}" for path in acceptance.missing_layers)
    seed = "continue the copy that is there" if any(d.snapshot_guids for d in acceptance.datasets) else "send all data"
    return (
        *layers,
        seed,
        "send what changes meanwhile, until the rest fits the downtime budget",
        "stop the jail, send the last increment, compare every guid",
        f"hand over to {target}, start it there, health gate",
    )
