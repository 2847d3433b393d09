"""The jails of the host, started and stopped together.

    (the host boots) ──► STARTED ◄── start-jails ── SHUT DOWN ──► (the host goes down)
                            └──────── stop-jails ─────▲

The daemon itself starts what should run when it starts (docs/decisions/0230). SHUT DOWN is remembered with the id of
the host's boot: a daemon that is restarted meanwhile leaves the jails stopped, the host's next boot starts them. What
each jail should be (`desired`) is not touched by either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.jails.build import JailParts
from jaild.migration.build import MigrationParts
from jaild.model import quantity
from jaild.model.errors import DeadlineExceededError, FailedPreconditionError, JaildError, NotFoundError
from jaild.model.jails.authority import Intent
from jaild.model.jails.bootorder import Groups, in_boot_order
from jaild.model.jails.spec import Boot as BootSpec
from jaild.model.layers.records import Desired
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.views import Caller
from jaild.replication.build import ReplicationParts
from jaild.transfer.build import TransferParts

BOOT = Caller(actor="boot")
HOST = "host"  # target of the operations
_FIRST = BootSpec(order=0)  # of a jail whose spec cannot be read: it is stopped last


class _ShutDown(msgspec.Struct, frozen=True):
    boot: str  # the host's boot in which the jails were stopped


class Boot:
    """Starts and stops all jails."""

    def __init__(
        self,
        engine: Engine,
        jails: JailParts,
        transfer: TransferParts,
        migration: MigrationParts,
        replication: ReplicationParts,
    ) -> None:
        self._inventory = engine.inventory
        self._journals = transfer.journals
        self._incoming = migration.target
        self._lifecycle = jails.lifecycle
        self._restarts = jails.restarts
        self._start_guard = replication.start_guard
        self._boot_id = engine.ports.boot_id
        self._files = engine.ports.files
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._events = engine.events
        self._clock = engine.ports.clock
        self._memory = engine.place.shut_down
        self._patience = engine.place.patience
        self._slots = asyncio.Semaphore(engine.place.starts_at_once)  # taken in the order in which they are asked for

    async def recall(self) -> None:
        """Learn whether the jails were stopped for the host's shutdown since it booted. Before anybody is answered."""
        try:
            remembered = msgspec.json.decode(await self._files.read(self._memory), type=_ShutDown)
        except NotFoundError:
            return
        except Exception as error:  # noqa: BLE001 -- whatever lies there: it keeps no daemon down, and no jail
            await self._events.emit("repair", HOST, f"{self._memory} cannot be read, so the jails start: {error}")
            return
        if remembered.boot and remembered.boot == await self._boot_id.read():
            self._hold()
        else:
            await self._files.remove(self._memory)

    def announce(self) -> None:
        """Tell readers which jails `at_start` will start: they have not failed. Before anybody is answered."""
        if not self._inventory.shut_down:
            self._await_turn(self._to_start())

    async def at_start(self) -> None:
        """Start what should run, in boot order, unless the jails were stopped for the host's shutdown."""
        if self._inventory.shut_down:
            await self._events.emit(
                "host.shut-down", HOST, "the jails stay stopped: jailctl host start-jails starts them"
            )
            return
        await self._start_all()

    # -- start-jails

    async def start(self, *, validate_only: bool, caller: Caller) -> Operation:
        """Start what should run, in boot order, jails of one order side by side. No error if all runs."""
        duplicate = await self._operations.duplicate(caller, "start-jails", HOST)
        if duplicate is not None:
            return duplicate
        plan = _plan("start-jails", _steps("start", self._to_start()))
        if validate_only:
            return await self._dispatcher.planned(plan, caller, while_held=True)
        await self._files.remove(self._memory)
        self._release()

        async def work(handle: Handle) -> str:
            with handle.cancellable():
                await handle.phase("start")
                failed = await self._start_all()
            if failed:
                raise FailedPreconditionError(
                    "JAILS_NOT_STARTED",
                    f"{quantity.count(len(failed), 'jail')} did not start: {', '.join(sorted(failed))}",
                    hint="`jailctl jail show NAME` says why of each",
                    resource=HOST,
                    detail=failed,
                )
            return HOST

        return await self._dispatcher.submit(HOST, "start-jails", caller, work, plan=plan)

    def _to_start(self) -> Groups:
        return _grouped(entry for entry in self._inventory.jails.values() if self._should_start(entry))

    def _should_start(self, entry: JailEntry) -> bool:
        if entry.record is None or entry.generation is None or entry.record.desired is not Desired.RUNNING:
            return False
        wanted = not _runs(entry) and entry.generation.spec.boot.autostart
        wanted = wanted and entry.restarts is None  # else it ended by itself: its restart policy has it
        if not wanted or not self._inventory.may(entry, Intent.START):
            return False
        # Not what `TargetMigration.recover` goes on with: it activates it.
        return not any(map(self._incoming.owns, self._journals.coming(entry.name)))

    async def _start_all(self) -> dict[str, str]:
        """Return why what did not start did not."""
        failed: dict[str, str] = {}
        self._start_guard.go_on(self._start_confirmed)
        for entry in self._inventory.jails.values():
            if entry.restarts is not None:
                self._restarts.go_on(entry)
        groups = self._to_start()
        self._await_turn(groups)
        try:
            await self._start_groups(groups, failed)
        finally:
            self._inventory.to_start.clear()
        return failed

    def _await_turn(self, groups: Groups) -> None:
        self._inventory.to_start = {name for _, names in groups for name in names}

    async def _start_groups(self, groups: Groups, failed: dict[str, str]) -> None:
        for _, names in groups:
            if self._inventory.shut_down:  # somebody stops them already
                break
            asked = {name: await self._start(name, failed) for name in names}
            self._inventory.to_start.difference_update(names)
            until = self._clock.monotonic() + self._patience
            for name, operation in asked.items():
                if not operation:
                    continue
                seen = await self._operations.wait(operation, max(until - self._clock.monotonic(), 0.0))
                if not seen.done:
                    message = f"not healthy after {self._patience:g} s: jails of later boot orders do not wait for it"
                    await self._events.emit("jail.slow", f"jails/{name}", message)
                elif seen.failure is not None:
                    if seen.failure.reason == "KEY_UNAVAILABLE":
                        await self._events.emit("jail.not_started", f"jails/{name}", seen.failure.message)
                    failed[name] = f"{seen.failure.message} ({seen.failure.reason})"

    async def _start_confirmed(self, entry: JailEntry) -> None:
        if (
            self._should_start(entry)
            and not self._inventory.shut_down
            and (operation := await self._start(entry.name, {}))
        ):
            await self._operations.wait(operation)

    async def _start(self, name: str, failed: dict[str, str]) -> str:
        async def work(handle: Handle) -> str:
            await self._lifecycle.start(handle, name, slot=self._slots)
            return f"jails/{name}"

        try:
            return (await self._dispatcher.submit(f"jails/{name}", "start", BOOT, work)).id
        except JaildError as error:  # somebody deletes or migrates it already; the others are started all the same
            failed[name] = str(error)
            await self._events.emit("jail.not_started", f"jails/{name}", str(error))
            return ""

    # -- stop-jails

    async def stop(self, *, deadline: float, validate_only: bool, caller: Caller) -> Operation:
        """Stop what runs within `deadline` seconds, the boot order backwards, for the host's shutdown.

        From now on, and until `start` or the host's next boot, no change is taken (HOST_SHUT_DOWN), and none goes on
        that may be interrupted. The operation fails with JAILS_STILL_RUNNING if the time was not enough.
        """
        duplicate = await self._operations.duplicate(caller, "stop-jails", HOST)
        if duplicate is not None:
            return duplicate
        plan = _plan("stop-jails", _steps("stop", self._to_stop()[::-1]))
        if validate_only:
            return await self._dispatcher.planned(plan, caller, while_held=True)
        until = self._clock.monotonic() + deadline
        await self._files.write(self._memory, msgspec.json.encode(_ShutDown(await self._boot_id.read())))
        self._hold()
        await self._dispatcher.clear()

        async def work(handle: Handle) -> str:
            await handle.phase("stop")
            await self._stop_all(handle, until)
            return HOST

        return await self._dispatcher.submit(HOST, "stop-jails", caller, work, plan=plan, while_held=True)

    def _to_stop(self) -> Groups:
        return _grouped(entry for entry in self._inventory.jails.values() if _runs(entry))

    async def _stop_all(self, handle: Handle, until: float) -> None:
        stopping: dict[str, asyncio.Task[None]] = {}
        try:
            # Looked up again: a migration whose commit point had passed may have brought one meanwhile.
            while groups := [
                (o, new) for o, names in self._to_stop() if (new := [n for n in names if n not in stopping])
            ]:
                timeouts = [max(self._timeout(name) for name in names) for _, names in groups]
                while groups:
                    order, names = groups.pop()
                    handle.note(message=f"order {order}: {', '.join(names)}")
                    for name in names:
                        stopping[name] = asyncio.create_task(self._stop(handle, name), name=f"stop {name}")
                    patience = share(until - self._clock.monotonic(), timeouts[::-1])
                    await asyncio.wait([stopping[name] for name in names], timeout=patience)
                    timeouts.pop()
            if stopping:
                await asyncio.wait(stopping.values(), timeout=max(0.0, until - self._clock.monotonic()))
            self._require_stopped(stopping)
        finally:
            for task in stopping.values():
                task.cancel()  # who only waits: the jail's own task goes on
            await asyncio.gather(*stopping.values(), return_exceptions=True)

    def _require_stopped(self, stopping: dict[str, asyncio.Task[None]]) -> None:
        left = sorted(entry.name for entry in self._inventory.jails.values() if _runs(entry))
        if not left:
            return
        why = {
            name: str(task.exception()) if (task := stopping.get(name)) is not None and task.done() else "not done yet"
            for name in left
        }
        raise DeadlineExceededError(
            "JAILS_STILL_RUNNING",
            f"{quantity.count(len(left), 'jail')} still running: {', '.join(left)}",
            hint="give them more time, or look at what keeps them: jailctl jail show NAME",
            resource=HOST,
            detail=why,
        )

    async def _stop(self, handle: Handle, name: str) -> None:
        target = f"jails/{name}"
        for operation in self._dispatcher.pending(target):  # what may not be interrupted goes on to its end
            await self._operations.wait(operation.id)

        async def work(own: Handle) -> str:
            await self._lifecycle.shut_down(own, name)
            return target

        caller = Caller(actor=handle.operation.actor)
        asked = await self._dispatcher.submit(target, "shutdown", caller, work, while_held=True)
        failure = (await self._operations.wait(asked.id)).failure
        if failure is not None:
            raise FailedPreconditionError(failure.reason, failure.message, hint=failure.hint, resource=target)

    def _timeout(self, name: str) -> float:
        generation = self._inventory.jails[name].generation
        return generation.spec.stop.timeout + generation.spec.hooks.drain_time if generation is not None else 0.0

    # -- shut down or not

    def _hold(self) -> None:
        self._inventory.shut_down = True
        self._dispatcher.hold(_shut_down)

    def _release(self) -> None:
        self._inventory.shut_down = False
        self._dispatcher.release()


def share(left: float, timeouts: Sequence[float]) -> float:
    """Return how many of the `left` seconds the first of some groups is waited for.

    `timeouts` has for each group still to be stopped the longest stop.timeout of its jails, the next one first. Where
    the time is enough for all, each gets at least its own; where it is not, each gets the same part of its own, so that
    the last one is asked to stop in time as well.
    """
    wanted = sum(timeouts)
    return max(0.0, left) * (timeouts[0] / wanted if wanted else 1 / len(timeouts))


def _runs(entry: JailEntry) -> bool:
    return entry.run is not None and entry.run.running


def _grouped(entries: Iterable[JailEntry]) -> Groups:
    boots = {entry.name: entry.generation.spec.boot if entry.generation is not None else _FIRST for entry in entries}
    orders = {name: boot.order for name, boot in boots.items()}
    return in_boot_order(orders, {name: boot.after for name, boot in boots.items()})


def _plan(kind: str, steps: list[str]) -> Plan:
    return Plan(kind=kind, target=HOST, steps=tuple(steps), unchanged=not steps)


def _steps(verb: str, groups: Groups) -> list[str]:
    return [f"{verb} {', '.join(names)} (order {order})" for order, names in groups]


def _shut_down() -> JaildError:
    return FailedPreconditionError(
        "HOST_SHUT_DOWN",
        "the jails of this host were stopped for its shutdown: nothing is changed until it has booted again",
        hint="ask again then; if the host stays up: jailctl host start-jails",
        resource=HOST,
    )
