"""The room of evacuations, put together."""

from __future__ import annotations

from jaild.engine.build import Engine
from jaild.evacuation.service import Evacuations
from jaild.evacuation.survey import Surveyor
from jaild.evacuation.worker import EvacuationWorker
from jaild.migration.build import MigrationParts
from jaild.transfer.build import TransferParts


def build(engine: Engine, transfer: TransferParts, migration: MigrationParts) -> Evacuations:
    """Put the room together. Nothing is started."""
    return Evacuations(engine, Surveyor(engine, transfer.sole), EvacuationWorker(engine, transfer, migration))
