"""Writes to SQLite that wait at the same time are one transaction, and so one fsync (group commit).

Forty changes of jails take little longer to be on disk than one. If any of them fails, nothing of it was written, and
each is done again in a transaction of its own, which says what became of it.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from jaild.adapters.bounded_log import BoundedLog


@dataclass(frozen=True, eq=False)
class Write:
    """What waits to be written: its statements, and the same in a transaction of its own."""

    work: Callable[[], int]
    alone: Callable[[], int]
    outcome: Future[int] = field(default_factory=Future)


class GroupCommit:
    """All but `add` is for the thread that owns the connection; a turn of it is due for each write that was added."""

    def __init__(self, logs: Sequence[BoundedLog]) -> None:
        self._logs = logs
        self._waiting: deque[Write] = deque()

    def add(self, write: Write) -> None:
        """Let a write wait for its turn, or for that of an earlier one."""
        self._waiting.append(write)

    def turn(self, write: Write, connection: sqlite3.Connection, *, together: bool) -> int:
        """Return what came of a write: an earlier turn has done it, or it is done now, with all that wait.

        `together`: whether one transaction may have them all.
        """
        if not write.outcome.done():
            self._carry_out([self._waiting.popleft() for _ in range(len(self._waiting))], connection, together=together)
        return write.outcome.result()

    def _carry_out(self, writes: Sequence[Write], connection: sqlite3.Connection, *, together: bool) -> None:
        if together and len(writes) > 1:
            with suppress(Exception):  # whose fault it was is told when each is done alone
                done = self.transaction(connection, [write.work for write in writes])
                for write, value in zip(writes, done, strict=True):
                    write.outcome.set_result(value)
                return
        for write in writes:
            try:
                write.outcome.set_result(write.alone())
            except BaseException as error:  # noqa: BLE001 -- raised where its outcome is asked for
                write.outcome.set_exception(error)

    def transaction(self, connection: sqlite3.Connection, works: Sequence[Callable[[], int]]) -> list[int]:
        """Do all of it and have it on disk, or nothing of it."""
        marks = [(log, log.mark) for log in self._logs]
        connection.execute("begin immediate")
        try:
            done = [work() for work in works]
            connection.execute("commit")
        except BaseException:
            for log, mark in marks:
                log.back_to(mark)
            if connection.in_transaction:  # SQLite itself goes back after some errors
                connection.execute("rollback")
            raise
        return done
