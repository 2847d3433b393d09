"""What this host has of layers, told to other hosts and sent to them as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jaild.engine.inventory import AnyLayer, Inventory
from jaild.layers.sealing import Sealer
from jaild.model import layout, names
from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.records import encode
from jaild.model.migration.protocol import LayerOffer
from jaild.ports.zfs import Zfs


class LayerSharing:
    """Answers who wants one."""

    def __init__(self, inventory: Inventory, zfs: Zfs, sealer: Sealer) -> None:
        self._inventory = inventory
        self._zfs = zfs
        self._sealer = sealer

    def offers(self, path: str) -> tuple[LayerOffer, ...]:
        """Describe a layer, after those that it was cloned from.

        `NotFoundError` (BASE_NOT_FOUND, RELEASE_NOT_FOUND), `InvalidArgumentError` (INVALID_NAME).
        """
        return offers(self._inventory, names.layer(path))

    async def stream(self, path: str, guid: int, token: str) -> AsyncIterator[bytes]:
        """Yield a layer's stream, or with the token of an interrupted receive the rest of it. It stays until then.

        `FailedPreconditionError` (LAYER_DIFFERS) if it is not that of the guid, (TOKEN_STALE).
        """
        offer = self.offers(path)[-1]
        if offer.guid != guid:
            raise FailedPreconditionError(
                "LAYER_DIFFERS",
                f"{path} is here with another content (guid {offer.guid}, wanted {guid})",
                hint="somebody has made it anew since it was asked for: ask again",
                resource=path,
            )
        base = f"{self._inventory.where.layer(offer.origin_path)}@{layout.SEALED}" if offer.origin_path else None
        dataset = self._inventory.where.layer(path)
        sending = self._zfs.send(f"{dataset}@{layout.SEALED}", base=None if token else base, token=token or None)
        with self._sealer.lent(dataset):
            async with sending as chunks:
                async for chunk in chunks:
                    yield chunk


def offers(inventory: Inventory, path: str) -> tuple[LayerOffer, ...]:
    """Describe a layer as it is offered to another host, after the releases that it was cloned from.

    A base that was patched from another one is sent whole: its origin may be gone sooner than it.
    """
    kind, _, name = path.partition("/")
    if kind == "bases":
        return (_offer(path, inventory.base(name)),)
    layer = inventory.release(name)
    above = layer.origin.partition("@")[0].removeprefix(f"{inventory.where.root}/")
    if not above:
        return (_offer(path, layer),)
    before = offers(inventory, above)
    return (*before, _offer(path, layer, before[-1]))


def _offer(path: str, layer: AnyLayer, origin: LayerOffer | None = None) -> LayerOffer:
    return LayerOffer(
        path=path,
        guid=layer.guid,
        origin_guid=origin.guid if origin else 0,
        origin_path=origin.path if origin else "",
        size_bytes=layer.used,
        record=encode(layer.record),
    )
