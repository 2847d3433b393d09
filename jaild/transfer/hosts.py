"""What hosts tell each other of themselves: what they are called, which id they have, what room they have for jails.

A host says of itself what it can tell, and leaves the rest out. Who has which id: a host says it of itself, and of no
other; an id is the one that a host's pool carries.

| said | what becomes of it |
|---|---|
| an id that is not known, by a name without one | noted |
| another id than before, by the same name | noted, and told: the host was installed anew |
| an id that another configured host has | refused (HOST_ID_TAKEN): its name must go from the configuration first |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jaild.engine.build import Engine
from jaild.model import quantity
from jaild.model.errors import PermissionDeniedError
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Desired, JailRecord, Ownership
from jaild.model.migration.protocol import HostHello
from jaild.model.migration.streams import PROTOCOL
from jaild.transfer.journal import Journals

# Records whose `peer` is the name of their `owner`.
_NAMING = frozenset({Ownership.MOVED, Ownership.STANDBY, Ownership.CLAIMED, Ownership.FENCED})


class Hosts:
    """Introduces this host, and learns ids: what was said before this daemon's start is in records and journals."""

    def __init__(self, engine: Engine, journals: Journals) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._runtime = engine.ports.runtime
        self._peers = engine.ports.peers
        self._journals = journals
        self._draining = engine.draining
        self._events = engine.events

    async def hello(self, protocol: int) -> HostHello:
        """Introduce this host to a peer that speaks `protocol`."""
        inventory = self._inventory
        facts, capabilities = await self._runtime.facts(), await self._zfs.capabilities()
        owned = list(self._owned())
        running = [spec for record, spec in owned if record.desired is Desired.RUNNING]
        return HostHello(
            host_id=inventory.host_id,
            host_name=inventory.host_name,
            protocol=min(protocol, PROTOCOL),
            zfs_implementation=capabilities.implementation,
            resumable_receive=capabilities.resumable_receive,
            pool_features=tuple(sorted(await self._zfs.pool_features(inventory.where.pool))),
            family=facts.family.value,
            machine=facts.machine,
            osreldate=facts.osreldate,
            available_bytes=(await self._zfs.dataset(inventory.where.root)).available,
            memory_total_bytes=facts.memory,
            memory_free_bytes=await self._runtime.free_memory(),
            memory_promised_bytes=sum(quantity.parse(spec.limits.memory) for spec in running if spec.limits.memory),
            cpus=facts.cpus,
            apart=dict(Counter(label for _, spec in owned if (label := apart(spec)))),
            draining=self._draining.now is not None,
        )

    def _owned(self) -> Iterator[tuple[JailRecord, JailSpec]]:
        for entry in self._inventory.jails.values():
            if (
                entry.record is not None
                and entry.generation is not None
                and entry.record.owner == self._inventory.host_id
            ):
                yield entry.record, entry.generation.spec

    async def learn(self, name: str, host_id: str) -> None:
        """Note that the host `name`, which is known to be who says it, has this id.

        `PermissionDeniedError` (HOST_ID_TAKEN) if another configured host has it, or this one.
        """
        if not host_id or self._inventory.host_names.get(host_id) == name:
            return
        known = self._known()
        other = known.get(host_id, name)
        if other != name and (other == self._inventory.host_name or other in self._peers.names()):
            raise PermissionDeniedError(
                "HOST_ID_TAKEN",
                f"{name} says that it has the id of {other}",
                hint=f"if the pool of {other} is {name}'s now: take {other} out of the peers and restart; else see "
                "which of the two has a copy of the other's pool",
                resource=name,
                detail={"host_id": host_id, "known": other},
            )
        before = sorted(each for each, whose in known.items() if whose == name)
        self._inventory.host_names[host_id] = name
        if other != name:
            await self._events.emit("peer.renamed", "host", f"{other} is called {name} now", host=name)
        elif before and host_id not in known:
            message = f"{name} has another host id than before ({', '.join(before)}): it was installed anew"
            await self._events.emit("peer.replaced", "host", message, host=name, host_id=host_id)

    def _known(self) -> dict[str, str]:
        known = {}
        for journal in self._journals.incoming():
            known[journal.offer.source_id] = journal.offer.source_name
        for journal in self._journals.outgoing():
            known[journal.peer_id] = journal.peer
        for entry in self._inventory.jails.values():
            record = entry.record
            if record is not None and record.peer and record.state in _NAMING:
                known[record.owner] = record.peer
        known.pop("", None)
        return known | self._inventory.host_names


def apart(spec: JailSpec) -> str:
    """Return the label that a jail is to be kept apart by, as key=value; '' for none."""
    key = spec.placement.apart
    return f"{key}={spec.labels[key]}" if key is not None and key in spec.labels else ""
