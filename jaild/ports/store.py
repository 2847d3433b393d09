"""Port: what the host itself remembers, beside the datasets: operations, events, audit, migration journal.

Every method returns when the change is on disk.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from jaild.model.evacuation.record import Evacuation
from jaild.model.jails.restarts import RestartRecord
from jaild.model.layers.channels import Channel
from jaild.model.migration.journal import Journal, Trace
from jaild.model.operation import Operation
from jaild.model.replication.deleted import DeletedJail
from jaild.model.rollouts.record import Rollout
from jaild.model.sinks.records import DeadLetter, SinkRow
from jaild.model.views import AuditEntry, Drain, Event


class Store(Protocol):
    """The host's own memory."""

    def damaged(self) -> tuple[str, ...]:
        """Return what could not be read so far: the row and why. It is left out of all answers, and stays as it is."""

    def trouble(self) -> str:
        """Return what is wrong with it that the operator must know; '' for nothing."""

    async def put_operation(self, operation: Operation) -> None:
        """Insert or replace."""

    async def operations(self) -> list[Operation]:
        """Return all, oldest first."""

    async def delete_operation(self, operation_id: str) -> None:
        """Forget one. No error if it is not there."""

    async def append_event(self, time: float, kind: str, target: str, message: str, detail: Mapping[str, str]) -> Event:
        """Append, and return it with its sequence number."""

    async def events(self, after: int, target: str, limit: int) -> list[Event]:
        """Return at most `limit` events after a number, in order; `target` '' for all, else it and what is below."""

    async def last_event(self) -> int:
        """Return the highest sequence number given out; 0 for none."""

    async def append_audit(self, time: float, entry: AuditEntry) -> None:
        """Append; the entry's own sequence and time are ignored."""

    async def audit(self, limit: int, before: int) -> list[AuditEntry]:
        """Return at most `limit` entries below a sequence number (0: from the newest), newest first."""

    async def audit_about(self, target: str, limit: int) -> list[AuditEntry]:
        """Return at most `limit` entries about a resource and what is below it, newest first."""

    async def put_journal(self, journal: Journal) -> None:
        """Insert or replace a migration's journal."""

    async def traces(self) -> list[Trace]:
        """Return what is still known of the journals that could not be read: call `journals` first."""

    async def journals(self) -> list[Journal]:
        """Return all, oldest first."""

    async def put_evacuation(self, evacuation: Evacuation) -> None:
        """Insert or replace."""

    async def evacuations(self) -> list[Evacuation]:
        """Return all, oldest first."""

    async def delete_evacuation(self, evacuation_id: str) -> None:
        """Forget one. No error if it is not there."""

    async def put_channel(self, channel: Channel) -> None:
        """Insert or replace, by its name."""

    async def channels(self) -> list[Channel]:
        """Return all, those that were put first, first."""

    async def delete_channel(self, name: str) -> None:
        """Forget one. No error if it is not there."""

    async def put_rollout(self, rollout: Rollout, since: Rollout | None = None) -> None:
        """Insert or replace. `since`: as it was put last, if that is known: only what differs is written."""

    async def rollouts(self) -> list[Rollout]:
        """Return all, oldest first."""

    async def delete_rollout(self, rollout_id: str) -> None:
        """Forget one. No error if it is not there."""

    async def put_sink(self, row: SinkRow, letter: DeadLetter | None = None) -> int:
        """Insert or replace, by its name; with a letter that is new, which gets its number: both or neither.

        Returns how many of the sink's older letters went, for which there is no more room.
        """

    async def sinks(self) -> list[SinkRow]:
        """Return all, by name."""

    async def forget_sink(self, name: str) -> None:
        """Forget how far one has come, not its dead letters. No error if it is not there."""

    async def dead_letters(self, sink: str) -> list[DeadLetter]:
        """Return those of a sink, oldest first."""

    async def dead_letter_counts(self) -> dict[str, int]:
        """Return how many each sink has, of those that have any."""

    async def mark_dead_letters(self, marked: Collection[DeadLetter]) -> None:
        """Replace letters by their numbers. No error for those that are not there."""

    async def drop_dead_letters(self, numbers: Collection[int]) -> None:
        """Forget letters. No error for those that are not there."""

    async def put_deleted_jail(self, row: DeletedJail) -> None:
        """Insert or replace, by the jail's uid."""

    async def deleted_jails(self) -> list[DeletedJail]:
        """Return all, oldest first."""

    async def forget_deleted_jail(self, uid: str) -> None:
        """Forget one. No error if it is not there."""

    async def put_restarts(self, row: RestartRecord) -> None:
        """Insert or replace, by the jail's uid."""

    async def restarts(self) -> list[RestartRecord]:
        """Return all."""

    async def forget_restarts(self, uid: str) -> None:
        """Forget one. No error if it is not there."""

    async def put_boot(self, boot: str) -> None:
        """Remember in which boot of the host the daemon ran last."""

    async def boot(self) -> str:
        """Return what was put last; '' if nothing was, or it cannot be read."""

    async def put_drain(self, drain: Drain | None) -> None:
        """Remember that the host takes no jails; None: that it does."""

    async def drain(self) -> Drain | None:
        """Return what was put last; None if nothing was."""
