"""Jails that end by themselves, by the restart policy of their spec: counted, started again, or left alone.

    ended ─► counted, on the disk ─► a pause ─► an operation in the jail's queue, as anybody's start ─► it runs
                   │                     ▲                        └─► not: counted ─┘
                   └─► over, crash-loop: told; it stays as it is until somebody starts or changes it

What counts is in `JailEntry.restarts`, and on the disk for the next daemon. Whoever starts a jail takes it out of there
(`jaild.jails.runs.Runs.start`); what this module starts is put back.
"""

from __future__ import annotations

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.engine.supervisor import BackOff
from jaild.jails.lifecycle import Lifecycle
from jaild.model.errors import JaildError
from jaild.model.jails.authority import Intent
from jaild.model.jails.liveness import Health
from jaild.model.jails.restarts import RestartRecord, Verdict, after_end, told_end
from jaild.model.jails.spec import Restart
from jaild.model.layers.records import Desired
from jaild.model.views import Caller
from jaild.ports.runtime import Run

CALLER = Caller(actor="restart policy")
_PAUSE = BackOff(first=1.0, longest=60.0)  # while the jail's queue takes nothing, as during a migration


class Restarts:
    """Counts ends, and starts jails again."""

    def __init__(self, engine: Engine, lifecycle: Lifecycle) -> None:
        self._inventory = engine.inventory
        self._store = engine.ports.store
        self._boot_id = engine.ports.boot_id
        self._clock = engine.ports.clock
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._recovery = engine.recovery
        self._lifecycle = lifecycle
        self._boot = ""
        self._counted: dict[str, Run] = {}  # the run of each jail that was counted last
        self._log = structlog.get_logger("jaild.restarts")

    # -- when the daemon starts

    async def recall(self) -> None:
        """Go on with the counts of the last daemon, and count what ended while none was there. Starts nothing.

        After a boot of the host all counts begin anew, and what should run is started by that.
        """
        same_boot = await self._look_at_boot()
        rows = {row.uid: row for row in await self._store.restarts()}
        ours = [
            entry for entry in self._inventory.jails.values() if _policy(entry) is not None and self._is_ours(entry)
        ]
        for entry in ours:
            if entry.record is not None and self._goes_on(entry, rows.get(entry.record.uid)):
                entry.restarts = rows.pop(entry.record.uid)
        for uid in rows:
            await self._store.forget_restarts(uid)
        if same_boot:
            for entry in ours:
                await self._count_missed(entry)

    def _goes_on(self, entry: JailEntry, row: RestartRecord | None) -> bool:
        if row is None or entry.record is None or row.boot != self._boot or row.generation != entry.record.generation:
            return False
        has_been_started = entry.run is not None and entry.run.started >= row.ends[-1]
        return row.verdict is Verdict.AGAIN or not has_been_started  # by somebody, who begins anew

    async def _count_missed(self, entry: JailEntry) -> None:
        """Tell and count an end that nobody saw, unless a change or a move was in the middle of stopping the jail."""
        if f"jails/{entry.name}" in self._recovery.interrupted:
            return
        policy, run = _policy(entry), entry.run
        counted_until = entry.restarts.ends[-1] if entry.restarts is not None else 0.0
        if policy is None or run is None or run.running or run.started <= counted_until:
            return
        how = told_end(run.exit_status, out_of_memory=run.out_of_memory)
        entry.message = f"its first process ended while the daemon was away, with {how}"
        await self._events.emit("jail.exited", f"jails/{entry.name}", entry.message)
        await self._count(entry, policy, run.exit_status)

    async def _look_at_boot(self) -> bool:
        """Learn which boot of the host this is, and remember it; return whether the last daemon ran in it, too."""
        self._boot = await self._boot_id.read()
        same = await self._store.boot() == self._boot
        if not same:
            await self._store.put_boot(self._boot)
        return same

    # -- what becomes of a jail

    async def ended(self, entry: JailEntry, run: Run) -> None:
        """See to a jail whose first process ended by itself."""
        await self._see_to(entry, run, run.exit_status, failed=False)

    async def unhealthy(self, entry: JailEntry, run: Run) -> None:
        """See to a jail that runs, but is not well, if its spec asks for a restart."""
        if _is_sick(entry):
            await self._see_to(entry, run, None, failed=True)

    async def _see_to(self, entry: JailEntry, run: Run, status: int | None, *, failed: bool) -> None:
        if _policy(entry) is None:
            return
        await self._supervisor.over(_task(entry))  # what it does about an end before this one
        await self._dispatcher.idle(f"jails/{entry.name}")  # a change undoes or fixes what it is the reason of
        policy, record = _policy(entry), entry.restarts
        if policy is None or entry.run is not run or self._counted.get(entry.name) is run:
            return
        if (record is None or record.verdict is Verdict.AGAIN) and self._needs_start(entry):
            await self._count(entry, policy, status, failed=failed)
            self.go_on(entry)

    def go_on(self, entry: JailEntry) -> None:
        """Start a jail again when it is time to, if that is what its record says."""
        if entry.restarts is not None and entry.restarts.verdict is Verdict.AGAIN and self._needs_start(entry):
            target = f"jails/{entry.name}"
            self._supervisor.retry(_task(entry), lambda: self._until_it_runs(entry), pause=_PAUSE, target=target)

    async def _until_it_runs(self, entry: JailEntry) -> None:
        target = f"jails/{entry.name}"
        while (record := entry.restarts) is not None and record.verdict is Verdict.AGAIN:
            if (early := record.due - self._clock.now()) > 0:
                await self._clock.sleep(early)
            await self._dispatcher.idle(target)  # a change may be what fixes it
            policy = _policy(entry)
            if policy is None or not self._needs_start(entry) or entry.restarts is not record:
                if entry.restarts is record and not _runs(entry):
                    entry.restarts = None  # the host is shut down, or its standbys were not heard: others start it then
                return
            asked = await self._dispatcher.submit(target, "restart", CALLER, lambda handle: self._start(handle, entry))
            done = await self._operations.wait(asked.id)
            entry.restarts = entry.restarts or record  # none: started by that, whether it became healthy or not
            if done.failure is None or not self._needs_start(entry):
                return
            entry.message = f"it could not be started again: {done.failure.message}"
            await self._count(entry, policy, None, failed=True)

    async def _start(self, handle: Handle, entry: JailEntry) -> str:
        if self._needs_start(entry):  # as it is by now
            if _runs(entry):
                await self._lifecycle.restart(handle, entry.name)
            else:
                await self._lifecycle.start(handle, entry.name)
        return f"jails/{entry.name}"

    async def _count(self, entry: JailEntry, policy: Restart, status: int | None, *, failed: bool = False) -> None:
        if entry.record is None:
            raise TypeError(entry.name)
        if entry.run is not None:
            self._counted[entry.name] = entry.run
        uid, generation = entry.record.uid, entry.record.generation
        new = RestartRecord(uid=uid, boot=self._boot, generation=generation, ends=(), verdict=Verdict.AGAIN)
        before, now = entry.restarts or new, self._clock.now()
        entry.restarts = after = after_end(before, policy, now=now, status=status, failed=failed)
        try:
            if after.verdict is Verdict.CRASH_LOOP:
                entry.message = f"{entry.message or 'it was unhealthy'}; {_told_loop(policy)}"
                await self._events.emit("jail.crash_loop", f"jails/{entry.name}", entry.message)
            if not self._boot:
                await self._look_at_boot()
            row = msgspec.structs.replace(after, boot=self._boot)
            if entry.restarts is after:  # else somebody has started it meanwhile
                entry.restarts = row
            await self._store.put_restarts(row)
        except JaildError as error:  # a full disk keeps no jail down: the next daemon begins to count anew
            self._log.warning("the count is not on the disk", jail=entry.name, error=str(error))

    # -- may it be started

    def _is_ours(self, entry: JailEntry) -> bool:
        """Whether it is to run here, and the end is not one of a change, which undoes it itself."""
        record, run = entry.record, entry.run
        return (
            self._inventory.jails.get(entry.name) is entry
            and record is not None
            and record.desired is Desired.RUNNING
            and (run is None or run.generation == record.generation)
            and self._inventory.may(entry, Intent.RUN_ON)
        )

    def _needs_start(self, entry: JailEntry) -> bool:
        return (
            self._is_ours(entry)
            and not self._inventory.shut_down
            and (not _runs(entry) or _is_sick(entry))
            and self._inventory.may(entry, Intent.START)
        )


def _policy(entry: JailEntry) -> Restart | None:
    return entry.generation.spec.restart if entry.generation is not None else None


def _runs(entry: JailEntry) -> bool:
    return entry.run is not None and entry.run.running


def _is_sick(entry: JailEntry) -> bool:
    """Whether it is unhealthy, and its spec asks for a restart then."""
    liveness = entry.generation.spec.liveness if entry.generation is not None else None
    asks = liveness is not None and liveness.restart
    return asks and entry.health is not None and entry.health.state is Health.UNHEALTHY


def _task(entry: JailEntry) -> str:
    return f"restart {entry.name}"


def _told_loop(policy: Restart) -> str:
    return f"more than {policy.max} restarts within {policy.within:g} s: it is not started again by itself"
