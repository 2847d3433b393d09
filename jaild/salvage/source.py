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

from jaild.engine.dispatcher import Dispatcher
from jaild.engine.events import Events
from jaild.engine.inventory import Inventory
from jaild.engine.operations import Handle, Operations
from jaild.migration.cutover import Cutover
from jaild.migration.move import Move
from jaild.migration.precopy import Precopy
from jaild.migration.session import Link
from jaild.migration.source import MigrateOut
from jaild.model.errors import DataLossError, FailedPreconditionError
from jaild.model.migration.journal import Journal, Phase
from jaild.model.migration.protocol import ReceiveHeader
from jaild.model.operation import Operation
from jaild.model.phases import Stop
from jaild.model.plan import Plan
from jaild.model.salvage import Damage, Report
from jaild.model.views import Caller
from jaild.ports.clock import Clock
from jaild.ports.peer import Peers
from jaild.ports.salvage import FileTrees
from jaild.transfer.journal import Journals
from jaild.transfer.preflight import Preflight


class SalvageOut:
    """Sends files. The work is done in the jail's queue."""

    def __init__(
        self,
        inventory: Inventory,
        peers: Peers,
        files: FileTrees,
        preflight: Preflight,
        sender: MigrateOut,
        link: Link,
        precopy: Precopy,
        cutover: Cutover,
        journals: Journals,
        dispatcher: Dispatcher,
        operations: Operations,
        events: Events,
        clock: Clock,
    ) -> None:
        self._inventory = inventory
        self._peers = peers
        self._files = files
        self._preflight = preflight
        self._sender = sender
        self._link = link
        self._precopy = precopy
        self._cutover = cutover
        self._journals = journals
        self._dispatcher = dispatcher
        self._operations = operations
        self._events = events
        self._clock = clock

    async def salvage(self, name: str, target: str, *, validate_only: bool, caller: Caller) -> Operation:
        """Bring what can be read of a jail to a peer, and hand it over there."""
        duplicate = self._operations.duplicate(caller, "salvage", f"jails/{name}")
        if duplicate is not None:
            return duplicate
        if validate_only:
            plan = (await self._preflight.examine(name, target)).plan
            steps = (
                "stop the jail: it is down from here on",
                f"send its files to {target} one by one, and note what cannot be read",
                f"hand over to {target} with the list of what is lost, start it there, health checks",
            )
            return await self._operations.planned(msgspec.structs.replace(plan, kind="salvage", steps=steps), caller)

        async def work(handle: Handle) -> str:
            return f"migrations/{await self._work(handle, name, target)}"

        plan = Plan(kind="salvage", target=f"jails/{name}")
        return await self._dispatcher.submit(f"jails/{name}", "salvage", caller, work, plan=plan)

    async def _work(self, handle: Handle, name: str, target: str) -> str:
        with handle.cancellable():
            await handle.phase("preflight", f"asking {target}")
            examined = await self._preflight.examine(name, target)
            examined.plan.require_clean()
        now = self._clock.now()
        journal = Journal(
            id=examined.offer.migration,
            jail=name,
            outgoing=True,
            peer=target,
            peer_id=examined.hello.host_id,
            phase=Phase.SENDING,
            offer=examined.offer,
            epoch=examined.record.epoch + 1,
            created=now,
            updated=now,
        )
        report = Report(source=self._inventory.host_name, at=now, entries=0)

        async def until_prepared(move: Move) -> None:
            nonlocal report
            await self._journals.put(move.journal)
            await handle.phase("connect", f"{target} begins")
            await self._link.through(move, _nothing)
            _require_new(move)
            await self._precopy.layers(move)
            while not await self._cutover.freeze(move):
                await handle.phase("connect", "a standby is silent")
            report = await self._bring(move)
            await self._cutover.prepare(move)

        move = Move(handle, examined.entry, examined.record, self._peers.get(target), journal)
        await self._sender.carry_out(move, until_prepared)
        lost = sum(damage.lost for damage in report.damages)
        handle.facts(entries=report.entries, lost=lost, damaged=len(report.damages) - lost)
        await self._events.emit("jail.salvaged", f"jails/{name}", report.summary, host=target, migration=move.id)
        if report.damages:
            raise DataLossError(
                "SALVAGED_WITH_LOSS",
                f"jail {name} is owned by {target} now, {report.summary}",
                remedy=f"see what is missing, on {target}: jailctl jail damage {name}; the files as they are stay here "
                "until the migration is finalized",
                resource=f"jails/{name}",
            )
        return move.id

    async def _bring(self, move: Move) -> Report:
        damages: list[Damage] = []
        entries = 0
        for dataset in move.journal.offer.jail.datasets:
            await move.handle.phase("final", f"the files of {dataset.path or 'the jail itself'}", Stop.CANCEL)
            entries += await self._dataset(move, dataset.path, damages)
        report = Report(source=self._inventory.host_name, at=self._clock.now(), entries=entries, damages=tuple(damages))
        guids = await move.peer.salvage.finish(move.id, msgspec.json.encode(report).decode())
        move.sent = dict(guids)
        return report

    async def _dataset(self, move: Move, path: str, damages: list[Damage]) -> int:
        found: list[Damage] = []
        digest = sha256()
        inner = frozenset() if path else frozenset(d.path for d in move.journal.offer.jail.datasets)

        async def counted() -> AsyncIterator[bytes]:
            async for chunk in self._files.read(move.entry.folder / path, found, skip=inner):
                digest.update(chunk)
                move.count(len(chunk))
                yield chunk

        header = ReceiveHeader(migration=move.id, dataset=path, tag="files", guid=0)
        written = await move.peer.salvage.receive(header, counted())
        if written.sha256 != digest.hexdigest():
            raise DataLossError(
                "DIGEST_MISMATCH", f"{move.jail}/{path or '.'} arrived with other content", remedy="salvage it again"
            )
        damages += [msgspec.structs.replace(d, path=f"{path}/{d.path}" if path else d.path) for d in found]
        return written.entries


async def _nothing() -> None:
    """Be what is carried out when only the connection is wanted."""


def _require_new(move: Move) -> None:
    if any(state.snapshot_guids for state in move.states.values()):
        raise FailedPreconditionError(
            "SALVAGE_COPY_THERE",
            f"{move.target} has a copy of {move.jail} already",
            remedy=f"if it is a standby, it has all that was whole: jailctl promote {move.jail}, on {move.target}; "
            "else remove it there, or salvage to another host",
            resource=f"jails/{move.jail}",
        )
