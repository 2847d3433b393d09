"""Replicas of this host's jails on their standbys: when a round is due, and an alarm where one is late.

    tick ─► due? ─► a round (`jaild.replication.round`)
               └── no answer, refused ──► tried again; behind its interval: an event, until it has caught up

A round gives way to whatever ends the jail's being here.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.engine.supervisor import BackOff
from jaild.jails.build import JailParts
from jaild.jails.volumes import REMOVE
from jaild.model.errors import JaildError
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import JailRecord
from jaild.model.replication.policy import due, wanted
from jaild.model.views import Caller, StandbyView
from jaild.replication.replicas import ReplicaStore
from jaild.replication.round import ReplicaStatus, ReplicationRound

CALLER = Caller(actor="standby")
_PAUSE = 1.0  # seconds between looks at what is due
_AGAIN = 10.0  # seconds after which a replica is tried to be withdrawn again
_WITHDRAWN = 5.0  # seconds that a host is given to say that it keeps none: others wait meanwhile
ENDING = frozenset({"delete", REMOVE, "migrate", "salvage", "promote", "adopt", "fence", "finalize"})


class Standbys:
    """Keeps the replicas of this host's jails up to date."""

    def __init__(self, engine: Engine, jails: JailParts, rounds: ReplicationRound, replica_store: ReplicaStore) -> None:
        self._inventory = engine.inventory
        self._peers = engine.ports.peers
        self._datasets = jails.datasets
        self._rounds = rounds
        self._replica_store = replica_store
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._clock = engine.ports.clock
        self._statuses: dict[tuple[str, str], ReplicaStatus] = {}
        self._under_way: dict[str, frozenset[str]] = {}  # rounds by their name, with the hosts that they speak to
        self._silent: dict[str, float] = {}  # hosts that did not withdraw a replica, and when (monotonic)
        self._log = structlog.get_logger("jaild.standby")

    # -- when

    def run(self) -> None:
        """Look after the replicas for ever, those of others' jails that are kept here included."""
        back_off = BackOff(_PAUSE, _PAUSE)  # one jail that cannot be looked at makes nobody else's rounds late
        self._supervisor.run("replicas of jails here", self.tick, every=_PAUSE, back_off=back_off)
        self._supervisor.run("replicas kept here", self._replica_store.look_at_ages, every=_PAUSE, back_off=back_off)

    async def tick(self) -> None:
        """Begin the rounds that are due, and tell of replicas that fall behind or have caught up.

        What keeps one jail from being looked at is raised when all others have been.
        """
        failure: Exception | None = None
        for entry in list(self._inventory.jails.values()):
            try:
                await self._look_at(entry)
            except Exception as error:  # noqa: BLE001 -- one jail that is sick harms no other
                self._log.warning("cannot look after its replicas", jail=entry.name, exc_info=error)
                failure = error
        if failure is not None:
            raise failure

    async def _look_at(self, entry: JailEntry) -> None:
        if not self._is_kept(entry):
            return
        hosts: list[str] = []
        if self._inventory.may(entry, Intent.REPLICATE):
            await self._agree(entry)
            hosts = [host for host in self._wanted(entry) if self._is_due(entry, host)]
        if not self._ends(entry.name):
            stalled = [host for host in hosts if self._status(entry, host).stalled]
            self._begin(entry, _round_of(entry.name), [host for host in hosts if host not in stalled])
            for host in stalled:
                self._begin(entry, _round_of(entry.name, host), [host])
        await self._look_at_ages(entry)

    def _begin(self, entry: JailEntry, name: str, hosts: Sequence[str]) -> None:
        if hosts:
            self._supervisor.retry(name, lambda: self._round(entry, name, hosts), target=f"jails/{entry.name}")

    async def settled(self) -> None:
        """Wait until no round is under way."""
        for entry in list(self._inventory.jails.values()):
            for name in self._rounds_under_way(entry.name):
                await self._supervisor.over(name)

    async def give_way(self, target: str) -> None:
        """End a round of a jail that is about to be moved, deleted or taken away from here."""
        for name in self._rounds_under_way(target.removeprefix("jails/")):
            await self._supervisor.end(name)

    def _rounds_under_way(self, jail: str) -> list[str]:
        hosts = [host for name, host in self._statuses if name == jail]
        return [_round_of(jail), *(_round_of(jail, host) for host in hosts)]

    def _is_kept(self, entry: JailEntry) -> bool:
        record = entry.record
        mine = record is not None and self._inventory.may(entry, Intent.RUN_ON) and record.generation != 0
        return mine and record is not None and bool(record.standbys or self._wanted(entry))

    def _wanted(self, entry: JailEntry) -> tuple[str, ...]:
        return wanted(entry.generation.spec if entry.generation is not None else None, self._inventory.host_name)

    def _interval(self, entry: JailEntry) -> float:
        standby = entry.generation.spec.standby if entry.generation is not None else None
        return standby.interval if standby is not None else 0.0

    def _status(self, entry: JailEntry, host: str) -> ReplicaStatus:
        return self._statuses.setdefault((entry.name, host), ReplicaStatus(since=self._clock.monotonic()))

    def _is_due(self, entry: JailEntry, host: str) -> bool:
        status, now = self._status(entry, host), self._clock.monotonic()
        age = math.inf if status.taken_at is None else now - status.taken_at
        return due(age, now - status.tried, self._interval(entry))

    def _ends(self, name: str) -> bool:
        return any(operation.kind in ENDING for operation in self._dispatcher.pending(f"jails/{name}"))

    async def _look_at_ages(self, entry: JailEntry) -> None:
        interval, now = self._interval(entry), self._clock.monotonic()
        for host in self._wanted(entry):
            status = self._status(entry, host)
            behind = now - status.reference > interval
            if behind != status.behind:
                status.behind = behind
                kind = "standby.behind" if behind else "standby.caught_up"
                old = f"{now - status.reference:.0f} s old, {interval:g} s are allowed"
                why = f"{old}: {status.message or 'its round takes longer'}" if behind else "in time again"
                await self._events.emit(kind, f"jails/{entry.name}", f"the replica on {host} is {why}", host=host)

    def views(self, entry: JailEntry) -> tuple[StandbyView, ...]:
        """Return how a jail's replicas are."""
        record = entry.record
        if record is None or not (record.replica or record.standbys or self._wanted(entry)):
            return ()  # as most have none: what is asked next takes ten times as long
        if record.replica is not None and not self._inventory.may(entry, Intent.RUN_ON):
            replica = record.replica
            behind = self._replica_store.age_of(entry.name, replica) > replica.interval
            return (StandbyView(host=record.peer, taken=replica.taken, interval=replica.interval, behind=behind),)
        if not self._is_kept(entry):
            return ()
        return tuple(
            StandbyView(
                host=host,
                taken=self._status(entry, host).taken,
                interval=self._interval(entry),
                behind=self._status(entry, host).behind,
                message=self._status(entry, host).message,
            )
            for host in self._wanted(entry)
        )

    # -- who

    async def _agree(self, entry: JailEntry) -> None:
        """Let the record name every host that may have a replica, before it gets one and until it has none."""
        record = entry.record
        if record is None or self._dispatcher.pending(f"jails/{entry.name}"):
            return
        hosts = set(self._wanted(entry))
        gone = set(record.standbys) - hosts
        withdrawn = {host for host in gone if await self._withdraw(entry, record, host)}
        named = tuple(sorted((set(record.standbys) | hosts) - withdrawn))
        if named == record.standbys:
            return

        async def work(_: Handle) -> str:
            if (current := entry.record) is not None and self._inventory.may(entry, Intent.REPLICATE):
                if not named:  # before the record forgets that there were any
                    await self._rounds.forget(entry)
                await self._datasets.write(entry, msgspec.structs.replace(current, standbys=named))
            return f"jails/{entry.name}"

        try:
            operation = await self._dispatcher.submit(f"jails/{entry.name}", "standby", CALLER, work)
            await self._operations.wait(operation.id)
        except JaildError as error:  # somebody else has work for the jail: it is looked at again
            self._log.info("standbys not written down yet", jail=entry.name, reason=error.reason)

    async def _withdraw(self, entry: JailEntry, record: JailRecord, host: str) -> bool:
        if host == self._inventory.host_name:
            return True
        if self._clock.monotonic() - self._silent.get(host, -math.inf) < _AGAIN:
            return False
        for name in self._rounds_under_way(entry.name):  # what one brings after it would be nobody's replica
            if host in self._under_way.get(name, ()):
                await self._supervisor.end(name)
        try:
            async with asyncio.timeout(_WITHDRAWN):
                await self._peers.get(host).standby.withdraw(entry.name, record.uid, record.epoch)
        except (JaildError, TimeoutError) as error:
            self._silent[host] = self._clock.monotonic()
            self._log.warning("replica not withdrawn yet", jail=entry.name, host=host, error=str(error))
            return isinstance(error, JaildError) and error.reason == "PEER_UNKNOWN"
        self._statuses.pop((entry.name, host), None)
        return True

    async def forget(self, name: str, record: JailRecord) -> None:
        """Withdraw the replicas of a jail that its owner has deleted, as far as their hosts can be reached."""
        for host in record.standbys:
            try:
                await self._peers.get(host).standby.withdraw(name, record.uid, record.epoch)
            except JaildError as error:
                message = (
                    f"{host} may still keep a replica ({error.reason}): "
                    f"delete it there if jailctl jail show {name} says there that it is a standby"
                )
                await self._events.emit("jail.cleanup-pending", f"jails/{name}", message)

    # -- a round

    async def _round(self, entry: JailEntry, name: str, hosts: Sequence[str]) -> None:
        everybody = {host: self._status(entry, host) for host in self._wanted(entry)}
        due_here = {host: everybody[host] for host in hosts if host in everybody}
        self._under_way[name] = frozenset(due_here)
        try:
            await self._rounds.carry_out(entry, due_here, everybody.values())
        except Exception as error:
            for host in hosts:
                self._status(entry, host).message = str(error)
            if not isinstance(error, JaildError):
                raise
        finally:
            del self._under_way[name]


def _round_of(jail: str, host: str = "") -> str:
    return f"standby round of {jail}" + (f" to {host}" if host else "")
