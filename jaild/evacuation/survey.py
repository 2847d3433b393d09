"""What an evacuation's plan is made from: the jails here, the room of other hosts, and what these say to each jail."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.engine.drain import REMEDY
from jaild.engine.inventory import JailEntry
from jaild.model import quantity
from jaild.model.errors import JaildError
from jaild.model.evacuation.placement import Guest, Need, Placements, Room, place
from jaild.model.evacuation.record import JailMove, MoveState
from jaild.model.findings import Finding, Severity
from jaild.model.jails.authority import Intent
from jaild.model.layers.records import Generation, JailRecord, Ownership
from jaild.model.migration.protocol import HostHello, Offer
from jaild.model.migration.streams import PROTOCOL
from jaild.transfer.capacity import apart
from jaild.transfer.offer import offer_of
from jaild.transfer.sole_owner import SoleOwner

_AT_ONCE = 4  # questions to peers


@dataclass(frozen=True)
class Survey:
    """The plan, and the jails that cannot be planned for: each as a move that is over."""

    placements: Placements
    left_out: tuple[JailMove, ...]


class Surveyor:
    """Asks around. Changes nothing, here or there."""

    def __init__(self, engine: Engine, sole: SoleOwner) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._runtime = engine.ports.runtime
        self._peers = engine.ports.peers
        self._sole = sole

    async def survey(self, targets: Sequence[str]) -> Survey:
        """Plan where every jail of this host goes. `NotFoundError` (PEER_UNKNOWN)."""
        for target in targets:
            self._peers.get(target)
        rooms = await asyncio.gather(*(self._room(target) for target in targets))
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def look_at(entry: JailEntry) -> Guest | JailMove:
            async with at_once:
                try:
                    return await self._guest(entry)
                except JaildError as error:
                    return _left_out(entry, error)

        here = sorted(self._inventory.jails.values(), key=lambda entry: entry.name)
        left = [e for e in here if e.record is not None and e.record.state is Ownership.MOVED]
        found = await asyncio.gather(*(look_at(entry) for entry in here if entry not in left))
        guests = [each for each in found if isinstance(each, Guest)]
        left_out = [each for each in found if isinstance(each, JailMove)]
        reachable = [room.host for room in rooms if room.problem is None]
        needs: dict[tuple[str, str], Need] = {}

        async def ask(jail: str) -> None:
            async with at_once:
                needs.update(await self._needs(jail, reachable))

        await asyncio.gather(*(ask(guest.jail) for guest in guests))
        return Survey(place(guests, rooms, needs), tuple(left_out))

    async def _room(self, target: str) -> Room:
        try:
            hello = await self._peers.get(target).hello(self._inventory.host_id, self._inventory.host_name, PROTOCOL)
        except JaildError as error:
            return Room(host=target, problem=_finding(error))
        return Room(
            host=target,
            space=hello.available_bytes,
            memory_total=hello.memory_total_bytes,
            memory_free=hello.memory_free_bytes,
            memory_promised=hello.memory_promised_bytes,
            cpus=hello.cpus,
            apart=hello.apart,
            problem=self._problem(target, hello),
        )

    def _problem(self, target: str, hello: HostHello) -> Finding | None:
        if hello.protocol != PROTOCOL:
            message = f"{target} speaks peer protocol {hello.protocol}, this host {PROTOCOL}"
            return _error("PROTOCOL_MISMATCH", message, "bring both hosts to the same jaild")
        if hello.host_id == self._inventory.host_id:
            return _error("SAME_HOST", f"{target} is this host", "name another peer")
        if hello.draining:
            return _error("HOST_DRAINING", f"{target} takes no jails: it is being drained itself", REMEDY)
        return None

    def _ready(self, jail: str) -> tuple[JailEntry, JailRecord, Generation]:
        owned = self._inventory.owned(jail, Intent.GIVE_AWAY)
        return owned.entry, owned.record, owned.generation

    async def _guest(self, entry: JailEntry) -> Guest:
        await self._sole.require(entry.name)
        spec = self._ready(entry.name)[2].spec
        used = None
        if entry.run is not None and entry.run.running:
            used = (await self._runtime.usage(entry.name, entry.run.generation)).memory
        return Guest(
            jail=entry.name,
            priority=spec.placement.priority,
            memory_limit=quantity.parse(spec.limits.memory) if spec.limits.memory else 0,
            memory_used=used,
            cpus=spec.limits.cpus,
            apart=apart(spec),
        )

    async def _needs(self, jail: str, targets: Sequence[str]) -> dict[tuple[str, str], Need]:
        """Return what the jail would bring to each host, and what that says; a host that fails to answer refuses it."""
        try:
            offered = await offer_of(self._inventory, self._zfs, *self._ready(jail))
        except JaildError as error:
            return {(jail, target): _refusing(_finding(error)) for target in targets}
        offer = Offer(
            migration=uuid.uuid4().hex,
            source_id=self._inventory.host_id,
            source_name=self._inventory.host_name,
            jail=offered,
        )
        return {(jail, target): await self._need(offer, target) for target in targets}

    async def _need(self, offer: Offer, target: str) -> Need:
        try:
            acceptance = await self._peers.get(target).preflight(offer)
        except JaildError as error:
            return _refusing(_finding(error))
        there = {state.path for state in acceptance.datasets if state.snapshot_guids}
        sizes = {layer.path: layer.size_bytes for layer in offer.jail.layers}
        return Need(
            data=sum(dataset.size_bytes for dataset in offer.jail.datasets if dataset.path not in there),
            layers={path: sizes.get(path, 0) for path in acceptance.missing_layers},
            findings=acceptance.findings,
        )


def _left_out(entry: JailEntry, error: JaildError) -> JailMove:
    # A jail that another host is moving here, or that is on its way out already, is not this evacuation's to move.
    state = MoveState.FAILED if entry.record is None else MoveState.SKIPPED
    return JailMove(jail=entry.name, state=state, reason=error.reason, message=error.message, remedy=error.remedy)


def _refusing(finding: Finding) -> Need:
    return Need(findings=(finding,))


def _finding(error: JaildError) -> Finding:
    return _error(error.reason, error.message, error.remedy)


def _error(code: str, message: str, remedy: str) -> Finding:
    return Finding(severity=Severity.ERROR, code=code, message=message, remedy=remedy)
