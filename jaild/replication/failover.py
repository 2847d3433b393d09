"""Making this host the owner of a jail by force: of a standby, an interrupted migration's copy, another pool's jail.

    the operator vouches, in words, for those who do not answer
        ▼
    check ─► CLAIMED ─► ask again ─► return to the last whole round ─► COMMIT: active here, with a much higher epoch
               │            └─ somebody owns or claims it: withdrawn      └─► the others told, opened, started
               └─ crash, error, cancelled: withdrawn, at the next start

The claim is written before the second question: of two hosts that claim at once, at least one sees the other's claim;
and a former owner that comes back asks before it starts the jail, and waits while there is a claim.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import msgspec

from jaild.engine import saga
from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.engine.saga import Completion, Phase, Pivot, Saga
from jaild.jails.build import JailParts
from jaild.migration.build import MigrationParts
from jaild.model import layout
from jaild.model.errors import AbortedError, FailedPreconditionError, JaildError
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import ForcedFailover, JailRecord, Ownership
from jaild.model.migration.journal import Journal
from jaild.model.migration.journal import Phase as Step
from jaild.model.migration.protocol import Activated
from jaild.model.replication.policy import Elsewhere, Orphaned, Owned, claimable, leap, moment
from jaild.model.snapshots import MIGRATION, Snapshot, whole
from jaild.replication.fencing import Fencing
from jaild.replication.replicas import ReplicaStore
from jaild.transfer.build import TransferParts

_COMING = frozenset({Ownership.INCOMING, Ownership.PREPARED})
# Seconds in which a host that is up has answered: a lost connection is tried again after 3.6 s at most (3 s of
# adapters/peers.py, and gRPC's fifth), a call waits for 5 s, and the host may be busy.
_DEAF = 8.0
_TRIES = 5  # at opening what was taken over: somebody may just have a look at its datasets
_PAUSE = 0.5  # seconds between tries, and between questions who has a jail
_NOT_STARTED = Activated(message="its start did not come to an end: see its events")


@dataclass(kw_only=True)
class _Attempt(saga.Attempt):
    """One failover under way."""

    entry: JailEntry
    record: JailRecord  # before
    said: str  # what the operator vouches for
    held: AsyncExitStack  # keeps the replica from being changed by a peer's call until it is this host's
    snapshots: dict[str, Snapshot] = field(default_factory=dict)  # what is returned to, by dataset
    highest: int = 0  # epoch that was heard of
    committed: JailRecord | None = None  # what is written, as soon as that is known
    activated: Activated = _NOT_STARTED

    @property
    def name(self) -> str:
        return self.entry.name

    def is_copy(self) -> bool:
        """Whether it is a replica or came by a migration; the jail of another host's pool is taken as it is."""
        return self.record.state is not Ownership.ACTIVE


class Failover:
    """Takes jails over on the operator's word, and knows what a crash left of that. Runs in the jail's queue only."""

    def __init__(
        self,
        engine: Engine,
        jails: JailParts,
        transfer: TransferParts,
        migration: MigrationParts,
        replica_store: ReplicaStore,
        fencing: Fencing,
    ) -> None:
        self._inventory = engine.inventory
        self._peers = engine.ports.peers
        self._zfs = engine.ports.zfs
        self._clock = engine.ports.clock
        self._sagas = engine.sagas
        self._recovery = engine.recovery
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._datasets = jails.datasets
        self._journals = transfer.journals
        self._keys = engine.keys
        self._offer_check = transfer.offer_check
        self._receiver = transfer.receiver
        self._sole = transfer.sole
        self._activation = migration.activation
        self._replica_store = replica_store
        self._fencing = fencing
        self._saga = Saga(
            "failover",
            before=(
                Phase("check", self._check, message="what would be started here"),
                Phase(
                    "claim",
                    self._claim,
                    undo=self._withdraw,
                    message="others that ask are told of it from here on",
                    when=_Attempt.is_copy,
                ),
                Phase("ask", self._ask, message="asking once more whether anybody has it"),
                Phase("return", self._return, message="to the last whole round, without what came after it"),
            ),
            pivot=Pivot("commit", self._commit, happened=self._is_committed),
            after=(
                Completion("settle", self._settle, message="this host owns it from here on"),
                Completion("tell", self._tell, message="the former owner, and those who keep a replica"),
                Completion("activate", self._activate, message="starting it"),
            ),
        )

    # -- what it can be

    async def examine(self, name: str, record: JailRecord) -> Owned | Elsewhere | Orphaned:
        """Ask everybody who may have the jail: all peers, and its standbys, also one that is no peer of this host.

        A peer counts as silent only after some seconds in which it was asked again and again: a call ends at once with
        "unreachable" while gRPC waits to make a lost connection anew, though the host answers by then.
        """
        peers = frozenset(self._peers.names())
        hosts = peers | self._sole.standbys(self._inventory.jail(name), record)
        answers, began = await self._sole.answers(name, record.uid, hosts), self._clock.monotonic()
        while isinstance(found := claimable(name, record, answers), Orphaned):
            silent = [host for host, known in answers.items() if known is None and host in peers]
            if not silent or self._clock.monotonic() - began >= _DEAF:
                break
            await self._clock.sleep(_PAUSE)
            answers |= await self._sole.answers(name, record.uid, silent)
        return found

    async def round_of(self, name: str, record: JailRecord) -> dict[str, Snapshot]:
        """Return the snapshots of the newest whole round, by dataset; of a prepared copy those it has prepared with.

        `FailedPreconditionError` (NOTHING_WHOLE, SNAPSHOTS_IN_USE: others keep what is later, and it is not the same).
        """
        root = self._inventory.where.jail(name)
        journal = self._came_by(record)
        sent = frozenset(journal.guids.values()) if journal is not None else frozenset()
        own = [s for s in await self._zfs.snapshots(root, recursive=True) if s.purpose or s.guid in sent]
        wanted = self._expected(name, record) or [d.name for d in await self._zfs.datasets(root)]
        by_dataset = {dataset: {s.tag: s for s in own if s.dataset == dataset} for dataset in wanted}
        prepared = {s.dataset: s for s in own if s.guid in sent} if record.state in _COMING else {}
        tag = record.replica.round if record.replica is not None and record.replica.round else ""
        if record.state in _COMING:
            tag = whole({d: [t for t, s in tags.items() if _came(s, sent)] for d, tags in by_dataset.items()}) or tag
        if record.state is Ownership.STANDBY and tag:
            # Another dataset is no part of the round: others made it, or it is left of a volume that its owner removed.
            # That the volumes are there which will be needed is looked at when that is known, see `_return`.
            needed = {self._inventory.where.part(name, path) for path in ("", layout.DATA)}
            by_dataset = {dataset: tags for dataset, tags in by_dataset.items() if tag in tags or dataset in needed}
        if prepared.keys() == set(wanted):  # what has not changed since the round before is not of the last one
            taken = prepared
        elif tag and all(tag in tags for tags in by_dataset.values()):
            taken = {dataset: tags[tag] for dataset, tags in by_dataset.items()}
        else:
            raise _nothing_whole(name)
        for snapshot in taken.values():
            await OwnedSnapshots(self._zfs, snapshot.dataset).require_returnable(snapshot)
        return taken

    def _came_by(self, record: JailRecord) -> Journal | None:
        """Return the journal of the migration that brings, or brought, this copy here; None of any other copy."""
        return self._journals.find(record.migration, outgoing=False) if record.migration else None

    def _expected(self, name: str, record: JailRecord) -> list[str]:
        journal = self._came_by(record)
        paths = (dataset.path for dataset in journal.offer.jail.datasets) if journal else ()
        return list(self._inventory.where.parts(name, paths).values())

    async def taken(self, name: str, record: JailRecord) -> float:
        """Return the time of what would be started: what was written later is lost; 0 if that is not known.

        `FailedPreconditionError` as of `round_of`.
        """
        if record.state is Ownership.ACTIVE:
            return 0.0
        snapshots = await self.round_of(name, record)
        if record.replica is not None and record.state is Ownership.STANDBY:
            return record.replica.taken
        return float(max(snapshot.created for snapshot in snapshots.values()))

    # -- carried out

    async def promote(self, handle: Handle, entry: JailEntry, record: JailRecord, said: str) -> None:
        """Own the jail, on the operator's word, and start it.

        `FailedPreconditionError` (CONFIRMATION_NEEDED) if more is to be vouched for by now than was `said`.
        """
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._replica_store.lock(entry.name))
            attempt = _Attempt(handle=handle, entry=entry, record=record, said=said, held=held)
            await self._sagas.carry_out(self._saga, attempt)
        activated = attempt.activated
        handle.facts(epoch=entry.record.epoch if entry.record else 0, healthy=str(activated.healthy).lower())
        if not activated.healthy:
            raise unhealthy(entry.name, activated.message)

    async def _check(self, attempt: _Attempt) -> None:
        entry, record = attempt.entry, attempt.record
        if entry.record is None or entry.record.state is not record.state:
            raise AbortedError(
                "JAIL_CHANGED",
                f"jail {entry.name} has changed meanwhile",
                hint="look at it again",
                resource=entry.name,
            )
        if attempt.is_copy():
            attempt.snapshots = await self.round_of(entry.name, record)
        self._require_layers(entry)

    def _require_layers(self, entry: JailEntry) -> None:
        here = {f"bases/{base}" for base in self._inventory.bases} | {
            f"apps/{release}" for release in self._inventory.releases
        }
        if missing := sorted(set(entry.layers) - here):
            raise FailedPreconditionError(
                "LAYERS_MISSING",
                f"jail {entry.name} needs {', '.join(missing)}, which never came here",
                hint="import or push them (the same content), then try again",
                resource=f"jails/{entry.name}",
            )

    async def _claim(self, attempt: _Attempt) -> None:
        await self._datasets.write(attempt.entry, advance(attempt.record, Ownership.CLAIMED))

    async def _withdraw(self, attempt: _Attempt) -> None:
        entry = attempt.entry
        entry.record = await self._datasets.recorded(entry)  # only the dataset knows whether it was claimed
        if entry.record.state is Ownership.CLAIMED:
            former = advance(entry.record, attempt.record.state)
            name = f"withdrawal of the claim on {entry.name}"
            await self._supervisor.insist(name, lambda: self._datasets.write(entry, former), target=attempt.target)

    async def _ask(self, attempt: _Attempt) -> None:
        found = orphaned(attempt.name, await self.examine(attempt.name, attempt.record))
        _require_said(attempt.name, found, attempt.said)
        attempt.highest = found.epoch

    async def _return(self, attempt: _Attempt) -> None:
        """Return to the round, and look at what would start: the generation in the copy itself, as it is then."""
        for snapshot in attempt.snapshots.values():
            await OwnedSnapshots(self._zfs, snapshot.dataset).return_if_changed(snapshot)
        generation = None if attempt.is_copy() else attempt.entry.generation  # of another host's pool: mounted
        if generation is None:
            generation = await self._receiver.generation_of_copy(attempt.name, attempt.record.generation)
            volumes = self._inventory.where.parts(attempt.name, generation.spec.volumes)
            if attempt.is_copy() and not set(volumes.values()) <= attempt.snapshots.keys():
                raise _nothing_whole(attempt.name)
        await self._offer_check.require_startable(attempt.name, generation)
        await self._keys.load(attempt.entry.dataset, generation.spec)

    async def _commit(self, attempt: _Attempt) -> None:
        entry, record = attempt.entry, attempt.record
        since = record.replica.taken if record.replica is not None else 0.0
        if record.state in _COMING:
            since = float(max((snapshot.created for snapshot in attempt.snapshots.values()), default=0))
        former = record.peer or self._inventory.host_names.get(record.owner, record.owner)
        others = tuple(sorted(self._sole.standbys(entry, record) - {former}))
        peers = self._peers.names()  # which of them it is, only they know, if nobody here knows the owner's name
        unnamed = () if former in peers else tuple(peer for peer in peers if peer not in others)
        attempt.committed = advance(
            entry.record or record,
            Ownership.ACTIVE,
            owner=self._inventory.host_id,
            epoch=leap(attempt.highest, self._inventory.host_id),
            migration="",
            peer="",
            replica=None,
            standbys=others,
            failover=ForcedFailover(host=former, at=self._clock.now(), since=since, untold=(former, *others, *unnamed)),
        )
        await self._datasets.write(entry, attempt.committed)

    async def _is_committed(self, attempt: _Attempt) -> bool:
        attempt.entry.record = record = await self._datasets.recorded(attempt.entry)
        return record == attempt.committed

    async def _settle(self, attempt: _Attempt) -> None:
        journal = self._came_by(attempt.record)
        if journal is not None:
            done = msgspec.structs.replace(journal, phase=Step.ACTIVATED, message="adopted by force")
            await self._journals.put(done)

    async def _tell(self, attempt: _Attempt) -> None:
        """Tell people, and the hosts that it concerns, whose it is now; these may speak about it again."""
        entry = attempt.entry
        await attempt.held.aclose()
        self._fencing.tell(entry)
        if entry.record is not None and entry.record.failover is not None:
            former, since = entry.record.failover.host, entry.record.failover.since
            attempt.handle.facts(from_host=former, lost_since=moment(since) if since else "unknown")
            lost = f"what {former} wrote after {moment(since)} is lost here" if since else "as it was on its pool"
            await self._events.emit("jail.promoted", attempt.target, f"from {former}; {lost}", former=former)

    async def _activate(self, attempt: _Attempt) -> None:
        entry = attempt.entry
        for left in reversed(range(_TRIES)):
            try:
                await self._open(entry)
            except JaildError as error:
                if not left:
                    entry.message = f"it was taken over, but cannot be opened: {error}"
                    why = f"{error}; a restart of the daemon tries it again"
                    attempt.activated = Activated(message=why)
                    return
                await self._clock.sleep(_PAUSE)
            else:
                break
        attempt.activated = await self._activation.start(entry, self._clock.monotonic())
        await self._datasets.keep_to_quotas(entry)  # last: it serves without them, and the next start sets them too

    async def _open(self, entry: JailEntry) -> None:
        """Make what was taken over writable and read it."""
        await self._activation.open_datasets(entry)
        await self._inventory.read_generations(entry)
        entry.layers = ()

    # -- what a daemon before this one has left

    async def recover(self, entry: JailEntry, record: JailRecord) -> bool:
        """Withdraw a claim: the jail can be asked for again. One that had been taken over is opened, to be started."""
        if record.state is Ownership.CLAIMED:
            message = f"withdrew the claim on jail {entry.name}: promote it again"
            await self._recovery.attempt(message, self._withdraw_claim(entry, record))
        elif record.state is Ownership.ACTIVE and record.failover is not None:
            await self._recovery.quietly(self._open(entry))
            await self._recovery.quietly(self._datasets.keep_to_quotas(entry))
        return False

    async def _withdraw_claim(self, entry: JailEntry, record: JailRecord) -> None:
        journal, former = self._came_by(record), Ownership.STANDBY
        if journal is not None:
            former = Ownership.PREPARED if journal.phase is Step.PREPARED else Ownership.INCOMING
        await self._datasets.write(entry, advance(record, former))


def _nothing_whole(name: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "NOTHING_WHOLE",
        f"of jail {name} no round has come whole: there is nothing to start",
        hint="look for another host that has it; what is here can be removed with jailctl jail rm",
        resource=f"jails/{name}",
    )


def _came(snapshot: Snapshot, sent: frozenset[int]) -> bool:
    return snapshot.guid in sent or snapshot.kind == MIGRATION


def orphaned(name: str, found: Owned | Elsewhere | Orphaned) -> Orphaned:
    """Raise `FailedPreconditionError` (OWNER_ANSWERS, JAIL_OWNED_ELSEWHERE) if somebody has the jail."""
    if not isinstance(found, Orphaned):
        raise elsewhere(name, found)
    return found


def _require_said(name: str, found: Orphaned, said: str) -> None:
    if not found.is_said_in(said):
        raise FailedPreconditionError(
            "CONFIRMATION_NEEDED",
            f"others answer, or are silent, than when you vouched for taking over {name}: it is as before",
            hint="look at them, then ask again: the refusal has the sentence that is true now",
            resource=f"jails/{name}",
            detail={"confirm": found.words},
        )


def unhealthy(name: str, why: str) -> AbortedError:
    """Return the error for a jail that was taken over and does not serve."""
    return AbortedError(
        "ACTIVATED_UNHEALTHY",
        f"jail {name} is this host's now, but did not pass its health checks: {why}",
        hint=f"look at it: jailctl jail logs {name}",
        resource=f"jails/{name}",
    )


def elsewhere(name: str, found: Owned | Elsewhere) -> JaildError:
    """Return why there is nothing to take over."""
    if isinstance(found, Owned):
        return FailedPreconditionError(
            "OWNER_ANSWERS",
            f"{found.host} answers: jail {name} is its own",
            hint=f"it hands it over: jailctl promote {name}, without --owner-is-down; or migrate it from there",
            resource=f"jails/{name}",
        )
    known = found.known
    claim = "is taking it over" if known.state == Ownership.CLAIMED else f"has it as {known.state}"
    return FailedPreconditionError(
        "JAIL_OWNED_ELSEWHERE",
        f"{found.host} {claim} (epoch {known.epoch}, owner {known.owner_name or known.owner or 'unknown'})",
        hint="the higher epoch is right: work with that host; two that claim at once both withdraw: try again on one",
        resource=f"jails/{name}",
        detail={"host": found.host, "epoch": str(known.epoch)},
    )
