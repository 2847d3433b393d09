"""Older data comes back whole or not at all, of whoever's snapshot, and the restore itself can be undone."""

from __future__ import annotations

import msgspec
import pytest

from jaild.backups.restores import Wanted
from jaild.model.errors import FailedPreconditionError, JaildError
from jaild.model.jails.spec import TcpCheck, Volume
from jaild.model.layers.records import Restoring
from jaild.model.operation import Operation
from jaild.model.views import JailState
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import SPEC, create, ended, reason_of
from tests.hosts.standbys import events
from tests.unit.backups.test_snapshots import STRANGER, take

WEB = "tank/jaild/jails/web"
WITH = msgspec.structs.replace(SPEC, volumes={"db": Volume(path="/var/db/x")})


def write(host: FakeHost, text: str) -> None:
    folder = host.core.inventory.jails["web"].folder
    (folder / "data/var/log").mkdir(exist_ok=True, parents=True)
    (folder / "data/var/log/state").write_text(text)
    (folder / "db/rows").write_text(text)


def read(host: FakeHost) -> tuple[str, str]:
    folder = host.core.inventory.jails["web"].folder
    return (folder / "data/var/log/state").read_text(), (folder / "db/rows").read_text()


async def restore(host: FakeHost, at: str | float, path: str = "") -> Operation:
    restores = host.core.use_cases.restores
    return await ended(host, restores.restore("web", Wanted(at, path), validate_only=False, caller=caller()))


async def planned(host: FakeHost, at: str | float, path: str = "") -> tuple[tuple[str, ...], list[str]]:
    asked = await host.core.use_cases.restores.restore("web", Wanted(at, path), validate_only=True, caller=caller())
    assert asked.plan is not None
    return asked.plan.steps, [problem.code for problem in asked.plan.problems]


async def with_past(host: FakeHost) -> None:
    """A jail that was `old` at the snapshot `mine`, and is `new` an hour later."""
    await create(host, WITH)
    write(host, "old")
    assert reason_of(await take(host)) == ""
    host.clock.time += 3600
    write(host, "new")


async def test_all_data_comes_back_and_the_jail_is_stopped_only_as_the_plan_says(host: FakeHost) -> None:
    await with_past(host)
    steps, problems = await planned(host, host.clock.now() - 60)
    assert [step.partition(" as ")[0] for step in steps] == [
        "stop generation 1",
        "snapshot all",
        "bring data, db back",
        "start generation 1",
        "health checks; if they fail, all is",
    ]
    assert (problems, read(host)) == ([], ("new", "new"))
    operation = await restore(host, host.clock.now() - 60)
    assert (reason_of(operation), read(host)) == ("", ("old", "old"))
    assert operation.downtime is not None
    view = host.core.use_cases.jails.get("web")
    assert (view.state, view.generation and view.generation.number) == (JailState.RUNNING, 1)
    assert view.record is not None
    assert view.record.restoring is None
    assert await events(host, "jail.restored") == ["jail.restored all data as of 1970-01-12 13:46:40 UTC (mine)"]


async def test_a_restore_can_be_undone_and_no_snapshot_is_lost_by_it(host: FakeHost) -> None:
    await with_past(host)
    await host.zfs.snapshot(WEB, "autosnap_1", recursive=True)
    before = (await restore(host, "mine")).facts["before"]
    assert read(host) == ("old", "old")
    assert reason_of(await restore(host, before)) == ""
    assert read(host) == ("new", "new")
    assert reason_of(await restore(host, "mine")) == ""
    assert reason_of(await restore(host, "autosnap_1")) == ""  # of another tool
    assert read(host) == ("new", "new")
    tags = [each.tag for each in await host.core.use_cases.snapshots.list("web")]
    assert {"mine", "autosnap_1"} <= set(tags)
    assert len([tag for tag in tags if tag.startswith("before-")]) == 3


async def test_a_path_comes_back_beside_the_running_jail_and_the_rest_stays(host: FakeHost) -> None:
    await with_past(host)
    steps, problems = await planned(host, "mine", "/var/db/x/rows")
    assert steps[1] == "bring /var/db/x/rows back as of 1970-01-12 13:46:40 UTC (mine)"
    assert problems == ["JAIL_RUNS_ON"]
    stops = [call for call in host.runtime.calls if call[0] == "stop"]
    assert reason_of(await restore(host, "mine", "/var/db/x/rows")) == ""
    assert read(host) == ("new", "old")
    assert [call for call in host.runtime.calls if call[0] == "stop"] == stops
    assert await planned(host, "mine", "/var/db") == (
        (*steps[:1], "bring /var/db back as of 1970-01-12 13:46:40 UTC (mine)"),
        ["JAIL_RUNS_ON", "VOLUMES_BELOW"],
    )


@pytest.mark.parametrize(
    ("at", "path", "reason"),
    [
        ("none", "", "SNAPSHOT_NOT_FOUND"),
        (5.0, "", "SNAPSHOT_NOT_FOUND"),
        ("mine", "/etc/passwd", "NOT_DATA"),
        ("mine", "/var/../etc", "NOT_DATA"),
        ("mine", "var/log", "NOT_DATA"),
        ("data-only", "/var/db/x", "PATH_NOT_IN_SNAPSHOT"),
    ],
)
async def test_what_cannot_be_brought_back_is_refused(host: FakeHost, at: str | float, path: str, reason: str) -> None:
    await with_past(host)
    await host.zfs.snapshot(f"{WEB}/data", "data-only")
    with pytest.raises(JaildError) as caught:
        await planned(host, at, path)
    assert (caught.value.reason, bool(caught.value.hint)) == (reason, True)


async def test_a_path_that_the_snapshot_does_not_have_leaves_all_as_it_is(host: FakeHost) -> None:
    await with_past(host)
    assert reason_of(await restore(host, "mine", "/var/log/none")) == "PATH_NOT_IN_SNAPSHOT"
    assert read(host) == ("new", "new")
    assert not [name for name in host.zfs.pool.filesystems if "/rehearsals/" in name]


async def test_a_snapshot_of_a_part_leaves_the_others_and_the_plan_says_so(host: FakeHost) -> None:
    await with_past(host)
    await host.zfs.snapshot(f"{WEB}/data", "data-only")
    write(host, "newest")
    assert (await planned(host, "data-only"))[1] == ["NOT_IN_SNAPSHOT"]
    assert reason_of(await restore(host, "data-only")) == ""
    assert read(host) == ("new", "newest")


async def test_a_jail_that_does_not_become_healthy_with_it_has_its_data_again(host: FakeHost) -> None:
    spec = msgspec.structs.replace(WITH, health=(TcpCheck(port=80, address="192.0.2.1"),))
    await create(host, spec)
    write(host, "old")
    await take(host)
    write(host, "new")
    host.probe.problem = "connection refused"
    assert reason_of(await restore(host, "mine")) == "HEALTH_CHECK_FAILED"
    assert read(host) == ("new", "new")
    view = host.core.use_cases.jails.get("web")
    assert (view.state, view.record and view.record.restoring) == (JailState.RUNNING, None)


async def test_a_stopped_jail_stays_stopped_and_another_team_may_not(host: FakeHost) -> None:
    await with_past(host)
    with pytest.raises(JaildError, match="APP_REQUIRED"):
        await host.core.use_cases.restores.restore("web", Wanted("mine"), validate_only=True, caller=STRANGER)
    await ended(host, host.core.use_cases.jails.stop("web", caller=caller()))
    assert (await planned(host, "mine"))[0][0].startswith("snapshot all")
    assert reason_of(await restore(host, "mine")) == ""
    assert (read(host), host.core.use_cases.jails.get("web").state) == (("old", "old"), JailState.STOPPED)


async def test_half_restored_data_is_neither_started_nor_changed_until_it_is_put_back(host: FakeHost) -> None:
    await with_past(host)
    await ended(host, host.core.use_cases.jails.stop("web", caller=caller()))
    host.zfs.refuse["clone"] = FailedPreconditionError("DATASET_BUSY", "busy", hint="wait")
    host.zfs.refuse["rollback"] = FailedPreconditionError("DATASET_BUSY", "busy", hint="wait")
    assert reason_of(await restore(host, "mine")) == "DATASET_BUSY"
    assert reason_of(await ended(host, host.core.use_cases.jails.start("web", caller=caller()))) == "JAIL_RESTORING"
    await host.restart()
    with pytest.raises(JaildError, match="JAIL_RESTORING"):
        await restore(host, "mine")
    host.zfs.refuse.clear()
    await host.restart()
    assert read(host) == ("new", "new")
    assert reason_of(await ended(host, host.core.use_cases.jails.start("web", caller=caller()))) == ""


BUSY = FailedPreconditionError("DATASET_BUSY", "busy", hint="wait")


async def test_a_volume_that_is_not_mounted_is_mounted_before_anything_is_brought_back_into_it(host: FakeHost) -> None:
    await with_past(host)
    await ended(host, host.core.use_cases.jails.stop("web", caller=caller()))
    await host.zfs.unmount(f"{WEB}/db")
    assert reason_of(await restore(host, "mine")) == ""
    assert (await host.zfs.dataset(f"{WEB}/db")).mounted
    assert read(host) == ("old", "old")


async def test_a_jail_whose_data_could_not_be_put_back_stays_down(host: FakeHost) -> None:
    await with_past(host)
    host.zfs.refuse["clone"] = host.zfs.refuse["rollback"] = BUSY
    operation = await restore(host, "mine")
    assert (reason_of(operation), "cleanup_pending" in operation.facts) == ("DATASET_BUSY", True)
    assert host.core.use_cases.jails.get("web").state is not JailState.RUNNING
    host.zfs.refuse.clear()
    await host.restart()
    await host.quiet()
    assert (read(host), host.core.use_cases.jails.get("web").state) == (("new", "new"), JailState.RUNNING)


async def test_data_that_were_put_back_in_part_are_not_started(host: FakeHost) -> None:
    await create(host, msgspec.structs.replace(WITH, health=(TcpCheck(port=80, address="192.0.2.1"),)))
    write(host, "old")
    await take(host)
    write(host, "new")
    host.probe.problem = "connection refused"
    host.zfs.refuse["rollback"] = BUSY
    assert reason_of(await restore(host, "mine")) == "HEALTH_CHECK_FAILED"
    assert host.core.use_cases.jails.get("web").state is not JailState.RUNNING
    assert reason_of(await ended(host, host.core.use_cases.jails.start("web", caller=caller()))) == "JAIL_RESTORING"


async def test_a_backup_in_the_middle_does_not_keep_data_from_being_put_back(host: FakeHost) -> None:
    spec = msgspec.structs.replace(WITH, health=(TcpCheck(port=80, address="192.0.2.1"),))
    await create(host, spec)
    write(host, "old")
    await take(host)
    write(host, "new")
    host.probe.problem = "connection refused"
    start = host.runtime.start

    async def started(*asked: object, **more: object) -> object:
        await host.zfs.snapshot(WEB, "backup-1", recursive=True)
        for name in (WEB, f"{WEB}/data", f"{WEB}/db"):
            await host.zfs.bookmark(f"{name}@backup-1", "backup-1")
            await host.zfs.destroy(f"{name}@backup-1")
        host.runtime.start = start  # type: ignore[method-assign]
        return await start(*asked, **more)  # type: ignore[arg-type]

    host.runtime.start = started  # type: ignore[method-assign, assignment]
    assert reason_of(await restore(host, "mine")) == "HEALTH_CHECK_FAILED"
    assert (read(host), host.core.use_cases.jails.get("web").state) == (("new", "new"), JailState.RUNNING)


async def test_restores_that_fail_push_out_no_snapshot_of_one_that_did_not(host: FakeHost) -> None:
    await with_past(host)
    kept = (await restore(host, "mine")).facts["before"]
    for _ in range(4):
        assert reason_of(await restore(host, "mine", "/var/log/none")) == "PATH_NOT_IN_SNAPSHOT"
    tags = [each.tag for each in await host.core.use_cases.snapshots.list("web")]
    assert [tag for tag in tags if tag.startswith("before-")] == [kept]


async def test_what_a_jail_wrote_on_over_a_crash_in_a_restore_is_kept(host: FakeHost) -> None:
    await with_past(host)
    entry = host.core.inventory.jails["web"]
    before = (await restore(host, "mine", "/var/db/x/rows")).facts["before"]
    assert entry.record is not None
    restoring = Restoring(before=before, path="/var/db/x/rows", whole=True)
    await host.core.rooms.jails.datasets.write(entry, msgspec.structs.replace(entry.record, restoring=restoring))
    write(host, "written since")
    await host.restart()
    await host.quiet()
    assert read(host) == ("written since", "new")
    assert reason_of(await restore(host, before.replace("before-", "undone-"))) == ""
    assert read(host) == ("written since", "written since")


async def test_the_snapshot_that_an_interrupted_restore_is_undone_from_is_not_removed(host: FakeHost) -> None:
    await with_past(host)
    entry = host.core.inventory.jails["web"]
    before = (await restore(host, "mine")).facts["before"]
    assert entry.record is not None
    halfway = msgspec.structs.replace(entry.record, restoring=Restoring(before=before))
    await host.core.rooms.jails.datasets.write(entry, halfway)
    with pytest.raises(JaildError, match="SNAPSHOT_NEEDED"):
        await host.core.use_cases.snapshots.remove("web", before, validate_only=True, caller=caller())


async def test_a_deleted_file_that_could_not_be_brought_back_whole_is_not_left_in_part(host: FakeHost) -> None:
    await with_past(host)
    rows = host.core.inventory.jails["web"].folder / "db/rows"
    rows.unlink()
    entry = host.core.inventory.jails["web"]
    before = (await restore(host, "mine", "/var/db/x/rows")).facts["before"]  # as it is, in the middle of it
    assert entry.record is not None
    begun = Restoring(before=before, path="/var/db/x/rows", whole=True)
    await host.core.rooms.jails.datasets.write(entry, msgspec.structs.replace(entry.record, restoring=begun))
    await host.restart()
    await host.quiet()
    assert not rows.exists()
    record = host.core.use_cases.jails.get("web").record
    assert record is not None
    assert record.restoring is None
