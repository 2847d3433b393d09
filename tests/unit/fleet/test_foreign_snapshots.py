"""What others made on jaild's datasets is theirs: it is stepped over, kept, and told where it stands in the way."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.model.jails.spec import Volume
from jaild.model.layers.records import Ownership
from jaild.model.migration.protocol import Received, ReceiveHeader
from jaild.model.problems import Plan, Severity
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network
from tests.hosts import invariants
from tests.hosts.asking import SPEC, configure, create, delete, deploy, ended, reason_of, roll_back, serves
from tests.hosts.fixtures import furnished
from tests.hosts.migrating import migrate

Pair = tuple[FakeHost, FakeHost]
WEB = "tank/jaild/jails/web"
DATA = f"{WEB}/data"


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """A host with bases, releases and a jail, and an empty one."""
    network = Network()
    first, second = FakeHost(tmp_path / "alpha", "alpha", network), FakeHost(tmp_path / "beta", "beta", network)
    await furnished(first)
    await second.start()
    await create(first)
    yield first, second
    await first.stop()
    await second.stop()


async def taken(host: FakeHost, tag: str, dataset: str = WEB, *, recursive: bool = True) -> dict[str, int]:
    """Snapshot as an administrator does; return the snapshots with their guids."""
    await host.zfs.snapshot(dataset, tag, recursive=recursive)
    found = await host.zfs.snapshots(dataset, recursive=recursive)
    return {snapshot.name: snapshot.guid for snapshot in found if snapshot.tag == tag}


async def there(host: FakeHost) -> dict[str, int]:
    return {snapshot.name: snapshot.guid for snapshot in await host.zfs.snapshots(WEB, recursive=True)}


async def move(source: FakeHost, target: FakeHost) -> str:
    return reason_of(await source.end_of(await migrate(source, target)))


async def plan_of_move(source: FakeHost, target: FakeHost) -> Plan:
    asked = await source.core.use_cases.migrations.migrate(
        "web",
        target.name,
        max_downtime=10.0,
        proceed_over_budget=True,
        etag="",
        validate_only=True,
        caller=caller(),
    )
    assert asked.plan is not None
    return asked.plan


async def plan_of_delete(host: FakeHost) -> Plan:
    """Return it without the warning that nobody else has the jail's data, which is no matter here."""
    asked = await host.core.use_cases.jails.delete("web", force=True, etag="", validate_only=True, caller=caller())
    assert asked.plan is not None
    about = tuple(problem for problem in asked.plan.problems if problem.code != "ONLY_COPY")
    return msgspec.structs.replace(asked.plan, problems=about)


def told(plan: Plan) -> list[tuple[Severity, str]]:
    return [(problem.severity, problem.code) for problem in plan.problems]


def write(host: FakeHost, text: str) -> None:
    (host.core.inventory.jails["web"].folder / "data" / "var" / "mark").write_text(text)


def written(host: FakeHost) -> str:
    return (host.core.inventory.jails["web"].folder / "data" / "var" / "mark").read_text()


# -- whose a snapshot is


@pytest.mark.parametrize("tag", ["before-upgrade", "before-2", "before-1000", "mig-mysql8", "standby-test", "daily"])
async def test_a_snapshot_of_others_survives_every_change_whatever_its_name(pair: Pair, tag: str) -> None:
    host, _ = pair
    theirs = await taken(host, tag)
    for number, release in enumerate(("web/2", "web/1", "web/2", "web/1", "web/2"), start=2):
        assert reason_of(await deploy(host, release)) == ""
        assert serves(host, number)
    assert reason_of(await configure(host, msgspec.structs.replace(SPEC, app="web/2", hostname="other"))) == ""
    assert reason_of(await roll_back(host)) == ""
    assert theirs.items() <= (await there(host)).items()
    own = [name for name in await there(host) if name.startswith(f"{WEB}@") and name not in theirs]
    assert len(own) == 3


async def test_where_others_have_the_name_another_is_taken(pair: Pair) -> None:
    host, _ = pair
    theirs = await taken(host, "before-2", DATA, recursive=False)
    assert reason_of(await deploy(host, "web/2")) == ""
    assert theirs.items() <= (await there(host)).items()
    own = [s for s in await host.zfs.snapshots(WEB, recursive=True) if s.purpose == "safety"]
    assert [s.tag for s in own] == ["before-2.2", "before-2.2"]


async def test_snapshots_and_bookmarks_of_others_survive_a_migration_there_and_back(pair: Pair) -> None:
    source, target = pair
    theirs = await taken(source, "mig-mysql8") | await taken(source, "before-upgrade")
    await source.zfs.bookmark(f"{DATA}@mig-mysql8", "mig-mark")
    assert await move(source, target) == ""
    there_theirs = await taken(target, "mig-other")
    await target.zfs.bookmark(f"{DATA}@mig-other", "mig-mark")
    assert await move(target, source) == ""
    assert await move(source, target) == ""
    assert theirs.items() <= (await there(source)).items()
    assert there_theirs.items() <= (await there(target)).items()
    for host in pair:
        assert "mig-mark" in [mark.tag for mark in await host.zfs.bookmarks(DATA)]
    own = [s.name for s in await source.zfs.snapshots(WEB, recursive=True) if s.purpose]
    assert len(own) == 4  # the last two of each dataset
    own_marks = [mark.tag for mark in await target.zfs.bookmarks(WEB, recursive=True) if mark.tag != "mig-mark"]
    assert len(own_marks) == 2


async def test_what_others_keep_of_an_old_round_stays_and_fails_no_change_and_no_migration(pair: Pair) -> None:
    source, target = pair
    assert reason_of(await deploy(source, "web/2")) == ""
    await source.zfs.hold("backup", f"{DATA}@before-2")
    for release in ("web/1", "web/2", "web/1", "web/2"):
        operation = await deploy(source, release)
        assert reason_of(operation) == ""
    events = [event.kind async for event in source.core.use_cases.events.watch(0, "", False)]
    assert "jail.cleanup-pending" not in events
    assert f"{DATA}@before-2" in await there(source)
    assert await move(source, target) == ""
    await source.zfs.release("backup", f"{DATA}@before-2")


# -- an old copy that a tool snapshots


async def test_snapshots_of_an_old_copy_with_nothing_written_since_are_told_and_stepped_over(pair: Pair) -> None:
    source, target = pair
    assert await move(source, target) == ""
    theirs = await taken(source, "hourly-1") | await taken(source, "hourly-2")
    await source.zfs.hold("backup", f"{DATA}@hourly-1")
    await source.zfs.clone(f"{DATA}@hourly-2", "tank/theirs")
    write(target, "newer")
    plan = await plan_of_move(target, source)
    assert set(told(plan)) == {(Severity.NOTE, "FOREIGN_SNAPSHOTS")}
    messages = " ".join(problem.message for problem in plan.problems)
    assert all(name in messages for name in theirs)
    assert await move(target, source) == ""
    assert written(source) == "newer"
    assert theirs.items() <= (await there(source)).items()
    await source.zfs.release("backup", f"{DATA}@hourly-1")


async def test_what_was_written_to_an_old_copy_is_told_by_the_plan_and_never_overwritten(pair: Pair) -> None:
    source, target = pair
    assert await move(source, target) == ""
    await source.zfs.set(DATA, {"readonly": "off"})
    await source.zfs.mount(DATA)
    point = (await source.zfs.dataset(DATA)).mountpoint
    assert point is not None
    (point / "theirs").write_text("not to be lost")
    await taken(source, "hourly-1")
    plan = await plan_of_move(target, source)
    assert (Severity.ERROR, "COPY_MODIFIED") in told(plan)
    assert await move(target, source) == "PLAN_REFUSED"
    assert (point / "theirs").read_text() == "not to be lost"
    assert serves(target, 1)


async def test_a_copy_with_nothing_in_common_is_told_by_the_plan(pair: Pair) -> None:
    source, target = pair
    assert await move(source, target) == ""
    for snapshot in await source.zfs.snapshots(WEB, recursive=True):
        await source.zfs.release("jaild-migration", snapshot.name)
        await source.zfs.destroy(snapshot.name)
    await taken(source, "hourly-1")
    assert (Severity.ERROR, "COPY_UNRELATED") in told(await plan_of_move(target, source))


# -- in mid-migration


def snapshot_after_each_receive(host: FakeHost) -> list[str]:
    """Let a tool snapshot the jail's datasets whenever a stream has come; return what it made, as it comes."""
    incoming, made, numbers = host.core.use_cases.incoming, list[str](), itertools.count()
    original = incoming.receive

    async def receive(header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        received = await original(header, chunks)
        if not header.layer:
            made.extend(await taken(host, f"tool-{next(numbers)}"))
        return received

    incoming.receive = receive  # type: ignore[method-assign]
    return made


async def test_a_tool_that_snapshots_the_target_all_the_time_fails_no_migration(pair: Pair) -> None:
    source, target = pair
    write(source, "all of it")
    made = snapshot_after_each_receive(target)
    assert await move(source, target) == ""
    assert serves(target, 1)
    assert written(target) == "all of it"
    assert len(made) > 3
    assert set(made) <= set(await there(target))
    await move(target, source)
    assert [s.name for s in await target.zfs.snapshots(WEB, recursive=True) if s.purpose == ""] == sorted(
        made, key=lambda name: (name.partition("@")[0], int(name.rpartition("-")[2]))
    )


async def test_an_aborted_copy_goes_back_to_what_it_was_with_others_snapshots_of_before(pair: Pair) -> None:
    source, target = pair
    assert await move(source, target) == ""
    theirs = await taken(source, "hourly-1")
    write(target, "newer")
    made = snapshot_after_each_receive(source)
    source.core.use_cases.incoming.prepare = _refuses  # type: ignore[method-assign, assignment]
    assert await move(target, source) == "REFUSED"
    await target.quiet()
    assert serves(target, 1)
    assert (await invariants.records(source))["web"].state is Ownership.MOVED
    found = await there(source)
    assert theirs.items() <= found.items()
    assert made  # of what came and is thrown away: they would keep it
    assert not set(made) & set(found)
    assert await source.zfs.is_unchanged(next(s.name for s in await source.zfs.snapshots(DATA) if s.purpose))


async def _refuses(*_: object) -> None:
    raise FailedPreconditionError("REFUSED", "not today", hint="none: a test says so")


# -- what cannot be destroyed is refused before anything is stopped


async def claimed(host: FakeHost, kind: str) -> str:
    """Keep a snapshot of the jail as others do; return what the refusal has to name."""
    await taken(host, "theirs")
    if kind == "hold":
        await host.zfs.hold("backup", f"{DATA}@theirs")
        return "backup"
    await host.zfs.clone(f"{DATA}@theirs", "tank/elsewhere")
    return "tank/elsewhere"


KINDS = pytest.mark.parametrize("kind", ["hold", "clone"])


@KINDS
async def test_a_jail_of_which_others_keep_a_snapshot_is_not_deleted_and_goes_on(pair: Pair, kind: str) -> None:
    host, _ = pair
    named = await claimed(host, kind)
    plan = await plan_of_delete(host)
    assert told(plan) == [(Severity.ERROR, "SNAPSHOTS_IN_USE")]
    assert named in plan.problems[0].message
    assert f"{DATA}@theirs" in plan.problems[0].evidence
    refused = await delete(host, force=True)
    assert reason_of(refused) == "SNAPSHOTS_IN_USE"
    assert refused.failure is not None
    assert named in refused.failure.message
    assert serves(host, 1)
    assert (await invariants.records(host))["web"].state is Ownership.ACTIVE


async def test_where_a_zfs_tells_no_holds_it_is_told_how_many_there_are(pair: Pair) -> None:
    host, _ = pair
    host.zfs.can = dataclasses.replace(host.zfs.can, lists_holds=False)
    await claimed(host, "hold")
    [problem] = (await plan_of_delete(host)).problems
    assert "1 holds" in problem.message


async def test_others_snapshots_that_go_with_a_jail_are_told_by_the_plan(pair: Pair) -> None:
    host, _ = pair
    theirs = await taken(host, "daily")
    plan = await plan_of_delete(host)
    assert told(plan) == [(Severity.NOTE, "FOREIGN_SNAPSHOTS")]
    assert set(plan.problems[0].evidence) == set(theirs)
    assert reason_of(await delete(host, force=True)) == ""


@KINDS
async def test_the_copy_of_which_others_keep_a_snapshot_is_not_finalized(pair: Pair, kind: str) -> None:
    source, target = pair
    done = await source.end_of(await migrate(source, target))
    named = await claimed(source, kind)
    before = await there(source)
    migrations = source.core.use_cases.migrations
    freed = await ended(source, migrations.finalize(done.facts["migration"], caller=caller()))
    assert reason_of(freed) == "SNAPSHOTS_IN_USE"
    assert freed.failure is not None
    assert named in freed.failure.message
    assert await there(source) == before


@pytest.mark.parametrize("layer", ["bases/deb-2", "apps/web/2"])
@KINDS
async def test_a_layer_of_which_others_keep_a_snapshot_is_not_deleted(pair: Pair, kind: str, layer: str) -> None:
    host, _ = pair
    sealed = f"tank/jaild/{layer}@sealed"
    if kind == "hold":
        await host.zfs.hold("backup", sealed)
    else:
        await host.zfs.clone(sealed, "tank/elsewhere")
    cases = host.core.use_cases
    names = layer.split("/")[1:]
    asked = (cases.bases if len(names) == 1 else cases.releases).delete(*names, validate_only=True, caller=caller())
    with pytest.raises(FailedPreconditionError, match="backup" if kind == "hold" else "tank/elsewhere") as caught:
        await asked
    assert caught.value.reason == "SNAPSHOTS_IN_USE"


@KINDS
async def test_a_new_copy_of_which_others_keep_a_snapshot_is_thrown_away_when_they_let_go(
    pair: Pair, kind: str
) -> None:
    source, target = pair
    incoming = target.core.use_cases.incoming
    original = incoming.receive

    async def receive(header: ReceiveHeader, chunks: AsyncIterator[bytes]) -> Received:
        received = await original(header, chunks)
        if header.dataset == "data" and "theirs" not in {s.tag for s in await target.zfs.snapshots(DATA)}:
            await claimed(target, kind)
        return received

    incoming.receive = receive  # type: ignore[method-assign]
    incoming.prepare = _refuses  # type: ignore[method-assign, assignment]
    assert await move(source, target) == "REFUSED"
    assert serves(source, 1)
    before = await there(target)
    migration = next(iter(source.core.use_cases.migrations.list())).id
    with pytest.raises(JaildError) as caught:
        await incoming.abort(migration, source="alpha")
    assert caught.value.reason == "SNAPSHOTS_IN_USE"
    assert await there(target) == before
    told = [e async for e in target.core.use_cases.events.watch(0, "", False) if e.kind == "jail.cleanup-pending"]
    assert len(told) == 1
    assert f"{DATA}@theirs" in told[0].message
    if kind == "hold":
        await target.zfs.release("backup", f"{DATA}@theirs")
    else:
        await target.zfs.destroy("tank/elsewhere")
    await incoming.abort(migration, source="alpha")
    assert "web" not in await invariants.records(target)
    await source.quiet()


async def test_a_clone_of_a_test_migration_that_others_keep_is_told_and_keeps_no_other(pair: Pair) -> None:
    host, _ = pair
    await host.zfs.create("tank/jaild/rehearsals")
    for name in ("one", "two"):
        await host.zfs.create(f"tank/jaild/rehearsals/{name}")
    await host.zfs.snapshot("tank/jaild/rehearsals/one", "hourly")
    await host.zfs.hold("backup", "tank/jaild/rehearsals/one@hourly")
    await host.restart()
    left = {dataset.name for dataset in await host.zfs.datasets("tank/jaild/rehearsals")}
    assert left == {"tank/jaild/rehearsals", "tank/jaild/rehearsals/one"}
    assert any("backup" in repair for repair in host.core.recovery.repairs)
    await host.zfs.release("backup", "tank/jaild/rehearsals/one@hourly")


@pytest.mark.exhaustive
async def test_a_jail_with_many_volumes_moves_there_and_back_by_its_bookmarks(pair: Pair) -> None:
    source, target = pair
    volumes = {f"v{number}": Volume(path=f"/var/v{number}") for number in range(90)}
    assert reason_of(await configure(source, msgspec.structs.replace(SPEC, volumes=volumes))) == ""
    for one, other in (pair, pair[::-1], pair):
        assert await move(one, other) == ""
    own = await target.zfs.bookmarks(WEB, recursive=True)
    assert len({mark.dataset for mark in own}) == len(own) == len(volumes) + 2
