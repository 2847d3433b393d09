"""A host's memory that is forgotten with the process, and that can be made to fail or to be slow."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping

import msgspec

from jaild.model.errors import JaildError
from jaild.model.evacuation.record import Evacuation
from jaild.model.jails.restarts import RestartRecord
from jaild.model.layers.channels import Channel
from jaild.model.migration.journal import Journal, Trace
from jaild.model.operation import Operation
from jaild.model.replication.deleted import DeletedJail
from jaild.model.rollouts.record import Rollout
from jaild.model.sinks.records import DeadLetter, SinkRow
from jaild.model.views import AuditEntry, Drain, Event


class MemoryStore:
    """Implements `jaild.ports.store.Store`.

    `failure` is raised by every write while it is set. A write waits until `ready` is set, as a slow disk does;
    `asked` is set when one has begun.
    """

    def __init__(self) -> None:
        self.failure: JaildError | None = None
        self.asked = asyncio.Event()
        self.ready = asyncio.Event()
        self.ready.set()
        self._operations: dict[str, Operation] = {}
        self._events: list[Event] = []
        self._audit: list[AuditEntry] = []
        self._journals: dict[tuple[str, bool], Journal] = {}
        self._evacuations: dict[str, Evacuation] = {}
        self._channels: dict[str, Channel] = {}
        self._rollouts: dict[str, Rollout] = {}
        self._deleted_jails: dict[str, DeletedJail] = {}
        self._restarts: dict[str, RestartRecord] = {}
        self._sinks: dict[str, SinkRow] = {}
        self._letters: list[DeadLetter] = []
        self._numbers = 0
        self._boot = ""
        self._drain: Drain | None = None

    def damaged(self) -> tuple[str, ...]:
        """Nothing is."""
        return ()

    def trouble(self) -> str:
        """Nothing is wrong, unless writes fail."""
        return "" if self.failure is None else self.failure.message

    async def _write(self) -> None:
        self.asked.set()
        await asyncio.sleep(0)
        await self.ready.wait()
        if self.failure is not None:
            raise self.failure

    async def put_operation(self, operation: Operation) -> None:
        """Insert or replace."""
        await self._write()
        self._operations[operation.id] = operation

    async def operations(self) -> list[Operation]:
        """Return all, oldest first."""
        return sorted(self._operations.values(), key=lambda op: (op.created, op.id))

    async def delete_operation(self, operation_id: str) -> None:
        """Forget one."""
        await self._write()
        self._operations.pop(operation_id, None)

    async def append_event(self, time: float, kind: str, target: str, message: str, detail: Mapping[str, str]) -> Event:
        """Append."""
        await self._write()
        event = Event(
            sequence=len(self._events) + 1, time=time, kind=kind, target=target, message=message, detail=dict(detail)
        )
        self._events.append(event)
        return event

    async def events(self, after: int, target: str, limit: int) -> list[Event]:
        """Return events after a sequence number, in order."""
        found = [
            event
            for event in self._events
            if event.sequence > after
            and (not target or event.target == target or event.target.startswith(f"{target}/"))
        ]
        return found[:limit]

    async def last_event(self) -> int:
        """Return the highest sequence number given out."""
        return len(self._events)

    async def append_audit(self, time: float, entry: AuditEntry) -> None:
        """Append."""
        await self._write()
        self._audit.append(msgspec.structs.replace(entry, time=time, sequence=len(self._audit) + 1))

    async def audit(self, limit: int, before: int) -> list[AuditEntry]:
        """Return entries, newest first."""
        return [entry for entry in reversed(self._audit) if before == 0 or entry.sequence < before][:limit]

    async def audit_about(self, target: str, limit: int) -> list[AuditEntry]:
        """Return entries about a resource and what is below it, newest first."""
        found = [each for each in self._audit if each.target == target or each.target.startswith(f"{target}/")]
        return found[::-1][:limit]

    async def put_journal(self, journal: Journal) -> None:
        """Insert or replace."""
        await self._write()
        self._journals[journal.id, journal.outgoing] = journal

    async def traces(self) -> list[Trace]:
        """Return none: everything can be read."""
        return []

    async def journals(self) -> list[Journal]:
        """Return all, oldest first."""
        return sorted(self._journals.values(), key=lambda journal: (journal.created, journal.id))

    async def put_evacuation(self, evacuation: Evacuation) -> None:
        """Insert or replace."""
        await self._write()
        self._evacuations[evacuation.id] = evacuation

    async def evacuations(self) -> list[Evacuation]:
        """Return all, oldest first."""
        return sorted(self._evacuations.values(), key=lambda evacuation: (evacuation.created, evacuation.id))

    async def delete_evacuation(self, evacuation_id: str) -> None:
        """Forget one."""
        await self._write()
        self._evacuations.pop(evacuation_id, None)

    async def put_channel(self, channel: Channel) -> None:
        """Insert or replace."""
        await self._write()
        self._channels[channel.name] = channel

    async def channels(self) -> list[Channel]:
        """Return all."""
        return list(self._channels.values())

    async def delete_channel(self, name: str) -> None:
        """Forget one."""
        await self._write()
        self._channels.pop(name, None)

    async def put_rollout(self, rollout: Rollout, since: Rollout | None = None) -> None:
        """Insert or replace."""
        await self._write()
        assert since is None or since == self._rollouts.get(rollout.id)
        self._rollouts[rollout.id] = rollout

    async def rollouts(self) -> list[Rollout]:
        """Return all, oldest first."""
        return sorted(self._rollouts.values(), key=lambda rollout: (rollout.created, rollout.id))

    async def delete_rollout(self, rollout_id: str) -> None:
        """Forget one."""
        await self._write()
        self._rollouts.pop(rollout_id, None)

    async def put_sink(self, row: SinkRow, letter: DeadLetter | None = None) -> int:
        """Insert or replace; there is room for all letters."""
        await self._write()
        self._sinks[row.name] = row
        if letter is not None:
            self._numbers += 1
            self._letters.append(msgspec.structs.replace(letter, number=self._numbers))
        return 0

    async def sinks(self) -> list[SinkRow]:
        """Return all."""
        return [self._sinks[name] for name in sorted(self._sinks)]

    async def forget_sink(self, name: str) -> None:
        """Forget one."""
        await self._write()
        self._sinks.pop(name, None)

    async def dead_letters(self, sink: str) -> list[DeadLetter]:
        """Return those of a sink."""
        return [letter for letter in self._letters if letter.sink == sink]

    async def dead_letter_counts(self) -> dict[str, int]:
        """Return how many each sink has."""
        return dict(Counter(letter.sink for letter in self._letters))

    async def mark_dead_letters(self, marked: Collection[DeadLetter]) -> None:
        """Replace letters."""
        await self._write()
        changed = {letter.number: letter for letter in marked}
        self._letters = [changed.get(letter.number, letter) for letter in self._letters]

    async def drop_dead_letters(self, numbers: Collection[int]) -> None:
        """Forget letters."""
        await self._write()
        self._letters = [letter for letter in self._letters if letter.number not in numbers]

    async def put_deleted_jail(self, row: DeletedJail) -> None:
        """Insert or replace."""
        await self._write()
        self._deleted_jails[row.uid] = row

    async def deleted_jails(self) -> list[DeletedJail]:
        """Return all, oldest first."""
        return sorted(self._deleted_jails.values(), key=lambda row: (row.deleted, row.uid))

    async def forget_deleted_jail(self, uid: str) -> None:
        """Forget one."""
        await self._write()
        self._deleted_jails.pop(uid, None)

    async def put_restarts(self, row: RestartRecord) -> None:
        """Insert or replace."""
        await self._write()
        self._restarts[row.uid] = row

    async def restarts(self) -> list[RestartRecord]:
        """Return all."""
        return sorted(self._restarts.values(), key=lambda row: (row.ends, row.uid))

    async def forget_restarts(self, uid: str) -> None:
        """Forget one."""
        await self._write()
        self._restarts.pop(uid, None)

    async def put_boot(self, boot: str) -> None:
        """Remember the host's boot."""
        await self._write()
        self._boot = boot

    async def boot(self) -> str:
        """Return what was put last."""
        return self._boot

    async def put_drain(self, drain: Drain | None) -> None:
        """Remember that the host takes no jails, or that it does."""
        await self._write()
        self._drain = drain

    async def drain(self) -> Drain | None:
        """Return what was put last."""
        return self._drain
