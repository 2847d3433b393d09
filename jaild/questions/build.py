"""The room of questions, put together."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.engine.build import Engine
from jaild.layers.build import LayerParts
from jaild.migration.build import MigrationParts
from jaild.questions.comparisons import Comparisons
from jaild.questions.finding import Finding
from jaild.questions.history import Histories
from jaild.questions.rpc import ContentsServicer, HistoriesServicer
from jaild.questions.sboms import Sboms


@dataclass(frozen=True, kw_only=True)
class QuestionParts:
    """The use cases."""

    histories: Histories
    comparisons: Comparisons
    finding: Finding
    sboms: Sboms


def build(engine: Engine, layers: LayerParts, migration: MigrationParts) -> QuestionParts:
    """Put the room together. Nothing is started."""
    parts = QuestionParts(
        histories=Histories(engine, migration),
        comparisons=Comparisons(engine, layers.contents),
        finding=Finding(engine, layers.contents),
        sboms=Sboms(engine, layers.contents),
    )
    engine.services.add(HistoriesServicer(parts.histories))
    engine.services.add(ContentsServicer(parts.comparisons, parts.finding, parts.sboms))
    return parts
