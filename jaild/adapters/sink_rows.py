"""Event sinks in SQLite: how far each has come, and its dead letters, of which it keeps the newest within a bound."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import msgspec

from jaild.adapters.rollout_rows import Decode
from jaild.model import bounds
from jaild.model.sinks.records import DeadLetter, SinkRow

TABLES = """
create table if not exists sinks (id text primary key, record blob not null);
create table if not exists dead_letters (number integer primary key autoincrement, sink text not null,
    record blob not null);
create index if not exists dead_letters_sink on dead_letters (sink, number);
"""
_ROW = 64  # bytes that a letter counts for beside its record
# Of a sink the newest that does not fit with those after it: it goes, with all before it.
_BEYOND = """
select max(number) from (select number, sum(length(record) + ?) over newest as bytes, count(*) over newest as rows
    from dead_letters where sink = ? window newest as (order by number desc)) where bytes > ? or rows > ?
"""


def put(connection: sqlite3.Connection, row: SinkRow, letter: DeadLetter | None) -> int:
    """Write a row, and what was given up meanwhile; return how many older letters went for it."""
    statement = "insert or replace into sinks (id, record) values (?, ?)"
    connection.execute(statement, (row.name, msgspec.json.encode(row)))
    if letter is None:
        return 0
    record = msgspec.json.encode(letter)
    connection.execute("insert into dead_letters (sink, record) values (?, ?)", (letter.sink, record))
    room = (_ROW, letter.sink, bounds.DEAD_LETTER_BYTES, bounds.DEAD_LETTERS)
    (last,) = connection.execute(_BEYOND, room).fetchone()
    return connection.execute(
        "delete from dead_letters where sink = ? and number <= ?", (letter.sink, last or 0)
    ).rowcount


def read(connection: sqlite3.Connection, decode: Decode) -> list[SinkRow]:
    """Return all, by name."""
    rows = connection.execute("select id, record from sinks order by id").fetchall()
    return [row for name, record in rows if (row := decode(record, SinkRow, f"sinks/{name}")) is not None]


def forget(connection: sqlite3.Connection, name: str) -> int:
    """Forget how far one has come; its dead letters stay."""
    return connection.execute("delete from sinks where id = ?", (name,)).rowcount


def letters(connection: sqlite3.Connection, decode: Decode, sink: str) -> list[DeadLetter]:
    """Return those of a sink, oldest first."""
    statement = "select number, record from dead_letters where sink = ? order by number"
    found = [
        (number, decode(record, DeadLetter, f"dead_letters/{number}"))
        for number, record in connection.execute(statement, (sink,)).fetchall()
    ]
    return [msgspec.structs.replace(letter, number=number) for number, letter in found if letter is not None]


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many each sink has."""
    return dict(connection.execute("select sink, count(*) from dead_letters group by sink").fetchall())


def mark(connection: sqlite3.Connection, marked: Collection[DeadLetter]) -> int:
    """Write down of letters that are there when they were asked for."""
    rows = [(msgspec.json.encode(letter), letter.number) for letter in marked]
    connection.executemany("update dead_letters set record = ? where number = ?", rows)
    return 0


def drop(connection: sqlite3.Connection, numbers: Collection[int]) -> int:
    """Forget letters."""
    connection.executemany("delete from dead_letters where number = ?", [(number,) for number in numbers])
    return 0
