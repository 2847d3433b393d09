"""A table that is appended to and never grows beyond its bounds in rows and bytes: the oldest rows go."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from jaild.model import bounds

_OVERHEAD = 64  # bytes that a row costs beside its record: its number, the header, its share of the b-tree
_BATCH = 256  # rows that go at once, so that not every append deletes


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The most that is kept."""

    bytes: int
    rows: int


AUDIT = Bound(bytes=bounds.AUDIT_BYTES, rows=bounds.AUDIT_ROWS)
AUDIT_REFUSED = Bound(bytes=bounds.AUDIT_REFUSED_BYTES, rows=bounds.AUDIT_ROWS)
EVENTS = Bound(bytes=bounds.EVENT_BYTES, rows=bounds.EVENT_ROWS)


class BoundedLog:
    """The rows of `table` for which `where` holds; its columns are `sequence` and `record`.

    Only for the thread that owns the connection. `measure` first: from then on the sizes are known without reading.
    """

    def __init__(self, table: str, where: str, bound: Bound) -> None:
        self._table = table
        self._where = where
        self._bound = bound
        self._rows = 0
        self._bytes = 0

    def measure(self, connection: sqlite3.Connection) -> None:
        """Read what is there; what an earlier version let grow beyond the bounds goes."""
        (self._rows, self._bytes) = connection.execute(
            f"select count(*), coalesce(sum(length(record)), 0) from {self._table} where {self._where}"  # noqa: S608
        ).fetchone()
        self._bytes += self._rows * _OVERHEAD
        self._drop_oldest(connection)

    @property
    def mark(self) -> tuple[int, int]:
        """What is known of its size now, for `back_to`."""
        return self._rows, self._bytes

    def back_to(self, mark: tuple[int, int]) -> None:
        """Forget what was noted since: it has been rolled back."""
        self._rows, self._bytes = mark

    def appended(self, connection: sqlite3.Connection, size: int) -> None:
        """Note a row whose record has `size` bytes, and let the oldest go if it is too much now."""
        self._rows += 1
        self._bytes += size + _OVERHEAD
        self._drop_oldest(connection)

    def _drop_oldest(self, connection: sqlite3.Connection) -> None:
        while self._rows > 1 and (self._rows > self._bound.rows or self._bytes > self._bound.bytes):
            batch = min(_BATCH, max(1, self._rows // 8))
            last, size, count = connection.execute(
                "select max(sequence), sum(length(record)), count(*) from"  # noqa: S608  # the names are ours
                f" (select sequence, record from {self._table} where {self._where} order by sequence limit {batch})"
            ).fetchone()
            connection.execute(f"delete from {self._table} where sequence <= ? and {self._where}", (last,))  # noqa: S608
            self._rows -= count
            self._bytes -= size + count * _OVERHEAD
