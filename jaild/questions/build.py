"""The room of questions, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.migration.build import MigrationParts
from jaild.questions.history import Histories
from jaild.questions.rpc import HistoriesServicer


@dataclass(frozen=True, kw_only=True)
class QuestionParts:
    """The use cases."""

    histories: Histories


def build(engine: Engine, migration: MigrationParts) -> QuestionParts:
    """Put the room together. Nothing is started."""
    parts = QuestionParts(histories=Histories(engine, migration))
    engine.services.add(HistoriesServicer(parts.histories))
    return parts
