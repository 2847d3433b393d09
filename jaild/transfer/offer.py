"""What a source tells its target of a jail that is to move."""

from __future__ import annotations

import msgspec

from jaild.engine.inventory import Inventory, JailEntry, Layer
from jaild.layers.sealing import encode
from jaild.model.layers.records import Generation, JailRecord
from jaild.model.migration.protocol import DatasetOffer, JailOffer, LayerOffer
from jaild.model.replication.policy import to_be_confirmed
from jaild.ports.zfs import Zfs


async def offer_of(
    inventory: Inventory, zfs: Zfs, entry: JailEntry, record: JailRecord, active: Generation
) -> JailOffer:
    """Describe a jail: its datasets, and the layers that its generations refer to, origins first."""
    root = inventory.where.jail(entry.name)
    own: dict[str, list[int]] = {}
    for snapshot in await zfs.snapshots(root, recursive=True):
        if snapshot.purpose:
            own.setdefault(snapshot.dataset, []).append(snapshot.guid)
    datasets = []
    for dataset in await zfs.datasets(root):
        path = dataset.name.removeprefix(root).lstrip("/")
        # Streams carry no properties (never `send -p`): the target sets those that are listed here.
        properties = {"quota": str(dataset.quota)} if dataset.quota else {}
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
    )


def layers_of(inventory: Inventory, entry: JailEntry) -> tuple[LayerOffer, ...]:
    """Return every layer that a jail's generations need, each after its origin."""
    wanted: dict[str, Layer] = {}
    for base, release in entry.references.values():
        wanted.setdefault(f"bases/{base}", inventory.base(base))
        if release:
            for path, layer in _with_origins(inventory, release):
                wanted.setdefault(path, layer)
    return tuple(_layer_offer(inventory, path, layer) for path, layer in wanted.items())


def _with_origins(inventory: Inventory, release: str) -> list[tuple[str, Layer]]:
    layer = inventory.release(release)
    found = [(f"apps/{release}", layer)]
    if layer.origin:
        parent = layer.origin.partition("@")[0].removeprefix(f"{inventory.where.apps}/")
        return _with_origins(inventory, parent) + found
    return found


def _layer_offer(inventory: Inventory, path: str, layer: Layer) -> LayerOffer:
    origin = layer.origin.partition("@")[0]
    origin_path = origin.removeprefix(f"{inventory.where.root}/") if origin else ""
    parent = inventory.releases.get(origin_path.removeprefix("apps/")) if origin_path else None
    return LayerOffer(
        path=path,
        guid=layer.guid,
        origin_guid=parent.guid if parent else 0,
        origin_path=origin_path if parent else "",
        size_bytes=layer.used,
        record=encode(layer.record),
    )
