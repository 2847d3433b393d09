"""The room of salvages, both sides, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.jails.build import JailParts
from jaild.migration.build import MigrationParts
from jaild.salvage.rpc import PeerSalvageServicer, SalvagesServicer
from jaild.salvage.source import SalvageOut
from jaild.salvage.target import SalvageIn
from jaild.transfer.build import TransferParts


@dataclass(frozen=True, kw_only=True)
class SalvageParts:
    """The use cases, of the source and of the target."""

    salvages: SalvageOut
    files: SalvageIn


def build(engine: Engine, jails: JailParts, transfer: TransferParts, migration: MigrationParts) -> SalvageParts:
    """Put the room together. Nothing is started."""
    parts = SalvageParts(salvages=SalvageOut(engine, transfer, migration), files=SalvageIn(engine, jails, transfer))
    engine.services.add(SalvagesServicer(parts.salvages, parts.files, engine.messages))
    engine.services.add(PeerSalvageServicer(parts.files, engine.services.parties))
    return parts
