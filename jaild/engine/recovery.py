"""What a daemon does when it starts: what a crash left half-way is ended, then jails are brought up.

The rooms register what each of them repairs; the order is here, with its reasons: `Stage`, `JailStage`, `Resume`.

| found | repaired to | by |
|---|---|---|
| a layer with @sealed whose import, push or build was under way | that operation is ended as done | layers |
| a migration before its freeze | gone on with, as the same operation | migration |
| any other operation that was under way | ended with DAEMON_STOPPED | here |
| a rollout that was under way | gone on with: each jail by the generation that it is on | rollouts |
| a sandbox (of a build, or of /etc's databases), a run of a jail that moved away | stopped and removed | jails |
| a layer without @sealed | destroyed: its import or build never finished | layers |
| a jail whose first generation was not committed | destroyed: its creation never finished | jails |
| a jail being deleted | deleted | jails |
| a volume being removed | removed | jails |
| a generation marked staged, or empty | dropped if not active, else its mark is removed | jails |
| a run of a generation that is not the active one, or of a jail that is to be stopped | stopped and removed | jails |
| a run, of a jail with a restart policy, that ended while no daemon was there | counted; what its policy says | jails |
| an old jail that was stopped for its adoption, which never finished | started again by its tool | adoption |
| a jail frozen for a migration | active here again; the target is told to throw its copy away | migration |
| a jail that moved, not acknowledged | Activate is sent until the target acknowledges | migration |
| a jail that comes from another host | the source is asked how it ended, until it answers | migration |
| a clone that a test migration booted | its run ended, its datasets destroyed | jails, migration |
| a jail that was being taken over by force | a standby (or what it was) again: ask for it again | replication |
| a jail that was taken over by force | writable, started; its former owner is told until it knows | replication |
| a jail that another host took over | stopped, unmounted, read-only | replication, migration |
| a jail with standbys that does not run | started as soon as all say that they have not taken it over | replication |
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence

from jaild.engine.events import Events
from jaild.engine.inventory import Found, Inventory, JailEntry
from jaild.engine.operations import Operations
from jaild.model.errors import JaildError, UnavailableError
from jaild.model.layers.records import JailRecord
from jaild.model.operation import Operation

BOOT = "boot"  # the task that starts the jails when the daemon starts


class Stage(enum.Enum):
    """The order of the repair. Nobody is answered before its end."""

    SEALED = enum.auto()  # before OPERATIONS: what is past its commit point is done, not interrupted
    OPERATIONS = enum.auto()  # early: JAILS asks in which jails one was interrupted
    STRANGERS = enum.auto()  # before anything goes: what their runs mount could not be destroyed or unmounted
    LAYERS = enum.auto()
    DAMAGED = enum.auto()
    RECORDLESS = enum.auto()  # jail datasets without a record: each is of the first room that knows it
    JAILS = enum.auto()  # one after the other, each in the order of `JailStage`
    RUNS = enum.auto()  # after JAILS: it is known now whose each jail is, and which generation is active
    CLONES = enum.auto()  # after RUNS: a clone's datasets can be destroyed when its run has ended
    HOLD_BACK = enum.auto()  # last: what runs, and is this host's, was adopted and asks nobody


class JailStage(enum.Enum):
    """The order of the repair of one jail. Each is told the record as it was found, and may say: that is all."""

    UNFINISHED = enum.auto()  # first: nothing is repaired of what goes, or of an old copy
    MIGRATION = enum.auto()  # a jail that was frozen is active again, and its generations are looked at
    FAILOVER = enum.auto()  # before GENERATIONS: they lie on datasets that it makes writable
    GENERATIONS = enum.auto()


class Resume(enum.Enum):
    """The order in which the background is begun, when callers are answered."""

    BOOT = enum.auto()  # first: those that wait for the boot find its task
    TELL = enum.auto()
    LEAVING = enum.auto()
    COMING = enum.auto()
    EVACUATIONS = enum.auto()  # they go on with migrations that LEAVING has taken up
    ROLLOUTS = enum.auto()  # they change jails that the others may be moving
    LAYERS = enum.auto()  # last: what of them is not in an index yet keeps nobody waiting


Step = Callable[[Found], Awaitable[None]]
JailStep = Callable[[JailEntry, JailRecord], Awaitable[bool]]


class Recovery:
    """The steps that the rooms have registered; those of one stage are done as they were registered."""

    def __init__(self, inventory: Inventory, operations: Operations, events: Events) -> None:
        self._inventory = inventory
        self._operations = operations
        self._events = events
        self._steps: dict[Stage, list[Step]] = defaultdict(
            list,
            {
                Stage.OPERATIONS: [self._end_operations],
                Stage.DAMAGED: [self._tell_of_damaged],
                Stage.RECORDLESS: [self._repair_recordless],
                Stage.JAILS: [self._repair_jails],
            },
        )
        self._of_jails: dict[JailStage, list[JailStep]] = defaultdict(list)
        self._after_jails: list[Callable[[JailEntry], Awaitable[None]]] = []
        self._of_datasets: list[Callable[[str], Awaitable[bool]]] = []
        self._continued: list[Callable[[Sequence[Operation]], Collection[str]]] = []
        self._resumed: dict[Resume, list[Callable[[], None]]] = defaultdict(list)
        self.interrupted: set[str] = set()  # what those operations were about that nobody goes on with
        self.ended: set[tuple[str, int]] = set()  # runs that steps have ended, by jail and generation: none is adopted
        self.repairs: list[str] = []

    # -- what rooms register

    def at(self, stage: Stage, step: Step) -> None:
        """Do a step at a stage. What it raises ends the start of the daemon."""
        self._steps[stage].append(step)

    def of_jail(self, stage: JailStage, step: JailStep) -> None:
        """Do a step for each jail whose record can be read. True from it: that is all to be done with the jail."""
        self._of_jails[stage].append(step)

    def after_jail(self, step: Callable[[JailEntry], Awaitable[None]]) -> None:
        """Do a step for each jail, whatever its other steps have said."""
        self._after_jails.append(step)

    def of_recordless(self, step: Callable[[str], Awaitable[bool]]) -> None:
        """Ask about each jail dataset without a record. True: it was this room's, and is seen to."""
        self._of_datasets.append(step)

    def continues(self, ids: Callable[[Sequence[Operation]], Collection[str]]) -> None:
        """Leave those of the unfinished operations to the room whose ids it returns."""
        self._continued.append(ids)

    def resumes(self, stage: Resume, begin: Callable[[], None]) -> None:
        """Begin what goes on in the background."""
        self._resumed[stage].append(begin)

    # -- what steps do it with

    async def tell(self, message: str) -> None:
        """Tell of a repair: in an event, and as long as this daemon lives in the host's view."""
        self.repairs.append(message)
        await self._events.emit("repair", "host", message)

    async def attempt(self, message: str, work: Awaitable[object]) -> None:
        """Do it and tell of it; tell what keeps it from being done."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 -- one thing that cannot be repaired keeps no other from it
            await self.tell(f"could not repair ({message}): {error if isinstance(error, JaildError) else repr(error)}")
        else:
            await self.tell(message)

    async def quietly(self, work: Awaitable[object]) -> None:
        """Do it; tell only what keeps it from being done."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 -- as above
            await self.tell(f"could not repair: {error if isinstance(error, JaildError) else repr(error)}")

    # -- at the start of the daemon

    async def repair(self, found: Found) -> None:
        """Repair what is this host's alone. What fails is told, and stops nothing else."""
        for stage in Stage:
            for step in self._steps[stage]:
                await step(found)

    def resume(self) -> None:
        """Go on, in the background, with what other hosts have a say in."""
        for stage in Resume:
            for begin in self._resumed[stage]:
                begin()

    async def _end_operations(self, _: Found) -> None:
        unfinished = [operation for operation in self._operations.list() if not operation.done]
        continued = frozenset().union(*(ids(unfinished) for ids in self._continued))
        for operation in unfinished:
            if operation.id in continued:
                continue
            error = UnavailableError(
                "DAEMON_STOPPED",
                "the daemon ended while this was under way",
                hint="what was begun has been undone or finished: look at the resource, then ask again",
                resource=operation.target,
            )
            await self._operations.finish(operation.id, error=error)
            self.interrupted.add(operation.target)

    async def _tell_of_damaged(self, found: Found) -> None:
        for problem in found.damaged:
            await self.tell(f"left alone: {problem}")

    async def _repair_recordless(self, found: Found) -> None:
        for dataset in found.recordless:
            for step in self._of_datasets:
                if await step(dataset):
                    break
            else:
                await self.tell(f"{dataset} has no record of jaild on it: left alone, look at it by hand")

    async def _repair_jails(self, _: Found) -> None:
        for entry in list(self._inventory.jails.values()):
            await self.quietly(self._repair_jail(entry))
            for step in self._after_jails:
                await self.quietly(step(entry))

    async def _repair_jail(self, entry: JailEntry) -> None:
        record = entry.record
        if record is None:
            await self.tell(f"jail {entry.name} is damaged: {entry.message}")
            return
        for stage in JailStage:
            for step in self._of_jails[stage]:
                if await step(entry, record):
                    return
