"""What a former jaild left behind in the middle of a migration is read whole: its database, properties, generations.

Recorded by `tests/unit/data/former/record.py`; a file is named by that jaild's commit. For each schema of the database
one is kept.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from jaild.adapters.sqlite import SCHEMA, SqliteStore
from jaild.model import layout
from jaild.model.layers.records import BaseRecord, JailRecord, Ownership, ReleaseRecord, decode, decode_generation
from jaild.model.migration.journal import Phase, trace_of

FORMER = sorted((Path(__file__).parents[1] / "data" / "former").glob("*.json"))
KINDS: dict[str, type[BaseRecord | ReleaseRecord | JailRecord]] = {
    layout.BASE_PROPERTY: BaseRecord,
    layout.RELEASE_PROPERTY: ReleaseRecord,
    layout.JAIL_PROPERTY: JailRecord,
}
HOSTS = [(path, name) for path in FORMER for name in ("alpha", "beta")]


def told_by(path: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())["hosts"][name]
    return found


@pytest.mark.parametrize(("path", "name"), HOSTS, ids=lambda value: getattr(value, "stem", value))
async def test_a_former_database_is_read_whole_and_is_of_this_schema_then(
    path: Path, name: str, tmp_path: Path
) -> None:
    told = told_by(path, name)
    assert told["user_version"] <= SCHEMA
    with contextlib.closing(sqlite3.connect(tmp_path / "jaild.db")) as former:
        former.executescript("\n".join(told["sql"]))
        former.execute(f"pragma user_version={told['user_version']}")
        rows = {
            table: former.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608 -- one of ours
            for table in ("operations", "events", "journals", "audit")
        }
    store = SqliteStore(tmp_path / "jaild.db")
    await store.open()
    try:
        operations, journals, events = await store.operations(), await store.journals(), await store.events(0, "", 999)
        audit = await store.audit(999, 0)
        assert [len(operations), len(events), len(journals), len(audit)] == [*rows.values()]
        assert store.damaged() == ()
        (journal,) = journals
        assert (journal.jail, journal.outgoing) == ("web", name == "alpha")
        assert journal.phase is (Phase.FROZEN if name == "alpha" else Phase.RECEIVING)
        assert trace_of(journal).uid == journal.offer.jail.uid
        assert [each.kind for each in operations if not each.done] == (["migrate"] if name == "alpha" else [])
        await store.put_journal(journal)
    finally:
        await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "jaild.db")) as now:
        assert now.execute("pragma user_version").fetchone() == (SCHEMA,)


@pytest.mark.parametrize("path", FORMER, ids=lambda path: path.stem)
def test_former_records_and_generations_are_read(path: Path) -> None:
    for name, state in (("alpha", Ownership.FROZEN), ("beta", Ownership.INCOMING)):
        told = told_by(path, name)
        found = {
            dataset: decode(text, KINDS[key], dataset)
            for dataset, properties in told["properties"].items()
            for key, text in properties.items()
            if key in KINDS
        }
        jail = found["tank/jaild/jails/web"]
        assert isinstance(jail, JailRecord)
        assert (jail.state, jail.epoch) == (state, 1)
        assert isinstance(found["tank/jaild/bases/deb-1"], BaseRecord)
        generations = [decode_generation(text, "the jail's") for text in told["generations"]]
        assert [(each.number, each.base, each.release) for each in generations] == [(1, "deb-1", "web/1")]
