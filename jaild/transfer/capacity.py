"""What this host tells its peers of its room for jails. What it cannot tell is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from jaild.engine.drain import Draining
from jaild.engine.inventory import Inventory
from jaild.model import quantity
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Desired, JailRecord
from jaild.model.migration.protocol import HostHello
from jaild.ports.runtime import Runtime


class Capacity:
    """Memory, processors and the labels of the jails that are here."""

    def __init__(self, inventory: Inventory, runtime: Runtime, draining: Draining) -> None:
        self._inventory = inventory
        self._runtime = runtime
        self._draining = draining

    async def told(self, hello: HostHello) -> HostHello:
        """Return a host's introduction with its capacity."""
        facts = await self._runtime.facts()
        owned = list(self._owned())
        running = [spec for record, spec in owned if record.desired is Desired.RUNNING]
        return msgspec.structs.replace(
            hello,
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
