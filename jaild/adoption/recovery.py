"""What a crash left of adoptions: of the new jail nothing (`jaild.jails.recovery`), but an old one that was stopped."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from jaild.adoption.service import KIND, STOPPED, Adoptions
from jaild.engine.build import Engine
from jaild.model.foreign.jail import Tool
from jaild.model.operation import Operation


class AdoptionRecovery:
    """Repairs it."""

    def __init__(self, engine: Engine, adoptions: Adoptions) -> None:
        self._inventory = engine.inventory
        self._supervisor = engine.supervisor
        self._adoptions = adoptions
        self._interrupted: list[Operation] = []

    def note(self, unfinished: Sequence[Operation]) -> Collection[str]:
        """Note which were under way; none is gone on with."""
        self._interrupted = [each for each in unfinished if each.kind == KIND]
        return ()

    def start_old(self) -> None:
        """Start old jails again that were stopped for a jail which has not come to be."""
        for operation in self._interrupted:
            stopped = operation.facts.get(STOPPED, "").split()
            if stopped and operation.target.removeprefix("jails/") not in self._inventory.jails:
                self._begin(Tool(stopped[0]), *stopped[1:], target=operation.target)

    def _begin(self, tool: Tool, name: str, kernel_name: str, *, target: str) -> None:
        self._supervisor.retry(
            f"start jail {name} of {tool} again",
            lambda: self._adoptions.start_old(tool, name, kernel_name),
            target=target,
        )
