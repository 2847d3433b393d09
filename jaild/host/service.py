"""The host: what it is, and the order in which a daemon comes up."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

import msgspec
import structlog

from jaild.engine.build import Engine
from jaild.evacuation.service import Evacuations
from jaild.model import layout, settings
from jaild.model.errors import FailedPreconditionError, JaildError, NotFoundError
from jaild.model.jails.ownership import MOUNTED
from jaild.model.layers.records import JailRecord, Ownership, decode, require_known
from jaild.model.migration.streams import PROTOCOL
from jaild.model.views import HostView, JailState, PeerView, Reloaded
from jaild.ports.zfs import Dataset
from jaild.rollouts.service import Rollouts
from jaild.transfer.build import TransferParts

_SHOWN = 100  # tasks that fail


class _HostRecord(msgspec.Struct, frozen=True):
    id: str
    schema: int = 1


class Host:
    """Brings the daemon up, and tells what it runs on. `warnings`: sentences of others about what must be fixed now."""

    def __init__(
        self,
        engine: Engine,
        transfer: TransferParts,
        evacuations: Evacuations,
        rollouts: Rollouts,
        warnings: Callable[[], Iterable[str]],
        version: str,
    ) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._runtime = engine.ports.runtime
        self._peers = engine.ports.peers
        self._store = engine.ports.store
        self._operations = engine.operations
        self._journals = transfer.journals
        self._deleted = engine.deleted
        self._reserve = engine.reserve
        self._draining = engine.draining
        self._evacuations = evacuations
        self._rollouts = rollouts
        self._warned_of = warnings
        self._recovery = engine.recovery
        self._transitions = engine.transitions
        self._supervisor = engine.supervisor
        self._events = engine.events
        self._clock = engine.ports.clock
        self._configuration = engine.ports.configuration
        self._told = 0
        self._unended = engine.ports.unended
        self._name = engine.place.name
        self._metrics = engine.place.metrics
        self._version = version
        self._started = 0.0
        self._ready_seconds = 0.0
        self._root_dataset: Dataset | None = None
        self._log = structlog.get_logger("jaild.host")

    def told_to_reload(self) -> None:
        """Reload for whoever sent a signal: how it ended is in the log and the events."""

        async def reload() -> None:
            with suppress(JaildError):  # told
                await self.reload()

        self._told += 1  # each is a task of its own: the file may have been written again after one has read it
        self._supervisor.retry(f"reload the configuration, {self._told}", reload)

    async def reload(self, *, validate_only: bool = False) -> Reloaded:
        """Read the configuration again; raises as its port, with nothing changed. `validate_only`: change nothing."""
        if validate_only:
            return await self._configuration.reload(validate_only=True)
        try:
            done = await self._configuration.reload(validate_only=False)
        except JaildError as error:
            self._log.error("configuration refused, the old one stays", reason=error.reason, message=error.message)
            message = f"the old configuration stays: {error.message}"
            await self._events.emit("host.reload_refused", "host", message, reason=error.reason)
            raise
        self._log.info("configuration reloaded", applied=done.applied, needs_restart=done.needs_restart)
        later = f"; after a restart only: {', '.join(done.needs_restart)}" if done.needs_restart else ""
        message = f"changed: {', '.join(done.applied) or 'nothing'}{later}"
        await self._events.emit("host.reloaded", "host", message)
        return done

    async def start(self, began: float) -> None:
        """Read what is there and repair it; `began` is the monotonic time at which the daemon was started.

        `FailedPreconditionError` (ROOT_DATASET_MISSING) if the configured dataset is not there.
        """
        self._started = self._clock.now()
        datasets = await self._tree()
        root = self._root_dataset = datasets[0]
        self._inventory.host_name = self._name
        self._inventory.host_id = await self._host_id(root)
        self._inventory.host_names[self._inventory.host_id] = self._name
        changed = await self._ensure_parents(datasets)
        unmounted: list[str] = []
        if await self._open(datasets, unmounted) or changed:
            datasets = await self._tree()
        if not any(dataset.name == self._inventory.where.reserve for dataset in datasets):
            self._reserve.keep()
        await self._runtime.prepare_host()
        self._inventory.channels = {channel.name: channel for channel in await self._store.channels()}
        await self._operations.load()
        await self._journals.load()
        await self._deleted.load()
        await self._draining.load()
        await self._evacuations.load()
        await self._rollouts.load()
        found = await self._inventory.load(datasets)
        self._keep_layers()
        found.damaged += [*unmounted, *(f"jaild.db: {row}" for row in self._store.damaged())]
        await self._recovery.repair(found)
        self._ready_seconds = self._clock.monotonic() - began
        self._transitions.begin()
        await self._events.emit("host.ready", "host", f"jails: {len(self._inventory.jails)}", name=self._name)

    async def _ensure_parents(self, datasets: Sequence[Dataset]) -> bool:
        """Make what is the parent of all else, and give it the properties that the root dataset would hand on wrong.

        Returns whether anything was made. `FailedPreconditionError` (ROOT_DATASET_READONLY): below it nothing can be
        made, nor mounted.
        """
        root, there = datasets[0], {dataset.name for dataset in datasets}
        above = await self._zfs.settings(root.name)
        if root.readonly:
            raise FailedPreconditionError(
                "ROOT_DATASET_READONLY",
                f"the dataset {root.name} is read-only",
                hint=f"zfs set readonly=off {root.name}; `zfs get readonly {root.name}` says what it has that from",
            )
        fixed, where = settings.own(above, new=True), self._inventory.where
        parents = (where.bases, where.apps, where.jails)
        for parent in parents:
            wanted = fixed
            if parent not in there:
                await self._zfs.create(parent, wanted)
            elif fixed:
                wanted = settings.own(await self._zfs.settings(parent), new=False)
                if wanted:
                    await self._zfs.set(parent, wanted)
            if wanted:
                told = ", ".join(f"{name}={value}" for name, value in wanted.items())
                await self._recovery.tell(f"set {told} on {parent}: {root.name} has them otherwise")
        return not there.issuperset(parents)

    def _keep_layers(self) -> None:
        """Have the copies that jails left here keep their layers: they are not mounted, so nothing of them is read."""
        for entry in self._inventory.jails.values():
            if entry.record is not None and entry.record.state is Ownership.MOVED:
                entry.layers = self._journals.layers(entry.record.uid)

    async def _tree(self) -> list[Dataset]:
        """Return the root dataset and all below it: what a start takes longest for, so once if nothing is changed."""
        try:
            return await self._zfs.datasets(self._inventory.where.root)
        except NotFoundError:
            raise FailedPreconditionError(
                "ROOT_DATASET_MISSING",
                f"the dataset {self._inventory.where.root} does not exist",
                hint=f"make it: zfs create -o mountpoint=/jaild -o atime=off {self._inventory.where.root}",
            ) from None

    async def _host_id(self, root: Dataset) -> str:
        text = root.properties.get(layout.HOST_PROPERTY)
        if text is not None:
            require_known(text, f"this host's id on {root.name}")
            try:
                return msgspec.json.decode(text, type=_HostRecord).id
            except (ValueError, TypeError, RecursionError) as error:  # no other id may be given to it
                raise FailedPreconditionError(
                    "RECORD_DAMAGED",
                    f"this host's id on {root.name} cannot be read: {error}",
                    hint=f"bring {layout.HOST_PROPERTY} back: every jail's record here names it as the owner",
                    detail={"record": text[:200]},
                ) from error
        record = _HostRecord(id=uuid.uuid4().hex)
        await self._zfs.set(root.name, {layout.HOST_PROPERTY: msgspec.json.encode(record).decode()})
        return record.id

    async def _open(self, datasets: Sequence[Dataset], failures: list[str]) -> bool:
        """Open (writable, mounted) what is this host's and a crash left as it had come; return if there was any.

        A jail that is started on read-only datasets keeps them so, whatever they are later: its tree was made of them.
        What cannot be mounted is added to `failures`: it stops its own jail and nothing else.
        """
        jails = f"{self._inventory.where.jails}/"
        states = {
            d.name: _state(d.properties[layout.JAIL_PROPERTY], d.name)
            for d in datasets
            if layout.JAIL_PROPERTY in d.properties
        }
        changed = False
        for dataset in sorted(datasets, key=lambda d: d.name):
            jail = _jail_of(dataset.name, jails)
            if jail in states and states[jail] not in MOUNTED:
                continue
            closed = dataset.readonly and states.get(jail) is Ownership.ACTIVE
            unmounted = not dataset.mounted and dataset.mountpoint is not None
            if not closed and not unmounted:
                continue
            if _has_no_record(dataset, jails) and await self._zfs.resume_token(dataset.name) is not None:
                continue  # an interrupted receive
            changed = True
            try:
                if closed:
                    await self._zfs.set(dataset.name, {"readonly": "off"})
                if unmounted:
                    await self._zfs.mount(dataset.name)
            except JaildError as error:
                if error.reason != "KEY_UNAVAILABLE":  # else the jail's start loads it, or says why not
                    failures.append(f"{dataset.name} cannot be made ready: {error}")
        return changed

    async def view(self) -> HostView:
        """Return what the host is, has and can do."""
        facts, capabilities = await self._runtime.facts(), await self._zfs.capabilities()
        try:
            self._root_dataset = await self._zfs.dataset(self._inventory.where.root)
        except JaildError as error:  # what fails is what one looks for here: the rest is shown all the same
            self._log.warning("the space is as it was", error=str(error))
        root, tasks = self._root_dataset, self._supervisor.statistics()
        owned = [
            entry
            for entry in self._inventory.jails.values()
            if entry.record is not None and entry.record.owner == self._inventory.host_id
        ]
        running = sum(self._inventory.jail_view(entry.name).state is JailState.RUNNING for entry in owned)
        able = {
            name: getattr(capabilities, name)
            for name in capabilities.__dataclass_fields__
            if isinstance(getattr(capabilities, name), bool)
        }
        return HostView(
            id=self._inventory.host_id,
            name=self._name,
            version=self._version,
            peer_protocol=PROTOCOL,
            zfs=f"{capabilities.implementation} {capabilities.version}".strip(),
            zfs_capabilities=able,
            runtime=facts.runtime,
            kernel=facts.kernel,
            osreldate=facts.osreldate,
            machine=facts.machine,
            dataset=self._inventory.where.root,
            used=root.used if root is not None else 0,
            available=root.available if root is not None else 0,
            jails=len(owned),
            running=running,
            peers=tuple(self._known_peers()),
            started=self._started,
            ready_seconds=self._ready_seconds,
            repairs=tuple(self._recovery.repairs),
            drain=self._draining.now,
            shut_down=self._inventory.shut_down,
            background_tasks=len(tasks),
            failing=tuple(task for task in tasks if task.failures)[:_SHOWN],
            warnings=tuple(filter(None, self._warnings())),
            metrics=self._metrics,
        )

    def _warnings(self) -> Iterator[str]:
        yield self._events.trouble()
        yield from self._unended()
        yield from self._warned_of()

    def _known_peers(self) -> Iterator[PeerView]:
        for name in self._peers.names():
            if (where := self._peers.address(name)) is not None:
                yield PeerView(name=name, address=where.address, server_name=where.server_name)


def _jail_of(dataset: str, jails: str) -> str:
    """Return the dataset of the jail that a dataset below `jails` is part of; '' for a layer and what is around."""
    return jails + dataset.removeprefix(jails).partition("/")[0] if dataset.startswith(jails) else ""


def _has_no_record(dataset: Dataset, jails: str) -> bool:
    """Whether a layer's or a jail's dataset says nothing of itself; what is below a jail never does."""
    below = dataset.name.removeprefix(jails)
    return not dataset.properties and (below == dataset.name or "/" not in below)


def _state(text: str, dataset: str) -> Ownership | None:
    """Return a jail's state; None if its record cannot be read."""
    try:
        return decode(text, JailRecord, dataset).state
    except JaildError:
        return None
