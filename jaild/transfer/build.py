"""The room of what migration, replication and salvage share, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.jails.build import JailParts
from jaild.layers.build import LayerParts
from jaild.transfer.acceptance import OfferCheck
from jaild.transfer.hosts import Hosts
from jaild.transfer.journal import Journals
from jaild.transfer.preflight import Preflight
from jaild.transfer.receiver import Receiver
from jaild.transfer.sender import Transfer
from jaild.transfer.sole_owner import SoleOwner


@dataclass(frozen=True, kw_only=True)
class TransferParts:
    """What the rooms above use."""

    journals: Journals
    hosts: Hosts
    sole: SoleOwner
    preflight: Preflight
    offer_check: OfferCheck
    receiver: Receiver
    sender: Transfer


def build(engine: Engine, layers: LayerParts, jails: JailParts) -> TransferParts:
    """Put the room together. Nothing is started."""
    ports, inventory = engine.ports, engine.inventory
    zfs, peers = ports.zfs, ports.peers
    journals = Journals(ports.store, ports.clock)
    inventory.known_epochs, inventory.needed = journals.epochs, journals.needed
    hosts = Hosts(engine, journals)
    sole = SoleOwner(inventory, peers, journals)
    return TransferParts(
        journals=journals,
        hosts=hosts,
        sole=sole,
        preflight=Preflight(inventory, zfs, peers, hosts, sole),
        offer_check=OfferCheck(engine, journals),
        receiver=Receiver(engine, layers.arrivals, jails.datasets),
        sender=Transfer(inventory, zfs),
    )
