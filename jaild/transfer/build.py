"""The room of what migration, replication and salvage share, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.jails.build import JailParts
from jaild.layers.build import LayerParts
from jaild.transfer.acceptance import OfferCheck
from jaild.transfer.capacity import Capacity
from jaild.transfer.copy_check import CopyCheck
from jaild.transfer.host_names import HostNames
from jaild.transfer.journal import Journals
from jaild.transfer.preflight import Preflight
from jaild.transfer.rate_limits import RateLimits
from jaild.transfer.received import ReceivedCopies
from jaild.transfer.receiver import Receiver
from jaild.transfer.sender import Transfer
from jaild.transfer.snapshots import MigrationSnapshots
from jaild.transfer.sole_owner import SoleOwner


@dataclass(frozen=True, kw_only=True)
class TransferParts:
    """What the rooms above use."""

    journals: Journals
    host_names: HostNames
    sole: SoleOwner
    preflight: Preflight
    offer_check: OfferCheck
    capacity: Capacity
    copies: ReceivedCopies
    receiver: Receiver
    sender: Transfer
    rate_limits: RateLimits
    snapshots: MigrationSnapshots


def build(engine: Engine, layers: LayerParts, jails: JailParts) -> TransferParts:
    """Put the room together. Nothing is started."""
    ports, inventory = engine.ports, engine.inventory
    zfs, peers = ports.zfs, ports.peers
    journals = Journals(ports.store, ports.clock)
    inventory.known_epochs, inventory.needed = journals.epochs, journals.needed
    host_names = HostNames(inventory, peers, journals, engine.events)
    sole = SoleOwner(inventory, peers, journals)
    rate_limits = RateLimits()
    return TransferParts(
        journals=journals,
        host_names=host_names,
        sole=sole,
        preflight=Preflight(inventory, zfs, peers, host_names, sole),
        offer_check=OfferCheck(engine, journals, CopyCheck(inventory, zfs)),
        capacity=Capacity(inventory, zfs, ports.runtime, engine.draining),
        copies=ReceivedCopies(inventory, zfs, ports.files),
        receiver=Receiver(engine, layers.sealer, jails.datasets),
        sender=Transfer(inventory, zfs, rate_limits),
        rate_limits=rate_limits,
        snapshots=MigrationSnapshots(inventory, zfs, engine.owned),
    )
