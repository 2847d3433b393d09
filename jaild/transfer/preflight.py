"""Before a jail moves: both hosts look for whatever could stop it later. Nothing is changed on either."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from jaild.engine.inventory import Inventory, JailEntry
from jaild.layers.sharing import offers
from jaild.model.errors import PermissionDeniedError
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Generation, JailRecord
from jaild.model.migration.protocol import Acceptance, DatasetOffer, HostHello, JailOffer, LayerOffer, Offer
from jaild.model.migration.streams import PROTOCOL
from jaild.model.problems import Plan, Problem, Severity
from jaild.model.quantity import count
from jaild.model.replication.policy import to_be_confirmed
from jaild.model.snapshots import MANUAL, RESTORE, SCHEDULE, Snapshot
from jaild.ports.peer import Peers
from jaild.ports.zfs import Zfs
from jaild.transfer.hosts import Hosts
from jaild.transfer.sole_owner import SoleOwner

_RESTORABLE = frozenset({SCHEDULE, MANUAL, RESTORE, ""})  # '': of other tools


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What came of it."""

    entry: JailEntry
    record: JailRecord
    generation: Generation
    plan: Plan
    offer: Offer
    hello: HostHello
    copied: bool  # whether the target has a copy of it


class Preflight:
    """Asks whether a jail can move."""

    def __init__(self, inventory: Inventory, zfs: Zfs, peers: Peers, hosts: Hosts, sole: SoleOwner) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._peers = peers
        self._hosts = hosts
        self._sole = sole

    async def examine(self, name: str, target: str, intent: Intent = Intent.GIVE_AWAY) -> Examined:
        """Ask both sides. An error among the plan's problems is a refusal; `intent` is what it is examined for."""
        owned = self._inventory.owned(name, intent)
        entry, record, generation = owned.entry, owned.record, owned.generation
        peer = self._peers.get(target)
        if intent is not Intent.TEST:
            await self._sole.require(name)
        hello = await peer.hello(self._inventory.host_id, self._inventory.host_name, PROTOCOL)
        problems = await self._identity(hello, target)
        offer = Offer(
            migration=uuid.uuid4().hex,
            source_id=self._inventory.host_id,
            source_name=self._inventory.host_name,
            jail=await offer_of(self._inventory, self._zfs, entry, record, generation),
        )
        acceptance = await peer.preflight(offer) if not problems else Acceptance()
        problems = [*problems, *await self._unrelated(entry, record, acceptance, target)]
        if intent is not Intent.TEST:
            there = {guid for state in acceptance.datasets for guid in state.snapshot_guids}
            here = await self._zfs.snapshots(entry.dataset, recursive=True)
            problems += _staying(entry.name, [each for each in here if each.guid not in there], target)
        plan = Plan(
            kind="migrate",
            target=f"jails/{name}",
            steps=_steps(acceptance, target),
            problems=(*problems, *acceptance.problems),
            from_generation=generation.number,
            to_generation=generation.number,
            base=generation.base,
            release=generation.release,
        )
        return Examined(
            entry=entry,
            record=record,
            generation=generation,
            plan=plan,
            offer=offer,
            hello=hello,
            copied=any(there.snapshot_guids for there in acceptance.datasets),
        )

    async def offer(self, entry: JailEntry, record: JailRecord, generation: Generation, before: Offer) -> Offer:
        """Return an offer that was made before, as the jail is now."""
        jail = await offer_of(self._inventory, self._zfs, entry, record, generation)
        return msgspec.structs.replace(before, jail=jail)

    async def _unrelated(
        self, entry: JailEntry, record: JailRecord, acceptance: Acceptance, target: str
    ) -> Sequence[Problem]:
        """Find a copy that no increment fits on: what a salvage came from has none of its snapshots."""
        copies = [there for there in acceptance.datasets if there.snapshot_guids or not there.resume_token]
        if not copies:
            return []
        root = self._inventory.where.jail(entry.name)
        ours = {snapshot.guid for snapshot in await self._zfs.snapshots(root, recursive=True)}
        ours |= {mark.guid for mark in await self._zfs.bookmarks(root, recursive=True)}
        if all(ours.intersection(there.snapshot_guids) for there in copies):
            return []
        if not record.salvaged:
            message = f"the copy of {entry.name} on {target} has no snapshot in common with this host's"
            return [_error("COPY_UNRELATED", message, f"on {target}: save what you need of it, then delete it there")]
        message = f"{target} keeps a copy of {entry.name} from before it was salvaged: no increment fits on that"
        hint = f"save what you need of it; then, on {target}: jailctl migration finalize, of the salvage"
        return [_error("COPY_UNRELATED", message, hint)]

    async def _identity(self, hello: HostHello, target: str) -> Sequence[Problem]:
        if hello.protocol != PROTOCOL:
            message = f"{target} speaks peer protocol {hello.protocol}, this host {PROTOCOL}"
            return [_error("PROTOCOL_MISMATCH", message, "bring both hosts to the same jaild")]
        if hello.host_id == self._inventory.host_id:
            return [_error("SAME_HOST", f"{target} is this host", "name another peer")]
        try:
            await self._hosts.learn(target, hello.host_id)
        except PermissionDeniedError as refusal:
            return [_error(refusal.reason, refusal.message, refusal.hint)]
        return []


def _staying(jail: str, snapshots: Sequence[Snapshot], target: str) -> list[Problem]:
    """Tell which snapshots do not move with the jail, of those that somebody may want to restore."""
    wanted = dict.fromkeys(s.tag for s in snapshots if s.kind in _RESTORABLE)
    if not wanted:
        return []
    first, last = next(iter(wanted)), next(reversed(wanted))
    which = first if len(wanted) == 1 else f"{first} ... {last}"
    message = f"{count(len(wanted), 'snapshot')} of {jail} do not move with it ({which}): they stay with the copy here"
    hint = f"restore from them before it moves, or after it is back; on {target} its schedule begins anew"
    return [Problem(severity=Severity.NOTE, code="SNAPSHOTS_STAY", message=message, subject=f"jails/{jail}", hint=hint)]


def _error(code: str, message: str, hint: str) -> Problem:
    return Problem(severity=Severity.ERROR, code=code, message=message, hint=hint)


def _steps(acceptance: Acceptance, target: str) -> tuple[str, ...]:
    layers = tuple(f"send {path} to {target}" for path in acceptance.missing_layers)
    seed = "continue the copy that is there" if any(d.snapshot_guids for d in acceptance.datasets) else "send all data"
    return (
        *layers,
        seed,
        "send what changes meanwhile, until the rest fits the downtime budget",
        "stop the jail, send the last increment, compare every guid",
        f"hand over to {target}, start it there, health checks",
    )


# -- what a source tells of a jail


async def offer_of(
    inventory: Inventory, zfs: Zfs, entry: JailEntry, record: JailRecord, active: Generation
) -> JailOffer:
    """Describe a jail: its datasets, and the layers that its generations refer to, origins first."""
    root = inventory.where.jail(entry.name)
    own: dict[str, list[int]] = {}
    for snapshot in await zfs.snapshots(root, recursive=True):
        if snapshot.purpose:
            own.setdefault(snapshot.dataset, []).append(snapshot.guid)
    staged = entry.staged if record.staged is not None else None  # its volumes are there, see `JailDatasets.fit`
    volumes = {**(staged.spec.volumes if staged is not None else {}), **active.spec.volumes}
    datasets = []
    for dataset in await zfs.datasets(root):
        path = dataset.name.removeprefix(root).lstrip("/")
        # Streams carry no properties (never `send -p`): the target sets those that are listed here.
        volume = volumes.get(path)
        properties = {"recordsize": volume.recordsize} if volume is not None and volume.recordsize else {}
        guids = tuple(own.get(dataset.name, ()))
        datasets.append(DatasetOffer(path=path, properties=properties, size_bytes=dataset.referenced, own_guids=guids))
    return JailOffer(
        name=entry.name,
        uid=record.uid,
        epoch=record.epoch,
        generation=active.number,
        generation_json=msgspec.json.encode(active).decode(),
        datasets=tuple(datasets),
        layers=layers_of(inventory, entry),
        desired=record.desired.value,
        standbys=tuple(sorted(to_be_confirmed(record, active.spec, inventory.host_name))),
        staged=record.staged,
        removed_guids=record.removed_guids,
        created=record.created,
    )


def layers_of(inventory: Inventory, entry: JailEntry) -> tuple[LayerOffer, ...]:
    """Return every layer that a jail's generations need, each after its origin."""
    wanted: dict[str, LayerOffer] = {}
    for base, release in entry.references.values():
        for path in (f"bases/{base}", *((f"apps/{release}",) if release else ())):
            wanted.update({each.path: each for each in offers(inventory, path)})
    return tuple(wanted.values())
