"""The audit log's rows: of each the target stands beside the record, so that a jail's are found without reading all."""

from __future__ import annotations

import sqlite3

TABLE = """
create table if not exists audit (sequence integer primary key autoincrement, record blob not null,
    refused integer not null default 0, target text);
"""
APPEND = "insert into audit (record, refused, target) values (?, ?, ?)"
PAGE = "select sequence, record from audit where ? = 0 or sequence < ? order by sequence desc limit ?"
# A resource and what is below it: '0' is what follows '/'.
ABOUT = (
    "select sequence, record from audit where target = ?1 or (target > ?1 || '/' and target < ?1 || '0')"
    " order by sequence desc limit ?2"
)


def prepare(connection: sqlite3.Connection) -> None:
    """Add what a jaild before 0.9 (`refused`), or before this column, did not keep; index it."""
    columns = {column[1] for column in connection.execute("pragma table_info(audit)")}
    if "refused" not in columns:
        connection.execute("alter table audit add column refused integer not null default 0")
    if "target" not in columns:
        connection.execute("alter table audit add column target text")
    connection.execute(  # also those that an older jaild wrote since; what is no JSON is told when it is read
        "update audit set target = case when json_valid(cast(record as text))"
        " then coalesce(json_extract(cast(record as text), '$.target'), '') else '' end where target is null"
    )
    connection.execute("create index if not exists audit_kind on audit (refused, sequence)")
    connection.execute("create index if not exists audit_target on audit (target, sequence)")
