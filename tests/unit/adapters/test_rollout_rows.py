"""What of a rollout is written each time: its bytes do not grow with the square of its jails."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from jaild.adapters import rollout_rows
from jaild.adapters.sqlite import SqliteStore
from jaild.model.rollouts.decision import MemberState
from jaild.model.rollouts.record import Rollout, RolloutSpec, Step, with_step
from jaild.model.views import Caller

MANY = 1000
NAMES = tuple(f"edge-{number:03}" for number in range(MANY))
ROLLOUT = Rollout(
    id="a",
    spec=RolloutSpec(base="b", jails=NAMES),
    caller=Caller(actor="ada"),
    steps=tuple(Step(name=name, wave=1, before="a", target="b") for name in NAMES),
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        made.executescript(rollout_rows.TABLES)
        yield made


def test_a_step_is_one_row_however_many_jails_there_are_and_a_word_another(connection: sqlite3.Connection) -> None:
    rollout_rows.put(connection, ROLLOUT, None)
    assert connection.total_changes == 1 + MANY
    moved = with_step(ROLLOUT, msgspec.structs.replace(ROLLOUT.steps[7], state=MemberState.DONE))
    rollout_rows.put(connection, moved, ROLLOUT)
    assert connection.total_changes == 2 + MANY
    rollout_rows.put(connection, msgspec.structs.replace(moved, message="paused"), moved)
    assert connection.total_changes == 3 + MANY


async def test_a_rollout_of_which_a_row_cannot_be_read_is_told_and_keeps_no_other_from_being_read(
    tmp_path: Path,
) -> None:
    store = SqliteStore(tmp_path / "jaild.db")
    await store.open()
    small = msgspec.structs.replace(ROLLOUT, steps=ROLLOUT.steps[:2])
    other = msgspec.structs.replace(small, id="b")
    for rollout in (small, other):
        await store.put_rollout(rollout)
    with closing(sqlite3.connect(tmp_path / "jaild.db")) as damaging, damaging:
        damaging.execute("update rollout_steps set record = '{' where rollout = 'a' and position = 1")
    assert await store.rollouts() == [other]
    assert [row.partition(":")[0] for row in store.damaged()] == ["rollouts/a/1"]
    await store.close()


async def test_a_rollout_that_an_earlier_jaild_wrote_whole_keeps_its_jails_and_is_put_by_row_from_then_on(
    tmp_path: Path,
) -> None:
    whole = msgspec.structs.replace(ROLLOUT, steps=ROLLOUT.steps[:3])
    with closing(sqlite3.connect(tmp_path / "jaild.db")) as earlier, earlier:
        earlier.execute("create table rollouts (id text primary key, created real not null, record blob not null)")
        earlier.execute("insert into rollouts values ('a', 0.0, ?)", (msgspec.json.encode(whole),))
        earlier.execute("pragma user_version=1")
    store = SqliteStore(tmp_path / "jaild.db")
    await store.open()
    assert await store.rollouts() == [whole]
    moved = with_step(whole, msgspec.structs.replace(whole.steps[1], state=MemberState.DONE))
    await store.put_rollout(moved)  # as the next daemon does: what the rows have is not known
    assert await store.rollouts() == [moved]
    await store.close()
