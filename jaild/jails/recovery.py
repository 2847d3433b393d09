"""What a crash left of jails: of their creation, changes and deletion, and runs that should not be."""

from __future__ import annotations

import asyncio

from jaild.engine import generations
from jaild.engine.build import Engine
from jaild.engine.inventory import Found, JailEntry
from jaild.jails.datasets import JailDatasets
from jaild.jails.restarts import Restarts
from jaild.jails.runs import Runs
from jaild.jails.volumes import Volumes
from jaild.model import layout, names
from jaild.model.jails.authority import Intent, Standing
from jaild.model.layers.records import Desired, JailRecord, Ownership
from jaild.ports.runtime import Run


class JailRecovery:
    """Repairs it."""

    def __init__(
        self, engine: Engine, datasets: JailDatasets, runs: Runs, restarts: Restarts, volumes: Volumes
    ) -> None:
        self._inventory = engine.inventory
        self._recovery = engine.recovery
        self._events = engine.events
        self._files = engine.ports.files
        self._runtime = engine.ports.runtime
        self._datasets = datasets
        self._runs = runs
        self._found: list[Run] = []  # when the daemon started: between the stages nobody starts any
        self._restarts = restarts
        self._volumes = volumes

    async def end_strangers(self, _: Found) -> None:
        """End sandboxes, and runs of jails that moved away."""
        self._found = await self._runtime.runs()
        for run in self._found:
            record = entry.record if (entry := self._inventory.jails.get(run.jail)) is not None else None
            moved = record is not None and record.state in {Ownership.MOVED, Ownership.FENCED}
            if moved or names.is_sandbox(run.jail):
                work = self._end(run.jail, run.generation)
                await self._recovery.attempt(f"ended {run.jail}, left of an operation", work)

    async def end_unfinished(self, entry: JailEntry, record: JailRecord) -> bool:
        """End a deletion or a creation that was interrupted; an old copy of a jail is left as it is."""
        match record.state:
            case Ownership.DELETING:
                await self._recovery.attempt(f"finished deleting jail {entry.name}", self._delete(entry))
            case Ownership.ACTIVE if record.generation == 0:
                message = f"destroyed jail {entry.name}, whose creation never finished"
                await self._recovery.attempt(message, self._delete(entry))
            case Ownership.ACTIVE if self._inventory.standing(entry, record) is Standing.SUPERSEDED:
                known = self._inventory.known_epochs[record.uid]
                entry.message = f"an old copy (epoch {record.epoch}, {known} was handed on): it never starts here"
                await self._recovery.tell(f"jail {entry.name} is {entry.message}")
                await self._events.emit("jail.superseded", f"jails/{entry.name}", entry.message)
            case _:
                return False
        return True

    async def _delete(self, entry: JailEntry) -> None:
        for run in self._found:
            if run.jail == entry.name:
                await self._end(run.jail, run.generation)
        await self._datasets.destroy(entry)
        self._inventory.jails.pop(entry.name, None)

    async def drop_staged(self, entry: JailEntry, record: JailRecord) -> bool:
        """Drop generations that were never committed nor kept as staged, and the mark of the one that was committed.

        And go on with removals of volumes.
        """
        if record.state not in {Ownership.ACTIVE, Ownership.FROZEN}:
            return False
        if record.removing:
            await self._volumes.recover(entry, record)
        staged = entry.staged.number if entry.staged is not None else 0
        lost = record.staged is not None and not staged and entry.generation is not None
        if lost and self._inventory.may(entry, Intent.RUN_ON):
            message = f"{entry.name} has nothing staged any more: its generation cannot be read"
            await self._recovery.attempt(message, self._datasets.unstage(entry, record))
        if not entry.marked:  # as it was just loaded: each look at a jail's folders is one after the other here
            return False
        folder, active = entry.folder / layout.GENERATIONS, 0 if entry.record is None else entry.record.generation
        for number, names_in_it in (await generations.folders(self._files, entry.folder)).items():
            if number == staged:
                continue
            if generations.only_staged(number, names_in_it, active):
                message = f"dropped generation {number} of {entry.name}, never committed"
                await self._recovery.attempt(message, self._drop(entry, number))
            elif layout.STAGED in names_in_it:
                await self._recovery.quietly(self._files.remove(folder / str(number) / layout.STAGED))
        return False

    async def _drop(self, entry: JailEntry, number: int) -> None:
        await self._end(entry.name, number)
        await self._datasets.drop(entry, number)

    async def prune(self, entry: JailEntry) -> None:
        """Do what the next change would have done, if one was interrupted."""
        if f"jails/{entry.name}" in self._recovery.interrupted and self._inventory.may(entry, Intent.RUN_ON):
            await self._datasets.prune(entry)

    async def settle_runs(self, _: Found) -> None:
        """Adopt the runs that should be, stop all others but those of damaged jails."""
        for run in self._found:
            if (run.jail, run.generation) in self._recovery.ended:
                continue
            entry = self._inventory.jails.get(run.jail)
            record = entry.record if entry is not None else None
            if entry is not None and record is None:
                continue  # damaged: nothing is done with it
            what = f"{run.jail}.{run.generation}"
            if entry is None or record is None or not self._inventory.may(entry, Intent.RUN_ON):
                message = f"stopped {what}, which is not this host's to run"
            elif run.generation != record.generation:
                message = f"stopped {what}, which is not the active generation here"
            elif record.desired is Desired.STOPPED:
                message = f"stopped {what}, which is to be stopped"
            else:
                self._runs.adopt(entry, run)
                await asyncio.sleep(0)  # its watch begins now, not thousands of them in one turn of the loop
                continue
            await self._recovery.attempt(message, self._end(run.jail, run.generation))
        await self._recovery.quietly(self._restarts.recall())

    async def _end(self, jail: str, generation: int) -> None:
        await self._runtime.stop(jail, generation)
        await self._runtime.remove(jail, generation)
        self._recovery.ended.add((jail, generation))
