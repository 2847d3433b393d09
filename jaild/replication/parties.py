"""The one place that every call of a peer passes: only a party to a jail may speak about it.

said ─► in its own name? ─► a party by this host's records? ─► else: does a party vouch for it? ─► else: NOT_A_PARTY

The name in the certificate is the only authority for who speaks. What a host asks about that nobody here has a say in
(a jail that is not here, a migration that is unknown) passes: it can do nothing to anything that is here.
"""

from __future__ import annotations

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.model.layers.records import JailRecord, Ownership
from jaild.model.migration import party
from jaild.model.migration.party import About, Arriving, Introduction, Leaving, Replicated, Ties, Wanted
from jaild.model.migration.protocol import Offer
from jaild.model.replication.protocol import ReplicaOffer, Supersession
from jaild.replication.replicas import ReplicaStore
from jaild.transfer.build import TransferParts

_HOPS = 8  # how far a jail is followed from host to host
_TOLD = 1000  # refusals that are remembered as told
# Copies that only their owner, or who is known to have become it, may bring on.
_COPIES = frozenset({Ownership.MOVED, Ownership.STANDBY, Ownership.CLAIMED, Ownership.INCOMING, Ownership.PREPARED})


class Parties:
    """Decides who may speak."""

    def __init__(self, engine: Engine, transfer: TransferParts, replica_store: ReplicaStore) -> None:
        self._inventory = engine.inventory
        self._peers = engine.ports.peers
        self._journals = transfer.journals
        self._sole = transfer.sole
        self._replica_store = replica_store
        self._hosts = transfer.hosts
        self._events = engine.events
        self._told: dict[tuple[str, str], None] = {}

    async def require_party(self, speaker: str, about: About) -> None:
        """Let a host say what it says. `PermissionDeniedError` (PEER_MISMATCH, NOT_A_PARTY, HOST_ID_TAKEN)."""
        match about:
            case Introduction(host_id, host_name):
                party.require_itself(speaker, host_name)
                await self._hosts.learn(speaker, host_id)
            case Offer():
                party.require_itself(speaker, about.source_name)
                await self._require_source(speaker, about)
                await self._hosts.learn(speaker, about.source_id)
            case Arriving(migration):
                self._require_one_of(speaker, migration, self._sources(migration))
            case Leaving(migration):
                self._require_one_of(speaker, migration, self._targets_of(migration))
            case ReplicaOffer():
                party.require_itself(speaker, about.source_name)
                await self._require_replicating(speaker, about)
                await self._hosts.learn(speaker, about.source_id)
            case Replicated(jail):
                if owner := self._replica_store.owner_of(jail):
                    party.require_itself(speaker, owner)
            case Wanted(jail, uid, target):
                party.require_itself(speaker, target)
                self._require_standby(speaker, jail, uid)
            case Supersession():
                await self._require_owner_or_its_former(speaker, about)

    # -- migrations

    async def _require_source(self, speaker: str, offer: Offer) -> None:
        if sources := self._sources(offer.migration):
            self._require_one_of(speaker, offer.migration, sources)
            return
        found = self._copy(offer.jail.name, offer.jail.uid)
        if found is not None and found[1].state in _COPIES:
            await self._require_owner(speaker, *found)

    def _sources(self, migration: str) -> frozenset[str]:
        journal = self._journals.find(migration, outgoing=False)
        return frozenset() if journal is None else frozenset({journal.peer})

    def _targets_of(self, migration: str) -> frozenset[str]:
        journal = self._journals.find(migration, outgoing=True)
        records = [entry.record for entry in self._inventory.jails.values() if entry.record is not None]
        named = {record.peer for record in records if record.migration == migration}
        return frozenset(named if journal is None else {journal.peer})

    def _require_one_of(self, speaker: str, migration: str, hosts: frozenset[str]) -> None:
        """Let only the other host of a migration act on it; one that is not known here answers for itself."""
        if hosts and speaker not in hosts:
            hint = "none: a migration is its source's and its target's"
            raise party.stranger(speaker, f"migrations/{migration}", self._inventory.host_name, hint)

    # -- replicas and owners

    async def _require_replicating(self, speaker: str, offer: ReplicaOffer) -> None:
        found = self._copy(offer.jail.name, offer.jail.uid)
        if found is None or found[1].state not in _COPIES:
            return
        record = found[1]
        if record.epoch > offer.jail.epoch or (record.epoch == offer.jail.epoch and record.owner != offer.source_id):
            return  # it is told that it is superseded, and nothing else comes of it
        await self._require_owner(speaker, *found)

    def _require_standby(self, speaker: str, jail: str, uid: str) -> None:
        found = self._copy(jail, uid)
        if found is None or self._ties(*found).may_ask_for_it(speaker):
            return
        hint = f"name {speaker} among the jail's standby.peers, or migrate the jail from the host that owns it"
        raise party.stranger(speaker, f"jails/{jail}", self._inventory.host_name, hint)

    async def _require_owner_or_its_former(self, speaker: str, told: Supersession) -> None:
        found = self._copy(told.jail, told.uid)
        if found is None or told.epoch <= found[1].epoch:
            return  # it is told the higher epoch, and nothing else comes of it
        if speaker == told.owner_name:
            await self._require_owner(speaker, *found)
            await self._hosts.learn(speaker, told.owner)
        elif self._ties(*found).owner != speaker:  # else: the owner tells whom it has handed the jail to
            party.require_itself(speaker, told.owner_name)

    def _copy(self, jail: str, uid: str) -> tuple[JailEntry, JailRecord] | None:
        entry = self._inventory.jails.get(jail)
        if entry is None or entry.record is None or entry.record.uid != uid:
            return None
        return entry, entry.record

    def _ties(self, entry: JailEntry, record: JailRecord) -> Ties:
        return party.ties_of(
            record,
            entry.generation.spec if entry.generation is not None else None,
            host_id=self._inventory.host_id,
            host=self._inventory.host_name,
            targets=self._journals.targets(record.uid),
        )

    async def _require_owner(self, speaker: str, entry: JailEntry, record: JailRecord) -> None:
        ties = self._ties(entry, record)
        if ties.may_own(speaker) or await self._vouched(speaker, entry.name, record, ties):
            return
        here = self._inventory.host_name
        hint = (
            f"if it owns the jail: it is believed as soon as one of {', '.join(sorted(ties.parties)) or 'its hosts'} "
            f"says so; if none of them comes back: remove the copy here (jailctl jail rm {entry.name}, on {here})"
        )
        refusal = party.stranger(speaker, f"jails/{entry.name}", here, hint)
        await self._tell(speaker, entry.name, f"{refusal.message}; {hint}")
        raise refusal

    async def _vouched(self, speaker: str, jail: str, record: JailRecord, ties: Ties) -> bool:
        """Ask the parties who owns the jail, and whom they name in their turn."""
        asked: set[str] = set()
        asking = party.witnesses(ties, speaker)
        for _ in range(_HOPS):
            asking = (asking & frozenset(self._peers.names())) - asked - {speaker}
            if not asking:
                return False
            asked |= asking
            answers = await self._sole.answers(jail, record.uid, asking)
            if party.vouched(speaker, record.epoch, answers):
                return True
            asking = party.next_witnesses(record.epoch, answers)
        return False

    async def _tell(self, speaker: str, jail: str, message: str) -> None:
        """Tell people of it, once for each host and jail."""
        if (speaker, jail) in self._told:
            return
        if len(self._told) >= _TOLD:
            self._told.clear()
        self._told[speaker, jail] = None
        await self._events.emit("peer.refused", f"jails/{jail}", message, host=speaker)
