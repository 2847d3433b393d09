"""Rollouts in SQLite: a row for each as a whole, and one for each of its jails.

A rollout of a thousand jails is written down some thousands of times, and each time little of it differs. An earlier
jaild wrote one whole, with its jails in its own row, and none beside it: so it is read until it is put again.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from typing import Protocol, TypeVar

import msgspec

from jaild.model.rollouts.record import Rollout, Step

TABLES = """
create table if not exists rollouts (id text primary key, created real not null, record blob not null);
create table if not exists rollout_steps (rollout text not null, position integer not null, record blob not null,
    primary key (rollout, position)) without rowid;
"""
_T = TypeVar("_T")


class Decode(Protocol):
    """Takes a record, its kind, and which row it is."""

    def __call__(self, record: bytes, kind: type[_T], row: str, /) -> _T | None:
        """Return what it is; None if it cannot be read."""


def put(connection: sqlite3.Connection, rollout: Rollout, since: Rollout | None) -> int:
    """Write what differs from `since`, which is what the tables have of it; all if that is not known."""
    if since is None:
        connection.execute("delete from rollout_steps where rollout = ?", (rollout.id,))
    if since is None or _whole(since) != _whole(rollout):
        statement = "insert or replace into rollouts (id, created, record) values (?, ?, ?)"
        connection.execute(statement, (rollout.id, rollout.created, msgspec.json.encode(_whole(rollout))))
    before = since.steps if since is not None else ()
    rows = [
        (rollout.id, position, msgspec.json.encode(step))
        for position, step in enumerate(rollout.steps)
        if position >= len(before) or before[position] != step
    ]
    connection.executemany("insert or replace into rollout_steps (rollout, position, record) values (?, ?, ?)", rows)
    beyond = (rollout.id, len(rollout.steps))
    if len(before) > len(rollout.steps):
        connection.execute("delete from rollout_steps where rollout = ? and position >= ?", beyond)
    return 0


def delete(connection: sqlite3.Connection, rollout_id: str) -> int:
    """Forget one."""
    connection.execute("delete from rollouts where id = ?", (rollout_id,))
    connection.execute("delete from rollout_steps where rollout = ?", (rollout_id,))
    return 0


def read(connection: sqlite3.Connection, decode: Decode) -> list[Rollout]:
    """Return all, oldest first, but those of which a row cannot be read."""
    steps: dict[str, list[Step | None]] = defaultdict(list)
    for rollout, position, record in connection.execute("select * from rollout_steps order by rollout, position"):
        steps[rollout].append(decode(record, Step, f"rollouts/{rollout}/{position}"))
    found = []
    for rollout, record in connection.execute("select id, record from rollouts order by created, id"):
        whole, own = decode(record, Rollout, f"rollouts/{rollout}"), steps[rollout]
        if whole is not None and None not in own:
            found.append(msgspec.structs.replace(whole, steps=(*whole.steps, *own)))  # one of the two, see above
    return found


def _whole(rollout: Rollout) -> Rollout:
    return msgspec.structs.replace(rollout, steps=())
