"""What this host tells its peers of itself and of its room for jails. What it cannot tell is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jaild.engine.drain import Draining
from jaild.engine.inventory import Inventory
from jaild.model import quantity
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Desired, JailRecord
from jaild.model.migration.protocol import HostHello
from jaild.model.migration.streams import PROTOCOL
from jaild.ports.runtime import Runtime
from jaild.ports.zfs import Zfs


class Capacity:
    """Memory, processors and the labels of the jails that are here."""

    def __init__(self, inventory: Inventory, zfs: Zfs, runtime: Runtime, draining: Draining) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._runtime = runtime
        self._draining = draining

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


def apart(spec: JailSpec) -> str:
    """Return the label that a jail is to be kept apart by, as key=value; '' for none."""
    key = spec.placement.apart
    return f"{key}={spec.labels[key]}" if key is not None and key in spec.labels else ""
