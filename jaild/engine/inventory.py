"""What this host has, in memory: filled at start, kept right by the writers. Readers never start a process.

The truth is on the datasets; whatever cannot be read of it is shown as damaged and left alone, never dropped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from jaild.engine import generations
from jaild.engine.concurrency import for_each
from jaild.engine.observed import Things, Watched
from jaild.model import layout
from jaild.model.errors import DataLossError, FailedPreconditionError, JaildError, NotFoundError
from jaild.model.jails import authority
from jaild.model.jails.authority import Claim, Intent, Standing
from jaild.model.jails.liveness import HealthStatus
from jaild.model.jails.quotas import Bounds
from jaild.model.jails.restarts import RestartRecord
from jaild.model.layers.channels import Channel, behind
from jaild.model.layers.records import (
    TOO_NEW,
    BaseRecord,
    Desired,
    Generation,
    JailRecord,
    Manifest,
    Ownership,
    ReleaseRecord,
    decode,
)
from jaild.model.layout import Layout
from jaild.model.migration.budget import Parts
from jaild.model.operation import CREATING, Operation
from jaild.model.replication.policy import lasting
from jaild.model.views import AFTER_END, BaseView, JailState, JailView, ReleaseView
from jaild.ports.files import Files
from jaild.ports.runtime import Run
from jaild.ports.zfs import Dataset, Zfs

LayerRecord = TypeVar("LayerRecord", bound=BaseRecord | ReleaseRecord)
_Record_co = TypeVar("_Record_co", bound=BaseRecord | ReleaseRecord, covariant=True)
_READERS = 16  # jails that are read at once: more than threads do not help, and each holds a file open
_STARTING = CREATING | {"start", "restart", "deploy", "upgrade", "configure", "rollback", "revert", "cutover"}
_SHOWN = {Standing.SUPERSEDED: JailState.SUPERSEDED, Standing.UNCONFIRMED: JailState.WAITING}


@dataclass(frozen=True, kw_only=True)
class Layer(Generic[_Record_co]):
    """A sealed base or release."""

    dataset: str
    guid: int  # of @sealed
    folder: Path  # where it is mounted
    tree: Path  # the folder in it that jails see
    used: int
    record: _Record_co
    origin: str = ""


Reference: TypeAlias = tuple[str, str, str]  # base or empty, release or empty, who refers to it
AnyLayer: TypeAlias = Layer[BaseRecord | ReleaseRecord]


@dataclass(frozen=True)
class Stack:
    """What a generation runs on."""

    base: Layer[BaseRecord]
    release: Layer[ReleaseRecord] | None  # None: the base alone
    manifest: Manifest  # the release's; an empty one for the base alone


@dataclass
class JailEntry(Watched):
    """A jail."""

    TELLING = frozenset({"record", "run", "restarts", "damaged", "unconfirmed"})  # its state comes of these
    name: str
    dataset: str
    folder: Path
    record: JailRecord | None = None
    generation: Generation | None = None
    fallback: Generation | None = None  # what comes back if its last change is not confirmed
    staged: Generation | None = None  # what its record says is staged, if it can be read
    references: dict[int, tuple[str, str]] = field(default_factory=dict)  # number -> (base, release)
    run: Run | None = None
    health: HealthStatus | None = None  # by its liveness checks; None without them, and where it does not run
    restarts: RestartRecord | None = None  # that it ended by itself of late, and what is done about it
    took: Parts = field(default_factory=Parts)  # stop, mounts and start, each as it went here last, by this daemon
    used: int = 0
    parts: dict[str, Bounds] = field(default_factory=dict)  # its datasets below its own, as they were seen or made last
    safety: tuple[str, ...] | None = None  # tags of its safety snapshots, oldest first; None: not looked at yet
    damaged: bool = False  # its record or its active generation cannot be read
    marked: bool = True  # it may have a generation that was never committed; False: seen that all were
    message: str = ""
    layers: tuple[str, ...] = ()  # of a replica: paths of the bases and releases that it needs
    unconfirmed: frozenset[str] = frozenset()  # hosts that may have taken it over: see `jaild.model.jails.authority`
    shown: tuple[tuple[object, ...], JailView] | None = field(default=None, repr=False)  # see `Inventory.jail_view`


# What readers see nothing of, and what changes in place; whatever else an entry has makes a new view when it changes.
_UNSEEN = frozenset({"name", "dataset", "folder", "references", "took", "layers", "parts", "safety", "shown", "marked"})
_seen_of = attrgetter(*(each.name for each in fields(JailEntry) if each.name not in _UNSEEN))


@dataclass(frozen=True)
class OwnedJail:
    """A jail that something may be done with: what `Inventory.owned` has looked at."""

    entry: JailEntry
    record: JailRecord
    generation: Generation  # the active one


@dataclass
class Found:
    """What loading came upon that is not whole: for recovery."""

    unsealed: list[str] = field(default_factory=list)  # datasets that a crash left of an import or push
    recordless: list[str] = field(default_factory=list)  # jail datasets without a record
    clones: list[str] = field(default_factory=list)  # datasets of clones that a test migration booted
    damaged: list[str] = field(default_factory=list)  # what is wrong with sealed layers whose record cannot be read


@dataclass
class Users:
    """Who refers to each layer: generations, replicas, migrations that come here. The empty name is nobody's."""

    bases: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    releases: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # by app/version


class Inventory:
    """Bases, releases and jails by name."""

    def __init__(self, where: Layout, zfs: Zfs, files: Files) -> None:
        self.where = where
        self.host_id = self.host_name = ""
        self.shut_down = False  # the jails were stopped for the host's shutdown
        self.to_start: set[str] = set()  # jails whose turn at the daemon's start, or of start-jails, is still to come
        self.bases: dict[str, Layer[BaseRecord]] = {}
        self.releases: dict[str, Layer[ReleaseRecord]] = {}  # by app/version
        self.channels: dict[str, Channel] = {}
        self.jails: Things[JailEntry] = Things()
        self.folder_of_jails = Path("/nonexistent")
        self.host_names: dict[str, str] = {}  # host id -> name, as far as peers told
        self.address_of: Callable[[str], str] = lambda _: ""  # of a peer by name, host:port; '' for none
        self.needed: Mapping[str, tuple[str, ...]] = {}  # what comes here -> paths of the layers that it will refer to
        self.needed_by: list[Callable[[], Iterable[Reference]]] = []  # what else rooms say that something refers to
        self.known_epochs: Mapping[str, int] = {}  # jail's uid -> the highest epoch that the journals saw
        self._zfs = zfs
        self._files = files

    async def load(self, datasets: Sequence[Dataset]) -> Found:
        """Fill it from all datasets of the host, and from one list of snapshots for each kind of layer."""
        found = Found()
        guids = {
            snapshot.dataset: snapshot.guid
            for parent in (self.where.bases, self.where.apps)
            for snapshot in await self._zfs.snapshots(parent, recursive=True)
            if snapshot.tag == layout.SEALED
        }
        jails: list[tuple[Dataset, JailEntry]] = []
        for dataset in datasets:
            parts = dataset.name.removeprefix(self.where.root).strip("/").split("/")
            match parts:
                case ["bases", name]:
                    self._load_layer(dataset, guids, self.bases, name, layout.BASE_PROPERTY, BaseRecord, found)
                case ["apps", app, version]:
                    key = f"{app}/{version}"
                    self._load_layer(dataset, guids, self.releases, key, layout.RELEASE_PROPERTY, ReleaseRecord, found)
                case ["jails"] if dataset.mountpoint is not None:
                    self.folder_of_jails = dataset.mountpoint
                    await self._close_jails(found)
                case ["jails", name]:
                    if (entry := self._load_jail(dataset, name, found)) is not None:
                        jails.append((dataset, entry))
                case ["jails", name, *below] if name in self.jails:  # parents come first
                    self.jails[name].used += dataset.referenced
                    self.jails[name].parts["/".join(below)] = Bounds(dataset.refquota, dataset.quota)
                case ["rehearsals", _]:
                    found.clones.append(dataset.name)
        await for_each(jails, lambda each: self._read_jail(*each, found), at_once=_READERS)
        return found

    async def _close_jails(self, found: Found) -> None:
        """Let nobody but root into the folder of all jails: what is below (replicas, snapshots) has any modes."""
        try:
            await self._files.restrict([self.folder_of_jails])
        except JaildError as error:
            found.damaged.append(f"{self.folder_of_jails} is open to other users of this host: {error}")

    def _load_layer(
        self,
        dataset: Dataset,
        guids: dict[str, int],
        into: dict[str, Layer[LayerRecord]],
        key: str,
        prop: str,
        kind: type[LayerRecord],
        found: Found,
    ) -> None:
        guid = guids.get(dataset.name)
        text = dataset.properties.get(prop)
        if guid is None or text is None or dataset.mountpoint is None:
            found.unsealed.append(dataset.name)
            return
        try:
            record = decode(text, kind, dataset.name)
        except JaildError as error:
            found.damaged.append(str(error))
            return
        into[key] = Layer(
            dataset=dataset.name,
            guid=guid,
            folder=dataset.mountpoint,
            tree=dataset.mountpoint / layout.TREE,
            used=dataset.used,
            record=record,
            origin=dataset.origin,
        )

    def _load_jail(self, dataset: Dataset, name: str, found: Found) -> JailEntry | None:
        if layout.JAIL_PROPERTY not in dataset.properties:
            found.recordless.append(dataset.name)
            return None
        folder = dataset.mountpoint or Path("/nonexistent")
        entry = self.jails[name] = JailEntry(name=name, dataset=dataset.name, folder=folder, used=dataset.referenced)
        return entry

    async def _read_jail(self, dataset: Dataset, entry: JailEntry, found: Found) -> None:
        try:
            entry.record = decode(dataset.properties[layout.JAIL_PROPERTY], JailRecord, dataset.name)
            if dataset.mounted:  # a copy of a jail that is elsewhere is not
                await self.read_generations(entry)
            elif entry.record.state is Ownership.ACTIVE:
                entry.message = f"{dataset.name} is not mounted"
        except Exception as error:  # noqa: BLE001 -- whatever lies there harms this jail and no other
            entry.damaged, entry.message = True, f"its record or generation cannot be read: {error}"
            if entry.record is not None:
                found.damaged.append(f"jail {entry.name}: {entry.message}")
            if isinstance(error, FailedPreconditionError) and error.reason == TOO_NEW:
                entry.record = None  # a later jaild's: no repair drops what this one does not know

    async def read_generations(self, entry: JailEntry) -> None:
        """Read the active generation and what the others refer to, from the jail's mounted dataset.

        Of an owned jail, what an older jaild left open to others is closed.
        """
        entry.references, entry.damaged, entry.fallback, entry.staged = {}, False, None, None
        confirm = entry.record.confirm if entry.record is not None else None
        if (staged := entry.record.staged if entry.record is not None else None) is not None:
            await self._read_staged(entry, staged.number)
        folders = await self.committed(entry)
        if self.may(entry, Intent.RUN_ON):
            await self._files.restrict(
                [path for folder in folders.values() for path in (folder, folder / layout.GENERATION)]
            )
        for number, folder in folders.items():
            try:
                generation = await generations.read(self._files, entry.name, folder)
            except DataLossError as error:
                if entry.record is not None and number == entry.record.generation:
                    raise
                entry.message = str(error)  # it cannot be gone back to; the others can
                continue
            entry.references[number] = (generation.base, generation.release)
            if entry.record is not None and number == entry.record.generation:
                entry.generation = generation
            if confirm is not None and number == confirm.back_to:
                entry.fallback = generation
        if entry.record is not None and entry.record.generation not in (0, *entry.references):
            raise FailedPreconditionError(
                "GENERATION_MISSING",
                f"generation {entry.record.generation} of jail {entry.name} is not in {entry.folder}",
                hint=f"mount {entry.dataset} and restart the daemon",
                resource=f"jails/{entry.name}",
            )

    async def _read_staged(self, entry: JailEntry, number: int) -> None:
        try:
            entry.staged = staged = await self.generation(entry, number)
        except (DataLossError, NotFoundError) as error:  # recovery drops it
            entry.message = str(error)
        else:
            entry.references[number] = (staged.base, staged.release)

    async def committed(self, entry: JailEntry) -> dict[int, Path]:
        """Return the folders of a jail's generations that were committed once, by their numbers, ascending."""
        active = 0 if entry.record is None else entry.record.generation
        found = await generations.folders(self._files, entry.folder)
        numbers = [number for number, names in found.items() if not generations.only_staged(number, names, active)]
        entry.marked = len(numbers) < len(found) or any(layout.STAGED in names for names in found.values())
        return {number: layout.generation_folder(entry.folder, number) for number in numbers}

    async def generation(self, entry: JailEntry, number: int) -> Generation:
        """Read one generation. `NotFoundError` (GENERATION_NOT_FOUND), `DataLossError` (GENERATION_DAMAGED)."""
        return await generations.read(self._files, entry.name, layout.generation_folder(entry.folder, number))

    async def generations(self, entry: JailEntry) -> dict[int, Generation]:
        """Read all that were committed once, by their numbers, ascending. Errors as `generation`."""
        folders = await self.committed(entry)
        return {number: await generations.read(self._files, entry.name, folder) for number, folder in folders.items()}

    def base(self, name: str) -> Layer[BaseRecord]:
        """Return a base. `NotFoundError` (BASE_NOT_FOUND)."""
        return _lookup(self.bases, name, "BASE_NOT_FOUND", "base", f"bases/{name}")

    def release(self, reference: str) -> Layer[ReleaseRecord]:
        """Return a release by `app/version`. `NotFoundError` (RELEASE_NOT_FOUND)."""
        app, _, version = reference.partition("/")
        return _lookup(self.releases, reference, "RELEASE_NOT_FOUND", "release", f"apps/{app}/releases/{version}")

    def stack(self, base: str, release: str | None) -> Stack:
        """Return what runs on a base, with a release if one is named. Errors as `base` and `release`."""
        below, above = self.base(base), self.release(release) if release else None
        return Stack(below, above, above.record.manifest if above is not None else Manifest())

    def layer(self, path: str) -> AnyLayer | None:
        """Return a layer by its path as peers name it (`bases/debian-12`, `apps/redis/7.0`); None if it is not here."""
        kind, _, name = path.partition("/")
        return self.bases.get(name) if kind == "bases" else self.releases.get(name)

    def has_layer(self, resource: str) -> bool:
        """Say whether a base or release is here, by its resource name; of any other resource that it is not."""
        match resource.split("/"):
            case ["bases", name]:
                return name in self.bases
            case ["apps", app, "releases", version]:
                return f"{app}/{version}" in self.releases
        return False

    def jail(self, name: str) -> JailEntry:
        """Return a jail. `NotFoundError` (JAIL_NOT_FOUND)."""
        return _lookup(self.jails, name, "JAIL_NOT_FOUND", "jail", f"jails/{name}")

    def etag(self, name: str) -> str:
        """Return what changes when a jail does, empty for one that is damaged. `NotFoundError` (JAIL_NOT_FOUND)."""
        record = self.jail(name).record
        return "" if record is None else _etag(record)

    def standing(self, entry: JailEntry, record: JailRecord) -> Standing:
        """Return what a jail is to this host."""
        return self.claim(entry, record).standing

    def claim(self, entry: JailEntry, record: JailRecord) -> Claim:
        """Return what is decided by what may be done with a jail."""
        owner = self.host_names.get(record.owner, record.peer)
        return Claim(
            jail=entry.name,
            record=record,
            host=self.host_id,
            known_epoch=self.known_epochs.get(record.uid, 0),
            unconfirmed=entry.unconfirmed,
            owner_name=owner,
            owner_address=self.address_of(owner),
        )

    def may(self, entry: JailEntry, intent: Intent) -> bool:
        """Say whether something may be done with a jail now; with one whose record cannot be read, nothing may."""
        return entry.record is not None and authority.refusal(intent, self.claim(entry, entry.record)) is None

    def permitted(self, name: str, intent: Intent) -> tuple[JailEntry, JailRecord]:
        """Return a jail if that may be done with it now.

        `FailedPreconditionError` with the reason if not, JAIL_DAMAGED if its record cannot be read.
        """
        entry = self.jail(name)
        if entry.record is None:
            raise FailedPreconditionError(
                "JAIL_DAMAGED",
                f"jail {name}: {entry.message}",
                hint=f"look at {entry.dataset}; nothing is done with it until it can be read",
                resource=f"jails/{name}",
            )
        authority.require(intent, self.claim(entry, entry.record))
        return entry, entry.record

    def owned(self, name: str, intent: Intent) -> OwnedJail:
        """Return a jail with its active generation if that may be done with it now, as `permitted` does.

        `FailedPreconditionError` (JAIL_NOT_READY) for one that has no generation yet.
        """
        entry, record = self.permitted(name, intent)
        if entry.generation is None:
            why, hint = f"jail {name} has no generation yet", "wait for its creation"
            raise FailedPreconditionError("JAIL_NOT_READY", why, hint=hint, resource=f"jails/{name}")
        return OwnedJail(entry, record, entry.generation)

    def references(self) -> Iterator[Reference]:
        """Yield them for every generation and channel on the host, for what is coming, and for what rooms say."""
        for needs in self.needed_by:
            yield from needs()
        for channel in self.channels.values():
            yield channel.base, "", f"channels/{channel.name}"
        for entry in self.jails.values():
            for number, (base, release) in entry.references.items():
                yield base, release, f"jails/{entry.name}/generations/{number}"
        copies = ((f"jails/{entry.name}", entry.layers) for entry in self.jails.values())
        for who, paths in (*copies, *self.needed.items()):
            for path in paths:
                kind, _, name = path.partition("/")
                yield (name, "", who) if kind == "bases" else ("", name, who)

    def users(self) -> Users:
        """Return who refers to which layer, from one look at all generations: what a list of layers needs once."""
        users = Users()
        for base, release, where in self.references():
            users.bases[base].append(where)
            users.releases[release].append(where)
        return users

    def base_view(self, name: str, users: Users | None = None) -> BaseView:
        """Return a base as readers see it; `users` from `users()` for one of many."""
        layer, used_by = self.base(name), tuple((users or self.users()).bases.get(name, ()))
        return BaseView(record=layer.record, guid=layer.guid, used=layer.used, used_by=used_by)

    def release_view(self, reference: str, users: Users | None = None) -> ReleaseView:
        """Return a release as readers see it; `users` from `users()` for one of many."""
        layer = self.release(reference)
        used_by = tuple((users or self.users()).releases.get(reference, ()))
        return ReleaseView(record=layer.record, guid=layer.guid, used=layer.used, used_by=used_by)

    def jail_view(self, name: str, under_way: Operation | None = None) -> JailView:
        """Return a jail as readers see it; `under_way` is its operation.

        The same view as long as all that it is made of is the same: to make it is most of what a list of them takes.
        """
        entry = self.jails.get(name) or self.jail(name)
        owner, uid = (entry.record.owner, entry.record.uid) if entry.record is not None else ("", "")
        after = behind(entry.generation, self.channels) if self.channels else ""
        around = (name in self.to_start, self.shut_down, self.host_id, self.host_names.get(owner), after)
        seen = (_seen_of(entry), under_way, around, self.known_epochs.get(uid))
        if entry.shown is None or entry.shown[0] != seen:
            entry.shown = (seen, self._jail_view(entry, under_way, after))
        return entry.shown[1]

    def _jail_view(self, entry: JailEntry, under_way: Operation | None, after: str) -> JailView:
        name, record, operation = entry.name, entry.record, under_way.name if under_way is not None else ""
        if record is None:
            return JailView(name=name, state=JailState.DAMAGED, message=entry.message, operation=operation)
        run, state = entry.run, self._state(entry, record)
        if state is JailState.FAILED and (name in self.to_start or (under_way and under_way.kind in _STARTING)):
            state = JailState.STARTING
        elif state is JailState.FAILED and entry.restarts is not None:
            state = AFTER_END.get(entry.restarts.verdict, state)
        shut_down = state is JailState.STOPPED and record.desired is Desired.RUNNING and record.generation > 0
        return JailView(
            name=name,
            state=state,
            record=record,
            generation=entry.generation,
            owner_name=self.host_names.get(record.owner, record.owner),
            etag=_etag(record),
            started=run.started if run and run.running else 0.0,
            exit_status=run.exit_status if run and not run.running else None,
            health=entry.health if run and run.running else None,
            restarts=entry.restarts,
            used=entry.used,
            operation=operation,
            message="stopped for the host's shutdown" if shut_down else entry.message or lasting(record, self.host_id),
            peer_name=record.peer,
            behind=after,
            staged=entry.staged if record.staged is not None else None,
        )

    def _state(self, entry: JailEntry, record: JailRecord) -> JailState:
        run = entry.run
        if record.state is not Ownership.ACTIVE:
            return JailState(record.state.value)
        if (told := _SHOWN.get(self.standing(entry, record))) is not None:
            return told
        if run is not None and run.running:
            return JailState.RUNNING
        if self.shut_down and run is None:
            return JailState.STOPPED
        if entry.damaged:
            return JailState.DAMAGED
        return JailState.FAILED if record.desired is Desired.RUNNING and record.generation else JailState.STOPPED


def _etag(record: JailRecord) -> str:
    """Return it; what the jail should be (`desired`) and who keeps copies of it does not count."""
    return f"{record.uid[:8]}-{record.epoch}-{record.generation}-{record.state}"


_Thing = TypeVar("_Thing")


def _lookup(things: dict[str, _Thing], key: str, reason: str, kind: str, resource: str) -> _Thing:
    if key in things:
        return things[key]
    hint = f"there are: {', '.join(sorted(things)[:10]) or 'none'}"
    raise NotFoundError(reason, f"there is no {kind} {key} on this host", hint=hint, resource=resource)
