"""Making this host the owner of a jail, from a standby, an interrupted migration, or another host's pool.

    ask all peers ──► one owns it: it hands over, as by a planned migration (nothing is lost)
        │ none does: the operator vouches, in words, for those who do not answer
        ▼
    CLAIMED ─► ask again ─► return to the last whole round ─► COMMIT: active here, with a much higher epoch
        │         └─ somebody owns or claims it: withdrawn             └─► started, the others told
        └─ crash, error: withdrawn, at the next start

The claim is written before the second question: of two hosts that claim at once, at least one sees the other's claim;
and a former owner that comes back asks before it starts the jail, and waits while there is a claim.
"""

from __future__ import annotations

import asyncio

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.jails.build import JailParts
from jaild.migration.build import MigrationParts
from jaild.model.errors import (
    AbortedError,
    DeadlineExceededError,
    FailedPreconditionError,
    JaildError,
    UnavailableError,
)
from jaild.model.jails.authority import Intent
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import Desired, ForcedFailover, JailRecord, Ownership
from jaild.model.migration.journal import Phase
from jaild.model.phases import Stop
from jaild.model.plan import Plan
from jaild.model.replication.policy import Elsewhere, Orphaned, Owned, claimable, leap, moment
from jaild.model.replication.protocol import HandingOver
from jaild.model.snapshots import MIGRATION, kind_of, whole
from jaild.ports.zfs import Snapshot
from jaild.replication.fencing import Fencing
from jaild.replication.replicas import ReplicaStore
from jaild.transfer.build import TransferParts

_COMING = frozenset({Ownership.INCOMING, Ownership.PREPARED})
# Seconds in which a host that is up has answered: a lost connection is tried again after 3.6 s at most (3 s of
# adapters/peers.py, and gRPC's fifth), a call waits for 5 s, and the host may be busy.
_DEAF = 8.0
_SILENCE = 30.0  # seconds without an answer in the middle of a hand-over
_TRIES = 5  # at opening what was taken over: somebody may just have a look at its datasets
_PAUSE = 0.5  # seconds between tries, between questions who has a jail, and how a hand-over goes


class Failover:
    """Takes jails over. Runs in the jail's queue only."""

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
        self._zfs = engine.ports.zfs
        self._peers = engine.ports.peers
        self._datasets = jails.datasets
        self._owned = engine.owned
        self._journals = transfer.journals
        self._replica_store = replica_store
        self._offer_check = transfer.offer_check
        self._copies = transfer.copies
        self._sole = transfer.sole
        self._fencing = fencing
        self._activation = migration.activation
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._clock = engine.ports.clock

    # -- what it can be

    def standby(self, name: str) -> tuple[JailEntry, JailRecord]:
        """Return a standby. `FailedPreconditionError` (JAIL_NOT_STANDBY) for anything else."""
        return self._inventory.permitted(name, Intent.PROMOTE)

    def adoptable(self, name: str) -> tuple[JailEntry, JailRecord]:
        """Return a jail that another host owns. `FailedPreconditionError` (NOT_ADOPTABLE) for anything else."""
        entry, record = self._inventory.permitted(name, Intent.ADOPT)
        if not record.peer:
            record = msgspec.structs.replace(record, peer=self._inventory.host_names.get(record.owner, record.owner))
        return entry, record

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
        """Return the snapshots of the newest whole round, by dataset.

        `FailedPreconditionError` (NOTHING_WHOLE, SNAPSHOTS_IN_USE: others keep what is later, and it is not the same).
        """
        root = self._inventory.where.jail(name)
        journal = self._journals.find(record.migration, outgoing=False) if record.migration else None
        sent = frozenset(journal.guids.values()) if journal is not None else frozenset()
        own = [s for s in await self._zfs.snapshots(root, recursive=True) if s.purpose or s.guid in sent]
        wanted = self._expected(name, record) or [d.name for d in await self._zfs.datasets(root)]
        by_dataset = {dataset: {s.tag: s for s in own if s.dataset == dataset} for dataset in wanted}
        tag = record.replica.round if record.replica is not None and record.replica.round else ""
        if record.state in _COMING:
            tag = whole({d: [t for t, s in tags.items() if _came(s, sent)] for d, tags in by_dataset.items()}) or tag
        if not tag or any(tag not in tags for tags in by_dataset.values()):
            raise FailedPreconditionError(
                "NOTHING_WHOLE",
                f"of jail {name} no round has come whole: there is nothing to start",
                remedy="look for another host that has it; what is here can be removed with jailctl jail rm",
                resource=f"jails/{name}",
            )
        taken = {dataset: tags[tag] for dataset, tags in by_dataset.items()}
        for snapshot in taken.values():
            await self._owned.require_returnable(snapshot)
        return taken

    def _expected(self, name: str, record: JailRecord) -> list[str]:
        journal = self._journals.find(record.migration, outgoing=False) if record.migration else None
        return [self._inventory.where.part(name, d.path) for d in journal.offer.jail.datasets] if journal else []

    def plan(self, name: str, kind: str, found: Owned | Elsewhere | Orphaned, since: float) -> Plan:
        """Say what would be done. `FailedPreconditionError` (JAIL_OWNED_ELSEWHERE)."""
        match found:
            case Owned(host):
                steps: tuple[str, ...] = (f"ask {host} to hand it over: last increment, stop there, start here",)
            case Orphaned(words):
                age = f", {self._clock.now() - since:.0f} s ago" if since else ""
                steps = (
                    f'take your word that "{words}"',
                    f"lose what was written after {moment(since) if since else 'the last hand-over'}{age}",
                    "own it with a higher epoch, start it here, tell the former owner until it knows",
                )
            case Elsewhere():
                raise elsewhere(name, found)
        return Plan(kind=kind, target=f"jails/{name}", steps=steps)

    # -- as planned

    async def hand_over(self, handle: Handle, name: str, host: str) -> None:
        """Let the owner migrate the jail here."""
        _, record = self._inventory.permitted(name, Intent.READ)
        await handle.phase("handover", f"{host} hands it over")
        told = await self._handed_over(handle, name, record.uid, host)
        if told.reason == "ACTIVATED_UNHEALTHY":
            raise unhealthy(name, told.message)
        if told.reason:
            raise AbortedError(
                "HAND_OVER_FAILED",
                f"{host} did not hand {name} over: {told.message} ({told.reason})",
                remedy=f"it has it as before: look at jailctl jail show {name} there",
                resource=f"jails/{name}",
            )
        handle.facts(from_host=host, lost="nothing")

    async def _handed_over(self, handle: Handle, name: str, uid: str, host: str) -> HandingOver:
        """Ask for it, and then how it goes, until it is over. `UnavailableError` (OWNER_UNREACHABLE)."""
        peer = self._peers.get(host).standby
        ask, answered = peer.hand_over, self._clock.monotonic()
        while True:
            try:
                told = await ask(name, uid, self._inventory.host_name, f"promote-{handle.id}")
            except (UnavailableError, DeadlineExceededError) as error:
                if self._serves(name):  # it fell silent after the commit
                    return HandingOver(done=True)
                if self._clock.monotonic() - answered > _SILENCE:
                    raise UnavailableError(
                        "OWNER_UNREACHABLE",
                        f"{host} does not answer any more: {error.message}",
                        remedy="the hand-over ends by itself, as every migration does; look at the jail in a minute",
                        resource=f"jails/{name}",
                    ) from error
            else:
                if told.done:
                    return told
                ask, answered = peer.handing_over, self._clock.monotonic()
                handle.note(message=f"{host}: {told.message}")
            await self._clock.sleep(_PAUSE)

    def _serves(self, name: str) -> bool:
        entry = self._inventory.jails.get(name)
        record = entry.record if entry is not None else None
        if entry is None or record is None or not self._inventory.may(entry, Intent.RUN_ON):
            return False
        return record.desired is Desired.STOPPED or (entry.run is not None and entry.run.running)

    # -- by force

    async def promote(self, handle: Handle, entry: JailEntry, record: JailRecord, said: str) -> None:
        """Own the jail, on the operator's word, and start it.

        `FailedPreconditionError` (CONFIRMATION_NEEDED) if more is to be vouched for by now than was `said`.
        """
        name = entry.name
        async with self._replica_store.lock(name):
            if entry.record is None or entry.record.state is not record.state:
                raise AbortedError(
                    "JAIL_CHANGED", f"jail {name} has changed meanwhile", remedy="look at it again", resource=name
                )
            foreign = record.state is Ownership.ACTIVE
            taken = {} if foreign else await self.round_of(name, record)
            self._require_layers(name, entry)
            if not foreign:
                await handle.phase("claim", "asking once more whether anybody has it")
                await self._datasets.write(entry, advance(record, Ownership.CLAIMED))
            try:
                found = orphaned(name, await self.examine(name, record))
                _require_said(name, found, said)
                for snapshot in taken.values():
                    await self._owned.return_if_changed(snapshot)
                await self._require_startable(entry, record)
                await self._commit(handle, entry, record, taken, found.epoch)
            except BaseException:
                await asyncio.shield(self._withdraw(entry, record))
                raise
        self._fencing.tell(entry)
        await self._opened(entry)
        activation = await self._activation.start(entry, self._clock.monotonic())
        handle.facts(epoch=entry.record.epoch if entry.record else 0, healthy=str(activation.healthy).lower())
        if not activation.healthy:
            raise unhealthy(name, activation.message)

    async def _require_startable(self, entry: JailEntry, record: JailRecord) -> None:
        """Look at what would start: the generation in the copy itself, as it is after the return to its last round."""
        generation = entry.generation if record.state is Ownership.ACTIVE else None  # of another host's pool: mounted
        if generation is None:
            generation = await self._copies.generation(entry.name, record.generation)
        await self._offer_check.require_startable(entry.name, generation)

    def _require_layers(self, name: str, entry: JailEntry) -> None:
        here = {f"bases/{base}" for base in self._inventory.bases} | {
            f"apps/{release}" for release in self._inventory.releases
        }
        if missing := sorted(set(entry.layers) - here):
            raise FailedPreconditionError(
                "LAYERS_MISSING",
                f"jail {name} needs {', '.join(missing)}, which never came here",
                remedy="import or push them (the same content), then try again",
                resource=f"jails/{name}",
            )

    async def _commit(
        self, handle: Handle, entry: JailEntry, record: JailRecord, taken: dict[str, Snapshot], highest: int
    ) -> None:
        await handle.phase("commit", "this host owns it from here on", Stop.NEVER)
        current = entry.record or record
        since = record.replica.taken if record.replica is not None else 0.0
        if record.state in _COMING:
            since = float(max((snapshot.created for snapshot in taken.values()), default=0))
        former = record.peer or self._inventory.host_names.get(record.owner, record.owner)
        others = tuple(sorted(self._sole.standbys(entry, record) - {former}))
        mine = advance(
            current,
            Ownership.ACTIVE,
            owner=self._inventory.host_id,
            epoch=leap(highest, self._inventory.host_id),
            migration="",
            peer="",
            replica=None,
            standbys=others,
            failover=ForcedFailover(host=former, at=self._clock.now(), since=since, untold=(former, *others)),
        )
        await self._datasets.write(entry, mine)
        if record.migration and (journal := self._journals.find(record.migration, outgoing=False)) is not None:
            message = "adopted by force"
            await self._journals.put(msgspec.structs.replace(journal, phase=Phase.ACTIVATED, message=message))
        lost = f"what {former} wrote after {moment(since)} is lost here" if since else "as it was on its pool"
        handle.facts(from_host=former, lost_since=moment(since) if since else "unknown")
        await self._events.emit("jail.promoted", f"jails/{entry.name}", f"from {former}; {lost}", former=former)

    async def _withdraw(self, entry: JailEntry, record: JailRecord) -> None:
        """Go back to what it was, unless it is this host's already: only the dataset knows."""
        now = await self._datasets.recorded(entry)
        entry.record = now
        if now.state is Ownership.CLAIMED:
            former = advance(now, record.state)
            name = f"withdrawal of the claim on {entry.name}"
            await self._supervisor.insist(
                name, lambda: self._datasets.write(entry, former), target=f"jails/{entry.name}"
            )

    async def _opened(self, entry: JailEntry) -> None:
        for left in reversed(range(_TRIES)):
            try:
                await self.finish(entry)
            except JaildError as error:
                if not left:
                    entry.message = f"it was taken over, but cannot be opened: {error}"
                    raise unhealthy(entry.name, f"{error}; a restart of the daemon tries it again") from error
                await self._clock.sleep(_PAUSE)
            else:
                return

    async def finish(self, entry: JailEntry) -> None:
        """Make what was taken over writable and read it: after the commit, and after a crash that followed it."""
        await self._activation.open_datasets(entry)
        await self._inventory.read_generations(entry)
        entry.layers = ()

    async def unclaim(self, entry: JailEntry) -> None:
        """Withdraw a claim that a crash left."""
        if entry.record is None:
            return
        journal = self._journals.find(entry.record.migration, outgoing=False) if entry.record.migration else None
        former = Ownership.STANDBY
        if journal is not None:
            former = Ownership.PREPARED if journal.phase is Phase.PREPARED else Ownership.INCOMING
        await self._datasets.write(entry, advance(entry.record, former))


def _came(snapshot: Snapshot, sent: frozenset[int]) -> bool:
    return snapshot.guid in sent or kind_of(snapshot.purpose) == MIGRATION


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
            remedy="look at them, then ask again: the refusal has the sentence that is true now",
            resource=f"jails/{name}",
            detail={"confirm": found.words},
        )


def unhealthy(name: str, why: str) -> AbortedError:
    """Return the error for a jail that was taken over and does not serve."""
    return AbortedError(
        "ACTIVATED_UNHEALTHY",
        f"jail {name} is this host's now, but did not pass its health checks: {why}",
        remedy=f"look at it: jailctl jail logs {name}",
        resource=f"jails/{name}",
    )


def elsewhere(name: str, found: Owned | Elsewhere) -> JaildError:
    """Return why there is nothing to take over."""
    if isinstance(found, Owned):
        return FailedPreconditionError(
            "OWNER_ANSWERS",
            f"{found.host} answers: jail {name} is its own",
            remedy=f"it hands it over: jailctl promote {name}, without --owner-is-down; or migrate it from there",
            resource=f"jails/{name}",
        )
    known = found.known
    claim = "is taking it over" if known.state == Ownership.CLAIMED else f"has it as {known.state}"
    return FailedPreconditionError(
        "JAIL_OWNED_ELSEWHERE",
        f"{found.host} {claim} (epoch {known.epoch}, owner {known.owner_name or known.owner or 'unknown'})",
        remedy="the higher epoch is right: work with that host; two that claim at once both withdraw: try again on one",
        resource=f"jails/{name}",
        detail={"host": found.host, "epoch": str(known.epoch)},
    )
