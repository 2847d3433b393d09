"""The room of evacuations, put together."""

from __future__ import annotations

from jaild.engine.build import Engine
from jaild.engine.recovery import Resume
from jaild.evacuation.service import Evacuations
from jaild.evacuation.worker import EvacuationWorker
from jaild.migration.build import MigrationParts
from jaild.transfer.build import TransferParts


def build(engine: Engine, transfer: TransferParts, migration: MigrationParts) -> Evacuations:
    """Put the room together. Nothing is started."""
    evacuations = Evacuations(engine, transfer.sole, EvacuationWorker(engine, transfer, migration))
    engine.recovery.continues(evacuations.continued)
    engine.recovery.resumes(Resume.EVACUATIONS, evacuations.resume)
    return evacuations
