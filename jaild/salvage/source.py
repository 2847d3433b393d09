"""Moving a jail off a pool that cannot be read whole: its files one by one, and a list of those that did not come.

    begin ─► layers ─► freeze ─► files of each dataset ─► report ─► prepare ─► COMMIT ─► activate

As a migration, with files in the place of ZFS streams: a stream ends at the first block that cannot be read, a walk
over the files goes on behind it. The jail is down while they are read, as they are after its stop: no snapshot is
newer, and a snapshot has the same damaged blocks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256

import msgspec

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.engine.saga import Phase, Pivot, Saga
from jaild.migration.build import MigrationParts
from jaild.migration.session import MigrationSession, Terms
from jaild.model.errors import DataLossError, FailedPreconditionError
from jaild.model.migration.protocol import ReceiveHeader
from jaild.model.operation import Operation, Stop
from jaild.model.problems import Plan, Problem, Severity
from jaild.model.salvage import Loss, Report
from jaild.model.views import Caller
from jaild.transfer.build import TransferParts


class SalvageOut:
    """Sends files. The work is done in the jail's queue."""

    def __init__(self, engine: Engine, transfer: TransferParts, migration: MigrationParts) -> None:
        self._inventory = engine.inventory
        self._clock = engine.ports.clock
        self._files = engine.ports.file_trees
        self._preflight = transfer.preflight
        self._source = migration.source
        self._cutover = migration.cutover
        self._sagas = engine.sagas
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._events = engine.events
        cutover = migration.cutover
        preflighted, connected, layers = migration.source.opening()
        self._saga = Saga(
            "salvage",
            before=(
                preflighted,
                connected,
                Phase("compare", self._require_new, message="looking for a copy there"),
                layers,
                Phase("standbys", self._ask_standbys, message="asking those that may have taken it over"),
                cutover.drain(),
                Phase("freeze", cutover.freeze, undo=cutover.thaw, stop=Stop.CANCEL, message="stopping the jail"),
                Phase("final", self._bring, stop=Stop.CANCEL, message="the files of the jail itself"),
                Phase("handover", cutover.prepare, stop=Stop.CANCEL, message="the target prepares"),
            ),
            pivot=Pivot("commit", cutover.commit, happened=cutover.is_committed),
            after=migration.source.closing(),
        )

    async def salvage(self, name: str, target: str, *, validate_only: bool, caller: Caller) -> Operation:
        """Bring what can be read of a jail to a peer, and hand it over there."""
        duplicate = await self._operations.duplicate(caller, "salvage", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        if validate_only:
            examined = await self._preflight.examine(name, target)
            plan = examined.plan
            if examined.copied:
                there = _copy_there(name, target)
                told = Problem(severity=Severity.ERROR, code=there.reason, message=there.message, hint=there.hint)
                plan = msgspec.structs.replace(plan, problems=(*plan.problems, told))
            steps = (
                "stop the jail: it is down from here on",
                f"send its files to {target} one by one, and note what cannot be read",
                f"hand over to {target} with the list of what is lost, start it there, health checks",
            )
            return await self._dispatcher.planned(msgspec.structs.replace(plan, kind="salvage", steps=steps), caller)

        async def work(handle: Handle) -> str:
            return f"migrations/{await self._work(handle, name, target)}"

        plan = Plan(kind="salvage", target=f"jails/{name}")
        return await self._dispatcher.submit(f"jails/{name}", "salvage", caller, work, plan=plan)

    async def _work(self, handle: Handle, name: str, target: str) -> str:
        session = self._source.session(handle, Terms(jail=name, target=target))
        await self._sagas.carry_out(self._saga, session)
        self._source.moved(session)
        report = session.salvaged
        lost = sum(loss.lost for loss in report.losses)
        handle.facts(entries=report.entries, lost=lost, damaged=len(report.losses) - lost)
        await self._events.emit("jail.salvaged", f"jails/{name}", report.summary, host=target, migration=session.id)
        if report.losses:
            raise DataLossError(
                "SALVAGED_WITH_LOSS",
                f"jail {name} is owned by {target} now, {report.summary}",
                hint=f"see what is missing, on {target}: jailctl jail data-loss {name}; the files as they are stay "
                "here until the migration is finalized",
                resource=f"jails/{name}",
            )
        return session.id

    async def _require_new(self, session: MigrationSession) -> None:
        if any(state.snapshot_guids for state in session.states.values()):
            raise _copy_there(session.jail, session.peer_name)

    async def _ask_standbys(self, session: MigrationSession) -> None:
        while not await self._cutover.may_give_away(session):
            continue

    async def _bring(self, session: MigrationSession) -> None:
        losses: list[Loss] = []
        entries, began = 0, self._clock.monotonic()
        for dataset in session.journal.offer.jail.datasets:
            session.handle.note(message=f"the files of {dataset.path or 'the jail itself'}")
            entries += await self._dataset(session, dataset.path, losses)
        report = Report(source=self._inventory.host_name, at=self._clock.now(), entries=entries, losses=tuple(losses))
        guids = await session.peer.salvage.finish(session.id, msgspec.json.encode(report).decode())
        session.sent, session.salvaged = dict(guids), report
        session.parts = msgspec.structs.replace(session.parts, send=self._clock.monotonic() - began)

    async def _dataset(self, session: MigrationSession, path: str, losses: list[Loss]) -> int:
        found: list[Loss] = []
        digest = sha256()
        inner = frozenset() if path else frozenset(d.path for d in session.journal.offer.jail.datasets)

        async def counted() -> AsyncIterator[bytes]:
            async for chunk in self._files.read(session.entry.folder / path, found, skip=inner):
                digest.update(chunk)
                session.count(len(chunk))
                yield chunk

        header = ReceiveHeader(migration=session.id, dataset=path, tag="files", guid=0)
        written = await session.peer.salvage.receive(header, counted())
        if written.sha256 != digest.hexdigest():
            raise DataLossError(
                "DIGEST_MISMATCH", f"{session.jail}/{path or '.'} arrived with other content", hint="salvage it again"
            )
        losses += [msgspec.structs.replace(d, path=f"{path}/{d.path}" if path else d.path) for d in found]
        return written.entries


def _copy_there(jail: str, target: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "SALVAGE_COPY_THERE",
        f"{target} has a copy of {jail} already",
        hint=f"if it is a standby, it has all that was whole: jailctl promote {jail}, on {target}; "
        "else remove it there, or salvage to another host",
        resource=f"jails/{jail}",
    )
