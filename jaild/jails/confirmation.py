"""Changes that wait for their confirmation: confirmed, reverted by somebody, or reverted when their time is up.

That a change waits, and until when, stands in the jail's record, which its commit wrote: so it holds over a restart of
the daemon and a reboot of the host. The time is the host's wall clock.
"""

from __future__ import annotations

from functools import partial

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.engine.supervisor import BackOff
from jaild.jails.changes import Changes
from jaild.jails.datasets import JailDatasets
from jaild.model import access
from jaild.model.access import Role
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.authority import Intent
from jaild.model.jails.change import AXES, Revert, Rollback
from jaild.model.layers.records import ConfirmWithin
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.views import Caller

_EVERY = 1.0  # seconds between two looks at the time
_PAUSE = BackOff(first=1.0, longest=300.0)  # between two attempts at a reversal that fails
_CLOCK = Caller(actor="confirm-within", roles=frozenset({Role.OPERATOR}))


class Confirmations:
    """The changes of this host's jails that wait for it."""

    def __init__(self, engine: Engine, changes: Changes, datasets: JailDatasets) -> None:
        self._inventory = engine.inventory
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._clock = engine.ports.clock
        self._changes = changes
        self._datasets = datasets

    # -- what callers ask

    async def confirm(self, name: str, *, validate_only: bool = False, caller: Caller) -> Operation:
        """Keep a jail's last change. `FailedPreconditionError` (NOTHING_TO_CONFIRM)."""
        duplicate = await self._operations.duplicate(caller, "confirm-change", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        entry, confirm = self._require_awaited(name, caller)
        if validate_only:
            number = entry.generation.number if entry.generation is not None else 0
            step = f"keep generation {number}: it does not go back to generation {confirm.back_to} by itself"
            plan = Plan(kind="confirm-change", target=f"jails/{name}", steps=(step,))
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            entry, confirm = self._require_awaited(name, caller)
            _, record = self._inventory.permitted(name, Intent.SETTLE)
            await handle.phase("commit")
            await self._datasets.write(entry, msgspec.structs.replace(record, confirm=None))
            entry.fallback = None
            message = f"the {confirm.kind} stays: generation {record.generation}"
            await self._events.emit("change.confirmed", f"jails/{name}", message, actor=caller.actor)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", "confirm-change", caller, work)

    async def revert(self, name: str, *, validate_only: bool, caller: Caller) -> Operation:
        """Undo a jail's last change now. `FailedPreconditionError` (NOTHING_TO_CONFIRM)."""
        duplicate = await self._operations.duplicate(caller, Revert.kind, f"jails/{name}")
        if duplicate is not None:
            return duplicate
        _, confirm = self._require_awaited(name, caller)
        if validate_only:
            return await self._dispatcher.planned(await self._plan(name, confirm, caller), caller)

        async def work(handle: Handle) -> str:
            _, confirm = self._require_awaited(name, caller)
            await self._changes.carry_out(handle, name, Revert(confirm.back_to), caller)
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", Revert.kind, caller, work)

    async def _plan(self, name: str, confirm: ConfirmWithin, caller: Caller) -> Plan:
        return (await self._changes.plan(name, Revert(confirm.back_to), caller)).plan

    def _require_awaited(self, name: str, caller: Caller) -> tuple[JailEntry, ConfirmWithin]:
        """Return a jail whose last change waits, and is the caller's to settle: of whose axis it is."""
        entry, record = self._inventory.permitted(name, Intent.SETTLE)
        confirm = record.confirm
        if confirm is None:
            raise FailedPreconditionError(
                "NOTHING_TO_CONFIRM",
                f"no change of jail {name} waits for a confirmation",
                hint="it was confirmed or reverted already, or asked for without confirm_within: see its generations",
                resource=f"jails/{name}",
            )
        access.require_change(caller, name, entry.generation, Rollback(axis=AXES[confirm.kind]))
        return entry, confirm

    # -- when their time is up

    def run(self) -> None:
        """Look at the time for ever."""
        self._supervisor.run("changes to be confirmed", self.tick, every=_EVERY)

    async def tick(self) -> None:
        """Begin to revert what was not confirmed in time. What cannot be reverted yet is tried again."""
        for entry in list(self._inventory.jails.values()):
            record = entry.record
            if record is None or record.confirm is None or self._clock.now() < record.confirm.until:
                continue
            if self._inventory.may(entry, Intent.SETTLE):
                name = f"revert {entry.name}"
                self._supervisor.retry(name, partial(self._revert, entry), pause=_PAUSE, target=f"jails/{entry.name}")

    async def _revert(self, entry: JailEntry) -> None:
        record, name = entry.record, entry.name
        if record is None or (confirm := record.confirm) is None or self._inventory.jails.get(name) is not entry:
            return

        async def work(handle: Handle) -> str:
            if entry.record is not None and entry.record.confirm == confirm:  # not what was confirmed a moment ago
                message = f"the {confirm.kind} was not confirmed in time: generation {confirm.back_to} comes back"
                await self._events.emit("change.unconfirmed", f"jails/{name}", message)
                await self._changes.carry_out(handle, name, Revert(confirm.back_to), _CLOCK)
            return f"jails/{name}"

        asked = await self._dispatcher.submit(f"jails/{name}", Revert.kind, _CLOCK, work)
        ended = await self._operations.wait(asked.id)
        if ended.failure is not None:
            raise FailedPreconditionError(
                "CHANGE_NOT_REVERTED",
                f"jail {name} is still on generation {record.generation}: {ended.failure.message}",
                hint=f"it is tried again; see {ended.name}, or keep the change: jailctl jail confirm-change {name}",
                resource=f"jails/{name}",
            )
