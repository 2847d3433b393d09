from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from jaild.adapters import bounded_log as boundedlog
from jaild.adapters import sqlite as module
from jaild.adapters.bounded_log import Bound
from jaild.adapters.sqlite import SqliteStore
from jaild.model.errors import DataLossError, FailedPreconditionError, InternalError, ResourceExhaustedError
from jaild.model.evacuation.record import Evacuation, JailMove
from jaild.model.jails.restarts import RestartRecord, Verdict
from jaild.model.layers.channels import moved
from jaild.model.migration.journal import Journal, Phase, trace_of
from jaild.model.migration.protocol import JailOffer, Offer
from jaild.model.operation import Failure, Operation
from jaild.model.problems import Plan, Problem, Severity
from jaild.model.replication.deleted import DeletedJail
from jaild.model.rollouts.policy import RolloutPolicy, Share
from jaild.model.rollouts.record import Rollout, RolloutSpec, Runs, Step
from jaild.model.views import AuditEntry, Caller, Drain
from jaild.ports.store import Store
from tests.fakes.store import MemoryStore

PROBLEM = Problem(severity=Severity.ERROR, code="X", message="no", evidence=("line",))
OPERATION = Operation(
    id="a",
    kind="deploy",
    target="jails/web",
    request_id="r",
    created=5.0,
    phase="health-check",
    downtime=0.25,
    facts={"generation": "2"},
    plan=Plan(kind="deploy", target="jails/web", problems=(PROBLEM,)),
    failure=Failure(error="AbortedError", reason="X", message="no", problems=(PROBLEM,)),
    done=True,
)
AUDIT = AuditEntry(sequence=0, time=0.0, actor="ada", method="DeployJail", target="jails/web")


def journal(number: int, *, outgoing: bool, created: float = 1.0, phase: Phase = Phase.SENDING) -> Journal:
    jail = JailOffer(name="web", uid="u", epoch=1, generation=1, generation_json="{}")
    offer = Offer(migration=f"m{number}", source_id="s", source_name="sn", jail=jail)
    return Journal(
        id=f"m{number}",
        jail="web",
        outgoing=outgoing,
        peer="b",
        phase=phase,
        offer=offer,
        epoch=2,
        created=created,
    )


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "state" / "jaild.db")
    await store.open()
    yield store
    await store.close()


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(folder / "jaild.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, sqlite: SqliteStore) -> Store:
    return sqlite if request.param == "sqlite" else MemoryStore()


async def test_nobody_else_reads_journals_which_hold_specs(tmp_path: Path) -> None:
    path = tmp_path / "state" / "jaild.db"
    for older in (False, True):
        if older:  # as an older jaild made them
            for each in path.parent.iterdir():
                each.chmod(0o644)
        store = SqliteStore(path)
        await store.open()
        await store.put_journal(journal(1, outgoing=True))
        assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        await store.close()


async def test_an_operation_comes_back_whole_and_the_last_one_put_counts(store: Store) -> None:
    await store.put_operation(msgspec.structs.replace(OPERATION, phase="plan"))
    await store.put_operation(OPERATION)
    assert await store.operations() == [OPERATION]


async def test_operations_come_oldest_first(store: Store) -> None:
    for op_id, created in (("x", 3.0), ("b", 1.0), ("a", 1.0), ("y", 2.0)):
        await store.put_operation(msgspec.structs.replace(OPERATION, id=op_id, created=created))
    assert [operation.id for operation in await store.operations()] == ["a", "b", "y", "x"]


async def test_a_forgotten_operation_is_gone_and_forgetting_it_again_is_no_error(store: Store) -> None:
    await store.put_operation(OPERATION)
    await store.delete_operation("a")
    await store.delete_operation("a")
    assert await store.operations() == []


async def test_a_deleted_jail_is_remembered_by_its_uid_until_it_is_forgotten(store: Store) -> None:
    first = DeletedJail(uid="b", jail="web", epoch=2, owner="id", owner_name="beta", deleted=1.0, untold=("alpha",))
    second = DeletedJail(uid="a", jail="web", epoch=3, owner="id", owner_name="beta", deleted=2.0)
    for row in (second, first):
        await store.put_deleted_jail(row)
    told = msgspec.structs.replace(first, untold=())
    await store.put_deleted_jail(told)
    assert await store.deleted_jails() == [told, second]
    await store.forget_deleted_jail("b")
    await store.forget_deleted_jail("b")
    assert await store.deleted_jails() == [second]


async def test_a_channel_is_put_by_its_name(store: Store) -> None:
    channel = moved(None, "stable", "deb-1", time=5.0, actor="ada")
    later = moved(channel, "stable", "deb-2", time=6.0, actor="bob")
    await store.put_channel(channel)
    await store.put_channel(later)
    assert await store.channels() == [later]
    await store.delete_channel("stable")
    await store.delete_channel("stable")
    assert await store.channels() == []


async def test_rollouts_come_oldest_first_and_one_that_was_put_again_is_replaced(store: Store) -> None:
    step = Step(name="web", wave=0, before="a", target="b", problems=(PROBLEM,), runs=Runs(base="b", base_guid=2**63))
    asks = Caller(actor="ada", roles=frozenset({"operator"}))
    first = Rollout(
        id="a", spec=RolloutSpec(base="b", policy=RolloutPolicy(waves=(Share(5),))), caller=asks, created=1.0
    )
    second = msgspec.structs.replace(first, id="b", created=2.0)
    for rollout in (second, first):
        await store.put_rollout(rollout)
    planned = msgspec.structs.replace(first, steps=(step,), planned=True, deadline=9.0)
    await store.put_rollout(planned)
    assert await store.rollouts() == [planned, second]
    await store.delete_rollout("b")
    await store.delete_rollout("b")
    assert await store.rollouts() == [planned]


async def test_of_a_rollout_that_was_put_before_what_differs_is_written(store: Store) -> None:
    steps = tuple(Step(name=f"web-{number}", wave=0, before="a", target="b") for number in range(3))
    first = Rollout(id="a", spec=RolloutSpec(base="b"), caller=Caller(actor="ada"), steps=steps)
    gone = msgspec.structs.replace(steps[1], reason="GONE")
    second = msgspec.structs.replace(first, steps=(steps[0], gone, steps[2]))
    for rollout, since in (
        (first, None),
        (second, first),
        (third := msgspec.structs.replace(second, message="paused"), second),
        (fourth := msgspec.structs.replace(third, steps=steps[:2]), third),
        (msgspec.structs.replace(fourth, steps=()), fourth),
        (first, None),
    ):
        await store.put_rollout(rollout, since)
        assert await store.rollouts() == [rollout]


async def test_evacuations_come_oldest_first_and_one_that_was_put_again_is_replaced(store: Store) -> None:
    first = Evacuation(id="b", targets=("beta",), parallel=2, created=1.0)
    second = Evacuation(id="a", targets=("beta",), parallel=2, created=2.0)
    for evacuation in (second, first):
        await store.put_evacuation(evacuation)
    planned = msgspec.structs.replace(first, planned=True, moves=(JailMove(jail="web", target="beta"),))
    await store.put_evacuation(planned)
    assert await store.evacuations() == [planned, second]
    await store.delete_evacuation("b")
    await store.delete_evacuation("b")
    assert await store.evacuations() == [second]


async def test_the_ends_of_jails_are_remembered_by_the_jail_and_forgotten_one_by_one(store: Store) -> None:
    rows = [
        RestartRecord(uid=uid, boot="b", generation=2, ends=(1.0, end), verdict=verdict, due=9.5)
        for uid, end, verdict in (("u1", 3.0, Verdict.AGAIN), ("u2", 2.0, Verdict.CRASH_LOOP))
    ]
    for row in (*rows, rows[0]):
        await store.put_restarts(row)
    assert sorted(await store.restarts(), key=lambda row: row.uid) == rows
    await store.forget_restarts("u1")
    await store.forget_restarts("u1")
    assert await store.restarts() == rows[1:]


async def test_the_hosts_boot_is_remembered(store: Store) -> None:
    assert await store.boot() == ""
    for boot in ("one", "two"):
        await store.put_boot(boot)
        assert await store.boot() == boot


async def test_a_drain_is_remembered_until_it_is_taken_back(store: Store) -> None:
    assert await store.drain() is None
    drain = Drain(since=1.0, actor="ops", reason="disk")
    await store.put_drain(drain)
    assert await store.drain() == drain
    await store.put_drain(None)
    assert await store.drain() is None


async def test_events_are_numbered_from_one_in_their_order(store: Store) -> None:
    assert await store.last_event() == 0
    event = await store.append_event(7.5, "jail.exited", "jails/web", "gone", {"generation": "3"})
    await store.append_event(8.0, "jail.started", "jails/web", "", {})
    assert await store.events(0, "", 10) == [event, (await store.events(1, "", 10))[0]]
    assert (event.sequence, event.time, event.detail) == (1, 7.5, {"generation": "3"})
    assert await store.last_event() == 2


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("", ["jails/web", "jails/web/generations/1", "jails/webb", "jails/w_b", "bases/A", "bases/a/x"]),
        ("jails/web", ["jails/web", "jails/web/generations/1"]),
        ("jails/w_b", ["jails/w_b"]),
        ("jails/%", []),
        ("bases/A", ["bases/A"]),
    ],
)
async def test_a_targets_events_are_its_own_and_of_what_is_below_it(
    store: Store, target: str, expected: list[str]
) -> None:
    for name in ("jails/web", "jails/web/generations/1", "jails/webb", "jails/w_b", "bases/A", "bases/a/x"):
        await store.append_event(0.0, "k", name, "", {})
    assert [event.target for event in await store.events(0, target, 10)] == expected


async def test_events_are_given_in_pages(store: Store) -> None:
    for _ in range(5):
        await store.append_event(0.0, "k", "t", "", {})
    assert [event.sequence for event in await store.events(1, "", 2)] == [2, 3]


async def test_the_audit_is_read_newest_first_in_pages(store: Store) -> None:
    for time in (1.0, 2.0, 3.0):
        await store.append_audit(time, AUDIT)
    newest = await store.audit(2, 0)
    assert [(entry.sequence, entry.time) for entry in newest] == [(3, 3.0), (2, 2.0)]
    assert [entry.sequence for entry in await store.audit(2, newest[-1].sequence)] == [1]


async def test_a_host_that_is_both_ends_of_a_migration_keeps_two_journals(store: Store) -> None:
    await store.put_journal(journal(1, outgoing=True))
    await store.put_journal(journal(1, outgoing=False))
    await store.put_journal(journal(1, outgoing=True, phase=Phase.COMMITTED))
    assert {(j.outgoing, j.phase) for j in await store.journals()} == {
        (True, Phase.COMMITTED),
        (False, Phase.SENDING),
    }


async def test_journals_come_oldest_first_and_whole(store: Store) -> None:
    later, earlier = journal(1, outgoing=True, created=2.0), journal(2, outgoing=True, created=1.0)
    await store.put_journal(later)
    await store.put_journal(earlier)
    assert await store.journals() == [earlier, later]


# --- what only a file has


async def test_all_of_it_is_there_after_a_restart_and_numbers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "jaild.db"
    first = SqliteStore(path)
    await first.open()
    await first.put_operation(OPERATION)
    await first.append_event(0.0, "k", "t", "", {})
    await first.put_journal(journal(1, outgoing=True))
    await first.append_audit(1.0, AUDIT)
    await first.close()
    second = SqliteStore(path)
    await second.open()
    try:
        assert await second.operations() == [OPERATION]
        assert await second.journals() == [journal(1, outgoing=True)]
        assert len(await second.audit(9, 0)) == 1
        assert (await second.append_event(0.0, "k", "t", "", {})).sequence == 2
    finally:
        await second.close()


class Watched(sqlite3.Connection):
    """A connection that tells, before each write, how soon it is on disk."""

    levels: ClassVar[list[int]] = []

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement.startswith(("insert", "replace")):
            self.levels.append(super().execute("pragma synchronous").fetchone()[0])
        return super().execute(statement, *values)


async def test_a_write_is_on_disk_when_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watched, "levels", [])
    sqlite = SqliteStore(tmp_path / "state" / "jaild.db")
    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Watched))
        await sqlite.open()
    await sqlite.put_operation(OPERATION)
    assert Watched.levels == [2]  # FULL
    other = sqlite3.connect(tmp_path / "state" / "jaild.db")
    try:
        assert other.execute("select id from operations").fetchall() == [("a",)]
        assert other.execute("pragma journal_mode").fetchone() == ("wal",)
    finally:
        other.close()
        await sqlite.close()


async def test_a_store_that_a_later_jaild_wrote_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jaild.db"
    connection = sqlite3.connect(path)
    connection.execute(f"pragma user_version={module.SCHEMA + 1}")
    connection.close()
    before = path.read_bytes()
    store = SqliteStore(path)
    with pytest.raises(FailedPreconditionError) as caught:
        await store.open()
    await store.close()
    assert caught.value.reason == "STORE_TOO_NEW"
    assert [(left.name, left.read_bytes()) for left in tmp_path.iterdir()] == [("jaild.db", before)]


async def test_a_damaged_store_says_that_the_jails_are_not_in_it(tmp_path: Path) -> None:
    path = tmp_path / "jaild.db"
    path.write_bytes(b"this is no database, whatever it is called" * 100)
    store = SqliteStore(path)
    with pytest.raises(DataLossError) as caught:
        await store.open()
    await store.close()
    assert caught.value.reason == "STORE_DAMAGED"
    assert "not in it" in caught.value.hint


class Full(sqlite3.Connection):
    """A connection to a file that may not grow."""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement.startswith(("insert", "replace")):
            super().execute("pragma max_page_count=20").fetchone()
        return super().execute(statement, *values)


async def test_a_full_disk_is_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Full))
    async with opened(tmp_path) as sqlite:
        with pytest.raises(ResourceExhaustedError) as caught:
            await sqlite.put_operation(msgspec.structs.replace(OPERATION, message="x" * 1_000_000))
    assert caught.value.reason == "NO_SPACE"


async def test_any_other_failure_names_the_file(sqlite: SqliteStore, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "jaild.db")) as other:
        other.execute("drop table operations")
    with pytest.raises(InternalError, match=r"jaild\.db") as caught:
        await sqlite.put_operation(OPERATION)
    assert caught.value.reason == "STORE_FAILED"


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "jaild.db")
    with pytest.raises(FailedPreconditionError) as caught:
        await store.operations()
    await store.close()
    assert caught.value.reason == "STORE_CLOSED"


async def test_old_events_are_dropped_and_who_asks_for_them_is_told_of_the_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundedlog, "EVENTS", Bound(bytes=1 << 20, rows=3))
    async with opened(tmp_path) as sqlite:
        for _ in range(6):
            await sqlite.append_event(0.0, "k", "t", "", {})
        events = await sqlite.events(0, "", 10)
        assert [(event.sequence, event.gap) for event in events] == [(4, True), (5, False), (6, False)]
        assert [event.gap for event in await sqlite.events(3, "", 10)] == [False, False, False]


async def test_however_large_the_entries_are_the_logs_stay_within_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EVENTS", "AUDIT", "AUDIT_REFUSED"):
        monkeypatch.setattr(boundedlog, name, Bound(bytes=100_000, rows=1000))
    refused = msgspec.structs.replace(AUDIT, outcome="PERMISSION_DENIED NO_ROLE", request_id="r" * 5000)
    for _ in range(2):  # what there is is measured when it is opened again
        async with opened(tmp_path) as sqlite:
            for _ in range(100):
                await sqlite.append_event(0.0, "k", "t", "x" * 5000, {})
                await sqlite.append_audit(0.0, refused)
            assert 10 < len(await sqlite.events(0, "", 1000)) < 20
            assert 10 < len(await sqlite.audit(1000, 0)) < 20
        with contextlib.closing(sqlite3.connect(tmp_path / "jaild.db")) as other:
            assert other.execute("pragma page_count").fetchone()[0] * 4096 < 500_000


async def test_refused_calls_do_not_push_the_entries_of_accepted_ones_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundedlog, "AUDIT", Bound(bytes=1 << 20, rows=10))
    monkeypatch.setattr(boundedlog, "AUDIT_REFUSED", Bound(bytes=1 << 20, rows=5))
    async with opened(tmp_path) as sqlite:
        await sqlite.append_audit(0.0, msgspec.structs.replace(AUDIT, outcome="OK"))
        for _ in range(50):
            await sqlite.append_audit(0.0, msgspec.structs.replace(AUDIT, outcome="NOT_FOUND JAIL_NOT_FOUND"))
        entries = await sqlite.audit(100, 0)
        assert [entry.outcome for entry in entries].count("OK") == 1
        assert len(entries) == 6


async def test_the_audit_of_one_resource_and_what_is_below_it_is_found(store: Store) -> None:
    for target in ("jails/web", "jails/web2", "jails/web/volumes/db", "jails/we", "jails/WEB", "jails/web.x"):
        await store.append_audit(1.0, msgspec.structs.replace(AUDIT, target=target))
    found = await store.audit_about("jails/web", 9)
    assert [entry.target for entry in found] == ["jails/web/volumes/db", "jails/web"]
    assert await store.audit_about("jails/web", 1) == found[:1]


async def test_an_audit_log_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "jaild.db")
    old.execute("create table audit (sequence integer primary key autoincrement, record blob not null)")
    old.execute("insert into audit (record) values (?)", (msgspec.json.encode(AUDIT),))
    old.commit()
    old.close()
    async with opened(tmp_path) as sqlite:
        await sqlite.append_audit(0.0, AUDIT)
        assert [entry.sequence for entry in await sqlite.audit(9, 0)] == [2, 1]
        assert [entry.sequence for entry in await sqlite.audit_about("jails/web", 9)] == [2, 1]


async def test_writers_at_the_same_time_all_get_through(sqlite: SqliteStore) -> None:
    events = await asyncio.gather(*(sqlite.append_event(0.0, "k", "t", str(n), {}) for n in range(20)))
    assert sorted(event.sequence for event in events) == list(range(1, 21))


async def test_what_must_not_be_forgotten_of_a_journal_is_kept_of_those_that_an_older_jaild_wrote(
    tmp_path: Path,
) -> None:
    path = tmp_path / "jaild.db"
    written = journal(1, outgoing=True)
    with contextlib.closing(sqlite3.connect(path)) as old, old:
        old.execute(
            "create table journals (id text not null, outgoing integer not null, created real not null,"
            " record blob not null, primary key (id, outgoing))"
        )
        insert = "insert into journals values (?, ?, 1.0, ?)"
        old.execute(insert, (written.id, 1, msgspec.json.encode(written)))
        old.execute(insert, ("unreadable before", 1, b"{"))
    for expected in ([], [trace_of(written)]):
        store = SqliteStore(path)
        await store.open()
        await store.journals()
        assert await store.traces() == expected
        await store.close()
        with contextlib.closing(sqlite3.connect(path)) as damaged, damaged:
            damaged.execute("update journals set record = '{'")
