"""Imports: new jails of exports. The whole file is here and was found whole before anything is made of it.

    file ─► plan ─► layers that are missing ─► a creation (`jaild.jails.changes`), its data received or unpacked
             │ refused: told                   │ undone, and repaired after a crash, as any

An import is another jail than the one that was exported: it has a uid and a history of its own, and nothing of what
belongs to the original's owner, replicas or migrations. So nobody can own one jail twice by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from jaild.copies.incoming import ExportFile, Incoming, Stream
from jaild.copies.layers import LayerImport
from jaild.engine.build import Engine
from jaild.engine.concurrency import undo_on_error
from jaild.engine.inventory import JailEntry
from jaild.engine.operations import Handle
from jaild.jails.build import JailParts
from jaild.jails.datasets import Seed
from jaild.layers.build import LayerParts
from jaild.model import names, quantity
from jaild.model.errors import DataLossError, FailedPreconditionError
from jaild.model.exports import config
from jaild.model.exports.header import CONFIG, DatasetEntry, Form, Header, dataset_section
from jaild.model.jails.change import Create, Origin
from jaild.model.jails.copying import Reach, copied, of_original
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.archive import data_policy
from jaild.model.layers.records import Generation
from jaild.model.migration.streams import SLACK
from jaild.model.operation import Operation
from jaild.model.problems import Plan, Problem, Severity, errors
from jaild.model.replication.policy import moment
from jaild.model.views import Caller

_FUSE = "zfs-fuse"
_AS_IT_WAS = Reach()
_AGAIN = "export it again, and bring it anew"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an import is to be like."""

    reach: Reach = _AS_IT_WAS
    keep_identity: bool = False  # it takes the original's place: host name, machine-id and host keys stay
    stopped: bool = False
    validate_only: bool = False


async def _nothing() -> None:
    """Leave the file where it is."""


@dataclass(frozen=True, kw_only=True)
class _Ends:
    """What becomes of the file."""

    done: Callable[[], Awaitable[None]] = _nothing
    failed: Callable[[], Awaitable[None]] = _nothing  # or only planned, or refused


class Imports:
    """Makes them. The work is done in the new jail's queue."""

    def __init__(self, engine: Engine, layers: LayerParts, jails: JailParts, incoming: Incoming) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._files = engine.ports.files
        self._keys = engine.keys
        self._archives = engine.ports.archives
        self._draining = engine.draining
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._changes = jails.changes
        self._datasets = jails.datasets
        self._layers = LayerImport(engine, layers)
        self._incoming = incoming
        self._in_use: set[Path] = set()  # files that imports are made of

    async def take(
        self, name: str, chunks: AsyncIterator[bytes], stream: Stream, asked: Asked, caller: Caller
    ) -> Operation:
        """Take an export as a stream, then import it as jail `name`; returns when all of it has come, and is whole.

        What was taken by its digest is kept until it is imported, or for a day. Errors as `Incoming.take`, and
        `AlreadyExistsError` (JAIL_EXISTS), `FailedPreconditionError` (PLAN_REFUSED).
        """
        duplicate = await self._begin(name, caller)
        if duplicate is not None:
            return duplicate
        file = await self._incoming.take(chunks, stream)
        ends = _Ends(done=partial(self._incoming.drop, file))
        if not stream.sha256:  # nobody can come back to it
            ends = _Ends(done=ends.done, failed=ends.done)
        return await self._make(name, file, asked, caller, ends)

    async def read(self, name: str, path: str, asked: Asked, caller: Caller) -> Operation:
        """Import an export that lies on this host. Errors as `Incoming.read` and `take`."""
        duplicate = await self._begin(name, caller)
        if duplicate is not None:
            return duplicate
        return await self._make(name, await self._incoming.read(Path(path)), asked, caller, _Ends())

    async def _begin(self, name: str, caller: Caller) -> Operation | None:
        names.jail(name)
        duplicate = await self._operations.duplicate(caller, "import", f"jails/{name}")
        if duplicate is None:
            self._draining.require_open(f"jails/{name}")
            self._changes.require_new(name)
        return duplicate

    async def _make(self, name: str, file: ExportFile, asked: Asked, caller: Caller, ends: _Ends) -> Operation:
        async with undo_on_error(ends.failed):
            if file.path in self._in_use:
                raise FailedPreconditionError(
                    "UPLOAD_UNDER_WAY", "a jail is being made of this very file", hint="wait for that import"
                )
            creation = await self._creation(file, asked)
            missing, problems = self._layers.missing(file.header)
            problems += await self._space(file.header, missing)
            plan = await self._plan(name, file.header, creation, missing, problems, caller)
            if not asked.validate_only:
                plan.require_clean()
        if asked.validate_only:
            await ends.failed()
            return await self._dispatcher.planned(plan, caller)
        seed = partial(self._seed, file, asked)

        async def work(handle: Handle) -> str:
            self._in_use.add(file.path)
            try:
                async with undo_on_error(ends.failed):
                    await self._carry_out(handle, name, file, missing, creation, seed, caller)
            finally:
                self._in_use.discard(file.path)
            await ends.done()
            return f"jails/{name}"

        return await self._dispatcher.submit(f"jails/{name}", "import", caller, work, plan=plan, unbegun=ends.failed)

    async def _carry_out(
        self,
        handle: Handle,
        name: str,
        file: ExportFile,
        missing: Sequence[int],
        creation: Create,
        seed: Seed,
        caller: Caller,
    ) -> None:
        header = file.header
        handle.facts(original=f"{header.jail} of {header.host}", taken=moment(header.taken))
        for number in missing:
            await handle.phase("layers", header.layers[number].path)
            with handle.cancellable():
                await self._layers.receive(file, number)
        await self._changes.carry_out(handle, name, creation, caller, seed=seed)

    async def _creation(self, file: ExportFile, asked: Asked) -> Create:
        header, generation = file.header, file.header.generation
        trees = await file.content(CONFIG, config.MOST)
        etc, local_etc = await asyncio.to_thread(config.unpacked, trees)
        spec, notes = copied(generation.spec, asked.reach, header.jail, keeps_name=asked.keep_identity)
        original = f"{header.jail} of {header.host}"
        origin = Origin(
            base=generation.base,
            release=generation.release,
            etc=etc,
            local_etc=local_etc,
            step=f"bring data and volumes of {original} as of {moment(header.taken)}",
            keeps_identity=asked.keep_identity,
            accepted=generation.accepted,
            problems=(*notes, *of_original(generation.spec, asked.reach, original), *self._channel(spec)),
        )
        return Create(spec, asked.stopped, kind="import", base=generation.base, origin=origin)

    def _channel(self, spec: JailSpec) -> tuple[Problem, ...]:
        if spec.channel is None or spec.channel in self._inventory.channels:
            return ()
        return (
            Problem(
                severity=Severity.WARNING,
                code="CHANNEL_MISSING",
                message=f"the jail follows channel {spec.channel}, of which there is none here: it stays on its base",
                subject="$.channel",
                hint=f"jailctl channel set {spec.channel} BASE",
            ),
        )

    async def _plan(
        self,
        name: str,
        header: Header,
        creation: Create,
        missing: Sequence[int],
        problems: Sequence[Problem],
        caller: Caller,
    ) -> Plan:
        """Return the plan. What is on layers that are still to come is only known when they are here."""
        come = tuple(f"receive {header.layers[number].path}" for number in missing)
        if missing or errors(tuple(problems)):
            origin = creation.origin
            step, told = (origin.step, origin.problems) if origin is not None else ("", ())
            found = (*problems, *told, *self._changes.conflicts(name, creation.spec))
            start = () if creation.stopped else ("start", "health checks")
            steps = (*come, "check the jail against its base and release", step, *start, "commit")
            return Plan(kind="import", target=f"jails/{name}", steps=steps, problems=found, to_generation=1)
        plan = (await self._changes.plan(name, creation, caller)).plan
        return msgspec.structs.replace(plan, problems=(*problems, *plan.problems))

    async def _space(self, header: Header, missing: Sequence[int]) -> list[Problem]:
        needed = sum(each.size for each in header.datasets) + sum(header.layers[number].size for number in missing)
        capabilities = await self._zfs.capabilities()
        free = (await self._zfs.dataset(self._inventory.where.root)).available
        problems = []
        if needed * SLACK > free:
            problems.append(
                Problem(
                    severity=Severity.ERROR,
                    code="NO_SPACE",
                    message=f"{quantity.size(needed)} have to come, {quantity.size(free)} are free",
                    hint="free some space, or import it on another host",
                )
            )
        streams = bool(missing) or any(each.form is Form.ZFS for each in header.datasets)
        made_by = header.zfs.partition(" ")[0]
        if streams and capabilities.implementation == _FUSE and made_by != _FUSE:
            problems.append(
                Problem(
                    severity=Severity.WARNING,
                    code="STREAMS_OF_NEWER_ZFS",
                    message=f"its data are ZFS streams of {header.zfs}, which {_FUSE} may not take",
                    hint="if it does not: export with --portable",
                )
            )
        return problems

    async def _seed(self, file: ExportFile, asked: Asked, entry: JailEntry, generation: Generation) -> None:
        for dataset in file.header.datasets:
            bring = self._receive if dataset.form is Form.ZFS else self._unpack
            await self._datasets.bring(entry, generation.spec, dataset.path, partial(bring, file, dataset))
        if not asked.keep_identity:
            await self._datasets.forget_identity(entry)

    async def _receive(self, file: ExportFile, dataset: DatasetEntry, name: str, properties: Mapping[str, str]) -> None:
        async with file.section(dataset_section(dataset)) as chunks:
            await self._zfs.receive(name, chunks, properties=properties)
        came = await self._zfs.snapshots(name)
        if [each.guid for each in came] != [dataset.guid]:
            raise DataLossError(
                "GUID_MISMATCH", f"{dataset.path} has another guid in its stream than the export says", hint=_AGAIN
            )
        await self._zfs.destroy(came[0].name)

    async def _unpack(self, file: ExportFile, dataset: DatasetEntry, name: str, properties: Mapping[str, str]) -> None:
        await self._keys.create(name, file.header.generation.spec, properties)
        folder = (await self._zfs.dataset(name)).mountpoint
        if folder is None:
            raise FailedPreconditionError("DATASET_NOT_MOUNTED", f"{name} has no mountpoint", hint="see zfs get all")
        async with file.section(dataset_section(dataset)) as chunks:
            archive = await self._files.spool(chunks, sha256="", size=0)
        try:
            listing = await self._archives.verify(archive.path, data_policy())
            await self._archives.extract(archive.path, folder, listing)
        finally:
            await self._files.remove(archive.path)
